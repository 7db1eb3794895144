/** Targets and plans: what is refused, and whole searches on a small trained network. */
import { describe, expect, it } from 'vitest';
import { normal, stream } from '../../src/base/random.ts';
import { measureSensitivity } from '../../src/compression/sensitivity.ts';
import { createRunControl } from '../../src/base/control.ts';
import { checkTarget, nearer } from '../../src/compression/target.ts';
import {
  checkPlan,
  compress,
  compressTo,
  conv,
  dense,
  evaluateCandidate,
  examplesFromArrays,
  flatten,
  loadKernels,
  maxPool,
  memoryStore,
  planRows,
  relu,
  sequential,
  writeNetwork,
} from '../../src/index.ts';
import type { CandidateResult, CandidateTask, Context, Examples } from '../../src/index.ts';

const kernels = await loadKernels();

function examples(count: number, seed: number): Examples {
  const random = stream(seed, 'examples');
  const inputs = Float32Array.from({ length: count * 64 }, () => normal(random));
  return examplesFromArrays({ inputs, inputShape: [1, 8, 8] });
}

const context: Context = { kernels, threads: 1, seed: 3, training: examples(64, 1), validation: examples(32, 2) };
// Without labels the original is what is right: its own error is 0, whatever it was trained for.
const network = sequential({ input: [1, 8, 8], seed: 1 }, [
  conv(8, 3, { name: 'first' }),
  relu(),
  maxPool(2),
  conv(8, 3, { name: 'second' }),
  relu(),
  maxPool(2),
  flatten(),
  dense(24, { name: 'hidden' }),
  relu(),
  dense(4, { name: 'out' }),
]);
const SIZE = 2500;

