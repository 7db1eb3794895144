/** Numbers at the edge of float32, and sums of ten million: both kernel sets give what the formula says. */
import { describe, expect, it } from 'vitest';
import { withTrainedValues } from '../../src/encodings/index.ts';
import { createExecutor } from '../../src/execution/executor.ts';
import { loadKernels, portableKernels } from '../../src/kernels/index.ts';
import { dense, reduceMax, reduceMean, reduceSum, relu, sequential, softmax } from '../../src/network/index.ts';
import type { Network } from '../../src/graph/network.ts';

const MOST = 2 ** 128 - 2 ** 104;
const LEAST = 2 ** -149;

async function outputOf(
  network: Network,
  input: Float32Array,
  kernels: Awaited<ReturnType<typeof loadKernels>>,
): Promise<number[]> {
  const executor = await createExecutor(network, { kernels, batch: 1 });
  try {
    return [...executor.predict(input, 1)];
  } finally {
    executor.dispose();
  }
}

describe.each([portableKernels(), await loadKernels()])('$name', (kernels) => {
  const run = (network: Network, ...values: number[]): Promise<number[]> =>
    outputOf(network, Float32Array.from(values), kernels);

  it('a sum and a mean of 1e7 numbers are those in double, rounded once', async () => {
    const count = 10_000_000;
    const values = new Float32Array(count).map((_, i) => 0.1 + (i % 7) * 0.01);
    let exact = 0;
    for (const value of values) exact += value;
    const sum = await outputOf(sequential({ input: [count] }, [reduceSum([0])]), values, kernels);
    const mean = await outputOf(sequential({ input: [count] }, [reduceMean([0])]), values, kernels);
    // Half a unit in the last place of float32; a running sum in float32 is off by percents here.
    expect(Math.abs(sum[0] / exact - 1)).toBeLessThan(2 ** -24);
    expect(Math.abs(mean[0] / (exact / count) - 1)).toBeLessThan(2 ** -24);
  });

  it('the mean of largest floats is one, since its sum is in double; their sum is infinite', async () => {
    const largest = new Array<number>(8).fill(MOST);
    expect(await run(sequential({ input: [8] }, [reduceMean([0])]), ...largest)).toEqual([MOST]);
    expect(await run(sequential({ input: [8] }, [reduceSum([0])]), ...largest)).toEqual([Infinity]);
    expect(await run(sequential({ input: [3] }, [reduceMax([0])]), -MOST, MOST, 0)).toEqual([MOST]);
  });

  it('softmax of the largest floats neither overflows nor divides by 0', async () => {
    expect(await run(sequential({ input: [4] }, [softmax()]), MOST, -MOST, MOST, 0)).toEqual([0.5, 0, 0.5, 0]);
  });

  it('relu keeps subnormals, and a dense layer of one weight gives them back', async () => {
    expect(await run(sequential({ input: [3] }, [relu()]), LEAST, -LEAST, 0)).toEqual([LEAST, 0, 0]);
    const one = sequential({ input: [1] }, [dense(1)]);
    const weight = withTrainedValues(one.parameters.get('dense1.weight')!, Float32Array.of(1));
    const network = { ...one, parameters: new Map(one.parameters).set('dense1.weight', weight) };
    expect(await run(network, LEAST)).toEqual([LEAST]);
  });
});
