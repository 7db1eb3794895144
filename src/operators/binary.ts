/**
 * Functions of two numbers with broadcasting as NumPy does it: an operator for each row of the table of formulas
 * (`kernels/specification/binaries.ts`). One of the operands may be a constant: a parameter that is read as it is. Where the
 * row says so the second operand is a trained parameter instead, one number per channel.
 */
import { show } from '../base/errors.ts';
import { sameShape } from '../base/tensor.ts';
import { BINARIES, BINARY } from '../kernels/specification/binaries.ts';
import type { BinaryName, BinarySpecification } from '../kernels/specification/binaries.ts';
import { broadcast, checkChannels, checkParameterShape, forEachKind, nodeError, stridesOf } from './define.ts';
import type { BackwardPlan, Channels, Coupling, Operator, Plan, TrainingOperator } from './types.ts';

export type BinaryKind = BinaryName;
const KINDS = /* @__PURE__ */ Object.keys(BINARIES) as BinaryKind[];

/** The role of the trained operand, if the second one is no input. */
const roleOf = (kind: BinaryKind): string | undefined => {
  const { parameter }: BinarySpecification = BINARIES[kind];
  return parameter?.role;
};

/** The common arguments: operands, sides with the batch in front, strides. */
function operandsOf(kind: BinaryKind, plan: Plan) {
  const { inputs, output } = plan;
  const { shape: sides } = output;
  const [a] = inputs;
  const role = roleOf(kind);
  // A number per channel is a shape of [channels, 1, ...].
  const b =
    role === undefined ? inputs[1] : { offset: plan.parameter(role), shape: [sides[1], ...sides.slice(2).fill(1)] };
  return {
    ...{ a: a.offset, b: b.offset, operation: BINARY[kind], sides },
    ...{ aStrides: stridesOf(a.shape, sides), bStrides: stridesOf(b.shape, sides) },
  };
}

/** Both operands have every element of the output: a sum of skips. */
const isPlain = ({ inputs: [a, b], output }: Plan): boolean =>
  sameShape(a.shape, output.shape) && sameShape(b.shape, output.shape);

function withParameter(kind: BinaryKind, role: string): Operator {
  return {
    kind,
    attributes: {},
    roles: [{ role, kind: 'trained', optional: false }],
    arity: [1, 1],
    inPlace: false,
    pointwise: 'nonlinearity',
    shapes(node, [{ shape }], parameters) {
      checkParameterShape(node, role, parameters[role], [checkChannels(node, shape)]);
      return [shape];
    },
    multiplyAdds: () => 0,
    forward: (_node, plan) => plan.run('binaryForward', { ...operandsOf(kind, plan), y: plan.output.offset }),
  };
}

function binary(kind: BinaryKind): Operator {
  const role = roleOf(kind);
  if (role !== undefined) return withParameter(kind, role);
  return {
    kind,
    attributes: {},
    roles: [],
    arity: [2, 2],
    takesConstants: true,
    takesIn: { activation: true },
    pointwise: 'join',
    inPlace: kind === 'add' ? 'overwrite' : false,
    shapes(node, [a, b]) {
      const shape = broadcast(a.shape, b.shape);
      const found = `[${a.shape.join(', ')}] and [${b.shape.join(', ')}]`;
      if (a.isConstant && b.isConstant) throw nodeError('GRAPH', node, `inputs: expected a value, got two constants`);
      if (!shape) throw nodeError('SHAPE', node, `inputs: expected shapes that fit each other, got ${found}`);
      for (const operand of [a, b]) {
        // The batch stands in front of every value, so only a constant may have fewer axes, and none more.
        const fits = operand.isConstant ? operand.shape.length <= shape.length : operand.shape.length === shape.length;
        if (!fits) throw nodeError('SHAPE', node, `inputs: expected values of one rank, got ${found}`);
      }
      return [shape];
    },
    multiplyAdds: () => 0,
    forward(_node, plan) {
      const { output, inputs } = plan;
      const [y, count] = [output.offset, output.words];
      if (kind === 'add' && isPlain(plan)) {
        plan.run('add', { a: inputs[0].offset, b: inputs[1].offset, y, count, ...plan.activation });
        return;
      }
      plan.run('binaryForward', { ...operandsOf(kind, plan), y });
      if (plan.activation.activation !== 0) plan.run('activationForward', { x: y, y, count, ...plan.activation });
    },
  };
}

