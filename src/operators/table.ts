/** The tables of operators: a line for each, or for each family. Three tables, so that a program carries what it uses. */
import { EspalierError, show } from '../base/errors.ts';
import { own } from '../base/realm.ts';
import type { Node } from '../graph/network.ts';
import { BINARY_COUPLINGS, BINARY_OPERATORS, BINARY_TRAINING } from './binary.ts';
import { conv, convCoupling, convTraining } from './conv.ts';
import { convTranspose, convTransposeCoupling, convTransposeTraining } from './conv-transpose.ts';
import { conv3d, conv3dCoupling, conv3dTraining } from './conv3d.ts';
import { dense, denseCoupling, denseTraining } from './dense.ts';
import { PASSES_FIRST } from './define.ts';
import { dropout, dropoutCoupling, dropoutTraining } from './dropout.ts';
import { matMul, matMulCoupling, matMulTraining } from './matmul.ts';
import {
  affine,
  affineCoupling,
  affineTraining,
  batchNorm,
  batchNormCoupling,
  batchNormTraining,
} from './normalization.ts';
import {
  averagePool,
  averagePoolTraining,
  globalAveragePool,
  globalAveragePoolTraining,
  maxPool,
  maxPoolTraining,
} from './pooling.ts';
import {
  expand,
  expandCoupling,
  expandTraining,
  gather,
  gatherCoupling,
  gatherTraining,
  pad,
  padCoupling,
  padTraining,
  permute,
  permuteCoupling,
  permuteTraining,
  slice,
  sliceCoupling,
  sliceTraining,
} from './rearrange.ts';
import {
  argMax,
  argMaxCoupling,
  argMaxTraining,
  REDUCTION_COUPLINGS,
  REDUCTION_OPERATORS,
  REDUCTION_TRAINING,
} from './reduction.ts';
import { resize, resizeCoupling, resizeTraining } from './resize.ts';
import {
  groupNorm,
  groupNormCoupling,
  groupNormTraining,
  layerNorm,
  layerNormCoupling,
  layerNormTraining,
} from './standardization.ts';
import { softmax, softmaxCoupling, softmaxTraining } from './softmax.ts';
import {
  concat,
  concatCoupling,
  concatTraining,
  flatten,
  flattenCoupling,
  reshape,
  reshapeCoupling,
  split,
  splitCoupling,
  splitTraining,
  viewTraining,
} from './structure.ts';
import type { Coupling, Operator, TrainingOperator } from './types.ts';
import { UNARY_COUPLINGS, UNARY_OPERATORS, UNARY_TRAINING } from './unary.ts';

/** One table of several: a call, which bundlers leave out where nobody asks for the result; a spread they would keep. */
const joined = <A, B, C, D>(a: A, b: B, c: C, d: D): A & B & C & D => ({ ...a, ...b, ...c, ...d });

const SINGLE_OPERATORS = {
  conv,
  dense,
  maxPool,
  averagePool,
  globalAveragePool,
  softmax,
  batchNorm,
  affine,
  flatten,
  reshape,
  concat,
  split,
  permute,
  slice,
  pad,
  gather,
  expand,
  resize,
  dropout,
  argMax,
  layerNorm,
  groupNorm,
  matMul,
  convTranspose,
  conv3d,
};

/** What inference needs of every operator. */
export const OPERATORS = /* @__PURE__ */ joined(
  SINGLE_OPERATORS,
  UNARY_OPERATORS,
  BINARY_OPERATORS,
  REDUCTION_OPERATORS,
);

export type OperatorKind = keyof typeof OPERATORS;
/** The attributes of a kind, as its rules say. */
export type AttributesOf<K extends OperatorKind> = (typeof OPERATORS)[K] extends Operator<infer A> ? A : never;
export type NodeOf<K extends OperatorKind> = Node<AttributesOf<K>> & { readonly kind: K };
/** A node of any kind in the table, told apart by `kind`. */
export type KnownNode = { [K in OperatorKind]: NodeOf<K> }[OperatorKind];

