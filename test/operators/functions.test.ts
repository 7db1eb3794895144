/** Functions of one number, whole operators forward and backward, against PyTorch (test/vectors/functions.py). */
import { describe, expect, it } from 'vitest';
import { NO_UPDATE } from '../../src/execution/no-update.ts';
import { createTrainingExecutor } from '../../src/execution/training-executor.ts';
import { loadKernels, portableKernels } from '../../src/kernels/index.ts';
import { plain, sequential } from '../../src/network/index.ts';
import { UNARY_OPERATORS } from '../../src/operators/unary.ts';
import vectors from '../vectors/functions.json' with { type: 'json' };

/** Of the larger of 1 and the value: exp has values of 1e26 here. */
const BOUND = 1e-6;

function expectClose(found: ArrayLike<number>, expected: readonly number[]): void {
  expected.forEach((value, i) => {
    const error = Math.abs(found[i] - value) / Math.max(1, Math.abs(value));
    expect(error, `x = ${vectors.inputs[i]}: expected ${value}, got ${found[i]}`).toBeLessThan(BOUND);
  });
}

it('every function of the table has vectors', () => {
  expect(vectors.functions.map(({ kind }) => kind).sort()).toEqual(Object.keys(UNARY_OPERATORS).sort());
});

describe.each([portableKernels(), await loadKernels()])('on $name kernels', (kernels) => {
  it.each(vectors.functions)('$kind and its derivative, error < 1e-6', async ({ kind, parameters, ...expected }) => {
    const attributes = parameters as Readonly<Record<string, number>>;
    const network = sequential({ input: [vectors.inputs.length] }, [plain(kind, attributes)]);
    const executor = await createTrainingExecutor(network, { kernels, optimizer: NO_UPDATE, inputGradients: true });
    executor.input().set(vectors.inputs);
    executor.forward();
    expectClose(executor.output(), expected.outputs);
    executor.forwardTraining(0);
    expectClose(executor.output(), expected.outputs);
    executor.outputGradient().fill(1);
    executor.backward();
    expectClose(executor.gradient('input'), expected.derivatives);
    executor.dispose();
  });
});
