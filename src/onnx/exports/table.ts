/** How every operator of ours is written: a line for each family. */
import type { OperatorKind } from '../../operators/table.ts';
import type { Exports } from './define.ts';
import { LAYER_EXPORTS } from './layers.ts';
import { MOVEMENT_EXPORTS } from './movement.ts';
import { NORMALIZATION_EXPORTS } from './normalization.ts';
import { BINARY_EXPORTS, UNARY_EXPORTS } from './pointwise.ts';
import { POOLING_EXPORTS } from './pooling.ts';

/** The type names a kind that lacks one. */
export const EXPORTS: Exports<OperatorKind> = {
  ...LAYER_EXPORTS,
  ...MOVEMENT_EXPORTS,
  ...NORMALIZATION_EXPORTS,
  ...POOLING_EXPORTS,
  ...UNARY_EXPORTS,
  ...BINARY_EXPORTS,
};
