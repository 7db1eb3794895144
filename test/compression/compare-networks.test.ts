/** Two networks side by side: every figure against its definition, computed from all outputs at once. */
import { describe, expect, it } from 'vitest';
import { compareNetworks } from '../../src/compression/index.ts';
import type { CompareOptions, Difference } from '../../src/compression/index.ts';
import { examplesFromArrays } from '../../src/data/index.ts';
import type { Network } from '../../src/graph/network.ts';
import { portableKernels } from '../../src/kernels/index.ts';
import { dense, sequential } from '../../src/network/index.ts';

const kernels = portableKernels();
/** x, y -> s x + u, t y + v. */
const diagonal = ([s, t]: readonly number[], bias: readonly number[] = [0, 0]): Network => {
  const network = sequential({ input: [2], seed: 1 }, [dense(2)]);
  return {
    ...network,
    parameters: new Map(network.parameters)
      .set('dense1.weight', { kind: 'dense', shape: [2, 2], data: Float32Array.of(s, 0, 0, t) })
      .set('dense1.bias', { kind: 'dense', shape: [2], data: Float32Array.from(bias) }),
  };
};
// Multiples of a quarter, so that float32 is exact.
const inputs = Float32Array.from({ length: 140 }, (_, i) => ((i * 37) % 41) / 4 - 3);
const samples = examplesFromArrays({ inputs, inputShape: [2] });
const compared = async (a: Network, b: Network, options: CompareOptions = {}): Promise<Difference['outputs'][0]> => {
  const { samples: count, outputs } = await compareNetworks(a, b, samples, { kernels, ...options });
  expect([count, outputs.length]).toEqual([70, 1]);
  return outputs[0];
};

