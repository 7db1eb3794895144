/** Functions of one number and of two. */
import type { BinaryKind } from '../../operators/binary.ts';
import type { NodeOf } from '../../operators/table.ts';
import type { UnaryKind } from '../../operators/unary.ts';
import type { Exporting } from '../exporting.ts';
import type { Exports } from './define.ts';

/** An operator that has the same name and no attributes. */
const plain =
  (operator: string) =>
  (_node: unknown, to: Exporting): void =>
    to.yields(operator, [to.x.name]);

/** Ranges of the types that QuantizeLinear makes. */
const LEVELS = { uint8: [0, 255], int8: [-128, 127] } as const;

/** As quantization nodes where the levels are those of a type, else spelled out. */
function fakeQuantize({ attributes }: NodeOf<'fakeQuantize'>, to: Exporting): void {
  const [scale, zero, lowest, highest] = (['scale', 'zero', 'lowest', 'highest'] as const).map(
    (name) => attributes[name] as number,
  );
  const type = (['uint8', 'int8'] as const).find((name) => LEVELS[name][0] === lowest && LEVELS[name][1] === highest);
  if (type && Number.isInteger(zero) && zero >= lowest && zero <= highest) {
    const inputs = [to.number(scale), to.level(type, zero)];
    to.yields('DequantizeLinear', [to.node('QuantizeLinear', [to.x.name, ...inputs]), ...inputs]);
    return;
  }
  const level = to.node('Round', [to.node('Div', [to.x.name, to.number(scale)])]);
  const moved = to.node('Add', [level, to.number(zero)]);
  const inside = to.node('Clip', [moved, to.number(lowest), to.number(highest)]);
  to.yields('Mul', [to.node('Sub', [inside, to.number(zero)]), to.number(scale)]);
}

export const UNARY_EXPORTS: Exports<UnaryKind> = {
  relu: plain('Relu'),
  leakyRelu: ({ attributes: { slope } }, to) =>
    to.yields('LeakyRelu', [to.x.name], { alpha: { float: slope as number } }),
  sigmoid: plain('Sigmoid'),
  tanh: plain('Tanh'),
  hardSwish: plain('HardSwish'),
  hardSigmoid: ({ attributes: { alpha, beta } }, to) =>
    to.yields('HardSigmoid', [to.x.name], { alpha: { float: alpha as number }, beta: { float: beta as number } }),
  silu: (_node, to) => to.yields('Mul', [to.x.name, to.node('Sigmoid', [to.x.name])]),
  // Spelled as PyTorch does, which runtimes recognise; the operator Gelu came with opset 20.
  gelu(_node, to) {
    const error = to.node('Erf', [to.node('Div', [to.x.name, to.number(Math.SQRT2)])]);
    const product = to.node('Mul', [to.x.name, to.node('Add', [error, to.number(1)])]);
    to.yields('Mul', [product, to.number(0.5)]);
  },
  elu: ({ attributes: { alpha } }, to) => to.yields('Elu', [to.x.name], { alpha: { float: alpha as number } }),
  clip: ({ attributes: { minimum, maximum } }, to) =>
    to.yields('Clip', [to.x.name, to.number(minimum as number), to.number(maximum as number)]),
  exp: plain('Exp'),
  log: plain('Log'),
  sqrt: plain('Sqrt'),
  softplus: plain('Softplus'),
  erf: plain('Erf'),
  absolute: plain('Abs'),
  negate: plain('Neg'),
  reciprocal: plain('Reciprocal'),
  round: plain('Round'),
  fakeQuantize,
};

/** Of both inputs, which broadcast as ours do. */
const pair =
  (operator: string) =>
  (_node: unknown, to: Exporting): void =>
    to.yields(
      operator,
      to.inputs.map(({ name }) => name),
    );

export const BINARY_EXPORTS: Exports<BinaryKind> = {
  add: pair('Add'),
  subtract: pair('Sub'),
  multiply: pair('Mul'),
  divide: pair('Div'),
  minimum: pair('Min'),
  maximum: pair('Max'),
  power: pair('Pow'),
  prelu(_node, to) {
    const [channels, ...sides] = to.x.shape;
    to.yields('PRelu', [to.x.name, to.parameter('slope', [channels, ...sides.fill(1)])]);
  },
};
