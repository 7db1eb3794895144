/** Functions of one number. */
import { tanh } from '../../base/elementary.ts';
import { mapped } from '../arrays.ts';
import type { Building, Value } from '../building.ts';
import type { NodeView } from '../node.ts';
import { toFloats } from '../tensor.ts';
import type { OnnxTensor } from '../tensor.ts';
import { activationOf } from '../../kernels/formulas.ts';
import type { ActivationName } from '../../kernels/specification/activations.ts';
import { LARGEST, rankOf, required } from './define.ts';
import type { OnnxOperator } from './define.ts';
import type { Attributes } from '../../graph/network.ts';

/** A kind of ours with attributes read off the node: of constants it is computed by the formula that its kernels have. */
function unary(kind: ActivationName, attributes: (node: NodeView) => Attributes = () => ({})): OnnxOperator {
  return {
    evaluate: (node, [x]) => [
      computed(node, x, activationOf(kind, attributes(node) as Readonly<Record<string, number>>)),
    ],
    build(node, graph) {
      graph.yields(0, graph.node(kind, attributes(node), [graph.value(0)]));
    },
  };
}

/** A function of a constant, which takes as much memory. */
function computed(node: NodeView, x: OnnxTensor | undefined, of: (x: number) => number): OnnxTensor {
  const tensor = required(node, 0, x);
  node.makes(tensor.shape, tensor.type);
  return mapped(tensor, of);
}

/** Elu with a factor of 0 is ReLU, and LeakyRelu with one below 0 a PRelu of it. */
const leakyRelu: OnnxOperator = {
  evaluate(node, [x]) {
    const slope = node.float('alpha', 0.01);
    return [computed(node, x, (value) => (value < 0 ? slope * value : value))];
  },
  build(node, graph) {
    const slope = node.float('alpha', 0.01);
    const x = graph.value(0);
    if (slope > 0) graph.yields(0, graph.node('leakyRelu', { slope }, [x]));
    else if (slope === 0) graph.yields(0, graph.node('relu', {}, [x]));
    else graph.yields(0, withSlopes(node, graph, x, slope));
  },
};

/** One slope below 0 for every channel. */
function withSlopes(node: NodeView, graph: Building, x: Value, of: number): Value {
  const [channels = 1] = node.makes(x.shape.slice(0, 1));
  const slopes = new Float32Array(channels).fill(of);
  const slope = graph.parameter(`${x.name}.prelu`, 'slope', [slopes.length], slopes);
  return graph.node('prelu', {}, [x], { parameters: { slope } });
}

const prelu: OnnxOperator = {
  build(node, graph) {
    const x = graph.value(0);
    const slope = required(node, 1, graph.constant(1));
    const rank = rankOf(graph, 0);
    // Channels are the first axis of a sample: the slope must be one number, or have sides of 1 behind that axis.
    const sides = [...new Array<number>(Math.max(0, rank - slope.shape.length)).fill(1), ...slope.shape];
    const channelAxis = graph.layout === 'batched' ? 1 : 0;
    const count = slope.data.length;
    const perChannel = sides.length === rank && sides[channelAxis] === count && count === x.shape[0];
    const floats = toFloats(node.proto.inputs[1], slope);
    if (perChannel) {
      const parameter = graph.asParameter(1, [count]);
      graph.yields(0, graph.node('prelu', {}, [x], { parameters: { slope: parameter } }));
    } else if (count === 1) graph.yields(0, withSlopes(node, graph, x, floats[0]));
    else {
      // Any other shape: max(x, 0) + slope min(x, 0).
      const zero = graph.parameter(`${x.name}.prelu`, 'zero', [1], new Float32Array(1));
      const above = graph.node('relu', {}, [x], { part: 'above' });
      const below = graph.node('minimum', {}, [x, zero], { part: 'below' });
      const scaled = graph.node('multiply', {}, [below, graph.operand(1, rank)], { part: 'scaled' });
      graph.yields(0, graph.node('add', {}, [above, scaled]));
    }
  },
};

