/** The groups, in the order in which they are measured and reported. */
import { browser } from './browser.ts';
import { forward } from './forward.ts';
import type { Group } from './group.ts';
import { halved } from './halved.ts';
import { kernels } from './kernels.ts';
import { kmeans } from './kmeans.ts';
import { memory } from './memory.ts';
import { models } from './models.ts';
import { operators } from './operators.ts';
import { startup } from './startup.ts';
import { sweep } from './sweep.ts';
import { threads } from './threads.ts';
import { training } from './training.ts';

export const GROUPS: readonly Group[] = [
  kernels,
  forward,
  models,
  operators,
  training,
  threads,
  browser,
  halved,
  sweep,
  kmeans,
  startup,
  memory,
];
