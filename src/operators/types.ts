/**
 * The operator interface. An operator is one file that says all that is true of it, in three halves that are exports of
 * their own: what inference needs (an {@link Operator}), what training adds (a {@link TrainingOperator}), and how channels
 * go through it (a {@link Coupling}). `table.ts` lists them; a program that only runs a model carries the first alone.
 */
import type { Rules } from '../base/rules.ts';
import type { Stream } from '../base/random.ts';
import type { Shape } from '../base/tensor.ts';
import type { Attributes, ElementType, Node } from '../graph/network.ts';
import type { Activation, Room, Run } from '../kernels/specification/operations.ts';

/** top, left, bottom, right */
export type Padding = readonly [number, number, number, number];
export type Pair = readonly [number, number];

/** What a parameter of an operator is for. */
export interface RoleRule {
  /** 'weight', 'bias', ... */
  readonly role: string;
  /** trained: moved by the optimizer; state: moved by the forward pass in training; constant: never. */
  readonly kind: 'trained' | 'state' | 'constant';
  readonly optional: boolean;
  /**
   * The weight of a layer, [outputs, inputs, ...taps]: what joins neurons, what pruning cuts along both sides and
   * quantization encodes as a matrix of `outputs` rows. Absent: false.
   */
  readonly isWeight?: boolean;
}

/** Shapes of a node's parameters by role, as stored. */
export type ParameterShapes = Readonly<Partial<Record<string, Shape>>>;

/** What a value is before it lies anywhere. */
export interface ValueType {
  /** Per sample; the whole shape of a constant. */
  readonly shape: Shape;
  readonly type: ElementType;
  /** A parameter that is read as an input: it has no batch. */
  readonly isConstant: boolean;
}

/** A function of one value; affine per channel in inference; a function of two values. */
export type Pointwise = 'nonlinearity' | 'map' | 'join';

export interface Operator<A extends Attributes = Attributes> {
  readonly kind: string;
  /** What each attribute may be: the checks, the file's form and the type follow from it. */
  readonly attributes: Rules;
  /** Those that a node may leave out, as files of older writers do. Absent: none. */
  readonly mayLack?: readonly string[];
  readonly roles: readonly RoleRule[];
  /** [least, most] inputs. */
  readonly arity: readonly [number, number];
  /** Which inputs may be constants (parameters that are read as they are). Absent: none. */
  readonly takesConstants?: boolean;
  /** What its inputs must be. Absent: floats. */
  readonly takes?: ElementType;
  /** What it yields. Absent: floats. */
  readonly yields?: ElementType;
  /**
   * Which nodes behind it it can do in the same pass: an activation on the way out; scale and shift per channel by its
   * weights, all the time or where it yields vectors, whose only axis is that of the weight's rows.
   */
  readonly takesIn?: { readonly activation?: boolean; readonly channelMaps?: boolean | 'of vectors' };
  /** Its weights are read in preparation alone where the backend packs them. */
  readonly packsWeight?: boolean;
  /**
   * The first output may share memory with input 0: 'view' leaves that as it is, 'overwrite' does not. The gradients may
   * share memory in both cases.
   */
  readonly inPlace: false | 'view' | 'overwrite';
  /** What it yields are probabilities of classes: a loss over classes must not follow it. */
  readonly yieldsProbabilities?: boolean;
  /** Its outputs are elements of its inputs, moved, dropped or in another unit: of probabilities it makes no logits. */
  readonly keepsMeaning?: boolean;
  /** Each element of the output depends on those in its place alone, in this way. Absent: it depends on more. */
  readonly pointwise?: Pointwise;
  /** What is made of it where the node before takes it in as an activation. Absent: it cannot be. */
  activation?(node: Node<A>): { readonly code: number; readonly parameters: readonly number[] };
  /** Scale and shift per channel that it is in inference, prepared by `plan`. Absent: it is no such map. */
  channelMap?(node: Node<A>, plan: Plan): ChannelMap;
  /**
   * Shape per sample of each value that it yields.
   * @throws {EspalierError} ATTRIBUTE or SHAPE, naming the node
   */
  shapes(node: Node<A>, inputs: readonly ValueType[], parameters: ParameterShapes): readonly Shape[];
  /** Per sample. */
  multiplyAdds(
    node: Node<A>,
    inputs: readonly ValueType[],
    outputs: readonly Shape[],
    parameters: ParameterShapes,
  ): number;
  /** Elements that it looks at for each one that it yields, where that is no multiply-add: a pool's. */
  taps?(node: Node<A>): number;
  /**
   * What values its parameters must not have. `valuesOf`: of the parameter in a role, where it is stored dense.
   * @throws {EspalierError} FIELD, naming the node and the element
   */
  checkValues?(node: Node<A>, valuesOf: (role: string) => Float32Array | undefined): void;
  forward(node: Node<A>, plan: Plan): void;
}

/** A value on the heap: contiguous, row-major. */
export interface Value extends ValueType {
  readonly offset: number;
  /** With the batch in front, but for a constant. */
  readonly shape: Shape;
  readonly words: number;
}

/** Offsets of scale and shift of every channel. */
export interface ChannelMap {
  readonly scale: number;
  readonly shift: number;
}

