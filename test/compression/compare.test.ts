import { describe, expect, it } from 'vitest';
import {
  compareNetworks,
  dense,
  examplesFromArrays,
  graph,
  portableKernels,
  predictAll,
  relu,
  stream,
} from '../../src/index.ts';
import type { Network } from '../../src/index.ts';

const made = (seed: number, outputs = 2): Network =>
  graph({ seed }, (g) => {
    const x = g.node(relu(), g.node(dense(6, { name: 'h' }), g.input([4])));
    return Array.from({ length: outputs }, (_, i) => g.node(dense(3 + i, { name: `o${i}` }), x));
  });
const first = (network: Network): Network => ({ ...network, outputs: network.outputs.slice(0, 1) });
const count = 11;
const random = stream(3, 'inputs');
const set = examplesFromArrays({
  inputs: Float32Array.from({ length: 4 * count }, () => 5 + random()),
  inputShape: [4],
});
const kernels = portableKernels();

describe('compareNetworks', () => {
  it('is the definition, spelled out, whatever the batch', async () => {
    const [a, b] = [made(1), made(2)];
    const [x, y] = [await predictAll(first(a), set), await predictAll(first(b), set)];
    const mean = [0, 1, 2].map(
      (j) => Array.from({ length: count }, (_, i) => x[3 * i + j]).reduce((s, v) => s + v) / count,
    );
    const norm = (values: readonly number[]): number => Math.hypot(...values);
    const [spread, size] = [norm([...x].map((value, i) => value - mean[i % 3])), norm([...x])];
    const apart = [...x].map((value, i) => y[i] - value);
    const bySample = Array.from({ length: count }, (_, i) => norm(apart.slice(3 * i, 3 * i + 3)));
    const order = bySample.map((_, i) => i).sort((i, j) => bySample[j] - bySample[i]);
    for (const batch of [1, 4, 32]) {
      const { samples, outputs } = await compareNetworks(a, b, set, { kernels, batch, worst: 2 });
      expect([samples, outputs.map(({ name }) => name)]).toEqual([count, a.outputs]);
      expect(outputs[0].relativeError).toBeCloseTo(norm(apart) / size, 4);
      expect(outputs[0].spreadError).toBeCloseTo(norm(apart) / spread, 4);
      expect(outputs[0].cosine).toBeCloseTo(
        [...x].reduce((s, v, i) => s + v * y[i], 0) / (norm([...x]) * norm([...y])),
        6,
      );
      expect(outputs[0].largest).toBeCloseTo(Math.max(...apart.map(Math.abs)), 5);
      expect(outputs[0].worst.map(({ sample }) => sample)).toEqual(order.slice(0, 2));
      expect(outputs[0].worst[0].error).toBeCloseTo((bySample[order[0]] * Math.sqrt(count)) / size, 4);
    }
  });

  it('of outputs that never change the error is over their size; of zeros the cosine is 1', async () => {
    const scaled = (factor: number): Network => {
      const network = first(made(1));
      const parameters = new Map(network.parameters);
      for (const [name, encoding] of parameters) {
        if (encoding.kind === 'dense')
          parameters.set(name, {
            ...encoding,
            data: encoding.data.map((_, i) => (name === 'o0.bias' ? factor * (i + 1) : 0)),
          });
      }
      return { ...network, parameters };
    };
    const { outputs } = await compareNetworks(scaled(2), scaled(3), set, { kernels });
    // Eleven samples, all alike: the same numbers eleven times.
    expect(outputs[0].relativeError).toBeCloseTo(0.5, 6);
    expect((await compareNetworks(scaled(0), scaled(0), set, { kernels })).outputs[0]).toMatchObject({
      relativeError: 0,
      cosine: 1,
      largest: 0,
    });
  });

  it('random inputs are those of the seed, alike for both', async () => {
    const at = async (seed: number): Promise<number> =>
      (await compareNetworks(made(1), made(2), 5, { kernels, seed })).outputs[0].relativeError;
    expect(await at(1)).toBe(await at(1));
    expect(await at(1)).not.toBe(await at(2));
    expect(
      (await compareNetworks(made(1), made(1), 5, { kernels })).outputs.map(({ relativeError }) => relativeError),
    ).toEqual([0, 0]);
  });

  it.each([
    [
      'other outputs',
      () => compareNetworks(made(1), made(1, 1), 2, { kernels }),
      /b: expected outputs \[3\], \[4\] as a has, got \[3\]/,
    ],
    ['no samples', () => compareNetworks(made(1), made(1), 0, { kernels }), /samples/],
    [
      'samples of another shape',
      () =>
        compareNetworks(made(1), made(1), examplesFromArrays({ inputs: new Float32Array(3), inputShape: [3] }), {
          kernels,
        }),
      /samples: expected inputs of shape \[4\]/,
    ],
    [
      'an option that there is not',
      () => compareNetworks(made(1), made(1), 2, { kernels, wurst: 1 } as never),
      /wurst/,
    ],
  ])('refuses %s', async (_name, run, message) => {
    await expect(run()).rejects.toThrow(message);
  });
});
