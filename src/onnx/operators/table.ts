/** All operators of ONNX that are known here, by name; those of other domains with their domain in front. */
import type { NodeProto } from '../model.ts';
import { ARITHMETIC } from './arithmetic.ts';
import { CONVOLUTION } from './convolution.ts';
import type { OnnxOperator } from './define.ts';
import { NORMALIZATION } from './normalization.ts';
import { PADDING } from './padding.ts';
import { PARTS } from './parts.ts';
import { POOLING } from './pooling.ts';
import { PRODUCTS } from './products.ts';
import { QUANTIZATION } from './quantization.ts';
import { REDUCTIONS } from './reductions.ts';
import { RESHAPING } from './reshaping.ts';
import { RESIZE } from './resize.ts';
import { SHAPES } from './shapes.ts';
import { UNARY } from './unary.ts';

const OPERATORS: ReadonlyMap<string, OnnxOperator> = /* @__PURE__ */ new Map(
  [
    ARITHMETIC,
    CONVOLUTION,
    NORMALIZATION,
    PADDING,
    PARTS,
    POOLING,
    PRODUCTS,
    QUANTIZATION,
    REDUCTIONS,
    RESHAPING,
    RESIZE,
    SHAPES,
    UNARY,
  ].flatMap((family) => Object.entries(family)),
);

/** Names of all of them. */
export const OPERATOR_NAMES: readonly string[] = /* @__PURE__ */ [...OPERATORS.keys()].sort();

export function operatorNamed({ domain, operator }: NodeProto): OnnxOperator | undefined {
  // FusedConv and others of another domain have names of ONNX's own: they are different operators.
  return OPERATORS.get(domain === '' ? operator : `${domain}.${operator}`);
}
