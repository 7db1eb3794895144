/** Functions of one number, whole operators forward and backward, against PyTorch (test/vectors/functions.py). */
import { describe, expect, it } from 'vitest';
import { createExecutor } from '../../src/execution/executor.ts';
import { NO_UPDATE } from '../../src/execution/no-update.ts';
import { createTrainingExecutor } from '../../src/execution/training-executor.ts';
import { loadKernels, portableKernels } from '../../src/kernels/index.ts';
import { graph, plain, power, sequential } from '../../src/network/index.ts';
import { UNARY_OPERATORS } from '../../src/operators/unary.ts';
import vectors from '../vectors/functions.json' with { type: 'json' };

/** Of the larger of 1 and the value: exp has values of 1e26 here. */
const BOUND = 1e-6;

function expectClose(found: ArrayLike<number>, expected: readonly (number | null)[]): void {
  expected.forEach((value, i) => {
    if (value === null) return expect(found[i], `x = ${vectors.inputs[i]}`).toBeNaN();
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

  it('power: the ends as IEEE 754 has them, else an error < 3e-7 of the value', async () => {
    const specials = [NaN, -Infinity, -3, -2.5, -1, -0.5, -0, 0, 1e-40, 0.5, 1, 2, 2.5, 3, 1e30, Infinity];
    const bases = [...specials, 0.999, 1.001, 0.7071, 1.4143, 12.5, 1e-20, 3e5, 87];
    const exponents = [...specials, 10, -10, 0.1, 7.5, -2.2, 33, 64.5, 101];
    const network = graph({}, (g) => [
      g.node(power(), g.input([bases.length, 1], 'a'), g.input([1, exponents.length], 'b')),
    ]);
    const executor = await createExecutor(network, { kernels });
    executor.input('a').set(bases);
    executor.input('b').set(exponents);
    executor.forward();
    const found = executor.output();
    bases.map(Math.fround).forEach((a, i) => {
      exponents.map(Math.fround).forEach((b, j) => {
        // ECMAScript's own exceptions to IEEE 754 are those of |x| = 1.
        const exact = a === 1 || (a === -1 && Math.abs(b) === Infinity) ? 1 : Math.pow(a, b);
        const value = found[i * exponents.length + j];
        const isNormal = Math.abs(exact) > 2 ** -126 && Math.abs(exact) < 2 ** 127;
        if (isNormal) expect(Math.abs(value / exact - 1), `${a} ^ ${b}`).toBeLessThan(3e-7);
        else if (Math.abs(exact) <= 2 ** -126 && exact !== 0) expect(Math.abs(value - exact)).toBeLessThan(1e-38);
        else expect(value, `${a} ^ ${b}`).toBe(Math.fround(exact));
      });
    });
    executor.dispose();
  });
});
