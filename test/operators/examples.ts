/**
 * Example nodes of every operator: what the laws that iterate the tables try. Rows of a table (functions of one number and
 * of two, reductions) have theirs from the table; an operator of a file of its own has a line in `OWN`, or the laws fail by its name.
 */
import { obeys } from '../../src/base/rules.ts';
import { sizeOf } from '../../src/base/tensor.ts';
import type { Shape, Tensor } from '../../src/base/tensor.ts';
import { isDense } from '../../src/encodings/index.ts';
import type { Encoding } from '../../src/encodings/types.ts';
import type { Node } from '../../src/graph/network.ts';
import { outputsOf } from '../../src/graph/walk.ts';
import { NUMBERS } from '../../src/kernels/portable/arithmetic.ts';
import { BINARIES } from '../../src/kernels/specification/binaries.ts';
import type { BinarySpecification } from '../../src/kernels/specification/binaries.ts';
import { perChannel } from '../../src/network/functions.ts';
import { ACTIVATIONS } from '../../src/kernels/specification/activations.ts';
import type { ActivationSpecification } from '../../src/kernels/specification/activations.ts';
import { graph } from '../../src/network/build.ts';
import type { GraphBuilder } from '../../src/network/build.ts';
import {
  affine,
  averagePool,
  batchNorm,
  concat,
  conv,
  conv3d,
  convTranspose,
  dense,
  dropout,
  expand,
  flatten,
  gather,
  globalAveragePool,
  groupNorm,
  instanceNorm,
  layerNorm,
  matMul,
  maxPool,
  pad,
  permute,
  plain,
  reshape,
  resize,
  slice,
  softmax,
  split,
} from '../../src/network/layers.ts';
import type { Layer } from '../../src/network/layers.ts';
import { argMax, leakyRelu, tanh } from '../../src/network/functions.ts';
import type { Network } from '../../src/graph/network.ts';
import { BINARY_OPERATORS } from '../../src/operators/binary.ts';
import type { BinaryKind } from '../../src/operators/binary.ts';
import { REDUCTION_OPERATORS } from '../../src/operators/reduction.ts';
import type { ReductionKind } from '../../src/operators/reduction.ts';
import { operatorOf } from '../../src/operators/table.ts';
import type { OperatorKind } from '../../src/operators/table.ts';
import { UNARY_OPERATORS } from '../../src/operators/unary.ts';
import type { UnaryKind } from '../../src/operators/unary.ts';
import { stream, uniform } from '../../src/base/random.ts';

/** An operand, by its shape per sample; a constant has no other. */
export interface Operand {
  readonly shape: Shape;
  readonly isConstant?: boolean;
  /** What its numbers must be for the function to be one of real numbers that are not huge. Absent: anything. */
  readonly keeps?: 'away from zero' | 'positive';
}

export interface Example {
  readonly title: string;
  readonly operands: readonly Operand[];
  readonly layer: Layer;
  /**
   * Why the channels of some operand, or those that it makes, cannot be removed where weighted layers stand before and
   * behind it. Absent: they can.
   */
  readonly refuses?: RegExp;
}

const SPREAD = /spreads them over other channels/;
const CUTS = /cuts them in parts/;

const values = (...shapes: Shape[]): Operand[] => shapes.map((shape) => ({ shape }));
const constant = (...shape: number[]): Operand => ({ shape, isConstant: true, keeps: 'away from zero' });

/** An operator of a file of its own: what it reads, and its layer. */
const OWN: Readonly<
  Record<Exclude<OperatorKind, UnaryKind | BinaryKind | ReductionKind>, readonly Omit<Example, 'title'>[]>