const SINGLE_TRAINING: Readonly<Record<keyof typeof SINGLE_OPERATORS, TrainingOperator>> = {
  conv: convTraining,
  dense: denseTraining,
  maxPool: maxPoolTraining,
  averagePool: averagePoolTraining,
  globalAveragePool: globalAveragePoolTraining,
  softmax: softmaxTraining,
  batchNorm: batchNormTraining,
  affine: affineTraining,
  flatten: viewTraining,
  reshape: viewTraining,
  concat: concatTraining,
  split: splitTraining,
  permute: permuteTraining,
  slice: sliceTraining,
  pad: padTraining,
  gather: gatherTraining,
  expand: expandTraining,
  resize: resizeTraining,
  dropout: dropoutTraining,
  argMax: argMaxTraining,
  layerNorm: layerNormTraining,
  groupNorm: groupNormTraining,
  matMul: matMulTraining,
  convTranspose: convTransposeTraining,
  conv3d: conv3dTraining,
};

/** What training adds. */
export const TRAINING_OPERATORS: Readonly<Record<OperatorKind, TrainingOperator>> = /* @__PURE__ */ joined(
  SINGLE_TRAINING,
  UNARY_TRAINING,
  BINARY_TRAINING,
  REDUCTION_TRAINING,
);

const SINGLE_COUPLINGS: Readonly<Record<keyof typeof SINGLE_OPERATORS, Coupling>> = {
  conv: convCoupling,
  dense: denseCoupling,
  maxPool: PASSES_FIRST,
  averagePool: PASSES_FIRST,
  globalAveragePool: PASSES_FIRST,
  softmax: softmaxCoupling,
  batchNorm: batchNormCoupling,
  affine: affineCoupling,
  flatten: flattenCoupling,
  reshape: reshapeCoupling,
  concat: concatCoupling,
  split: splitCoupling,
  permute: permuteCoupling,
  slice: sliceCoupling,
  pad: padCoupling,
  gather: gatherCoupling,
  expand: expandCoupling,
  resize: resizeCoupling,
  dropout: dropoutCoupling,
  argMax: argMaxCoupling,
  layerNorm: layerNormCoupling,
  groupNorm: groupNormCoupling,
  matMul: matMulCoupling,
  convTranspose: convTransposeCoupling,
  conv3d: conv3dCoupling,
};

/** How channels go through. */
export const COUPLINGS: Readonly<Record<OperatorKind, Coupling>> = /* @__PURE__ */ joined(
  SINGLE_COUPLINGS,
  UNARY_COUPLINGS,
  BINARY_COUPLINGS,
  REDUCTION_COUPLINGS,
);

/** Whether the table has this kind; what objects inherit is none. */
export function isOperatorKind(kind: unknown): kind is OperatorKind {
  return typeof kind === 'string' && Object.hasOwn(OPERATORS, kind);
}

function lookUp<T>(table: Readonly<Record<OperatorKind, T>>, { name, kind }: Pick<Node, 'name' | 'kind'>): T {
  if (isOperatorKind(kind)) return own(table[kind] as object) as T;
  throw new EspalierError('UNSUPPORTED', `node ${show(name)}: unknown operator ${show(kind)}`, { name });
}

/** The operator of a node. @throws {EspalierError} UNSUPPORTED for a kind that is not in the table */
export const operatorOf = (node: Pick<Node, 'name' | 'kind'>): Operator => lookUp<Operator>(OPERATORS, node);
/** What training adds to it. @throws {EspalierError} UNSUPPORTED as {@link operatorOf} */
export const trainingOf = (node: Pick<Node, 'name' | 'kind'>): TrainingOperator => lookUp(TRAINING_OPERATORS, node);
/** How channels go through it. @throws {EspalierError} UNSUPPORTED as {@link operatorOf} */
export const couplingOf = (node: Pick<Node, 'name' | 'kind'>): Coupling => lookUp(COUPLINGS, node);

/** Name of the parameter that is a node's weight, if its operator has such a role. */
export function weightOf(node: Pick<Node, 'name' | 'kind' | 'parameters'>): string | undefined {
  const role = operatorOf(node).roles.find(({ isWeight }) => isWeight)?.role;
  return role === undefined ? undefined : node.parameters[role];
}
