/** The executor interface: a network bound to a batch size, a heap and threads. */
import type { KernelSet, Precision, Workspace } from '../kernels/types.ts';
import type { ElementType, Network } from '../graph/network.ts';
import type { FloatArray, Shape } from '../base/tensor.ts';

export interface ExecutorOptions {
  /** Samples per call, at most; fewer may be given. Default 1. */
  batch?: number;
  /** Default: the best set that the platform runs, for inference alone where nothing is trained. */
  kernels?: KernelSet;
  /** Default 1. */
  threads?: number;
  /** Default 'float32'. */
  precision?: Precision;
  /** Names of further values to keep readable after a pass (activations for statistics). */
  watch?: readonly string[];
}

/** Plans its buffers once, for (network, batch). Owns its workspace. */
export interface Executor {
  readonly network: Network;
  readonly batch: number;
  readonly workspace: Workspace;
  /**
   * View of a network input, (batch, ...shape), to be filled by the caller before a pass. Default: the first.
   * @throws {RangeError} for another name, or for whole numbers: see {@link integers}
   */
  input(name?: string): FloatArray;
  /**
   * View of an output or watched value after a pass, (batch, ...shape); overwritten by the next pass. Default: the
   * first output.
   * @throws {RangeError} for another name, or for whole numbers: see {@link integers}
   */
  output(name?: string): FloatArray;
  /**
   * The same for a value of whole numbers: an input, an output or a watched value. Default: the first output.
   * @throws {RangeError} for another name, or for a value of floats
   */
  integers(name?: string): Int32Array;
  /** Shape per sample of a value. */
  shapeOf(name: string): Shape;
  /** What the elements of a value are: whether `integers` or `output` (of an input `input`) gives them. */
  typeOf(name: string): ElementType;
  /** Runs the inference pass over the whole batch. Nothing is allocated. */
  forward(): void;
  /**
   * Whole cycle for `count` samples of any number, in batches: inputs (count, ...) to outputs (count, ...). Whole numbers
   * come and go as floats, which hold them up to 2^24; of others the fraction is cut off on their way in.
   * @throws {EspalierError} GRAPH for a network of several inputs or outputs
   */
  predict(inputs: Float32Array, count: number): Float32Array;
  dispose(): void;
}

/** Options of the update, read anew each step. */
export interface UpdateOptions {
  rate: number;
  /** For the trained values of encodings: codewords, scales. Default: `rate`. */
  codebookRate?: number;
  /** Global gradient norm limit; 0: none. */
  clip: number;
}

export interface OptimizerOptions {
  kind: 'sgd' | 'adam';
  /** SGD. */
  momentum: number;
  nesterov: boolean;
  /** Adam. */
  beta1: number;
  beta2: number;
  epsilon: number;
  /** Decay apart from the gradient (AdamW). */
  decoupled: boolean;
  weightDecay: number;
  /** Codeword gradients: mean over the members (SGD wants it) or their sum. */
  codewordGradient: 'mean' | 'sum';
}

export interface TrainingExecutorOptions extends ExecutorOptions {
  optimizer: OptimizerOptions;
  /** Names of parameters that stay as they are, running statistics among them. */
  frozen?: ReadonlySet<string>;
  /** For dropout. */
  seed?: number;
  /** Also compute the gradients of the network's inputs. Default false. */
  inputGradients?: boolean;
}

/** The training half: forward with everything kept, backward, update. */
export interface TrainingExecutor extends Executor {
  /** The outputs that depend on a trained parameter: those that `outputGradient` takes. */
  readonly trainedOutputs: readonly string[];
  /**
   * Runs the training pass: dropout and batch statistics active. `step` is the number of this step (dropout's stream).
   */
  forwardTraining(step: number): void;
  /**
   * View (batch, ...output shape): the caller writes dLoss/dOutput here, between `forwardTraining`, which leaves zeros, and
   * `backward`; the memory serves other values at other times.
   */
  outputGradient(name?: string): FloatArray;
  backward(): void;
  /**
   * Applies the optimizer, once per `backward`; returns the gradient norm before clipping. Step is counted from 1 for
   * Adam's bias correction.
   */
  update(options: UpdateOptions, step: number): number;
  /**
   * Gradient of a network input or of a parameter's trained values after `backward`, copied: for tests and for
   * Taylor-like scores.
   */
  gradient(name: string): FloatArray;
  /** View of a trained parameter's values; call `changed` after writing to it. */
  values(name: string): FloatArray;
  changed(): void;
  /** The network with the values that it has now, copied; encodings keep their kind. */
  snapshot(): Network;
  /**
   * Puts values of a network of the same structure in. @throws {EspalierError} SHAPE if it is of another; nothing has
   * changed then
   */
  restore(network: Network): void;
  /** Optimizer state by parameter name and slot, copied; and back. */
  optimizerState(): ReadonlyMap<string, Float32Array>;
  restoreOptimizer(state: ReadonlyMap<string, Float32Array>): void;
}
