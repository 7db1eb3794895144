/** Operators that move values and compute nothing: flatten, concat, split. */
import { show } from '../base/errors.ts';
import { integerList } from '../base/rules.ts';
import type { RuledBy } from '../base/rules.ts';
import { sameShape, sizeOf } from '../base/tensor.ts';
import { checkChannels, nodeError } from './define.ts';
import type { Coupling, Operator, TrainingOperator } from './types.ts';

/** The backward pass reads no value. */
const NOTHING = { inputs: false, output: false };

/** [C, ...] -> [size] */
export const flatten: Operator = {
  kind: 'flatten',
  keepsMeaning: true,
  attributes: {},
  roles: [],
  arity: [1, 1],
  inPlace: 'view',
  shapes: (_node, [{ shape }]) => [[sizeOf(shape)]],
  multiplyAdds: () => 0,
  forward: (_node, plan) =>
    plan.run('copy', { from: plan.inputs[0].offset, to: plan.output.offset, count: plan.output.words }),
};
export const flattenTraining: TrainingOperator = {
  reads: NOTHING,
  backward(_node, plan) {
    const dx = plan.inputGradient(0);
    if (dx) plan.run('copy', { from: plan.outputGradient.offset, to: dx.offset, count: dx.words });
  },
};
export const flattenCoupling: Coupling = {
  couple: (_node, plan) => [plan.widen(plan.inputs[0], sizeOf(plan.inputShapes[0].slice(1)))],
};

/** along axis 0 of the sample (channels) */
export const concat: Operator = {
  kind: 'concat',
  keepsMeaning: true,
  attributes: {},
  roles: [],
  arity: [1, 64],
  inPlace: false,
  shapes(node, inputs) {
    checkChannels(node, inputs[0].shape);
    const [, ...rest] = inputs[0].shape;
    inputs.forEach(({ shape }, i) => {
      if (!sameShape(shape.slice(1), rest)) {
        throw nodeError('SHAPE', node, `input ${i}: expected [any, ${rest.join(', ')}], got [${shape.join(', ')}]`);
      }
    });
    return [[inputs.reduce((sum, { shape }) => sum + shape[0], 0), ...rest]];
  },
  multiplyAdds: () => 0,
  forward(_node, { batch, inputs, output, run }) {
    const toStride = output.words / batch;
    let to = output.offset;
    for (const { offset, words } of inputs) {
      const columns = words / batch;
      run('copyRows', { from: offset, fromStride: columns, to, toStride, rows: batch, columns });
      to += columns;
    }
  },
};
export const concatTraining: TrainingOperator = {
  reads: NOTHING,
  backward(_node, plan) {
    const { batch, inputs, output, outputGradient, run } = plan;
    const fromStride = output.words / batch;
    let from = outputGradient.offset;
    inputs.forEach(({ words }, i) => {
      const columns = words / batch;
      const dx = plan.inputGradient(i);
      if (dx) run('copyRows', { from, fromStride, to: dx.offset, toStride: columns, rows: batch, columns });
      from += columns;
    });
  },
};
export const concatCoupling: Coupling = { couple: (_node, { inputs }) => [inputs.flat()] };

const SPLIT = { sizes: integerList(1) };
type SplitAttributes = RuledBy<typeof SPLIT>;

/** The inverse of concat: one value for each of `sizes`, which add up to axis 0 of the sample. */
export const split: Operator<SplitAttributes> = {
  kind: 'split',
  keepsMeaning: true,
  attributes: SPLIT,
  roles: [],
  arity: [1, 1],
  inPlace: false,
  shapes(node, [{ shape }]) {
    const channels = checkChannels(node, shape);
    const { sizes } = node.attributes;
    if (sizes.reduce((sum, size) => sum + size, 0) !== channels) {
      throw nodeError('SHAPE', node, `sizes: expected them to add up to ${channels} channels, got ${show(sizes)}`);
    }
    return sizes.map((size) => [size, ...shape.slice(1)]);
  },
  multiplyAdds: () => 0,
  forward(_node, { batch, inputs: [input], outputs, run }) {
    const fromStride = input.words / batch;
    let from = input.offset;
    for (const { offset, words } of outputs) {
      const columns = words / batch;
      run('copyRows', { from, fromStride, to: offset, toStride: columns, rows: batch, columns });
      from += columns;
    }
  },
};
export const splitTraining: TrainingOperator<SplitAttributes> = {
  reads: NOTHING,
  backward(_node, plan) {
    const dx = plan.inputGradient(0);
    if (!dx) return;
    const { batch, outputs, outputGradients, run } = plan;
    const toStride = dx.words / batch;
    let to = dx.offset;
    outputs.forEach(({ words }, i) => {
      const columns = words / batch;
      const dy = outputGradients[i];
      // Where nothing depends on an output its gradient is a row of zeros, read again for each sample.
      const from = dy?.offset ?? plan.floats(new Array<number>(columns).fill(0));
      run('copyRows', { from, fromStride: dy ? columns : 0, to, toStride, rows: batch, columns });
      to += columns;
    });
  },
};
export const splitCoupling: Coupling<SplitAttributes> = {
  couple({ attributes: { sizes } }, plan) {
    let first = 0;
    return sizes.map((size) => {
      const channels = plan.slice(plan.inputs[0], first, size);
      first += size;
      // Its sizes would have to follow, each by itself.
      return plan.refuse(channels, 'a split cuts them at fixed sizes');
    });
  },
};
