/** Where the elements of a channel lie along the axis of a slice: (repeats, channels, width). */
import type { ParameterSlice } from './types.ts';

/** Elements that each channel has. */
export const spanOf = ({ width, repeats = 1 }: Pick<ParameterSlice, 'width' | 'repeats'>): number => width * repeats;

/** Place of element s, from 0 to below the span, of channel c of so many. */
export function elementOf({ first, width }: ParameterSlice, channels: number, c: number, s: number): number {
  return first + (Math.floor(s / width) * channels + c) * width + (s % width);
}
