/** The interface of an operator of ONNX, and what the definitions share. */
import { sameShape, sizeOf } from '../../base/tensor.ts';
import type { Shape } from '../../base/tensor.ts';
import type { Building, Operand, Value } from '../building.ts';
import type { NodeView } from '../node.ts';
import { toIntegers } from '../tensor.ts';
import type { OnnxTensor } from '../tensor.ts';

/** What an operator of a model becomes. Definitions read attributes through the view, which keeps account of them. */
export interface OnnxOperator {
  /**
   * Its outputs where all that it reads is known: shapes, weights that are computed. Absent: it is not computed.
   * `tensorOf`: the tensor of an attribute.
   */
  readonly evaluate?: (
    node: NodeView,
    inputs: readonly (OnnxTensor | undefined)[],
    tensorOf: (attribute: string) => OnnxTensor,
  ) => readonly (OnnxTensor | undefined)[];
  /** Its nodes in the network. Absent: it can only be computed. */
  readonly build?: (node: NodeView, graph: Building) => void;
}

/** An input that must be there. */
export function required<T>(node: NodeView, i: number, input: T | undefined): T {
  return input ?? node.fail('ATTRIBUTE', `input ${i}: it is missing`);
}

/** Whole numbers of an input that is computed with, if it is there. */
export const integersOf = (node: NodeView, i: number, tensor: OnnxTensor | undefined): number[] | undefined =>
  tensor && toIntegers(node.proto.inputs[i], tensor);

/** The same values in another shape: nothing where it is the shape that they have. */
export function reshapedTo(graph: Building, x: Value, shape: Shape, part?: string): Value {
  if (sameShape(x.shape, shape)) return x;
  const options = part === undefined ? {} : { part };
  if (shape.length === 1 && shape[0] === sizeOf(x.shape)) return graph.node('flatten', {}, [x], options);
  return graph.node('reshape', { shape: [...shape] }, [x], options);
}

/**
 * A sample of an operator that knows a batch, such as a convolution: where the model runs as a whole its batch of one is
 * taken off, and put back by {@link withBatch}.
 */
export function sampleOf(graph: Building, x: Value): Value {
  if (graph.layout === 'batched') return x;
  if (x.shape[0] !== 1) graph.acrossBatch(`its batch of ${x.shape[0]} is not that of the whole model`);
  return reshapedTo(graph, x, x.shape.slice(1), 'sample');
}
export function withBatch(graph: Building, x: Value, part = 'batch'): Value {
  return graph.layout === 'batched' ? x : reshapedTo(graph, x, [1, ...x.shape], part);
}

/** Of float32. */
export const LARGEST = 3.4028234663852886e38;

/** Rank of an input as the model counts it. */
export const rankOf = (graph: Building, i: number): number => graph.modelShape(i).length;

/**
 * Operand i with its axes aligned to those of a result of this rank: lower ranks get sides of 1 in front.
 * @param infinite - as of {@link Building.operand}
 */
export function aligned(graph: Building, i: number, rank: number, infinite?: number): Operand {
  const operand = graph.operand(i, rank, infinite);
  if (operand.kind === 'parameter') return operand;
  const missing = rank - rankOf(graph, i);
  if (missing === 0) return operand;
  if (graph.layout === 'batched') graph.acrossBatch('values of different ranks meet');
  return reshapedTo(graph, operand, [...new Array<number>(missing).fill(1), ...operand.shape], `align${i}`);
}
