/**
 * A network is a value: plain data that nothing changes. Transforms take one and return a new one that shares what they
 * did not touch, so the original stays at hand as teacher and yardstick.
 *
 * The graph knows no operator: what a `kind` means, which roles and attributes it has and what its values are shaped like
 * is said by the table of operators (`operators/`). Nodes stand in topological order.
 */
import type { Encoding } from '../encodings/types.ts';
import type { Shape } from '../base/tensor.ts';
import type { Preprocessing, Task } from './preprocessing.ts';

/** Plain JSON: a number, a truth value, a word, or a list of numbers. */
export type Attribute = number | boolean | string | readonly number[];
export type Attributes = Readonly<Record<string, Attribute>>;

export interface Node<A extends Attributes = Attributes> {
  readonly name: string;
  readonly kind: string;
  /** Names of values, or of parameters that are read as they are (constants; they have no batch). */
  readonly inputs: readonly string[];
  /** Names of the values that it yields. Absent: one, named after the node; see `outputsOf`. */
  readonly outputs?: readonly string[];
  /** role ('weight', 'bias', ...) -> parameter name. One parameter may serve several nodes. */
  readonly parameters: Readonly<Partial<Record<string, string>>>;
  readonly attributes: Readonly<A>;
}

/** What the elements of a value are: numbers to compute with, or whole numbers (indices, labels), which carry no gradient. */
export type ElementType = 'float' | 'integer';

export interface NetworkInput {
  readonly name: string;
  /** Per sample, for example [1, 64, 64]: the batch is axis 0 of every value and never named. */
  readonly shape: Shape;
  /** Default 'float'. */
  readonly type?: ElementType;
}

/** What a network that was read from another format's file keeps of it, to be written back. */
export interface Origin {
  /** Of the file's inputs: axis 0 is a batch of any size, one of this size, or there is none. */
  readonly batch: 'any' | 'none' | number;
  /** What the file's author wrote beside it. */
  readonly metadata: Readonly<Record<string, string>>;
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
  readonly origin?: Origin;
}