function binaryTraining(kind: BinaryKind): TrainingOperator {
  const isSum = kind === 'add';
  const role = roleOf(kind);
  return {
    reads: { inputs: !isSum, output: false },
    backward(_node, plan: BackwardPlan) {
      for (const side of [0, 1] as const) {
        const isTrained = side === 1 && role !== undefined;
        const input = isTrained ? undefined : plan.inputGradient(side);
        const dx = isTrained ? plan.parameterGradient(role) : (input?.offset ?? -1);
        if (dx < 0) continue;
        const dy = plan.outputGradient.offset;
        if (isSum && input && sameShape(input.shape, plan.output.shape)) {
          plan.run('copy', { from: dy, to: dx, count: input.words });
        } else plan.run('binaryBackward', { ...operandsOf(kind, plan), dy, dx, side });
      }
    },
  };
}

const coupling: Coupling = {
  couple(node, plan) {
    const [output] = plan.outputShapes;
    /** The side of an operand along an axis of the output; their last axes stand together. */
    const sideOf = (i: number, axis: number): number => {
      const shape = plan.inputShapes[i];
      return shape[axis - output.length + shape.length] ?? 1;
    };
    const spread = (narrow: Channels): Channels =>
      plan.refuse(narrow, `${show(node.name)} spreads them over other channels`);
    /** What is left of channels of operand i: those that are spread are others behind it. */
    const kept = (i: number): Channels => {
      const channels = plan.inputs[i];
      const { axis } = channels;
      if (output.length === 0 || sideOf(i, axis) === output[axis]) return channels;
      spread(channels);
      return plan.fixed(output[axis], `${show(node.name)} makes them of one`, axis);
    };
    const constant = plan.constantInputs.indexOf(true);
    if (constant >= 0) {
      const channels = kept(1 - constant);
      const at = channels.axis - output.length + plan.inputShapes[constant].length;
      if (at >= 0 && sideOf(constant, channels.axis) > 1) plan.followInput(constant, channels, at);
      return [channels];
    }
    const [a, b] = plan.inputs;
    if (a.axis !== b.axis) {
      // Where the other operand is the same along them, they stay their own.
      const [own, other] = sideOf(1, a.axis) === 1 || sideOf(0, b.axis) !== 1 ? [0, 1] : [1, 0];
      const reason = `the ${node.kind} ${show(node.name)} joins them with channels along another axis`;
      plan.refuse(plan.inputs[other], reason);
      if (sideOf(other, plan.inputs[own].axis) !== 1) plan.refuse(plan.inputs[own], reason);
      return [kept(own)];
    }
    const [wideA, wideB] = [0, 1].map((i) => output.length === 0 || sideOf(i, a.axis) === output[a.axis]);
    if (wideA && wideB) return [plan.join(a, b)];
    // One channel that serves all of the other side's.
    const [wide, narrow]: [Channels, Channels] = wideA ? [a, b] : [b, a];
    spread(narrow);
    return [wide];
  },
};

export const BINARY_OPERATORS = /* @__PURE__ */ forEachKind(KINDS, binary);
export const BINARY_TRAINING = /* @__PURE__ */ forEachKind(KINDS, binaryTraining);
export const BINARY_COUPLINGS = /* @__PURE__ */ forEachKind(KINDS, (kind): Coupling => {
  const role = roleOf(kind);
  if (role === undefined) return coupling;
  return {
    couple(_node, plan) {
      plan.follow(role, plan.inputs[0]);
      return [plan.inputs[0]];
    },
  };
});
