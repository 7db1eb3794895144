/** Networks of one operator, as models of others use them: sizes from detectors, MobileNets, ResNets and transformers. */
import {
  absolute,
  add,
  argMax,
  averagePool,
  batchNorm,
  clip,
  concat,
  conv,
  convTranspose,
  dense,
  divide,
  elu,
  erf,
  exp,
  expand,
  gather,
  gelu,
  globalAveragePool,
  graph,
  groupNorm,
  hardSwish,
  instanceNorm,
  layerNorm,
  leakyRelu,
  log,
  matMul,
  maxPool,
  maximum,
  multiply,
  pad,
  permute,
  power,
  prelu,
  reduceMax,
  reduceMean,
  reduceSum,
  relu,
  resize,
  sigmoid,
  silu,
  slice,
  softmax,
  softplus,
  split,
  subtract,
  tanh,
} from 'espalier/network';
import type { Layer, Network } from 'espalier/network';

export interface Single {
  readonly name: string;
  readonly build: () => Network;
}

const one = (name: string, shape: readonly number[], ...layers: Layer[]): Single => ({
  name: `${name}, ${shape.join(' x ')}`,
  build: () => graph({ name, seed: 1 }, (g) => layers.reduce((value, layer) => g.node(layer, value), g.input(shape))),
});
const two = (name: string, a: readonly number[], b: readonly number[], layer: Layer, after?: Layer): Single => ({
  name: `${name}, ${a.join(' x ')} and ${b.join(' x ')}`,
  build: () =>
    graph({ name, seed: 1 }, (g) => {
      const value = g.node(layer, g.input(a, 'a'), g.input(b, 'b'));
      return after ? g.node(after, value) : value;
    }),
});

