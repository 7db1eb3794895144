/**
 * Encodings: how a parameter is stored. An encoding is plain data; all that is true of a kind is in its one file under
 * `kinds/`, which the tables list. Fitting an encoding to weights is the business of `quantization`.
 */
import type { READINGS } from './readings.generated.ts';

export type * from './kind.ts';
export type * from './kinds.generated.ts';

export type EncodingKind = keyof typeof READINGS;
/** One of the kinds. */
export type Encoding = { [K in EncodingKind]: ReturnType<(typeof READINGS)[K]['read']> }[EncodingKind];