describe('compressTo', () => {
  it('ends within the size, near it, and says what it did; the plan passed back gives the same file', async () => {
    const { bytes, plan, miss, candidates, limits, report } = await compressTo(network, context, { size: SIZE });
    expect(miss).toEqual({ bytes: 0, error: 0 });
    expect(bytes.length).toBeLessThanOrEqual(SIZE);
    // The file of least error need not be the one that comes nearest.
    expect(candidates.some((one) => one.bytes <= SIZE && one.bytes > 0.9 * SIZE)).toBe(true);
    expect(limits).toEqual({ bytes: SIZE, error: Infinity });
    expect(candidates.some((one) => one.bytes === bytes.length && one.error === report.validation.after)).toBe(true);
    const given = checkPlan(network, JSON.parse(JSON.stringify(plan)));
    expect(given).toEqual(plan);
    const task: CandidateTask = {
      network: writeNetwork(network),
      plan: given,
      options: { refit: true, feedback: 'full' },
      seed: 3,
    };
    expect(await evaluateCandidate(task, context)).toEqual({ bytes: bytes.length, error: report.validation.after });
  });

  it('a searched plan is better than the same share and the same bits for all layers, at no more bytes', async () => {
    const even = await compress(network, context, {
      ...{ layersPerStep: Infinity, refit: true, feedback: 'full', retries: 0, tolerance: Infinity },
      retrainPruned: { epochs: 0, learningRate: 0.1 },
      retrainQuantized: { epochs: 0, learningRate: 0.1 },
      final: { epochs: 0, learningRate: 0.1 },
      settings: { keep: 0.5, quantizer: 'scalar', scales: 'layer', step: 0.5 },
    });
    const { report } = await compressTo(network, context, { size: even.bytes.length });
    expect(report.bytes).toBeLessThanOrEqual(even.bytes.length);
    expect(report.validation.after).toBeLessThan(even.report.validation.after);
  });

  it('the smallest file within an error; with a size that is too small for it the nearest, and by how much it misses', async () => {
    const { bytes, report, miss } = await compressTo(network, context, { maxError: 0.2 });
    expect(miss).toEqual({ bytes: 0, error: 0 });
    expect(report.validation.after).toBeLessThanOrEqual(0.2);
    const both = await compressTo(network, context, { maxError: 0.0001, size: Math.round(bytes.length / 3) });
    expect(both.miss.error).toBeCloseTo(both.report.validation.after - 0.0001, 10);
    expect(both.miss.error).toBeGreaterThan(0);
    const none = await compressTo(network, context, { size: 100 });
    expect(none.miss.bytes).toBe(none.bytes.length - 100);
  });

  it('same bytes wherever candidates are evaluated, and what is kept is not evaluated again', async () => {
    const store = memoryStore();
    const asked: number[] = [];
    const evaluate = async (tasks: readonly CandidateTask[]): Promise<CandidateResult[]> => {
      asked.push(tasks.length);
      // As over a wire, and in another order.
      const copies = structuredClone(tasks);
      const results: CandidateResult[] = [];
      for (const i of [...copies.keys()].reverse()) results[i] = await evaluateCandidate(copies[i], context);
      return results;
    };
    const checkpoint = { store, key: 'run' };
    const here = await compressTo(network, context, { ratio: 4 });
    const there = await compressTo(network, context, { ratio: 4 }, { evaluate, checkpoint });
    expect(there.bytes).toEqual(here.bytes);
    expect(asked.length).toBeGreaterThan(0);
    const before = asked.length;
    const again = await compressTo(network, context, { ratio: 4 }, { evaluate, checkpoint });
    expect(again.bytes).toEqual(here.bytes);
    expect(asked).toHaveLength(before);
    // Damaged state is measured again.
    for (const name of await store.list()) if (name.endsWith('.json')) await store.write(name, Uint8Array.of(123));
    await compressTo(network, context, { ratio: 4 }, { evaluate, checkpoint });
    expect(asked.length).toBeGreaterThan(before);
  });

  it('with epochs the plan is retrained, and the file still fits', async () => {
    const final = { epochs: 1, learningRate: 0.005 };
    const { bytes, report } = await compressTo(network, context, { size: SIZE }, { final, teacherWeight: 1 });
    expect(report.stages.map(({ name }) => name)).toContain('final');
    expect(bytes.length).toBeLessThanOrEqual(SIZE);
  });

  it('refuses what it cannot do, before any work', async () => {
    const refused = async (change: object, pattern: RegExp): Promise<void> =>
      expect(compressTo(network, context, { size: 9 }, change)).rejects.toThrow(pattern);
    await refused({ settings: { keep: 0.5 } }, /settings: the search chooses/);
    await refused({ layers: {} }, /layers: the search chooses/);
    await refused({ stages: () => [] }, /stages: the search chooses/);
    await refused({ evaluate: 3 }, /evaluate: expected a function/);
    await refused({ criterion: () => new Float64Array(1) }, /criterion: expected the name/);
    await refused({ training: { validationMetric: () => 1 } }, /validationMetric/);
    await expect(compressTo(network, { ...context, validation: undefined } as never, { size: 9 })).rejects.toThrow(
      /context.validation: expected examples/,
    );
    await expect(compressTo(network, context, { size: 9000 }, { evaluate: () => Promise.resolve([]) })).rejects.toThrow(
      /evaluate: expected a result/,
    );
  });
});

describe('measureSensitivity', () => {
  it('damage falls as channels stay and as bits grow, and is nothing where all stay dense', async () => {
    const settings = { criterion: 'activationCorrelation', scoring: {} } as const;
    const ladder = [
      undefined,
      ...[0.25, 0.5, 1].map((step) => ({ quantizer: 'scalar', scales: 'layer', step }) as const),
    ];
    const { groups, layers } = await measureSensitivity(network, context, settings, ladder, createRunControl({}));
    expect(groups.map(({ name, channels }) => [name, channels])).toEqual([
      ['first', 8],
      ['second', 8],
      ['hidden', 24],
    ]);
    expect(layers.map(({ name, reads, yields, cut }) => [name, reads, yields, cut])).toEqual([
      ['first', undefined, 'first', 0],
      ['second', 'first', 'second', 72],
      ['hidden', 'second', 'hidden', 32],
      ['out', 'hidden', undefined, 24],
    ]);
    for (const { lost, settings: found } of layers) {
      expect(lost.at(-1)).toBe(0);
      expect([...lost].sort((a, b) => b - a)).toEqual(lost);
      const noises = found.map(({ noise }) => noise.at(-1)!);
      expect(noises[0]).toBe(0);
      expect([...noises].sort((a, b) => a - b)).toEqual(noises);
    }
  });
});