export const SINGLES: readonly Single[] = [
  // Convolutions
  one('conv 3x3 stride 2, 16', [3, 240, 320], conv(16, 3, { stride: 2, padding: 1 }), relu()),
  one('conv 3x3 stride 2, 32', [3, 224, 224], conv(32, 3, { stride: 2, padding: 1 }), clip()),
  one('conv 7x7 stride 2, 64', [3, 224, 224], conv(64, 7, { stride: 2, padding: 3 }), relu()),
  one('conv 3x3, 16', [3, 160, 160], conv(16, 3, { padding: 1 }), relu()),
  one('conv 3x3, 64', [64, 56, 56], conv(64, 3, { padding: 1 }), relu()),
  one('conv 3x3 stride 2, 128', [64, 56, 56], conv(128, 3, { stride: 2, padding: 1 }), relu()),
  one('conv 3x3, 256', [256, 7, 7], conv(256, 3, { padding: 1 }), relu()),
  one('conv 3x3, 128', [128, 4, 4], conv(128, 3, { padding: 1 }), relu()),
  one('conv 3x3 dilation 2, 64', [64, 40, 40], conv(64, 3, { padding: 2, dilation: 2 }), relu()),
  one('conv 3x3 dilation 3, 16', [16, 30, 40], conv(16, 3, { padding: 3, dilation: 3 })),
  one('conv 5x5, 32', [32, 40, 40], conv(32, 5, { padding: 2 }), relu()),
  one('conv 1x7, 64', [64, 28, 28], conv(64, [1, 7], { padding: 'same' }), relu()),
  one('conv 3x3 in 8 groups, 64', [64, 40, 40], conv(64, 3, { padding: 1, groups: 8 }), relu()),
  one('conv 1x1, 16', [16, 80, 80], conv(16, 1)),
  one('conv 1x1, 64', [64, 40, 40], conv(64, 1), relu()),
  one('conv 1x1, 4', [64, 40, 40], conv(4, 1)),
  one('conv 1x1, 1', [64, 80, 80], conv(1, 1)),
  one('conv 1x1, 96', [16, 112, 112], conv(96, 1), clip()),
  one('conv 1x1, 16 b', [96, 112, 112], conv(16, 1)),
  one('conv 1x1, 512', [512, 7, 7], conv(512, 1)),
  one('conv 1x1, 1000', [1280, 1, 1], conv(1000, 1)),
  one('conv 1x1 stride 2, 128', [64, 56, 56], conv(128, 1, { stride: 2 })),
  // Depthwise
  one('depthwise 3x3', [64, 80, 80], conv(64, 3, { padding: 1, groups: 64 }), relu()),
  one('depthwise 3x3 b', [96, 56, 56], conv(96, 3, { padding: 1, groups: 96 }), clip()),
  one('depthwise 3x3 stride 2', [96, 112, 112], conv(96, 3, { stride: 2, padding: 1, groups: 96 }), clip()),
  one('depthwise 3x3 small', [576, 14, 14], conv(576, 3, { padding: 1, groups: 576 }), clip()),
  one('depthwise 3x3 tiny', [960, 7, 7], conv(960, 3, { padding: 1, groups: 960 }), clip()),
  one('depthwise 3x3 dilation 2', [64, 40, 40], conv(64, 3, { padding: 2, dilation: 2, groups: 64 })),
  one('depthwise 5x5', [72, 56, 56], conv(72, 5, { padding: 2, groups: 72 })),
  one('depthwise 5x5 stride 2', [72, 56, 56], conv(72, 5, { stride: 2, padding: 2, groups: 72 })),
  one('depthwise 5x5 small', [240, 14, 14], conv(240, 5, { padding: 2, groups: 240 })),
  one('depthwise 7x7', [96, 56, 56], conv(96, 7, { padding: 3, groups: 96 })),
  one('depthwise 7x7 small', [384, 14, 14], conv(384, 7, { padding: 3, groups: 384 })),
  one('depthwise 1x9', [64, 40, 40], conv(64, [1, 9], { padding: 'same', groups: 64 })),
  one('transposed 2x2 stride 2', [64, 40, 40], convTranspose(32, 2, { stride: 2 })),
  one('transposed 4x4 stride 2', [64, 28, 28], convTranspose(32, 4, { stride: 2, padding: 1 })),
  one('transposed 3x3 stride 1', [64, 28, 28], convTranspose(64, 3, { padding: 1 })),
  // Products
  one('dense 1000', [2048], dense(1000)),
  two('matMul', [128, 768], [768, 128], matMul()),
  two('matMul heads', [8, 128, 64], [8, 64, 128], matMul()),
  rows('rows by a matrix', [128, 256], 512),
  // Pooling
  one('maxPool 2x2', [64, 80, 80], maxPool(2)),
  one('maxPool 3x3 stride 2', [64, 112, 112], maxPool(3, { stride: 2, padding: 1 })),
  one('maxPool 5x5 stride 1', [128, 20, 20], maxPool(5, { stride: 1, padding: 2 })),
  one('averagePool 3x3 stride 1', [64, 40, 40], averagePool(3, { stride: 1, padding: 1 })),
  one('averagePool 2x2', [64, 80, 80], averagePool(2)),
  one('globalAveragePool', [512, 14, 14], globalAveragePool()),
  // Moving
  one('permute to last', [64, 80, 80], permute([1, 2, 0])),
  one('permute to first', [80, 80, 64], permute([2, 0, 1])),
  one('permute 4 channels', [4, 80, 80], permute([1, 2, 0])),
  one('permute heads', [128, 12, 64], permute([1, 0, 2])),
  one('permute rows', [512, 512], permute([1, 0])),
  one('shuffle', [8, 16, 1600], permute([1, 0, 2])),
  one('slice last', [64, 80, 80], slice([0, 0, 10], [64, 80, 60])),
  one('slice steps', [16, 160, 160], slice([0, 0, 0], [16, 80, 80], { steps: [1, 2, 2] })),
  one('slice channels', [64, 80, 80], slice([16, 0, 0], [32, 80, 80])),
  focus('focus', [3, 320, 320]),
  one('pad', [64, 56, 56], pad([0, 1, 1], [0, 1, 1])),
  one('pad reflect', [16, 160, 160], pad([0, 3, 3], [0, 3, 3], { mode: 'reflect' })),
  one('expand', [64, 80, 1], expand([64, 80, 80])),
  one('expand channels', [64, 1, 1], expand([64, 80, 80])),
  one(
    'gather last',
    [256, 1000],
    gather(
      1,
      Array.from({ length: 500 }, (_, i) => (i * 37) % 1000),
    ),
  ),
  two('concat channels', [64, 40, 40], [64, 40, 40], concat({ axis: 0 })),
  two('concat last', [4420, 2], [4420, 2], concat({ axis: 1 })),
  two('concat rows', [3600, 4], [900, 4], concat({ axis: 0 })),
  splitJoin('split channels', [64, 80, 80]),
  one(
    'resize nearest 2',
    [64, 40, 40],
    resize([80, 80], { mode: 'nearest', coordinates: 'asymmetric', rounding: 'floor' }),
  ),
  one('resize linear 2', [64, 40, 40], resize([80, 80], { mode: 'linear' })),
  one('resize linear align', [32, 30, 30], resize([120, 120], { mode: 'linear', coordinates: 'alignCorners' })),
  // Normalization
  one('batchNorm', [64, 80, 80], batchNorm()),
  one('instanceNorm', [64, 80, 80], instanceNorm()),
  one('groupNorm', [64, 80, 80], groupNorm(32)),
  one('layerNorm', [197, 768], layerNorm(1)),
  one('softmax 2', [17640, 2], softmax({ axis: 1 })),
  one('softmax 21', [4420, 21], softmax({ axis: 1 })),
  one('softmax 1000', [128, 1000], softmax({ axis: 1 })),
  one('softmax channels', [21, 80, 80], softmax({ axis: 0 })),
  // Functions
  ...Object.entries({ relu, sigmoid, tanh, silu, gelu, hardSwish, elu, exp, softplus, erf, absolute, log }).map(
    ([name, layer]) => one(name, [64, 80, 80], layer()),
  ),
  one('leakyRelu', [64, 80, 80], leakyRelu(0.1)),
  one('clip', [64, 80, 80], clip()),
  one('prelu', [64, 80, 80], prelu(0.25)),
  two('add', [64, 80, 80], [64, 80, 80], add()),
  two('add then relu', [64, 80, 80], [64, 80, 80], add(), relu()),
  two('subtract', [64, 80, 80], [64, 80, 80], subtract()),
  two('multiply', [64, 80, 80], [64, 80, 80], multiply()),
  two('divide', [64, 80, 80], [64, 80, 80], divide()),
  two('maximum', [64, 80, 80], [64, 80, 80], maximum()),
  two('power', [64, 40, 40], [64, 40, 40], power()),
  two('multiply channels', [64, 80, 80], [64, 1, 1], multiply()),
  two('multiply pixels', [64, 80, 80], [1, 80, 80], multiply()),
  two('add last', [128, 768], [1, 768], add()),
  two('multiply last 4', [4420, 4], [1, 4], multiply()),
  two('multiply rows', [4420, 4], [4420, 1], multiply()),
  one('reduceMean spatial', [512, 14, 14], reduceMean([1, 2])),
  one('reduceMean last', [197, 768], reduceMean([1])),
  one('reduceMax channels', [64, 80, 80], reduceMax([0])),
  one('reduceSum last short', [17640, 4], reduceSum([1])),
  one('argMax channels', [21, 80, 80], argMax(0)),
];

