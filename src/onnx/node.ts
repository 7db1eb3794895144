/** A node of the model as an operator's definition reads it: attributes by type, and errors that name the node. */
import { EspalierError, show, visible } from '../base/errors.ts';
import type { ErrorCode } from '../base/errors.ts';
import type { Shape } from '../base/tensor.ts';
import type { AttributeProto, NodeProto } from './model.ts';
import { MOST_AXES } from './tensor-message.ts';
import type { TensorProto } from './tensor-message.ts';
import { roomText, spend } from './room.ts';
import type { Room } from './room.ts';
import { widthOf } from './tensor.ts';
import type { ElementName } from './tensor.ts';

/** How a node is called in texts: by its name, and where it has none by its first output. */
export const labelOf = ({ name, outputs }: NodeProto): string => name || outputs.find((output) => output !== '') || '';

/** The operator of a node, for texts: names are whatever the file says. */
export const kindOf = ({ domain, operator }: NodeProto): string =>
  visible(`${domain === '' ? '' : `${domain}.`}${operator}`.slice(0, 80));

/** An error about a node, which its text names with its operator. */
export function onnxError(code: ErrorCode, node: NodeProto, text: string): EspalierError {
  return new EspalierError(code, `readOnnx: node ${show(labelOf(node))} (${kindOf(node)}): ${text}`, {
    name: labelOf(node),
    offset: node.at,
  });
}

/** What a definition reads: which attributes it asked for is kept, so that one that nobody knows is not passed over. */
export interface NodeView {
  readonly proto: NodeProto;
  /** Version of the operator set that the node is from. */
  readonly opset: number;
  /** Number of inputs, absent optional ones at the end not counted. */
  readonly inputCount: number;
  readonly outputCount: number;
  has(name: string): boolean;
  /** A whole number. @throws {EspalierError} ATTRIBUTE if it is another thing, or absent and has no default */
  integer(name: string, fallback?: number): number;
  integers(name: string): readonly number[] | undefined;
  float(name: string, fallback?: number): number;
  floats(name: string): readonly number[] | undefined;
  /** A text out of those that are known. */
  text<const T extends string>(name: string, known: readonly T[], fallback: T): T;
  tensor(name: string): TensorProto | undefined;
  /** Attributes that change nothing here. */
  ignore(...names: string[]): void;
  fail(code: ErrorCode, text: string): never;
  /**
   * Before a constant of this shape is made: it returns the shape. Sides of 0 count as 1, since tables along the axes are
   * made, too. Without a type its elements are of the widest.
   * @throws {EspalierError} BUDGET for more than the file may ask for, UNSUPPORTED for too many axes
   */
  makes(shape: Shape, type?: ElementName): Shape;
  /** Counts floats that stay until the model is read. @throws {EspalierError} BUDGET */
  spends(count: number): void;
  /** Attributes that nobody asked for. */
  unread(): string[];
}

/** `room`: for constants. */
export function viewOf(proto: NodeProto, opset: number, room: Room): NodeView {
  const read = new Set<string>();
  const fail = (code: ErrorCode, text: string): never => {
    throw onnxError(code, proto, text);
  };
  const find = (name: string): AttributeProto | undefined => {
    read.add(name);
    return proto.attributes.get(name);
  };
  const wrong = (name: string, expected: string): never => fail('ATTRIBUTE', `attribute ${name}: expected ${expected}`);
  const whole = (value: bigint): number => {
    const number = Number(value);
    // INT64_MAX as "to the end" and -INT64_MAX are common: what is beyond 2^53 is as good as infinite.
    return Number.isSafeInteger(number) ? number : value < 0n ? Number.MIN_SAFE_INTEGER : Number.MAX_SAFE_INTEGER;
  };
  const required = (name: string): never => fail('ATTRIBUTE', `attribute ${name}: it is missing`);
  return {
    proto,
    opset,
    inputCount: proto.inputs.reduce((count, name, i) => (name === '' ? count : i + 1), 0),
    outputCount: proto.outputs.reduce((count, name, i) => (name === '' ? count : i + 1), 0),
    has: (name) => proto.attributes.has(name),
    integer(name, fallback) {
      const found = find(name);
      if (!found) return fallback ?? required(name);
      return found.integer === undefined ? wrong(name, 'a whole number') : whole(found.integer);
    },
    integers(name) {
      const found = find(name);
      if (!found) return undefined;
      return found.integers?.map((value) => whole(value)) ?? wrong(name, 'whole numbers');
    },
    float(name, fallback) {
      const found = find(name);
      if (!found) return fallback ?? required(name);
      return found.float ?? wrong(name, 'a number');
    },
    floats(name) {
      const found = find(name);
      if (!found) return undefined;
      return found.floats ?? wrong(name, 'numbers');
    },
    text(name, known, fallback) {
      const found = find(name);
      if (!found) return fallback;
      const text = found.text ?? wrong(name, 'a text');
      const match = known.find((one) => one === text);
      return match ?? fail('UNSUPPORTED', `attribute ${name}: expected ${known.join(', ')}, got ${show(text)}`);
    },
    tensor(name) {
      const found = find(name);
      if (!found) return undefined;
      return found.tensor ?? wrong(name, 'a tensor');
    },
    ignore: (...names) => {
      for (const name of names) read.add(name);
    },
    fail,
    makes(shape, type = 'double') {
      if (shape.length > MOST_AXES)
        fail('UNSUPPORTED', `it makes a tensor of ${shape.length} axes; at most ${MOST_AXES} are read`);
      const count = shape.reduce((product, side) => product * Math.max(1, side), 1);
      const bytes = widthOf(type) * count;
      if (!(bytes <= room.left))
        fail('BUDGET', `it would make ${count} elements: ${roomText(room, bytes - room.left)}`);
      return shape;
    },
    spends(count) {
      const bytes = 4 * count;
      if (bytes > room.left) fail('BUDGET', `it decodes to ${count} elements: ${roomText(room, bytes - room.left)}`);
      spend(room, bytes);
    },
    unread: () => [...proto.attributes.keys()].filter((name) => !read.has(name)),
  };
}