> = {
  conv: [
    { operands: values([4, 5, 6]), layer: conv(4, 3) },
    { operands: values([4, 5, 6]), layer: conv(8, 1, { bias: false }) },
    { operands: values([4, 5, 6]), layer: conv(4, 3, { groups: 4, stride: [1, 2] }) },
    {
      operands: values([4, 5, 6]),
      layer: conv(6, [3, 2], { stride: [2, 1], padding: [1, 2, 1, 0], dilation: [1, 2], groups: 2 }),
      refuses: /grouped convolution/,
    },
  ],
  convTranspose: [
    { operands: values([4, 3, 5]), layer: convTranspose(3, 2, { stride: 2 }) },
    { operands: values([4, 3, 5]), layer: convTranspose(5, 3, { padding: 1, bias: false }) },
    { operands: values([4, 3, 5]), layer: convTranspose(4, 4, { stride: 2, padding: 1, groups: 4 }) },
    {
      operands: values([4, 3, 5]),
      layer: convTranspose(6, [3, 2], {
        ...{ stride: [2, 3], padding: [1, 2, 0, 1], dilation: [1, 2], groups: 2, outputPadding: [1, 0] },
      }),
      refuses: /grouped convolution/,
    },
  ],
  conv3d: [
    { operands: values([4, 3, 3, 5]), layer: conv3d(3, 2) },
    { operands: values([4, 5, 3, 2]), layer: conv3d(4, [3, 1, 2], { stride: [2, 1, 1], padding: 1, groups: 4 }) },
    { operands: values([4, 3, 3, 5]), layer: conv3d(3, 3, { padding: [0, 1, 1, 0, 1, 1], bias: false }) },
    {
      operands: values([4, 4, 3, 2]),
      layer: conv3d(6, [2, 3, 1], { stride: [1, 2, 1], padding: [1, 2, 0, 2, 1, 1], dilation: [3, 1, 1], groups: 2 }),
      refuses: /grouped convolution/,
    },
  ],
  dense: [
    { operands: values([13]), layer: dense(9) },
    { operands: values([4]), layer: dense(3, { bias: false }) },
    {
      operands: values([4, 3, 5]),
      layer: dense(7),
      refuses: /dense .* makes neurons along another axis|conv .* runs over them/,
    },
    { operands: values([6, 5]), layer: dense(3, { bias: false }) },
  ],
  maxPool: [
    { operands: values([4, 5, 6]), layer: maxPool([2, 3], { stride: [2, 1], padding: [1, 0, 0, 1] }) },
    { operands: values([4, 7, 9]), layer: maxPool([2, 3], { stride: 1, padding: 1, dilation: [3, 2] }) },
  ],
  averagePool: [
    { operands: values([4, 5, 6]), layer: averagePool([2, 3], { stride: [2, 1], padding: [1, 0, 0, 1] }) },
    { operands: values([4, 5, 6]), layer: averagePool(3, { padding: 1, countPadding: true }) },
    { operands: values([4, 7, 9]), layer: averagePool(2, { stride: [1, 2], padding: [0, 1, 2, 0], dilation: [2, 3] }) },
  ],
  globalAveragePool: [{ operands: values([4, 5, 6]), layer: globalAveragePool() }],
  softmax: [
    { operands: values([5]), layer: softmax(), refuses: /softmax .* runs over them/ },
    { operands: values([4, 3, 5]), layer: softmax() },
    { operands: values([4, 3, 5]), layer: softmax({ axis: 1 }) },
    { operands: values([4, 3, 5]), layer: softmax({ axis: 0 }), refuses: /softmax .* runs over them/ },
  ],
  batchNorm: [
    { operands: values([4, 3, 5]), layer: batchNorm({ epsilon: 1e-3, momentum: 0.25 }) },
    { operands: values([6]), layer: batchNorm() },
  ],
  affine: [
    { operands: values([4, 3, 5]), layer: affine(1.5, -0.25) },
    { operands: values([6]), layer: affine(-0.5, 2) },
  ],
  flatten: [{ operands: values([4, 3, 5]), layer: flatten() }],
  reshape: [
    { operands: values([4, 3, 5]), layer: reshape([4, 15]) },
    { operands: values([4, 3, 5]), layer: reshape([4, 5, 3]) },
    { operands: values([4, 3, 5]), layer: reshape([2, 2, 15]), refuses: /reshape .* takes them apart/ },
    { operands: values([4, 6]), layer: reshape([4, 2, 3]) },
    { operands: values([6]), layer: reshape([2, 3]), refuses: /reshape .* takes them apart/ },
    { operands: values([1, 1]), layer: reshape([]) },
  ],
  permute: [
    { operands: values([4, 3, 5]), layer: permute([1, 2, 0]), refuses: /conv .* runs over them/ },
    { operands: values([4, 3, 5]), layer: permute([0, 2, 1]) },
    { operands: values([3, 5]), layer: permute([1, 0]) },
    { operands: values([2, 3, 4, 5]), layer: permute([3, 1, 0, 2]) },
  ],
  slice: [
    { operands: values([4, 3, 5]), layer: slice([1, 2, 0], [3, 1, 3], { steps: [1, 1, 2] }), refuses: CUTS },
    { operands: values([4, 3, 5]), layer: slice([0, 2, 4], [4, 3, 2], { steps: [1, -1, -3] }) },
    { operands: values([9]), layer: slice([2], [5]), refuses: CUTS },
  ],
  pad: [
    { operands: values([4, 3, 5]), layer: pad([0, 1, 2], [0, 2, 0], { value: 0.75 }) },
    { operands: values([4, 3, 5]), layer: pad([0, 2, 3], [0, 1, 4], { mode: 'reflect' }) },
    { operands: values([4, 3, 5]), layer: pad([0, 0, 1], [0, 2, 2], { mode: 'edge' }) },
    { operands: values([4, 3, 5]), layer: pad([0, 4, 1], [0, 2, 7], { mode: 'wrap' }) },
    { operands: values([4, 3, 5]), layer: pad([1, 0, 0], [2, 0, 1]), refuses: /pad .* adds to them/ },
  ],
  gather: [
    { operands: values([4, 3, 5]), layer: gather(2, [0, 4, 4, 1]) },
    { operands: values([4, 3, 5]), layer: gather(0, [2, 0, 3, 1]), refuses: /gather .* picks some/ },
    { operands: values([9]), layer: gather(0, [8, 1, 1]), refuses: /gather .* picks some/ },
  ],
  expand: [
    { operands: values([4, 1, 5]), layer: expand([4, 3, 5]) },
    { operands: values([1, 3, 1]), layer: expand([2, 3, 4]), refuses: SPREAD },
  ],
  resize: [
    {
      operands: values([4, 3, 5]),
      layer: resize([6, 10], { mode: 'nearest', coordinates: 'asymmetric', rounding: 'floor' }),
    },
    { operands: values([4, 3, 5]), layer: resize([5, 7]) },
    { operands: values([4, 3, 5]), layer: resize([2, 3], { antialias: true }) },
    { operands: values([4, 3, 5]), layer: resize([7, 4], { mode: 'cubic', coordinates: 'alignCorners' }) },
    { operands: values([4, 3, 5]), layer: resize([2, 6], { mode: 'cubic', antialias: true, excludeOutside: true }) },
    {
      operands: values([4, 3, 5]),
      layer: resize([4], { axes: [1], coordinates: 'tfCropAndResize', region: [0.25, 1.5], extrapolation: 0.5 }),
    },
    {
      operands: values([4, 3, 5]),
      layer: resize([4, 2], {
        ...{ coordinates: 'tfCropAndResize', region: [-0.25, 0.5, 0.5, 0.75], mode: 'nearest', extrapolation: 2 },
      }),
    },
    { operands: values([4, 3, 5]), layer: resize([2, 3], { coordinates: 'halfPixelSymmetric', scales: [0.7, 0.7] }) },
    { operands: values([9]), layer: resize([1], { coordinates: 'pytorchHalfPixel' }), refuses: /resize .* mixes them/ },
  ],
  concat: [
    { operands: values([4, 3, 2], [4, 1, 2], [4, 2, 2]), layer: concat({ axis: 1 }) },
    { operands: values([4, 3, 2], [4, 3, 5]), layer: concat({ axis: 2 }) },
    { operands: values([4, 3, 2], [1, 3, 2], [5, 3, 2]), layer: concat() },
    { operands: values([3], [7]), layer: concat() },
  ],
  split: [
    { operands: values([4, 6, 2]), layer: split([2, 1, 3], { axis: 1 }) },
    { operands: values([4, 3, 5]), layer: split([4, 1], { axis: 2 }) },
    { operands: values([6, 3, 2]), layer: split([2, 1, 3]), refuses: /split .* cuts them/ },
    { operands: values([4, 3, 5]), layer: split([1, 3]), refuses: /split .* cuts them/ },
    { operands: values([9]), layer: split([4, 5]), refuses: /split .* cuts them/ },
  ],
  dropout: [{ operands: values([4, 3, 5]), layer: dropout(0.4) }],
  layerNorm: [
    { operands: values([4, 3, 5]), layer: layerNorm(1, { epsilon: 1e-3 }) },
    { operands: values([4, 3, 5]), layer: layerNorm(2, { affine: false }) },
    { operands: values([7]), layer: layerNorm(), refuses: /layerNorm .* runs over them/ },
  ],
  groupNorm: [
    { operands: values([4, 3, 5]), layer: groupNorm(2, { epsilon: 1e-3 }), refuses: /groupNorm .* runs over them/ },
    { operands: values([4, 3, 5]), layer: groupNorm(1, { affine: false }), refuses: /groupNorm .* runs over them/ },
    { operands: values([4, 3, 5]), layer: instanceNorm() },
  ],
  matMul: [
    { operands: values([4, 3, 5], [4, 5, 2]), layer: matMul(), refuses: /matMul .* \(attention\)/ },
    { operands: values([1, 3, 5], [4, 5, 2]), layer: matMul(), refuses: /matMul .* \(attention\)/ },
    { operands: values([4, 3, 5], [1, 5, 2]), layer: matMul(), refuses: /matMul .* \(attention\)/ },
    { operands: values([4, 3], [3, 2]), layer: matMul() },
    { operands: [{ shape: [4, 3, 5] }, constant(5, 7)], layer: matMul(), refuses: /matMul .* is not trained/ },
    { operands: [{ shape: [4, 3, 5] }, constant(4, 5, 2)], layer: matMul(), refuses: /matMul .* is not trained/ },
    { operands: [constant(2, 3), { shape: [4, 3, 5] }], layer: matMul(), refuses: /matMul .* is not trained/ },
    { operands: [{ shape: [9] }, constant(9, 4)], layer: matMul(), refuses: /matMul .* is not trained/ },
  ],
  argMax: [
    { operands: values([4, 3, 5]), layer: argMax(1) },
    { operands: values([4, 3, 5]), layer: argMax(2, { keep: true }) },
    { operands: values([4, 3, 5]), layer: argMax(0, { keep: true }), refuses: /argMax .* runs over them/ },
    { operands: values([9]), layer: argMax(), refuses: /argMax .* runs over them/ },
  ],
};