function rows(name: string, shape: readonly number[], outputs: number): Single {
  return {
    name: `${name}, ${shape.join(' x ')}`,
    build: () =>
      graph({ name, seed: 1 }, (g) => {
        const data = Float32Array.from({ length: shape[1] * outputs }, (_, i) => Math.sin(i) / 16);
        return g.node(matMul(), g.input(shape), g.constant({ data, shape: [shape[1], outputs] }, 'w'));
      }),
  };
}
function focus(name: string, shape: readonly number[]): Single {
  const [c, h, w] = shape;
  return {
    name: `${name}, ${shape.join(' x ')}`,
    build: () =>
      graph({ name, seed: 1 }, (g) => {
        const x = g.input(shape);
        const parts = [
          [0, 0],
          [1, 0],
          [0, 1],
          [1, 1],
        ].map(([dy, dx]) => g.node(slice([0, dy, dx], [c, h / 2, w / 2], { steps: [1, 2, 2] }), x));
        return g.node(concat({ axis: 0 }), ...parts);
      }),
  };
}
function splitJoin(name: string, shape: readonly number[]): Single {
  return {
    name: `${name}, ${shape.join(' x ')}`,
    build: () =>
      graph({ name, seed: 1 }, (g) => {
        const [a, b] = g.nodes(split([shape[0] / 2, shape[0] / 2], { axis: 0 }), g.input(shape));
        return [g.node(relu(), a), g.node(absolute(), b)];
      }),
  };
}
