/**
 * The operator interface. An operator is one file that exports a forward half (an {@link Operator}) and a training half
 * (a {@link TrainingOperator}), listed in `inference.ts` and `training.ts`: what only runs a model carries no backward
 * code.
 */
import type { KernelName, KernelSet } from '../kernels/types.ts';
import type { NodeOf, OperatorKind, ParameterRole } from '../graph/network.ts';
import type { Shape } from '../base/tensor.ts';

/** A value on the heap: contiguous, row-major, its shape with the batch in front. */
export interface Value {
  readonly offset: number;
  readonly shape: Shape;
  readonly words: number;
}

/** trained: moved by the optimizer; state: moved by the forward pass in training; constant: never. */
export interface RoleRule {
  readonly role: ParameterRole;
  readonly kind: 'trained' | 'state' | 'constant';
  readonly optional: boolean;
}

/** Shapes of a node's parameters by role, as stored. */
export type ParameterShapes = Readonly<Partial<Record<ParameterRole, Shape>>>;

/** Offsets of scale and shift of every channel. */
export interface ChannelMap {
  readonly scale: number;
  readonly shift: number;
}

/** How an operator lays its work out: offsets are handed out, calls are written down; nothing runs yet. */
export interface Plan {
  readonly batch: number;
  readonly kernels: KernelSet;
  /** 'inference' or 'training': dropout and batch normalization differ. */
  readonly mode: 'inference' | 'training';
  readonly inputs: readonly Value[];
  readonly output: Value;
  /** An activation that follows and is applied on the way out; only for operators with `fusesActivation`. */
  readonly activation: { readonly code: number; readonly slope: number };
  /**
   * Maps per channel, y = scale x + shift, that follow (before the activation) and are multiplied into the weights and
   * the bias, in their order: offsets of as many values as there are output channels. Only for operators with
   * `foldsChannelMaps`.
   */
  readonly folded: readonly ChannelMap[];
  /** Offset of a parameter's dense values, or -1 if the node has none in this role. */
  parameter(role: ParameterRole): number;
  /** Stored shape of a convolution's weights beyond their channels: [kh, kw]. */
  kernelSize(role: ParameterRole): readonly [number, number];
  /** Offset of words that hold the given whole numbers, or floats. */
  integers(values: readonly number[]): number;
  floats(values: readonly number[]): number;
  /**
   * Offset of words that live as long as the executor, by a name that the backward half asks for again (0 words: must
   * exist).
   */
  kept(name: string, words?: number): number;
  /**
   * Words that hold nothing once preparation is over, for a plan that is prepared once (inference): they lie where
   * values will.
   */
  passing(words: number): number;
  /** Words that hold nothing between steps. */
  temporary(words: number): number;
  /** Says how much scratch a call may need. */
  needsScratch(words: number): void;
  /** A step of the pass. */
  step(kernel: KernelName, pieces: readonly (readonly number[])[]): void;
  /** A step that is run once after parameters changed. */
  prepare(kernel: KernelName, pieces: readonly (readonly number[])[]): void;
}

export interface BackwardPlan extends Plan {
  readonly outputGradient: Value;
  /** Where the gradient of input i is wanted (overwrite it), or undefined if nobody wants it. */
  inputGradient(i: number): Value | undefined;
  /** Where the gradient of a parameter's dense values is wanted (overwrite it), or -1 if it is not trained. */
  parameterGradient(role: ParameterRole): number;
}

export interface Operator<K extends OperatorKind = OperatorKind> {
  readonly kind: K;
  readonly roles: readonly RoleRule[];
  /** [least, most] inputs. */
  readonly arity: readonly [number, number];
  /** conv, dense, affine, add: a following activation can be applied on the way out. */
  readonly fusesActivation: boolean;
  /** conv: the weights are read in preparation alone. Absent: false. */
  readonly packsWeight?: boolean;
  /** conv, dense: scale and shift per channel that follow can be folded into the weights. Absent: false. */
  readonly foldsChannelMaps?: boolean;
  /**
   * Output may share memory with input 0: 'view' leaves it as it is, 'overwrite' does not. The gradients may share
   * memory in both cases.
   */
  readonly inPlace: false | 'view' | 'overwrite';
  /** Output shape per sample. @throws {EspalierError} ATTRIBUTE or SHAPE, naming the node */
  shape(node: NodeOf<K>, inputs: readonly Shape[], parameters: ParameterShapes): Shape;
  multiplyAdds(node: NodeOf<K>, inputs: readonly Shape[], output: Shape, parameters: ParameterShapes): number;
  forward(node: NodeOf<K>, plan: Plan): void;
}

export interface TrainingOperator<K extends OperatorKind = OperatorKind> {
  readonly kind: K;
  /** Which values the backward pass reads, so that the planner keeps them. */
  readonly reads: { readonly inputs: boolean; readonly output: boolean };
  /** Forward pass in training where it differs (dropout, batch normalization, max pooling keeps its arg max). */
  forwardTraining?(node: NodeOf<K>, plan: Plan): void;
  backward(node: NodeOf<K>, plan: BackwardPlan): void;
}