function unaryExamples(kind: UnaryKind): Omit<Example, 'title'>[] {
  const { parameters, defaults }: ActivationSpecification = ACTIVATIONS[kind];
  // Where a rule allows it other numbers than the defaults, which would hide that nobody asks for them.
  const others = Object.entries(defaults).map(([name, value]) => {
    const other = 1.5 * value + 0.125;
    return [name, obeys(parameters[name], other) ? other : value];
  });
  const examples = (shape: Shape, attributes: Readonly<Record<string, number>>): Omit<Example, 'title'> => {
    const isFinite = (x: number): boolean => Number.isFinite(ACTIVATIONS[kind].apply(NUMBERS, x, attributes as never));
    const keeps = !isFinite(-1) ? 'positive' : !isFinite(0) ? 'away from zero' : undefined;
    return { operands: [{ shape, ...(keeps && ({ keeps } as const)) }], layer: plain(kind, attributes) };
  };
  return [examples([4, 3, 5], Object.fromEntries(others)), examples([7], defaults)];
}

const binaryExamples = (kind: BinaryKind): Omit<Example, 'title'>[] => {
  const { parameter }: BinarySpecification = BINARIES[kind];
  if (parameter) {
    return [[4, 3, 5], [7]].map((shape) => ({ layer: perChannel(kind)(), operands: [{ shape }] }));
  }
  const { apply }: BinarySpecification = BINARIES[kind];
  const takesNegative = Number.isFinite(apply(NUMBERS, -1, 0.5));
  const a = (shape: Shape): Operand => ({ shape, ...(!takesNegative && { keeps: 'positive' as const }) });
  const divides = !Number.isFinite(apply(NUMBERS, 1, 0));
  const b = (shape: Shape): Operand => ({ shape, ...(divides && { keeps: 'away from zero' as const }) });
  const constantA = (...shape: number[]): Operand => ({ ...constant(...shape), ...a(shape) });
  const layer = plain(kind);
  return [
    { layer, operands: [a([4, 3, 5]), b([4, 3, 5])] },
    { layer, operands: [a([4, 3, 5]), b([4, 1, 1])] },
    { layer, operands: [a([4, 1, 5]), b([1, 3, 1])], refuses: SPREAD },
    { layer, operands: [a([1, 3, 1]), b([4, 3, 5])], refuses: SPREAD },
    { layer, operands: [a([4, 3, 5]), constant(4, 1, 1)] },
    // As many rows as there are channels, but none of them a channel's.
    { layer, operands: [constantA(4, 5), b([4, 4, 5])] },
    { layer, operands: [a([1, 3, 5]), constant(4, 1, 5)], refuses: SPREAD },
    { layer, operands: [constantA(6), b([6])] },
    { layer, operands: [a([6]), constant()] },
  ];
};

