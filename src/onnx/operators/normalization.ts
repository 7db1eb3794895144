/** Normalizations and softmax. */
import { sizeOf } from '../../base/tensor.ts';
import type { Building, Parameter, Value } from '../building.ts';
import type { NodeView } from '../node.ts';
import { toFloats } from '../tensor.ts';
import { rankOf, required, reshapedTo, sampleOf, withBatch } from './define.ts';
import type { OnnxOperator } from './define.ts';

const onlyFirst = (node: NodeView): void => {
  if (node.outputCount > 1)
    node.fail('UNSUPPORTED', 'its further outputs are not supported; they are those of training');
};

const batchNormalization: OnnxOperator = {
  build(node, graph) {
    node.ignore('momentum');
    if (node.integer('training_mode', 0) !== 0 || node.outputCount > 1)
      node.fail(
        'UNSUPPORTED',
        'it is in training mode: its outputs depend on the other samples of the batch; export the model after model.eval()',
      );
    if (node.integer('spatial', 1) !== 1) node.fail('UNSUPPORTED', 'spatial: expected 1');
    const x = sampleOf(graph, graph.value(0));
    const role = (i: number): Parameter => graph.asParameter(i);
    const parameters = { scale: role(1), shift: role(2), mean: role(3), variance: role(4) };
    const epsilon = node.float('epsilon', 1e-5);
    graph.yields(0, withBatch(graph, graph.node('batchNorm', { epsilon, momentum: 0.1 }, [x], { parameters })));
  },
};

const instanceNormalization: OnnxOperator = {
  build(node, graph) {
    const x = sampleOf(graph, graph.value(0));
    const parameters = { scale: graph.asParameter(1), shift: graph.asParameter(2) };
    const attributes = { groups: x.shape[0], epsilon: node.float('epsilon', 1e-5) };
    graph.yields(0, withBatch(graph, graph.node('groupNorm', attributes, [x], { parameters })));
  },
};

const groupNormalization: OnnxOperator = {
  build(node, graph) {
    const x = sampleOf(graph, graph.value(0));
    const groups = node.integer('num_groups');
    node.ignore('stash_type');
    const [channels] = x.shape;
    /** Before operator set 21 a number for each group. */
    const perChannel = (i: number): Parameter => {
      const tensor = required(node, i, graph.constant(i));
      if (tensor.data.length === channels) return graph.asParameter(i, [channels]);
      if (tensor.data.length !== groups)
        node.fail('SHAPE', `input ${i}: expected ${groups} or ${channels} numbers, got ${tensor.data.length}`);
      node.makes([channels]);
      const floats = toFloats(node.proto.inputs[i], tensor);
      const data = Float32Array.from({ length: channels }, (_, c) => floats[Math.floor((c * groups) / channels)]);
      return graph.parameter(node.proto.inputs[i], 'channels', [channels], data);
    };
    const parameters = { scale: perChannel(1), shift: perChannel(2) };
    const attributes = { groups, epsilon: node.float('epsilon', 1e-5) };
    graph.yields(0, withBatch(graph, graph.node('groupNorm', attributes, [x], { parameters })));
  },
};

const layerNormalization: OnnxOperator = {
  build(node, graph) {
    onlyFirst(node);
    node.ignore('stash_type');
    const x = graph.value(0);
    const axis = graph.axis(node.integer('axis', -1), rankOf(graph, 0));
    const rest = x.shape.slice(axis);
    const role = (i: number): Parameter | undefined => {
      const tensor = graph.constant(i);
      if (!tensor) return undefined;
      if (tensor.data.length === sizeOf(rest)) return graph.asParameter(i, rest);
      return node.fail(
        'UNSUPPORTED',
        `input ${i}: expected a number for each element of [${rest.join(', ')}], got [${tensor.shape.join(', ')}]`,
      );
    };
    const attributes = { axis, epsilon: node.float('epsilon', 1e-5) };
    graph.yields(0, graph.node('layerNorm', attributes, [x], { parameters: { scale: role(1), shift: role(2) } }));
  },
};

/**
 * A function of vectors along an axis; before operator set 13 along all axes from `axis` on together.
 * @param along - over the axis of a sample that it is given
 */
const overAxis = (along: (graph: Building, x: Value, axis: number) => Value): OnnxOperator => ({
  build(node, graph) {
    const x = graph.value(0);
    const together = node.opset < 13;
    const rank = rankOf(graph, 0);
    const axis = graph.axis(node.integer('axis', together ? 1 : -1), rank);
    const rest = x.shape.slice(axis);
    if (!together || rest.slice(1).every((side) => side === 1)) {
      graph.yields(0, along(graph, x, axis));
      return;
    }
    const flat = reshapedTo(graph, x, [...x.shape.slice(0, axis), sizeOf(rest)], 'flat');
    graph.yields(0, reshapedTo(graph, along(graph, flat, axis), x.shape, 'shape'));
  },
});

/** x - m - log(sum of e^(x - m)), m the largest: nothing overflows and nothing is lost near 0. */
function logSoftmax(graph: Building, x: Value, axis: number): Value {
  const largest = graph.node('reduceMax', { axes: [axis], keep: true }, [x], { part: 'largest' });
  const shifted = graph.node('subtract', {}, [x, largest], { part: 'shifted' });
  const powers = graph.node('exp', {}, [shifted], { part: 'powers' });
  const sum = graph.node('reduceSum', { axes: [axis], keep: true }, [powers], { part: 'sum' });
  return graph.node('subtract', {}, [shifted, graph.node('log', {}, [sum], { part: 'log' })]);
}

export const NORMALIZATION: Readonly<Record<string, OnnxOperator>> = {
  BatchNormalization: batchNormalization,
  InstanceNormalization: instanceNormalization,
  GroupNormalization: groupNormalization,
  LayerNormalization: layerNormalization,
  Softmax: overAxis((graph, x, axis) => graph.node('softmax', { axis }, [x])),
  LogSoftmax: overAxis(logSoftmax),
};