describe('compareNetworks', () => {
  it('the relative errors, the cosine, the largest difference and the worst samples are those of all outputs at once', async () => {
    const [a, b] = [[...inputs], [...inputs].map((value, i) => (i % 2 === 0 ? 2 * value + 1 : value + 0.5))];
    const sum = (values: readonly number[]): number => values.reduce((left, value) => left + value, 0);
    const means = [0, 1].map((j) => sum(a.filter((_, i) => i % 2 === j)) / 70);
    const spread = Math.sqrt(sum(a.map((value, i) => (value - means[i % 2]) ** 2)));
    const apart = a.map((value, i) => (b[i] - value) ** 2);
    const rows = Array.from({ length: 70 }, (_, i) => ({ sample: i, error: apart[2 * i] + apart[2 * i + 1] }));
    const worst = rows.sort((one, two) => two.error - one.error || one.sample - two.sample);
    const found = await compared(diagonal([1, 1]), diagonal([2, 1], [1, 0.5]));
    expect(found.name).toBe('dense1');
    const size = Math.sqrt(sum(a.map((value) => value ** 2)));
    expect(size).toBeGreaterThan(1.1 * spread);
    expect(found.relativeError).toBeCloseTo(Math.sqrt(sum(apart)) / size, 12);
    expect(found.spreadError).toBeCloseTo(Math.sqrt(sum(apart)) / spread, 12);
    expect(found.cosine).toBeCloseTo(
      sum(a.map((value, i) => value * b[i])) / Math.sqrt(sum(a.map((x) => x * x)) * sum(b.map((x) => x * x))),
      12,
    );
    expect(found.largest).toBe(Math.sqrt(Math.max(...apart)));
    expect(found.worst).toEqual(
      worst
        .slice(0, 5)
        .map(({ sample, error }) => ({
          sample,
          error: expect.closeTo((Math.sqrt(error) * Math.sqrt(70)) / size, 12) as number,
        })),
    );
    expect((await compared(diagonal([1, 1]), diagonal([2, 1]), { worst: 0 })).worst).toEqual([]);
    for (const batch of [1, 7, 70, 1000])
      expect(await compared(diagonal([1, 1]), diagonal([2, 1], [1, 0.5]), { batch })).toEqual(found);
  });

  it('the same is 0 and 1; of outputs that never change their size counts, of zeros there is nothing to divide by', async () => {
    const same = await compared(diagonal([1, 1]), diagonal([1, 1]));
    expect(same).toMatchObject({
      relativeError: 0,
      spreadError: 0,
      cosine: expect.closeTo(1, 12) as number,
      largest: 0,
    });
    // 0.5 off at a size of 5, over 70 samples both.
    const still = await compared(diagonal([0, 0], [3, 4]), diagonal([0, 0], [3, 4.5]));
    expect([still.relativeError, still.spreadError]).toEqual([expect.closeTo(0.1, 12), expect.closeTo(0.1, 12)]);
    const [none, some] = [diagonal([0, 0]), diagonal([0, 0], [0, 0.5])];
    expect(await compared(none, none)).toMatchObject({ relativeError: 0, cosine: 1 });
    const fromNone = await compared(none, some);
    expect(fromNone).toMatchObject({ relativeError: expect.closeTo(0.5 * Math.sqrt(70), 12) as number, cosine: 0 });
    expect((await compared(some, none)).cosine).toBe(0);
    // Large and alike: what changes is what counts, not the size.
    const offset = await compared(diagonal([1, 1], [4096, 4096]), diagonal([1, 1], [4096, 4097]));
    const plain = await compared(diagonal([1, 1]), diagonal([1, 1], [0, 1]));
    expect(offset.spreadError).toBeCloseTo(plain.spreadError, 9);
    expect(offset.relativeError).toBeLessThan(plain.relativeError / 1000);
  });

  it('asks a labelled set for no labels', async () => {
    const asked: unknown[] = [];
    const labelled = {
      ...samples,
      targetShape: [1],
      read(indices: ArrayLike<number>, into: Float32Array, targets: Float32Array | undefined) {
        asked.push(targets);
        return samples.read(indices, into, undefined);
      },
    };
    await compareNetworks(diagonal([1, 1]), diagonal([1, 1]), labelled, { kernels });
    expect(asked).toEqual([undefined, undefined, undefined]);
  });

  it('tells how far it is, after every pass of 32', async () => {
    const told: number[] = [];
    await compared(diagonal([1, 1]), diagonal([1, 1]), { onProgress: (done) => told.push(done) });
    expect(told).toEqual([32, 64, 70]);
  });

  it('random inputs are from -1 to 1, by seed, the same for both and for any size of pass', async () => {
    const run = async (b: Network, options: CompareOptions = {}): Promise<Difference> =>
      compareNetworks(diagonal([1, 1]), b, 500, { kernels, ...options });
    expect((await run(diagonal([1, 1]))).outputs[0].relativeError).toBe(0);
    const { outputs, samples: count } = await run(diagonal([2, 1]));
    expect(count).toBe(500);
    // |x| itself, and half of what varies.
    expect(outputs[0].largest).toBeGreaterThan(0.98);
    expect(outputs[0].largest).toBeLessThanOrEqual(1);
    expect(outputs[0].relativeError).toBeCloseTo(Math.SQRT1_2, 1);
    expect(outputs[0].spreadError).toBeCloseTo(Math.SQRT1_2, 1);
    expect((await run(diagonal([2, 1]), { batch: 7 })).outputs).toEqual(outputs);
    expect((await run(diagonal([2, 1]), { seed: 0 })).outputs).toEqual(outputs);
    expect((await run(diagonal([2, 1]), { seed: 1 })).outputs).not.toEqual(outputs);
  });

  it('refuses by name what cannot be compared', async () => {
    const a = diagonal([1, 1]);
    await expect(compareNetworks(a, sequential({ input: [3] }, [dense(2)]), 4, { kernels })).rejects.toThrow(
      /^compareNetworks: b: expected inputs \[2\] as a has, got \[3\]/,
    );
    await expect(compareNetworks(a, sequential({ input: [2] }, [dense(3)]), 4, { kernels })).rejects.toThrow(
      /^compareNetworks: b: expected outputs \[2\] as a has, got \[3\]/,
    );
    await expect(compareNetworks(a, a, 0, { kernels })).rejects.toThrow(/samples: expected/);
    await expect(compareNetworks(a, a, 4, { kernels, batch: 0 })).rejects.toThrow(/batch: expected/);
    await expect(compareNetworks(a, a, 4, { kernels, worst: -1 })).rejects.toThrow(/worst: expected/);
    const huge = diagonal([3e38, 1]);
    await expect(compareNetworks(a, huge, samples, { kernels })).rejects.toMatchObject({
      code: 'NONFINITE',
      message: expect.stringContaining('output "dense1"') as string,
    });
  });
});
