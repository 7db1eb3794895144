/** How steps are judged: by which yardstick, against what, and what is reported of it. */
import { describe, expect, it } from 'vitest';
import { compress, describePlan, describeStage, describeValidation } from '../../src/compression/index.ts';
import type { CompressionReport, CompressOptions, Stage } from '../../src/compression/index.ts';
import { createJudge, limitOf, TOLERANCES } from '../../src/compression/judge.ts';
import { resolveCompressOptions } from '../../src/compression/options.ts';
import { trainedValues, withTrainedValues } from '../../src/encodings/index.ts';
import { examplesFromArrays } from '../../src/data/index.ts';
import type { Examples } from '../../src/graph/examples.ts';
import type { Network } from '../../src/graph/network.ts';
import type { Context } from '../../src/graph/transform.ts';
import { normal, stream } from '../../src/base/random.ts';
import { loadKernels } from '../../src/kernels/index.ts';
import { dense, graph, relu, sequential } from '../../src/network/index.ts';
import { crossEntropy, l2, predictAll } from '../../src/training/index.ts';
import type { RunEvent } from '../../src/base/control.ts';

const kernels = await loadKernels();
const original = sequential({ input: [12], seed: 2 }, [
  dense(40),
  relu(),
  dense(40),
  relu(),
  dense(40),
  relu(),
  dense(3),
]);
const inputs = (count: number, seed: number): Float32Array => {
  const random = stream(seed, 'inputs');
  return Float32Array.from({ length: count * 12 }, () => normal(random));
};
const set = (count: number, seed: number, targets?: Float32Array, size = 3): Examples =>
  examplesFromArrays({
    inputs: inputs(count, seed),
    inputShape: [12],
    ...(targets && { targets, targetShape: [size] }),
  });
/** Labels that the network itself gives, so that its accuracy is 1. */
async function labelled(count: number, seed: number): Promise<Examples> {
  const outputs = await predictAll(original, set(count, seed), { kernels });
  const labels = Float32Array.from({ length: count }, (_, i) => {
    const row = outputs.subarray(3 * i, 3 * i + 3);
    return row.indexOf(Math.max(...row));
  });
  return set(count, seed, labels, 1);
}
const values = (count: number, seed: number): Examples =>
  set(count, seed, inputs(count, seed + 9).subarray(0, 3 * count));
const context: Context = { kernels, threads: 1, seed: 3, training: values(64, 1), validation: values(40, 2) };
const none = { epochs: 0, learningRate: 1 };
const quick: CompressOptions = {
  layersPerStep: 1,
  settings: { keep: 0.5, subvectorLength: 4, codewordCount: 16 },
  retrainPruned: none,
  retrainQuantized: none,
  final: none,
  training: { loss: l2() },
};
/** Validation values by turns, the first for the original. */
const told = (...numbers: number[]): NonNullable<CompressOptions['training']> => {
  let looks = 0;
  return { loss: l2(), validationMetric: () => numbers[Math.min(looks++, numbers.length - 1)] };
};

describe('the limit of a step', () => {
  const limit = limitOf.bind(null, { yardstick: 'rmse', baseline: 2, tolerance: 0.3, steps: 3 });
  it('is the tolerance over the whole, or a share of it above the start, whichever is more', () => {
    expect(limit(2)).toBeCloseTo(2.6, 12);
    expect(limit(2.4)).toBeCloseTo(2.6, 12);
    expect(limit(3)).toBeCloseTo(3.2, 12);
  });
  it('counts in samples and in outputs where the error of the original may be 0, in own units for a metric of 0', () => {
    for (const yardstick of ['errorRate', 'outputError'] as const)
      expect(limitOf({ yardstick, baseline: 0.5, tolerance: 0.02, steps: 1 }, 0)).toBeCloseTo(0.52, 12);
    expect(limitOf({ yardstick: 'custom', baseline: -2, tolerance: 0.1, steps: 1 }, -2)).toBeCloseTo(-1.8, 12);
    expect(limitOf({ yardstick: 'custom', baseline: 0, tolerance: 0.1, steps: 1 }, 0)).toBeCloseTo(0.1, 12);
    expect(limitOf({ yardstick: 'rmse', baseline: 2, tolerance: Infinity, steps: 3 }, 2)).toBe(Infinity);
  });
});

