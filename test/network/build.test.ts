import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  add,
  affine,
  averagePool,
  concat,
  conv,
  dense,
  flatten,
  glorotUniform,
  globalAveragePool,
  graph,
  heNormal,
  inferShapes,
  leakyRelu,
  maxPool,
  multiplyAdds,
  nodeCosts,
  normalInitializer,
  parameterCount,
  reduceSum,
  relu,
  sequential,
  vgg,
} from '../../src/network/index.ts';
import type { Network, Node } from '../../src/network/index.ts';

const shapeOf = (network: Network, name = network.outputs[0]): readonly number[] => inferShapes(network).get(name)!;

describe('shapes and costs', () => {
  it('the network of the experiments has 5 506 408 parameters and the multiply-adds of its layers', () => {
    const network = vgg();
    expect(parameterCount(network)).toBe(5_506_408);
    const layers = [
      [1, 32, 64],
      [32, 32, 64],
      [32, 64, 32],
      [64, 64, 32],
      [64, 128, 16],
      [128, 128, 16],
      [128, 256, 8],
      [256, 256, 8],
    ];
    const expected =
      layers.reduce((sum, [input, output, side]) => sum + 9 * input * output * side * side, 0) +
      4096 * 1024 +
      1024 * 136;
    expect(multiplyAdds(network)).toBe(expected);
    expect(shapeOf(network)).toEqual([136]);
    expect(nodeCosts(network).find(({ name }) => name === 'dense1')).toEqual({
      name: 'dense1',
      kind: 'dense',
      outputShape: [1024],
      parameters: 4096 * 1024 + 1024,
      multiplyAdds: 4096 * 1024,
    });
  });

  it("'same' keeps ceil(side / stride), for every size, stride and dilation; 'valid' is what fits", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 12 }),
        fc.integer({ min: 1, max: 12 }),
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 3 }),
        (height, width, size, stride, dilation) => {
          const options = { stride, dilation };
          expect(shapeOf(sequential({ input: [1, height, width] }, [conv(2, size, options)]))).toEqual([
            2,
            Math.ceil(height / stride),
            Math.ceil(width / stride),
          ]);
          const reach = dilation * (size - 1) + 1;
          const valid = (): Network =>
            sequential({ input: [1, height, width] }, [conv(2, size, { ...options, padding: 'valid' })]);
          if (reach > height || reach > width)
            expect(valid).toThrow(/node "conv1" \(conv\): a window of .* does not fit/);
          else
            expect(shapeOf(valid())).toEqual([
              2,
              Math.floor((height - reach) / stride) + 1,
              Math.floor((width - reach) / stride) + 1,
            ]);
        },
      ),
    );
  });

  it('a strided network ends in the same shapes as the one with pooling', () => {
    expect(shapeOf(vgg({ strided: true }), 'conv4_2')).toEqual([256, 4, 4]);
    expect(parameterCount(vgg({ strided: true }))).toBe(parameterCount(vgg()));
  });

  it('a parameter that two nodes share counts once', () => {
    const network = sequential({ input: [4] }, [dense(4), dense(4)]);
    const nodes = network.nodes.map((node) => ({ ...node, parameters: network.nodes[0].parameters })) as Node[];
    expect(parameterCount({ ...network, nodes })).toBe(20);
  });

  it('skips and concatenation', () => {
    const network = graph({}, (g) => {
      const x = g.input([3, 8, 8]);
      const a = g.node(conv(3, 3), x);
      const joined = g.node(concat(), g.node(add(), a, x), g.node(averagePool(3, { stride: 1, padding: 1 }), x));
      expect(g.shapeOf(joined)).toEqual([6, 8, 8]);
      return [g.node(globalAveragePool(), joined), joined];
    });
    expect(network.outputs.map((name) => shapeOf(network, name))).toEqual([[6], [6, 8, 8]]);
  });
});