/** Bounds as attributes (before operator set 11) or as inputs, each optional. */
const clip: OnnxOperator = {
  evaluate(node, [x, low, high]) {
    const values = required(node, 0, x);
    const bound = (tensor: OnnxTensor | undefined, fallback: number): number =>
      tensor && tensor.data.length > 0 ? Number(tensor.data[0]) : fallback;
    const [least, most] = [bound(low, node.float('min', -Infinity)), bound(high, node.float('max', Infinity))];
    return [computed(node, values, (value) => Math.min(Math.max(value, least), most))];
  },
  build(node, graph) {
    const x = graph.value(0);
    const [low, high] = [1, 2].map((i) => graph.input(i));
    if (low?.kind === 'value' || high?.kind === 'value') {
      const rank = rankOf(graph, 0);
      let y = x;
      if (low) y = graph.node('maximum', {}, [y, graph.operand(1, rank)], high ? { part: 'low' } : {});
      if (high) y = graph.node('minimum', {}, [y, graph.operand(2, rank)]);
      graph.yields(0, y);
      return;
    }
    const bound = (i: number, name: string, fallback: number): number => {
      const tensor = graph.constant(i);
      if (tensor && tensor.data.length !== 1)
        node.fail('TENSOR', `input ${i}: expected one number, got ${tensor.data.length}`);
      const value = tensor ? toFloats(name, tensor)[0] : node.float(name, fallback);
      if (Number.isNaN(value)) node.fail('ATTRIBUTE', `${name}: expected a number, got NaN`);
      return Number.isFinite(value) ? value : Math.sign(value) * LARGEST;
    };
    const [minimum, maximum] = [bound(1, 'min', -LARGEST), bound(2, 'max', LARGEST)];
    if (minimum === 0 && maximum >= LARGEST) graph.yields(0, graph.node('relu', {}, [x]));
    else graph.yields(0, graph.node('clip', { minimum, maximum }, [x]));
  },
};

/** x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))): the approximation, node by node, since it is what the model computes. */
function approximateGelu(graph: Building, x: Value): Value {
  const number = (name: string, value: number) => graph.parameter(`${x.name}.gelu`, name, [1], Float32Array.of(value));
  const square = graph.node('multiply', {}, [x, x], { part: 'square' });
  const cube = graph.node('multiply', {}, [square, x], { part: 'cube' });
  const scaled = graph.node('multiply', {}, [cube, number('cubic', 0.044715)], { part: 'cubic' });
  const sum = graph.node('add', {}, [x, scaled], { part: 'sum' });
  const inner = graph.node('multiply', {}, [sum, number('root', Math.sqrt(2 / Math.PI))], { part: 'inner' });
  const curve = graph.node('tanh', {}, [inner], { part: 'curve' });
  const share = graph.node('add', {}, [curve, number('one', 1)], { part: 'share' });
  const half = graph.node('multiply', {}, [x, number('half', 0.5)], { part: 'half' });
  return graph.node('multiply', {}, [half, share]);
}

const gelu: OnnxOperator = {
  evaluate(node, [x]) {
    const isApproximate = node.text('approximate', ['none', 'tanh'], 'none') === 'tanh';
    const curve = (value: number): number =>
      (value / 2) * (1 + tanh(Math.sqrt(2 / Math.PI) * (value + 0.044715 * value * value * value)));
    return [computed(node, x, isApproximate ? curve : activationOf('gelu'))];
  },
  build(node, graph) {
    const x = graph.value(0);
    const isApproximate = node.text('approximate', ['none', 'tanh'], 'none') === 'tanh';
    graph.yields(0, isApproximate ? approximateGelu(graph, x) : graph.node('gelu', {}, [x]));
  },
};

const elu: OnnxOperator = {
  evaluate: (node, [x]) => [computed(node, x, activationOf('elu', { alpha: node.float('alpha', 1) }))],
  build(node, graph) {
    const alpha = node.float('alpha', 1);
    const x = graph.value(0);
    if (alpha < 0) node.fail('UNSUPPORTED', `alpha: expected a number from 0, got ${alpha}`);
    graph.yields(0, alpha === 0 ? graph.node('relu', {}, [x]) : graph.node('elu', { alpha }, [x]));
  },
};

export const UNARY: Readonly<Record<string, OnnxOperator>> = {
  Relu: unary('relu'),
  LeakyRelu: leakyRelu,
  PRelu: prelu,
  Elu: elu,
  Clip: clip,
  Gelu: gelu,
  Sigmoid: unary('sigmoid'),
  HardSigmoid: unary('hardSigmoid', (node) => ({ alpha: node.float('alpha', 0.2), beta: node.float('beta', 0.5) })),
  HardSwish: unary('hardSwish'),
  Tanh: unary('tanh'),
  Erf: unary('erf'),
  Exp: unary('exp'),
  Log: unary('log'),
  Sqrt: unary('sqrt'),
  Softplus: unary('softplus'),
  Abs: unary('absolute'),
  Neg: unary('negate'),
  Reciprocal: unary('reciprocal'),
  Round: unary('round'),
  Floor: { evaluate: (node, [x]) => [computed(node, x, Math.floor)] },
  Ceil: { evaluate: (node, [x]) => [computed(node, x, Math.ceil)] },
  Not: { evaluate: (node, [x]) => [computed(node, x, (value) => Number(value === 0))] },
};