describe('what is judged', () => {
  const judge = (
    other: Partial<Context>,
    training: NonNullable<CompressOptions['training']> = {},
  ): ((network: Network) => Promise<number>) =>
    createJudge(original, { ...context, ...other }, resolveCompressOptions(original, { training }));

  it('accuracy for labels and for rows of probabilities', async () => {
    const validation = await labelled(40, 2);
    expect(await judge({ validation }, { loss: crossEntropy() })(original)).toBe(0);
    const rows = Float32Array.from({ length: 120 }, (_, i) => (i % 3 === 2 ? 0.6 : 0.2));
    const outputs = await predictAll(original, set(40, 2), { kernels });
    const right = Array.from({ length: 40 }, (_, i) => outputs.subarray(3 * i, 3 * i + 3)).filter(
      (row) => row.indexOf(Math.max(...row)) === 2,
    ).length;
    expect(await judge({ validation: set(40, 2, rows) }, { loss: crossEntropy() })(original)).toBe(1 - right / 40);
  });

  it('without labels the outputs, against how far they are from their means: answering always the same is 1', async () => {
    const measure = judge({ validation: set(40, 2) });
    expect(await measure(original)).toBe(0);
    const outputs = await predictAll(original, set(40, 2), { kernels });
    const means = [0, 1, 2].map((j) => outputs.filter((_, i) => i % 3 === j).reduce((a, b) => a + b) / 40);
    const still = {
      ...original,
      parameters: new Map(original.parameters)
        .set('dense4.weight', { kind: 'dense', shape: [3, 40], data: new Float32Array(120) })
        .set('dense4.bias', { kind: 'dense', shape: [3], data: Float32Array.from(means) }),
    } as Network;
    expect(await measure(still)).toBeCloseTo(1, 5);
    const unmoved = createJudge(still, { ...context, validation: set(40, 2) }, resolveCompressOptions(original, {}));
    // Of outputs that never change there is no spread: their own size counts.
    const size = Math.hypot(...means);
    const distance = Math.hypot(...outputs.map((value, i) => value - means[i % 3])) / Math.sqrt(40);
    expect(await unmoved(original)).toBeCloseTo(distance / size, 4);
  });

  it('of an original whose outputs are all 0 the outputs are the error, in their own units', async () => {
    const silent = sequential({ input: [12], seed: 2 }, [dense(3)]);
    const constant = (value: number): Network => ({
      ...silent,
      parameters: new Map(silent.parameters)
        .set('dense1.weight', { kind: 'dense', shape: [3, 12], data: new Float32Array(36) })
        .set('dense1.bias', { kind: 'dense', shape: [3], data: new Float32Array(3).fill(value) }),
    });
    const measure = createJudge(constant(0), { ...context, validation: set(8, 2) }, resolveCompressOptions(silent, {}));
    expect([await measure(constant(0)), await measure(constant(-0.5))]).toEqual([0, 0.5]);
  });

  it('a measure that is no number is refused by name', async () => {
    await expect(judge({}, told(NaN))(original)).rejects.toThrow(
      expect.objectContaining({ code: 'NONFINITE', message: expect.stringContaining('validationMetric') }),
    );
  });
});