const reductionExamples = (kind: ReductionKind): Omit<Example, 'title'>[] => {
  const refuses = new RegExp(`${kind} .* runs over them`);
  const example = (shape: Shape, axes: readonly number[], keep = false): Omit<Example, 'title'> => ({
    operands: [{ shape }],
    layer: plain(kind, { axes, keep }),
    ...(axes.includes(0) && { refuses }),
  });
  return [
    example([4, 3, 5], [1, 2]),
    example([4, 3, 5], [1, 2], true),
    example([4, 3, 5], [1]),
    example([4, 3, 5], [2], true),
    example([4, 3, 9], [2]),
    example([4, 3, 5], [0], true),
    example([4, 3, 5], [0, 2]),
    example([9], [0]),
    example([5, 2], [1]),
  ];
};

const titled = (kind: string, examples: readonly Omit<Example, 'title'>[]): Example[] =>
  examples.map((example) => {
    const operands = example.operands.map(
      ({ shape, isConstant }) => `${isConstant ? 'constant ' : ''}[${shape.join(', ')}]`,
    );
    return { ...example, title: `${kind} of ${operands.join(' and ')}` };
  });

/** The example nodes of a kind; none where nobody wrote one. */
export function examplesOf(kind: string): readonly Example[] {
  if (Object.hasOwn(UNARY_OPERATORS, kind)) return titled(kind, unaryExamples(kind as UnaryKind));
  if (Object.hasOwn(BINARY_OPERATORS, kind)) return titled(kind, binaryExamples(kind as BinaryKind));
  if (Object.hasOwn(REDUCTION_OPERATORS, kind)) return titled(kind, reductionExamples(kind as ReductionKind));
  return titled(kind, Object.hasOwn(OWN, kind) ? OWN[kind as keyof typeof OWN] : []);
}