describe('checkTarget', () => {
  it.each([
    [{}, /got none of them/],
    [{ size: 1, ratio: 2 }, /either size or ratio/],
    [{ size: 0.5 }, /target.size: expected an integer/],
    [{ ratio: 1 }, /target.ratio: expected a finite number above 1/],
    [{ maxError: -1 }, /target.maxError/],
    [{ bytes: 3 }, /bytes/],
    [null, /expected \{ size/],
  ])('refuses %j', (target, pattern) => {
    expect(() => checkTarget('compressTo', target as never)).toThrow(pattern);
  });

  it('the nearer of two: by the error within a size, by bytes within an error, else by what is missing', () => {
    const [small, large] = [
      { bytes: 10, error: 3 },
      { bytes: 20, error: 1 },
    ];
    expect(nearer({ bytes: 30, error: Infinity }, small, large)).toBe(large);
    expect(nearer({ bytes: 15, error: Infinity }, large, small)).toBe(small);
    expect(nearer({ bytes: Infinity, error: 4 }, large, small)).toBe(small);
    expect(nearer({ bytes: Infinity, error: 2 }, small, large)).toBe(large);
  });
});

describe('checkPlan', () => {
  const plan = {
    version: 1,
    weights: { first: [8, 1, 3, 3], second: [8, 8, 3, 3] },
    layers: { second: { keep: 0.5, quantizer: 'scalar', bits: 4 } },
  };

  it('takes an edited plan; layers that it leaves out stay as they are', () => {
    const { layers } = checkPlan(network, plan);
    expect(layers['second']).toEqual({ keep: 0.5, quantizer: 'scalar', bits: 4 });
    expect(layers['hidden']).toEqual({ keep: 1, quantize: false });
    expect(planRows(network, checkPlan(network, plan))).toEqual([
      ['layer', 'weight', 'keep', 'stored'],
      ['first', '8x1x3x3', '100 %', 'dense'],
      ['second', '8x8x3x3', '50 %', 'scalar bits 4'],
      ['hidden', '24x32', '100 %', 'dense'],
      ['out', '4x24', '100 %', 'dense'],
    ]);
  });

  it.each([
    [[], /expected a plan/],
    [{ ...plan, version: 2 }, /plan: version: expected 1, got 2/],
    [{ ...plan, notes: 1 }, /plan: notes: expected version, weights, layers/],
    [
      { ...plan, weights: { first: [9, 1, 3, 3] } },
      /plan: weights.first: the plan is for a weight of \[9, 1, 3, 3\], this network's is \[8/,
    ],
    [{ ...plan, weights: { other: [1] } }, /plan: weights.other: the network has no such layer/],
    [{ ...plan, layers: { secnd: {} } }, /plan: layers.secnd: .*did you mean "second"/],
    [{ ...plan, layers: { second: 3 } }, /plan: layers.second: expected \{ keep/],
    [
      { ...plan, layers: { second: { keep: 2 } } },
      /plan: layers.second: second.keep: expected a finite number above 0 and at most 1, got 2/,
    ],
    [{ ...plan, layers: { second: { quantizer: 'scalar', bits: 99 } } }, /plan: layers.second: .*bits.*got 99/],
    [{ ...plan, layers: { second: { kep: 1 } } }, /plan: layers.second: .*kep/],
  ])('names what is wrong in %j', (given, pattern) => {
    expect(() => checkPlan(network, given)).toThrow(pattern);
  });
});
