/** Dropout (Srivastava et al. 2014). */
import { number } from '../base/rules.ts';
import type { RuledBy } from '../base/rules.ts';
import { PASSES_CHANNELS } from './define.ts';
import type { Coupling, Operator, TrainingOperator } from './types.ts';
import { DRAWN } from './types.ts';

const ATTRIBUTES = { rate: number(0, 1, 'to') };
type Attributes = RuledBy<typeof ATTRIBUTES>;

/** In training zeroes with probability rate and divides the rest by 1 - rate; in inference the identity. */
export const dropout: Operator<Attributes> = {
  kind: 'dropout',
  keepsMeaning: true,
  attributes: ATTRIBUTES,
  roles: [],
  arity: [1, 1],
  inPlace: 'overwrite',
  shapes: (_node, [{ shape }]) => [shape],
  multiplyAdds: () => 0,
  forward: (_node, plan) =>
    plan.run('copy', { from: plan.inputs[0].offset, to: plan.output.offset, count: plan.output.words }),
};

export const dropoutTraining: TrainingOperator<Attributes> = {
  reads: { inputs: false, output: false },
  measuring: { rate: 0 },
  draw: ({ attributes: { rate } }) => {
    const keep = 1 / (1 - rate);
    return (random) => (random() < rate ? 0 : keep);
  },
  forwardTraining(_node, plan) {
    const [a, b, y] = [plan.inputs[0].offset, plan.kept(DRAWN, plan.output.words), plan.output.offset];
    plan.run('multiply', { a, b, y, count: plan.output.words });
  },
  backward(_node, plan) {
    const dx = plan.inputGradient(0);
    if (!dx) return;
    plan.run('multiply', { a: plan.outputGradient.offset, b: plan.kept(DRAWN), y: dx.offset, count: dx.words });
  },
};

export const dropoutCoupling: Coupling<Attributes> = PASSES_CHANNELS;