/** How an operator lays its work out: offsets are handed out, operations are written down; nothing runs yet. */
export interface Plan extends Room {
  readonly batch: number;
  /** 'inference' or 'training': dropout and batch normalization differ. */
  readonly mode: 'inference' | 'training';
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  /** The first of them. */
  readonly output: Value;
  /** An activation that follows and is applied on the way out; only for operators that take one in. */
  readonly activation: Activation;
  /**
   * Maps per channel, y = scale x + shift, that follow (before the activation) and are multiplied into the weights and the
   * bias, in their order: offsets of as many values as there are output channels. Only for operators that take them in.
   */
  readonly folded: readonly ChannelMap[];
  /** Offset of a parameter's dense values, or -1 if the node has none in this role. */
  parameter(role: string): number;
  /** Its stored shape; empty if there is none. */
  parameterShape(role: string): Shape;
  /**
   * Words that hold nothing once preparation is over, for a plan that is prepared once (inference): they lie where values
   * will.
   */
  passing(words: number): number;
  /** An operation of the pass. */
  readonly run: Run;
  /** An operation that is run once after parameters changed. */
  readonly prepare: Run;
}

export interface TrainingOperator<A extends Attributes = Attributes> {
  /** Which values the backward pass reads, so that the planner keeps them. */
  readonly reads: { readonly inputs: boolean; readonly output: boolean };
  /**
   * What is drawn anew before each training pass: one number per element of the first output, to be found in
   * `kept(DRAWN)`.
   */
  draw?(node: Node<A>): (random: Stream) => number;
  /** Attributes under which a training pass leaves the plain statistics of its batch in the states, and draws nothing. */
  readonly measuring?: Readonly<Partial<A>>;
  /** Forward pass in training where it differs (dropout, batch normalization, max pooling keeps its arg max). */
  forwardTraining?(node: Node<A>, plan: Plan): void;
  /** Absent: no gradient goes through (what it yields is whole numbers, or is cut off). */
  backward?(node: Node<A>, plan: BackwardPlan): void;
}

/** Name of the kept words that hold what an operator draws. */
export const DRAWN = 'drawn';

export interface BackwardPlan extends Plan {
  /** Gradient of each value that the node yields; undefined where nothing depends on it: it counts as zeros. */
  readonly outputGradients: readonly (Value | undefined)[];
  /** That of the first, where an operator yields one value only. */
  readonly outputGradient: Value;
  /** Where the gradient of input i is wanted (overwrite it), or undefined if nobody wants it. */
  inputGradient(i: number): Value | undefined;
  /** Where the gradient of a parameter's dense values is wanted (overwrite it), or -1 if it is not trained. */
  parameterGradient(role: string): number;
}

/**
 * What the elements along an axis of a sample belong to: runs of groups of channels in order. Groups are the caller's
 * (`pruning/groups.ts`); operators only hand them on.
 */
export interface Channels {
  /** The axis along which the channels lie; a value of no axes is as one of a single element. */
  readonly axis: number;
  readonly runs: readonly ChannelRun[];
}
/** All channels of a group, `width` elements in a row for each, all of that `repeats` times: (repeats, channels, width). */
export interface ChannelRun {
  readonly group: object;
  readonly width: number;
  readonly repeats: number;
}

/** What an operator may say of the channels that go through one node. */
export interface CouplingPlan {
  readonly inputs: readonly Channels[];
  /** Which inputs are constants. */
  readonly constantInputs: readonly boolean[];
  /** Shapes per sample; the whole shape of a constant. */
  readonly inputShapes: readonly Shape[];
  readonly outputShapes: readonly Shape[];
  /**
   * Channels that begin here, along an axis of what the node yields (default 0): its neurons, whose own parameters (all
   * of its roles) are cut along axis 0 with them.
   */
  produce(channels: number, axis?: number): Channels;
  /** The weight in this role has a run of columns (axis 1) for each of these channels. */
  consume(role: string, channels: Channels): void;
  /** The parameter in this role has an element for each place along axis 0 of the input: it follows channels along that axis. */
  follow(role: string, channels: Channels): void;
  /** The constant that is input i has an element of its axis `axis` for each of these channels. */
  followInput(i: number, channels: Channels, axis: number): void;
  /** This attribute, or its element at `index`, is the number of the elements of these channels. */
  count(attribute: string, channels: Channels, index?: number): void;
  /** Both lose the same elements: their groups become one. Where they are cut differently they are refused. */
  join(a: Channels, b: Channels): Channels;
  /** Channels of no layer along an axis (default 0), which stay as many as they are, for this reason. */
  fixed(channels: number, reason: string, axis?: number): Channels;
  /** Elements [first, first + count) along the channel axis; refused where that cuts a group in two. */
  slice(channels: Channels, first: number, count: number): Channels;
  /** The channels of a value of shape `from` where its elements, in their order, are one of shape `to`. */
  reshape(channels: Channels, from: Shape, to: Shape): Channels;
  /** These channels cannot be removed, for this reason ('they feed ...'). */
  refuse(channels: Channels, reason: string): Channels;
}

/** A weight's tap, along each axis of the positions: which inputs it joins with which outputs. */
export type Tap = readonly TapRange[];
/** Pairs of coordinates, `count` of them in steps. */
export interface TapRange {
  readonly count: number;
  readonly input: { readonly first: number; readonly step: number };
  readonly output: { readonly first: number; readonly step: number };
}

export interface Coupling<A extends Attributes = Attributes> {
  /** The channels of each value that the node yields, and what happens to those of its inputs and parameters. */
  couple(node: Node<A>, plan: CouplingPlan): readonly Channels[];
  /** Along which axis of a sample the inputs and the neurons of its weight lie. Absent: the first. */
  readonly neuronsAlong?: 'last';
  /**
   * For an operator that consumes channels over positions: the taps of its weight, each with the places where it lies
   * inside the image. Absent: every weight joins one element with one neuron.
   */
  taps?(node: Node<A>, weight: Shape, input: Shape, output: Shape): readonly Tap[];
}