describe('initializers', () => {
  it('He: variance 2 / fan in; Glorot: within its limit and with its variance; normal: its deviation (each within 5 % over 50 000 draws)', () => {
    const variance = (values: Float32Array): number => values.reduce((sum, v) => sum + v * v, 0) / values.length;
    const shape = [100, 20, 5, 5];
    expect((variance(heNormal(shape, 1, 'w')) * 500) / 2).toBeCloseTo(1, 1);
    const glorot = glorotUniform(shape, 1, 'w');
    const limit = Math.sqrt(6 / (500 + 2500));
    expect(glorot.every((v) => Math.abs(v) <= limit)).toBe(true);
    expect(variance(glorot) / ((limit * limit) / 3)).toBeCloseTo(1, 1);
    expect(variance(normalInitializer(0.01)(shape, 1, 'w')) / 1e-4).toBeCloseTo(1, 1);
  });
  it('weights depend on seed and name only: a further layer changes none before it', () => {
    const short = sequential({ input: [4], seed: 9 }, [dense(3)]);
    const long = sequential({ input: [4], seed: 9 }, [dense(3), relu(), dense(2)]);
    expect(long.parameters.get('dense1.weight')).toEqual(short.parameters.get('dense1.weight'));
    expect(sequential({ input: [4], seed: 8 }, [dense(3)]).parameters.get('dense1.weight')).not.toEqual(
      short.parameters.get('dense1.weight'),
    );
  });
});

describe('errors name the node, what was expected and what came', () => {
  const build =
    (...layers: Parameters<typeof sequential>[1][number][]) =>
    (): unknown =>
      sequential({ input: [2, 8, 8] }, layers);
  it.each<[string, () => unknown, RegExp]>([
    [
      'dense on a single number',
      build(reduceSum([0, 1, 2]), dense(3)),
      /node "dense1" \(dense\): input: expected at least one axis/,
    ],
    [
      'conv on a vector',
      build(flatten(), conv(3, 3)),
      /node "conv1" \(conv\): input: expected \[channels, height, width\], got shape \[128\]/,
    ],
    [
      'groups that do not divide the inputs',
      build(conv(3, 3, { groups: 3 })),
      /conv: groups: expected a divisor of the 2 input channels, got 3/,
    ],
    [
      'groups that do not divide the filters',
      build(conv(3, 3, { groups: 2 })),
      /groups: expected a divisor of the 3 filters, got 2/,
    ],
    ['a size as text', () => conv(3, '3' as never), /conv: size: expected an integer/],
    [
      'an initializer of another length',
      build(conv(3, 3, { initializer: () => new Float32Array(5) })),
      /initializer of "conv1.weight": expected a Float32Array of 54 values, got Float32Array of 5/,
    ],
    ['stride 0', build(conv(4, 3, { stride: 0, padding: 1 })), /stride: expected 2 whole numbers from 1/],
    ['dilation 0', build(conv(4, 3, { dilation: 0, padding: 1 })), /dilation/],
    ['negative padding', build(conv(4, 3, { padding: -1 })), /padding/],
    ['pool larger than its input', build(maxPool(9)), /does not fit/],
    ['leaky slope 0', build(leakyRelu(0)), /slope: expected a finite number above 0, got 0/],
    [
      'affine of another length',
      build(flatten(), affine(new Float32Array(3), 0)),
      /affine.*expected 128 values, got 3/,
    ],
    ['filters 0', () => conv(0, 3), /conv: filters: expected an integer of at least 1, got 0/],
    ['units as text', () => dense('7' as never), /dense: units/],
    ['two nodes of one name', build(relu({ name: 'a' }), relu({ name: 'a' })), /two values are called "a"/],
    ['an unknown value', () => graph({}, (g) => g.node(relu(), 'nowhere')), /there is no value "nowhere" yet/],
    [
      'add of two shapes',
      () =>
        graph({}, (g) => {
          const x = g.input([2, 4, 4]);
          return g.node(add(), x, g.node(maxPool(2), x));
        }),
      /shapes that fit each other, got \[2, 4, 4\] and \[2, 2, 2\]/,
    ],
    [
      'add of one input',
      () => graph({}, (g) => g.node(add(), g.input([2]))),
      /node "add1" \(add\): inputs: expected 2, got 1/,
    ],
  ])('%s', (_what, make, message) => expect(make).toThrow(message));
});