describe('tries', () => {
  const attempts = ({ stages }: CompressionReport): number[] =>
    stages.filter(({ name }) => name === 'quantize').map(({ attempt }) => attempt);

  it('without labels what was asked is what comes, where the outputs allow it', async () => {
    const options: CompressOptions = {
      ...quick,
      settings: { keep: 0.9, subvectorLength: 2, codewordCount: 64 },
      tolerance: 0.5,
    };
    const { report } = await compress(original, { ...context, validation: set(40, 2) }, options);
    expect(attempts(report)).toEqual([0, 0, 0, 0]);
    expect(report.validation.yardstick).toBe('outputError');
    expect(report.steps.every(({ within, kept }) => within && kept === 0)).toBe(true);
  });

  it('without labels every output counts by its own spread, whatever its unit', async () => {
    const twoHeads = (scale: number): Network => {
      const one = graph({ seed: 4 }, (g) => {
        const x = g.node(relu(), g.node(dense(10, { name: 'trunk' }), g.input([12])));
        return [g.node(dense(3, { name: 'a' }), x), g.node(dense(2, { name: 'b' }), x)];
      });
      const weight = one.parameters.get('b.weight')!;
      const scaled = withTrainedValues(
        weight,
        trainedValues(weight).map((value) => value * scale),
      );
      return { ...one, parameters: new Map(one.parameters).set('b.weight', scaled) };
    };
    const judged = async (scale: number, moved: string): Promise<number> => {
      const network = twoHeads(scale);
      const judge = createJudge(
        network,
        { ...context, validation: set(40, 2) },
        resolveCompressOptions(network, quick),
      );
      const weight = network.parameters.get(moved)!;
      const other = withTrainedValues(
        weight,
        trainedValues(weight).map((value) => value * 1.5),
      );
      expect(await judge(network)).toBe(0);
      return judge({ ...network, parameters: new Map(network.parameters).set(moved, other) });
    };
    // Biases are 0, so outputs are half as large again: the distance is half of their root mean square.
    for (const moved of ['a.weight', 'b.weight']) {
      const error = await judged(1, moved);
      expect(error).toBeGreaterThan(0.3);
      expect(error).toBeCloseTo(await judged(1024, moved), 5);
    }
  });

  it('after one miss the steps that lose little, or improve, are not tried again', async () => {
    // 1.00 at first; the step of dense4 ends at 2; the others at 2.05, 1.9 and 1.8: each look is at a stage.
    const training = told(1, 1.5, 2, 1.4, 2.2, 2, 2.05, 2, 1.9, 1.8);
    const { report } = await compress(original, context, { ...quick, training, codewords: 'float32', tolerance: 0.25 });
    expect(report.steps[0]).toMatchObject({ tries: [2, 2.2], kept: 0, within: false });
    expect(report.steps.slice(1).map(({ tries }) => tries.length)).toEqual([1, 1, 1]);
  });

  it('accuracy 1 may fall by two points, and what is said of it are points', async () => {
    const validation = await labelled(400, 2);
    const { report } = await compress(
      original,
      { ...context, training: await labelled(64, 1), validation },
      { ...quick, settings: { keep: 1, quantizer: 'scalar', bits: 6 }, training: { loss: crossEntropy() } },
    );
    expect(report.validation).toMatchObject({ before: 0, yardstick: 'errorRate' });
    expect(report.validation.after).toBeGreaterThan(0);
    expect(report.tolerance).toBe(TOLERANCES.errorRate);
    // The last rounds what stayed dense.
    expect(report.steps.map(({ tries }) => tries.length)).toEqual([1, 1, 1, 1, 1]);
    expect(describeValidation({ before: 0, after: 0.0125, yardstick: 'errorRate' })).toEqual({
      name: 'validation accuracy',
      before: '100.00 %',
      after: '98.75 %',
      change: '-1.3 points',
    });
  });

  it('each try is one step milder than the one before, what stays is the best, and the report says what was asked and got', async () => {
    const notes: string[] = [];
    const onEvent = (event: RunEvent): void => void (event.kind === 'note' && notes.push(event.text));
    const { report, network } = await compress(
      original,
      { ...context, onEvent },
      {
        ...quick,
        settings: { keep: 0.2, subvectorLength: 2, codewordCount: 2 },
        order: ['dense3'],
        tolerance: 0,
        retries: 2,
        codewords: 'float32',
        // Two looks a try; the second try is the best.
        training: told(1, 9, 9, 9, 3, 9, 4),
      },
    );
    expect(report.stages.map(describeStage).filter((text) => text.startsWith('dense'))).toEqual([
      'dense2 40 -> 8',
      expect.stringMatching(/^dense3: 2 codewords of 2/),
      'dense2 40 -> 24',
      expect.stringMatching(/^dense3: 8 codewords of 2/),
      'dense2 40 -> 32',
      expect.stringMatching(/^dense3: 32 codewords of 2/),
    ]);
    expect(report.steps).toEqual([
      { layers: ['dense3'], start: 1, limit: 1, tries: [9, 3, 4], kept: 1, within: false },
    ]);
    expect(network.parameters.get('dense2.weight')!.shape[0]).toBe(24);
    expect(report.validation).toEqual({ before: 1, after: 3, yardstick: 'custom' });
    const plan = report.plans.find(({ layer }) => layer === 'dense3')!;
    expect(plan).toMatchObject({
      asked: { options: { codewordCount: 2 } },
      got: { options: { codewordCount: 8 }, attempt: 1 },
    });
    expect(describePlan(plan)).toBe('dense3: keep 0.2 asked, 1 got, codewordCount 2 asked, 8 got');
    expect(notes).toEqual([
      'step of dense3: validation 9.000 is above 1.000; trying again, milder',
      'step of dense3: validation 3.000 is above 1.000; trying again, milder',
      'step of dense3: validation 3.000 is above 1.000; the best of its tries stays',
    ]);
  });

  it('a try that would be the same again is skipped: all neurons stay, and there are no more sub-vectors for codewords', async () => {
    const { report } = await compress(original, context, {
      ...quick,
      settings: { keep: 1, subvectorLength: 4, codewordCount: 256, quantize: true },
      order: ['dense4', 'dense3'],
      tolerance: 0,
      retries: 3,
      training: told(1, 5, 6, 7, 8),
      codewords: 'float32',
    });
    // dense4 has 30 sub-vectors of 4, so at most 4 codewords; dense3 400, so at most 64.
    expect(report.steps.map(({ tries }) => tries)).toEqual([[5], [6]]);
  });

  it("a stage of one's own may always differ", async () => {
    const stages = (planned: readonly Stage[]): Stage[] => [
      {
        name: 'mine',
        step: 0,
        layers: ['dense4'],
        transform: (network) => Promise.resolve({ network: { ...network }, report: { transform: 'mine' } }),
      },
      ...planned.slice(0, 0),
    ];
    const { report } = await compress(original, context, {
      ...quick,
      stages,
      tolerance: 0,
      retries: 3,
      training: told(1, 5),
    });
    expect(report.steps).toMatchObject([{ tries: [5, 5, 5, 5], kept: 0 }]);
  });
});

