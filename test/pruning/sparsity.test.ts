/** Group lasso: steps as NumPy has them, zeros that can be removed without a trace, and what does not belong to a channel. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createTrainingExecutor } from '../../src/execution/training-executor.ts';
import { portableKernels } from '../../src/kernels/index.ts';
import type { Network } from '../../src/graph/network.ts';
import { batchNorm, conv, dense, flatten, relu, sequential } from '../../src/network/index.ts';
import { createGroupSparsity, findGroups, removeNeurons } from '../../src/pruning/index.ts';
import vectors from '../vectors/group_lasso.json' with { type: 'json' };
import { chain, change, largestDifference, randomInputs, residual, run, separable } from './networks.ts';

const OPTIMIZER = {
  ...({ kind: 'sgd', momentum: 0, nesterov: false, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 } as const),
  ...({ decoupled: true, weightDecay: 0, codewordGradient: 'mean' } as const),
};
const executorOf = (network: Network, frozen: ReadonlySet<string> = new Set()) =>
  createTrainingExecutor(network, { kernels: portableKernels(), optimizer: OPTIMIZER, frozen });

const NAMES = ['c.weight', 'c.bias', 'n.scale', 'n.shift'];
const small = (): Network =>
  NAMES.reduce(
    (network, name, i) => change(network, name, (values) => values.set(vectors.before[i])),
    sequential({ input: [2, 4, 4] }, [
      conv(3, 2, { name: 'c' }),
      batchNorm({ name: 'n' }),
      relu(),
      flatten(),
      dense(2, { name: 'd' }),
    ]),
  );

test('one step, and the penalty, are those of NumPy: relative error < 1e-6', async () => {
  const network = small();
  const executor = await executorOf(network);
  const sparsity = createGroupSparsity(network, executor, { strength: vectors.strength });
  expect(sparsity.penalty()).toBeCloseTo(vectors.penalty, 5);
  expect(sparsity.step(vectors.rate)).toBe(1);
  NAMES.forEach((name, i) => {
    expect(largestDifference(executor.values(name), vectors.after[i])).toBeLessThan(1e-6);
  });
  expect([...sparsity.zeros()]).toEqual([['c', [1]]]);
  // What reads the channels, and running statistics, are not theirs.
  expect(executor.values('d.weight')).toEqual(
    (network.parameters.get('d.weight') as unknown as { data: Float32Array }).data,
  );
  expect(executor.snapshot().parameters.get('n.variance')).toEqual(network.parameters.get('n.variance'));
  executor.dispose();
});

test('the penalty never rises, strength 0 changes nothing, and zeros go without a change of output', async () => {
  let gone = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(chain, residual, separable),
      fc.integer({ min: 1, max: 9 }),
      fc.double({ min: 0.01, max: 0.9, noNaN: true }),
      async (of, seed, size) => {
        const network = of(seed);
        const executor = await executorOf(network);
        const none = createGroupSparsity(network, executor, { strength: 0 });
        expect(none.step(1)).toBe(0);
        expect(executor.snapshot().parameters).toEqual(network.parameters);
        const sparsity = createGroupSparsity(network, executor, { strength: 0.25 });
        for (let i = 0; i < 3; i++) {
          const before = sparsity.penalty();
          sparsity.step(size);
          expect(sparsity.penalty()).toBeLessThanOrEqual(before);
        }
        let thinner = executor.snapshot();
        const inputs = randomInputs(network, 2, seed);
        const wanted = await run(thinner, inputs);
        for (const [name, zeros] of sparsity.zeros()) {
          const group = findGroups(thinner).find((one) => one.name === name)!;
          const kept = Array.from({ length: group.channels }, (_, c) => c).filter((c) => !zeros.includes(c));
          gone += zeros.length;
          if (kept.length > 0) ({ network: thinner } = removeNeurons(thinner, name, kept));
        }
        expect(largestDifference(await run(thinner, inputs), wanted)).toBeLessThan(1e-9);
        executor.dispose();
      },
    ),
    { numRuns: 20 },
  );
  expect(gone).toBeGreaterThan(10);
});

test('frozen parameters do not shrink; groups are chosen by name; what is no strength or group is refused', async () => {
  const network = chain();
  const [first] = findGroups(network).filter(({ prunable }) => prunable);
  const frozen = new Set([first.rows[0].parameter]);
  const executor = await executorOf(network, frozen);
  createGroupSparsity(network, executor, { strength: 100, groups: [first.name] }).step(1);
  const after = executor.snapshot();
  for (const [name, encoding] of network.parameters) {
    const isOurs = first.rows.some(({ parameter }) => parameter === name) && !/mean|variance/.test(name);
    if (isOurs && !frozen.has(name))
      expect((after.parameters.get(name) as unknown as { data: Float32Array }).data.every((v) => v === 0)).toBe(true);
    else expect(after.parameters.get(name)).toEqual(encoding);
  }
  expect(() => createGroupSparsity(network, executor, { strength: -1 })).toThrow(RangeError);
  expect(() => createGroupSparsity(network, executor, {} as never)).toThrow(TypeError);
  expect(() => createGroupSparsity(network, executor, { strength: 1, groups: ['nobody'] })).toThrow();
  executor.dispose();
});
