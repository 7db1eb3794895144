/** Products of matrices. With a known matrix on the right they are dense layers. */
import { permuted, reshaped } from '../arrays.ts';
import type { Building, Operand, Parameter, Value } from '../building.ts';
import type { NodeView } from '../node.ts';
import { toFloats } from '../tensor.ts';
import type { OnnxTensor } from '../tensor.ts';
import { aligned, rankOf, required, reshapedTo } from './define.ts';
import type { OnnxOperator } from './define.ts';
import { fusedActivation } from './convolution.ts';

/** A known matrix [K, N] as the weight [N, K] of a dense layer. */
function denseWeight(graph: Building, name: string, matrix: OnnxTensor, scale = 1): Parameter {
  const turned = permuted(matrix, [1, 0]);
  if (scale === 1) return graph.ofTensor(name, turned);
  const data = toFloats(name, turned).map((value) => value * scale);
  return graph.parameter(name, '', turned.shape, data);
}

/** The last two axes of a sample exchanged. */
function exchanged(graph: Building, x: Value, part: string): Value {
  const order = x.shape.map((_, axis) => axis);
  const last = order.length - 1;
  [order[last - 1], order[last]] = [order[last], order[last - 1]];
  return graph.node('permute', { order }, [x], { part });
}

/** y = alpha A B + beta C. */
const gemm: OnnxOperator = {
  build(node, graph) {
    const [alpha, beta] = [node.float('alpha', 1), node.float('beta', 1)];
    const [transA, transB] = [node.integer('transA', 0) !== 0, node.integer('transB', 0) !== 0];
    let a = graph.value(0);
    if (transA) {
      if (graph.layout === 'batched') graph.acrossBatch('transA exchanges the batch');
      a = exchanged(graph, a, 'transposeA');
    }
    const b = required(node, 1, graph.input(1));
    let y: Value;
    if (b.kind === 'constant') {
      const matrix = required(node, 1, graph.constant(1));
      if (matrix.shape.length !== 2) node.fail('SHAPE', `B: expected a matrix, got [${matrix.shape.join(', ')}]`);
      const name = node.proto.inputs[1];
      const weight =
        transB && alpha === 1
          ? graph.asParameter(1)
          : denseWeight(graph, name, transB ? permuted(matrix, [1, 0]) : matrix, alpha);
      const c = graph.input(2);
      const bias = c?.kind === 'constant' ? gemmBias(node, graph, weight.shape[0], beta) : undefined;
      y = graph.node('dense', {}, [a], { parameters: { weight, bias } });
      if (bias || !c) {
        graph.yields(0, y);
        return;
      }
    } else {
      let right = graph.value(1);
      if (graph.layout === 'batched') graph.acrossBatch('both of its matrices are values');
      if (transB) right = exchanged(graph, right, 'transposeB');
      y = graph.node('matMul', {}, [a, right], { part: 'product' });
      if (alpha !== 1) y = graph.node('multiply', {}, [y, scalar(graph, node, 'alpha', alpha)], { part: 'alpha' });
    }
    if (graph.input(2)) {
      let c: Operand = aligned(graph, 2, 2);
      if (beta !== 1 && c.kind === 'value')
        c = graph.node('multiply', {}, [c, scalar(graph, node, 'beta', beta)], { part: 'beta' });
      if (beta !== 1 && c.kind === 'parameter') {
        const tensor = required(node, 2, graph.constant(2));
        const floats = toFloats(node.proto.inputs[2], tensor).map((value) => value * beta);
        c = graph.parameter(node.proto.inputs[2], 'scaled', c.shape, floats);
      }
      y = graph.node('add', {}, [y, c], { part: 'sum' });
    }
    graph.yields(0, y);
  },
};

const scalar = (graph: Building, node: NodeView, name: string, value: number): Parameter =>
  graph.parameter(node.proto.outputs[0], name, [1], Float32Array.of(value));

/** C as a bias of one number for each output; undefined if it differs over the rows. */
function gemmBias(node: NodeView, graph: Building, outputs: number, beta: number): Parameter | undefined {
  const tensor = required(node, 2, graph.constant(2));
  const { shape } = tensor;
  const last = shape[shape.length - 1] ?? 1;
  if (tensor.data.length !== last || (last !== 1 && last !== outputs)) return undefined;
  const name = node.proto.inputs[2];
  if (beta === 1 && last === outputs) return graph.asParameter(2, [outputs]);
  const floats = toFloats(name, tensor);
  const data = Float32Array.from({ length: outputs }, (_, i) => floats[last === 1 ? 0 : i] * beta);
  return graph.parameter(name, 'bias', [outputs], data);
}

const matMul: OnnxOperator = {
  build(node, graph) {
    const [a, b] = [required(node, 0, graph.input(0)), required(node, 1, graph.input(1))];
    const [rankA, rankB] = [rankOf(graph, 0), rankOf(graph, 1)];
    if (a.kind === 'value' && b.kind === 'constant' && rankB <= 2) {
      const matrix = required(node, 1, graph.constant(1));
      const columns = rankB === 1 ? reshaped(matrix, [matrix.shape[0], 1]) : matrix;
      const y = graph.node('dense', {}, [a], {
        parameters: { weight: denseWeight(graph, node.proto.inputs[1], columns) },
      });
      graph.yields(0, rankB === 1 ? reshapedTo(graph, y, y.shape.slice(0, -1), 'vector') : y);
      return;
    }
    if (
      graph.layout === 'batched' &&
      (rankA < 3 || rankB < 3) &&
      a.kind === 'value' &&
      (b.kind === 'value' || rankA < 3)
    )
      graph.acrossBatch('it multiplies along the batch');
    if (graph.layout === 'batched' && b.kind === 'value' && rankB < 3)
      graph.acrossBatch('it multiplies along the batch');
    // A vector is a row on the left and a column on the right; its side of 1 goes again.
    const rank = Math.max(rankA, rankB, 2);
    const asMatrix = (i: number, of: number): Operand => {
      const operand = graph.operand(i, rank);
      if (of > 1) return operand.kind === 'value' ? aligned(graph, i, rank) : operand;
      const [side] = operand.shape;
      const shape = i === 0 ? [1, side] : [side, 1];
      if (operand.kind === 'parameter') return graph.asParameter(i, shape);
      return reshapedTo(graph, operand, [...new Array<number>(rank - 2).fill(1), ...shape], `matrix${i}`);
    };
    const y = graph.node('matMul', {}, [asMatrix(0, rankA), asMatrix(1, rankB)]);
    const shape = y.shape.filter(
      (_, axis) => !(rankA === 1 && axis === y.shape.length - 2) && !(rankB === 1 && axis === y.shape.length - 1),
    );
    graph.yields(0, reshapedTo(graph, y, shape, 'vector'));
  },
};

const fusedGemm: OnnxOperator = {
  build(node, graph) {
    let y: Value | undefined;
    gemm.build?.(node, { ...graph, yields: (_, value) => (y = value.kind === 'value' ? value : undefined) });
    graph.yields(0, fusedActivation(node, graph, required(node, 0, y)));
  },
};

export const PRODUCTS: Readonly<Record<string, OnnxOperator>> = {
  Gemm: gemm,
  MatMul: matMul,
  'com.microsoft.FusedGemm': fusedGemm,
};
