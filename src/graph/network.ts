/**
 * A network is a value: plain data that nothing changes. Transforms take one and return a new one that shares what they
 * did not touch, so the original stays at hand as teacher and yardstick.
 *
 * Every node yields one value, named after the node; a node's inputs are names of nodes or of network inputs.
 * Nodes stand in topological order.
 */
import type { Encoding } from '../encodings/types.ts';
import type { Shape } from '../base/tensor.ts';
import type { Preprocessing, Task } from './preprocessing.ts';

export type Pair = readonly [number, number];
/** top, left, bottom, right */
export type Padding = readonly [number, number, number, number];

/** Attributes by operator kind. Shapes are per sample; the batch is axis 0 of every value and never named. */
export interface OperatorAttributes {
  /** weight [O, I/groups, kh, kw], bias [O] optional; x [I, H, W] -> [O, H', W'] */
  conv: { stride: Pair; padding: Padding; dilation: Pair; groups: number };
  /** weight [out, in], bias [out] optional; x [in] -> [out] */
  dense: Record<never, never>;
  maxPool: { size: Pair; stride: Pair; padding: Padding };
  averagePool: { size: Pair; stride: Pair; padding: Padding; countPadding: boolean };
  /** [C, H, W] -> [C] */
  globalAveragePool: Record<never, never>;
  relu: Record<never, never>;
  leakyRelu: { slope: number };
  sigmoid: Record<never, never>;
  tanh: Record<never, never>;
  /** over the last axis */
  softmax: Record<never, never>;
  /** scale, shift trained; mean, variance running statistics; all [C], C = axis 0 of the sample */
  batchNorm: { epsilon: number; momentum: number };
  /** y = x scale + shift per channel, constants that are not trained (output units); scale, shift [C] */
  affine: Record<never, never>;
  flatten: Record<never, never>;
  /** elementwise sum of two values of one shape: skips */
  add: Record<never, never>;
  /** along axis 0 of the sample (channels) */
  concat: Record<never, never>;
  /** in training zeroes with probability rate and divides the rest by 1 - rate; at inference the identity */
  dropout: { rate: number };
}
export type OperatorKind = keyof OperatorAttributes;

export type Node = {
  [K in OperatorKind]: {
    readonly name: string;
    readonly kind: K;
    readonly inputs: readonly string[];
    /** role ('weight', 'bias', ...) -> parameter name. One parameter may serve several nodes. */
    readonly parameters: Readonly<Partial<Record<ParameterRole, string>>>;
    readonly attributes: Readonly<OperatorAttributes[K]>;
  };
}[OperatorKind];
export type NodeOf<K extends OperatorKind> = Extract<Node, { kind: K }>;
export type ParameterRole = 'weight' | 'bias' | 'scale' | 'shift' | 'mean' | 'variance';

export interface NetworkInput {
  readonly name: string;
  /** per sample, for example [1, 64, 64] */
  readonly shape: Shape;
}

export interface Network {
  readonly name: string;
  readonly inputs: readonly NetworkInput[];
  readonly nodes: readonly Node[];
  /** Names of values. */
  readonly outputs: readonly string[];
  /** Names come from files: a Map, so that '__proto__' is a name like any other. */
  readonly parameters: ReadonlyMap<string, Encoding>;
  readonly preprocessing?: Preprocessing;
  readonly task?: Task;
}
