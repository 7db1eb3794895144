/** Product of two values, or of a value and a constant, as NumPy's matmul: attention, and projections that are not trained. */
import { show } from '../base/errors.ts';
import { sizeOf } from '../base/tensor.ts';
import type { Shape } from '../base/tensor.ts';
import { broadcast, nodeError, stridesOf } from './define.ts';
import type { BackwardPlan, Channels, Coupling, Operator, Plan, TrainingOperator } from './types.ts';

/** The last two sides: of a vector per sample the batch is the first. */
const matrixOf = (shape: Shape): Shape => shape.slice(-2);
const stackOf = (shape: Shape): Shape => shape.slice(0, -2);

/** c [..., m, n] = a [..., m, k] b [..., k, n]; shapes with the batch in front. `turned`: an operand lies transposed. */
interface Factor {
  readonly offset: number;
  readonly shape: Shape;
  readonly turned?: boolean;
}

function product(plan: Plan, a: Factor, b: Factor, c: Factor): void {
  const sides = broadcast(stackOf(a.shape), stackOf(b.shape)) ?? [];
  const [m, n] = matrixOf(c.shape);
  const [rows, columns] = matrixOf(a.shape);
  const k = a.turned ? rows : columns;
  const strides = ({ shape }: Factor): number[] =>
    stridesOf(stackOf(shape), sides).map((stride) => stride * sizeOf(matrixOf(shape)));
  const along = ({ shape, turned }: Factor): readonly [row: number, column: number] =>
    turned ? [1, matrixOf(shape)[1]] : [matrixOf(shape)[1], 1];
  const [[aRow, aColumn], [bRow, bColumn]] = [along(a), along(b)];
  const common = { k, n, a: a.offset, aRow, aColumn, b: b.offset, bRow, bColumn, c: c.offset, cRow: n };
  const [aStrides, bStrides, cStrides] = [a, b, c].map(strides);
  // One matrix for all rows of a: one product.
  const isOne = !a.turned && bStrides.every((stride) => stride === 0) && sizeOf(stackOf(a.shape)) === sizeOf(sides);
  if (isOne && sizeOf(stackOf(c.shape)) === sizeOf(sides))
    plan.run('products', { ...common, m: m * sizeOf(sides), sides: [1], aStrides: [0], bStrides: [0], cStrides: [0] });
  else plan.run('products', { ...common, m, sides, aStrides, bStrides, cStrides });
}

/** a [..., M, K] and b [..., K, N], leading axes stretched to each other -> [..., M, N]; one of the two may be a constant */
export const matMul: Operator = {
  kind: 'matMul',
  attributes: {},
  roles: [],
  arity: [2, 2],
  takesConstants: true,
  inPlace: false,
  shapes(node, [a, b]) {
    const found = `[${a.shape.join(', ')}] and [${b.shape.join(', ')}]`;
    if (a.isConstant && b.isConstant) throw nodeError('GRAPH', node, 'inputs: expected a value, got two constants');
    const isVector = a.shape.length === 1 && !a.isConstant && b.isConstant && b.shape.length === 2;
    // The batch, which is named nowhere, makes one row of each vector.
    const left = isVector ? [1, ...a.shape] : a.shape;
    const [value, other] = a.isConstant ? [b, a] : [a, b];
    const rank = isVector ? 2 : value.shape.length;
    const fits =
      Math.min(left.length, b.shape.length) >= 2 &&
      left[left.length - 1] === b.shape[b.shape.length - 2] &&
      (other.isConstant ? other.shape.length <= rank : other.shape.length === rank);
    const stack = fits ? broadcast(stackOf(left), stackOf(b.shape)) : undefined;
    if (!stack) throw nodeError('SHAPE', node, `inputs: expected [..., M, K] and [..., K, N], got ${found}`);
    const columns = b.shape[b.shape.length - 1];
    return [isVector ? [columns] : [...stack, left[left.length - 2], columns]];
  },
  multiplyAdds: (_node, [a], [output]) => sizeOf(output) * a.shape[a.shape.length - 1],
  forward(_node, plan) {
    const [a, b] = plan.inputs;
    product(plan, a, b, plan.output);
  },
};

export const matMulTraining: TrainingOperator = {
  reads: { inputs: true, output: false },
  backward(_node, plan: BackwardPlan) {
    const [a, b] = plan.inputs;
    const dy = plan.outputGradient;
    const [da, db] = [plan.inputGradient(0), plan.inputGradient(1)];
    if (da) product(plan, dy, { ...b, turned: true }, da);
    if (db) product(plan, { ...a, turned: true }, dy, db);
  },
};

export const matMulCoupling: Coupling = {
  couple(node, plan) {
    const [output] = plan.outputShapes;
    const reason = plan.constantInputs.includes(true)
      ? `the matMul ${show(node.name)} takes them by a matrix that is not trained`
      : `they meet other values in the matMul ${show(node.name)} (attention)`;
    plan.inputs.forEach((channels: Channels, i) => plan.constantInputs[i] || plan.refuse(channels, reason));
    return [plan.fixed(output[0], reason)];
  },
};