/** Where an example stands: alone between inputs and outputs, or between layers that have something to fuse, fold and train. */
/** Its gradient is that of another function by intention: functions.test.ts holds it against PyTorch's. */
export const STRAIGHT_THROUGH = 'fakeQuantize';

export type Surroundings = 'alone' | 'between layers';

/** Adds an example to a graph. Returns the values that end it. */
export function addExample(g: GraphBuilder, { operands, layer }: Example, where: Surroundings, name: string): string[] {
  const made = operands.map((operand, i) => {
    const { shape, isConstant, keeps } = operand;
    const called = `${name}, operand ${i}${keeps ? `, ${keeps}` : ''}`;
    if (isConstant) return g.constant(constantNumbers(operand, called), called);
    const input = g.input(shape, called);
    if (where === 'alone' || (shape.length !== 1 && shape.length !== 3)) return input;
    const before = shape.length === 3 ? conv(shape[0], 1) : dense(shape[0]);
    const weighted = g.node({ ...before, name: `${name}, before ${i}` }, input);
    // From 0.5 to 1.5.
    if (keeps) return g.node(affine(0.5, 1), g.node(tanh(), weighted));
    // What goes back to a second operand is changed in place, where it would be seen by the first.
    return i > 0 ? g.node(tanh(), weighted) : weighted;
  });
  const yielded = g.nodes({ ...layer, name }, ...made);
  const isFloat = (operatorOf({ name, kind: layer.kind }).yields ?? 'float') === 'float';
  return where === 'alone' || !isFloat ? [...yielded] : yielded.map((value) => g.node(leakyRelu(0.3), value));
}

/** By its name, which says what they must be, and by nothing else. */
const someNumbers = (shape: Shape, name: string): Float32Array => {
  const random = stream(1, 'example', name);
  return Float32Array.from({ length: sizeOf(shape) }, () => {
    const value = uniform(random, -2, 2);
    if (name.endsWith('positive')) return 0.5 + Math.abs(value);
    return name.endsWith('away from zero') ? value + 0.5 * Math.sign(value) : value;
  });
};

/** Numbers for an input of an example, (count, ...shape). */
export const inputNumbers = (name: string, count: number, shape: Shape): Float32Array =>
  someNumbers([count, ...shape], name);

/** Values of a constant operand. */
export const constantNumbers = ({ shape, keeps }: Operand, name: string): Tensor => ({
  shape,
  data: someNumbers(shape, keeps ? `${name}, ${keeps}` : name),
});

/** Every parameter moved away from its first value, so that none is zero and no two channels are alike. */
export function perturbed(network: Network): Network {
  const parameters = new Map(
    [...network.parameters].map(([name, encoding]): [string, Encoding] => {
      if (!isDense(encoding)) return [name, encoding];
      const random = stream(2, 'perturbed', name);
      return [name, { ...encoding, data: encoding.data.map((value) => value + uniform(random, -0.3, 0.3)) }];
    }),
  );
  return { ...network, parameters };
}

/** A network of examples side by side; its outputs are all that they yield. */
export const networkOf = (examples: readonly Example[], where: Surroundings): Network =>
  perturbed(graph({}, (g) => examples.flatMap((example, i) => addExample(g, example, where, `example ${i}`))));

/** The node of the first example. */
export const nodeOf = ({ nodes }: Network): Node => nodes.find(({ name }) => name === 'example 0')!;
/** Names of everything that a network computes, to be watched: then nothing is fused and nothing shares memory. */
export const everything = ({ inputs, nodes }: Network): string[] => [
  ...inputs.map(({ name }) => name),
  ...nodes.flatMap(outputsOf),
];
