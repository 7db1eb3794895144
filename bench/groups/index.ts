/** The groups, in the order in which they are measured and reported. */
import { browser } from './browser.ts';
import { forward } from './forward.ts';
import type { Group } from './group.ts';

export const GROUPS: readonly Group[] = [forward, browser];