describe('rounding is a step like any other', () => {
  const options: CompressOptions = {
    ...quick,
    order: ['dense3'],
    settings: { keep: 1, subvectorLength: 4, codewordCount: 16 },
  };
  it('within the tolerance it stays; beyond it codewords are float32, in the file too', async () => {
    const fine = await compress(original, context, { ...options, training: told(1, 1, 1) });
    expect(fine.network.parameters.get('dense3.weight')).toMatchObject({ codewordPrecision: 'float16' });
    const undone = await compress(original, context, { ...options, training: told(1, 1, 5) });
    expect(undone.network.parameters.get('dense3.weight')).toMatchObject({ codewordPrecision: 'float32' });
    expect(undone.report.steps.at(-1)).toMatchObject({ layers: ['dense3'], tries: [5, 1], kept: 1, within: true });
    expect(undone.report.validation.after).toBe(1);
  });

  it('codewords of 2e-9 lose nothing by it', async () => {
    const tiny =
      (name: string, factor: number) =>
      (network: Network): Network => ({
        ...network,
        parameters: new Map(network.parameters).set(
          name,
          withTrainedValues(
            network.parameters.get(name)!,
            trainedValues(network.parameters.get(name)!).map((value) => value * factor),
          ),
        ),
      });
    const scaled = [tiny('dense2.weight', 2e-9), tiny('dense2.bias', 2e-9), tiny('dense3.weight', 5e8)].reduce(
      (network, change) => change(network),
      original,
    );
    const { report } = await compress(
      scaled,
      { ...context, validation: set(40, 2) },
      { ...options, order: ['dense2'], tolerance: Infinity },
    );
    const [quantized, rounded] = report.stages.slice(-2);
    expect(quantized.validation).toBeGreaterThan(0.01);
    expect(Math.abs(rounded.validation / quantized.validation - 1)).toBeLessThan(0.01);
    expect(rounded.name).toBe('round');
  });
});

describe('in words', () => {
  it('a change of an error is signed, in percent; of nothing there is none', () => {
    const rmse = (before: number, after: number): unknown => describeValidation({ before, after, yardstick: 'rmse' });
    expect(rmse(0.02, 0.025)).toEqual({
      name: 'validation RMSE',
      before: '0.02000',
      after: '0.02500',
      change: '+25.0 %',
    });
    expect(rmse(0.02, 0.02)).toMatchObject({ change: '0.0 %' });
    expect(rmse(0.02, 0.01)).toMatchObject({ change: '-50.0 %' });
    expect(rmse(0, 1)).toMatchObject({ change: '' });
    expect(describeValidation({ before: -2, after: -1, yardstick: 'custom' })).toMatchObject({
      name: 'validation metric',
      change: '+50.0 %',
    });
    expect(describeValidation({ before: 0, after: 0.051, yardstick: 'outputError' })).toEqual({
      name: "difference from the original's outputs",
      before: '0.00 %',
      after: '5.10 %',
      change: '',
    });
  });

  it('a plan: what was asked and not got, to a thousandth; nothing where all is as asked', () => {
    const asked = {
      keep: 0.5,
      keepIsOwn: false,
      quantize: true,
      quantizer: 'product',
      options: { codewordCount: 4 },
    } as const;
    const got = { keep: 0.5, quantize: true, options: { codewordCount: 4 }, attempt: 0 };
    const words = (change: Partial<typeof got>): unknown =>
      describePlan({ layer: 'a', asked, got: { ...got, ...change } });
    expect(words({})).toBeUndefined();
    expect(words({ keep: 0.54 })).toBeUndefined();
    expect(words({ keep: 2 / 3 })).toBe('a: keep 0.5 asked, 0.667 got');
    expect(words({ quantize: false })).toBe('a: quantized asked, dense got');
    expect(words({ options: { codewordCount: 16 } })).toBe('a: codewordCount 4 asked, 16 got');
  });

  it('what a compression may cost by default is what is documented', () => {
    expect(TOLERANCES).toEqual({ rmse: 0.25, errorRate: 0.02, outputError: 0.2, custom: 0.25 });
  });
});
