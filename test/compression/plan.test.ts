/** The schedule that options make, without running it: its stages, their steps, and which tries would differ. */
import { describe, expect, it } from 'vitest';
import { compress, describePlan, describeStage, describeValidation, epochsOf } from '../../src/compression/index.ts';
import type { CompressOptions, PlanReport, Stage, StageReport } from '../../src/compression/index.ts';
import { COMPRESS_DEFAULTS, LAYER_DEFAULTS, milder, resolveCompressOptions } from '../../src/compression/options.ts';
import { presetOptions } from '../../src/compression/presets.ts';
import type { PresetName } from '../../src/compression/presets.ts';
import { compareLayers, splitBytes } from '../../src/compression/report.ts';
import { planStages, trainOptions } from '../../src/compression/stages.ts';
import { stream } from '../../src/base/random.ts';
import { writeEncoding } from '../../src/encodings/index.ts';
import type { ProductEncoding } from '../../src/encodings/index.ts';
import { examplesFromArrays } from '../../src/data/index.ts';
import type { Network } from '../../src/graph/network.ts';
import type { Context, TransformReport } from '../../src/graph/transform.ts';
import { portableKernels } from '../../src/kernels/index.ts';
import { dense, relu, sequential } from '../../src/network/index.ts';
import { QUANTIZERS } from '../../src/quantization/index.ts';
import { l2 } from '../../src/training/index.ts';

const kernels = portableKernels();
const chain = (...widths: number[]): Network =>
  sequential(
    { input: [8], seed: 1 },
    widths.flatMap((width) => [dense(width), relu()]),
  );
const network = chain(40, 24, 6);
/** Layers that pay for a codebook each. */
const large = chain(256, 256, 6);
const plan = (options: CompressOptions, given = network): Stage[] => planStages(resolveCompressOptions(given, options));
const none = { epochs: 0, learningRate: 1 };

describe('defaults', () => {
  it('are those of the documentation', () => {
    expect(LAYER_DEFAULTS).toEqual({ keep: 0.75 });
    expect(COMPRESS_DEFAULTS).toEqual({
      criterion: 'activationCorrelation',
      repair: true,
      refit: false,
      samples: 512,
      packed: true,
      feedback: 'none',
      order: 'lastToFirst',
      layersPerStep: Infinity,
      retrainPruned: { epochs: 1, learningRate: 0.02 },
      retrainQuantized: { epochs: 1, learningRate: 0.02 },
      final: { epochs: 8, learningRate: 0.02 },
      teacherWeight: 0,
      retries: 1,
      codewords: 'float16',
    });
  });
  it('of the presets are the settings that were measured', () => {
    const rates = (name: PresetName): unknown => {
      const { settings, retrainPruned, retrainQuantized, final, layers } = presetOptions(name, large);
      const passes = [retrainPruned, retrainQuantized, final].map((one) => [one!.epochs, one!.learningRate]);
      return [Object.values(settings!), ...passes, layers!['dense1']!.keep];
    };
    expect(rates('paper')).toEqual([[0.75, 4, 256], [1, 0.02], [1, 0.02], [14, 0.02], 0.25]);
    const levels = (keep: number, step: number): unknown[] => [keep, 'scalar', 4, 'layer', step, 0.2];
    expect(rates('size')).toEqual([levels(0.3, 0.9), [60, 0.04], [0, 0.01], [0, 0.01], 0.12]);
    expect(rates('tiny')).toEqual([levels(0.3, 1.5), [60, 0.04], [0, 0.01], [0, 0.01], 0.12]);
    expect(rates('quick')).toEqual([levels(0.45, 0.9), [0, 0.01], [0, 0.01], [0, 0.01], 0.2]);
    expect(presetOptions('quick', large)).toMatchObject({ refit: true, feedback: 'full' });
  });
  it('are what is done where nothing is said', () => {
    const { steps, layers, ...settings } = resolveCompressOptions(network, {});
    const { order: _order, layersPerStep: _layersPerStep, packed: _ofTheFile, ...said } = COMPRESS_DEFAULTS;
    expect(settings).toEqual({ ...said, scoring: {}, training: {}, tolerance: undefined });
    expect(steps).toEqual([['dense3', 'dense2', 'dense1']]);
    for (const layer of layers.values())
      expect(layer).toMatchObject({
        keep: 0.75,
        keepIsOwn: false,
        quantizer: 'product',
        options: QUANTIZERS.product.defaults,
      });
  });
});

describe('the stages', () => {
  const shown = (stages: Stage[]): unknown[] => stages.map(({ name, step, layers }) => [name, step, layers.join()]);
  it('of each step, then the final pass as a step of no layers, then rounding as one of all that are quantized', () => {
    const layers = { dense1: { quantize: false }, dense2: { quantize: true } };
    expect(shown(plan({ order: ['dense2', 'dense1'], layersPerStep: 1, layers }))).toEqual([
      ['prune', 0, 'dense2'],
      ['retrain', 0, 'dense2'],
      ['quantize', 0, 'dense2'],
      ['retrain', 0, 'dense2'],
      ['prune', 1, 'dense1'],
      ['retrain', 1, 'dense1'],
      ['final', 2, ''],
      ['round', 3, 'dense2'],
    ]);
  });
  it('that have nothing to do are left out', () => {
    const settings = { quantize: true } as const;
    expect(
      shown(plan({ order: ['dense2'], settings, retrainPruned: none, retrainQuantized: none, final: none })),
    ).toEqual([
      ['prune', 0, 'dense2'],
      ['quantize', 0, 'dense2'],
      ['round', 2, 'dense2'],
    ]);
    expect(shown(plan({ order: ['dense2'], settings, codewords: 'float32', final: none })).at(-1)).toEqual([
      'retrain',
      0,
      'dense2',
    ]);
    // Levels have no codewords, but biases stand beside them.
    const scalar = { quantize: true, quantizer: 'scalar' } as const;
    expect(plan({ settings: scalar }).map(({ name }) => name)).toContain('round');
    expect(plan({ settings: { quantize: false } }).map(({ name }) => name)).not.toContain('round');
  });
  it.each([
    [1, [['dense3'], ['dense2'], ['dense1']]],
    [2, [['dense3', 'dense2'], ['dense1']]],
    [3, [['dense3', 'dense2', 'dense1']]],
    [Infinity, [['dense3', 'dense2', 'dense1']]],
  ])('take layersPerStep = %d layers a step', (layersPerStep, steps) => {
    expect(resolveCompressOptions(network, { layersPerStep }).steps).toEqual(steps);
  });
});

it.each<[string, readonly CompressOptions[], readonly CompressOptions[]]>([
  ['retries', [{ retries: 0 }, { retries: 8 }], [{ retries: -1 }, { retries: 9 }]],
  ['tolerance', [{ tolerance: 0 }, { tolerance: Infinity }], [{ tolerance: -0.1 }]],
  ['teacherWeight', [{ teacherWeight: 0 }, { teacherWeight: 1 }], [{ teacherWeight: -0.1 }, { teacherWeight: 1.1 }]],
  ['layersPerStep', [{ layersPerStep: 1 }], [{ layersPerStep: 0 }, { layersPerStep: 1.5 }]],
  ['originalBytes', [{ originalBytes: 1 }], [{ originalBytes: 0 }]],
  ['settings.keep|dense1.keep', [{ settings: { keep: 1 } }], [{ settings: { keep: 0 } }, { settings: { keep: 1.1 } }]],
  ['final.epochs', [{ final: none }], [{ final: { epochs: -1, learningRate: 1 } }]],
  [
    'final.learningRate',
    [{ final: { epochs: 1, learningRate: 1e-9 } }],
    [{ final: { epochs: 0, learningRate: 0 } }, { final: { epochs: 1, learningRate: Infinity } }],
  ],
  ['order', [{ order: [] }, { order: ['dense1'] }], [{ order: ['relu1'] }, { order: ['dense1', 'dense1'] }]],
])('%s: the bounds are in, what is beyond them is refused by name', (name, good, bad) => {
  for (const options of good) expect(() => resolveCompressOptions(network, options)).not.toThrow();
  for (const options of bad)
    expect(() => resolveCompressOptions(network, options)).toThrow(new RegExp(`^compress: (${name}): expected `));
});

describe('a run', () => {
  const set = examplesFromArrays({
    inputs: Float32Array.from({ length: 64 }, (_, i) => Math.sin(i)),
    inputShape: [8],
    targets: Float32Array.from({ length: 48 }, (_, i) => Math.cos(i)),
    targetShape: [6],
  });
  const context: Context = { kernels, threads: 1, seed: 5, training: set, validation: set };

  it('tells of every stage before it runs, and why a step is tried again and what stays', async () => {
    const told: unknown[] = [];
    let looks = 0;
    await compress(
      network,
      {
        ...context,
        onEvent: (event) => {
          if (event.kind === 'stage' && event.count === 2)
            told.push([event.name, event.index, event.count, event.detail]);
          if (event.kind === 'note') told.push(event.text);
        },
      },
      {
        ...{ order: ['dense2', 'dense1'], settings: { keep: 0.5, quantize: false }, criterion: 'magnitude' },
        ...{ layersPerStep: 1, retrainPruned: none, final: none, tolerance: 0.5 },
        // The original, the first try, the milder one; nothing feeds the first layer.
        training: { loss: l2(), validationMetric: () => [1, 3, 2][Math.min(2, looks++)] },
      },
    );
    expect(told).toEqual([
      ['prune', 0, 2, 'dense2'],
      'step of dense2: validation 3.000 is above 1.500; trying again, milder',
      ['prune', 0, 2, 'dense2'],
      'step of dense2: validation 2.000 is above 1.500; the best of its tries stays',
      ['prune', 1, 2, 'dense1'],
    ]);
  });

  it('gives each stage what its step has done in this try, the layers, the original and a seed of its own', async () => {
    const seen: unknown[][] = [];
    const seeds: number[] = [];
    let looks = 0;
    const watch = (name: string): Stage => ({
      ...{ name, step: 0, layers: ['dense2'] },
      transform: (given, stage) => {
        seen.push([name, stage.attempt, stage.before.map((one) => one.name), stage.layers, stage.original === network]);
        seeds.push(stage.stageSeed);
        expect([stage.seed, stage.checkpoint]).toEqual([5, undefined]);
        // Another object is another network: it is measured.
        return Promise.resolve({ network: { ...given }, report: { transform: name } });
      },
    });
    const { report } = await compress(network, context, {
      ...{ final: none, retries: 2, tolerance: 0.5 },
      training: { loss: l2(), validationMetric: () => [1, 1, 3, 1, 1][Math.min(4, looks++)] },
      stages: () => [watch('a'), watch('b'), { ...watch('c'), step: 1, layers: ['dense1'] }],
    });
    expect(seen).toEqual([
      ['a', 0, [], ['dense2'], true],
      ['b', 0, ['a'], ['dense2'], true],
      ['a', 1, [], ['dense2'], true],
      ['b', 1, ['a'], ['dense2'], true],
      ['c', 0, [], ['dense1'], true],
    ]);
    expect(new Set(seeds).size).toBe(5);
    expect(report.stages.map(({ name, attempt, changed, validation }) => [name, attempt, changed, validation])).toEqual(
      [
        ['a', 0, true, 1],
        ['b', 0, true, 3],
        ['a', 1, true, 1],
        ['b', 1, true, 1],
        ['c', 0, true, 1],
      ],
    );
    expect(report.steps).toEqual([
      { layers: ['dense2'], start: 1, limit: 1.5, tries: [3, 1], kept: 1, within: true },
      { layers: ['dense1'], start: 1, limit: 1.5, tries: [1], kept: 0, within: true },
    ]);
  });
});

it('an original of one byte is one, of none there is none', async () => {
  const inputs = new Float32Array(8);
  const set = examplesFromArrays({ inputs, inputShape: [8], targets: new Float32Array(6).fill(1), targetShape: [6] });
  const context: Context = { kernels, threads: 1, seed: 1, training: set, validation: set };
  const options: CompressOptions = { order: [], final: none, tolerance: Infinity };
  const { report } = await compress(network, context, { ...options, originalBytes: 1 });
  expect([report.originalBytes, report.ratio]).toEqual([1, 1 / report.bytes]);
});

describe('a milder try', () => {
  it('is half as many neurons removed and four times the codewords, once each', () => {
    const asked = resolveCompressOptions(network, { settings: { keep: 0.25, codewordCount: 4 } }).layers.get('dense2')!;
    expect(milder(asked, 0)).toEqual(asked);
    expect([1, 2, 3].map((attempt) => milder(asked, attempt))).toMatchObject([
      { keep: 0.625, options: { codewordCount: 16 } },
      { keep: 0.8125, options: { codewordCount: 64 } },
      { keep: 0.90625, options: { codewordCount: 256 } },
    ]);
  });

  const differing = (name: string, options: CompressOptions, given = network): boolean[] => {
    const stage = plan({ order: ['dense2'], ...options }, given).find((one) => one.name === name)!;
    return [1, 2, 3].map((attempt) => stage.differs!(attempt, given, given));
  };
  it('of pruning differs while the number of neurons does, of which one stays at least', () => {
    expect(differing('prune', { settings: { keep: 0.5 } })).toEqual([true, true, true]);
    // 40 neurons: 39.6, 39.8, 39.9 and 39.95 are 40; 38, 39, 39.5 and 39.75 are 38, 39, 40 and 40.
    expect(differing('prune', { settings: { keep: 0.99 } })).toEqual([false, false, false]);
    expect(differing('prune', { settings: { keep: 0.95 } })).toEqual([true, true, false]);
    // Of one neuron a half is one, and so is a hundredth.
    expect(differing('prune', { settings: { keep: 0.01 } }, chain(1, 24, 6))).toEqual([false, false, false]);
    expect(differing('prune', { settings: { keep: 0.01 } }, chain(2, 24, 6))).toEqual([false, true, false]);
  });
  it('of quantization differs while the size does; of a layer that stays dense, of retraining and of more rounding never', () => {
    const quantize = true;
    // 24 x 40 in sub-vectors of 4: 240 of them, so no more than 32 codewords pay: 2, 8, 32 and 32.
    expect(differing('quantize', { settings: { subvectorLength: 4, codewordCount: 2, quantize } })).toEqual([
      true,
      true,
      false,
    ]);
    expect(differing('quantize', { settings: { subvectorLength: 4, codewordCount: 1024, quantize } })).toEqual([
      false,
      false,
      false,
    ]);
    expect(differing('retrain', {})).toEqual([false, false, false]);
    expect(differing('round', { settings: { quantize } })).toEqual([true, false, false]);
    const mixed = { order: ['dense3', 'dense2'], layersPerStep: 2, layers: { dense2: { quantize: false } } } as const;
    // One layer that differs is enough.
    expect(differing('quantize', { ...mixed, settings: { subvectorLength: 2, codewordCount: 2, quantize } })[0]).toBe(
      true,
    );
    expect(
      differing('quantize', { ...mixed, settings: { subvectorLength: 2, codewordCount: 65536, quantize } }),
    ).toEqual([false, false, false]);
  });
});

describe('a teacher', () => {
  it('is the original with the weight that was set, and none without one', () => {
    const settings = (teacherWeight: number) => resolveCompressOptions(network, { teacherWeight });
    const setting = { epochs: 2, learningRate: 0.5 };
    expect(trainOptions(network, settings(0), setting)).toEqual(setting);
    expect(trainOptions(network, settings(0.25), setting)).toEqual({
      ...setting,
      teacher: network,
      teacherWeight: 0.25,
    });
    expect(trainOptions(network, settings(1), setting)).toEqual({ ...setting, teacher: network, teacherWeight: 1 });
  });

  it('is asked for inner values, of those that lost channels no more', () => {
    const [inner, wide] = [network.nodes[1].name, network.nodes[3].name];
    const options = { teacherWeight: 1, training: { responses: [inner, wide] } };
    const settings = resolveCompressOptions(network, options);
    const setting = { epochs: 2, learningRate: 0.5 };
    const responses = (now?: Network) => trainOptions(network, settings, setting, now).responses;
    expect(responses()).toEqual([inner, wide]);
    const pruned = chain(30, 24, 6);
    expect([pruned.nodes[1].name, pruned.nodes[3].name]).toEqual([inner, wide]);
    expect(responses(pruned)).toEqual([wide]);
    expect(() => resolveCompressOptions(network, { ...options, teacherWeight: 0 })).toThrow(
      'training.responses: expected a teacher',
    );
  });

  it('with another weight teaches other weights', async () => {
    const draw = stream(1, 'examples');
    const numbers = (length: number): Float32Array => Float32Array.from({ length }, () => draw());
    const set = examplesFromArrays({
      inputs: numbers(8 * 32),
      inputShape: [8],
      targets: numbers(6 * 32),
      targetShape: [6],
    });
    const context: Context = { kernels, threads: 1, seed: 1, training: set, validation: set };
    const bytes = async (teacherWeight: number): Promise<string> => {
      const { network: small } = await compress(network, context, {
        ...{ order: [], final: { epochs: 1, learningRate: 0.05 }, training: { loss: l2() }, teacherWeight },
        tolerance: Infinity,
      });
      return JSON.stringify([...small.parameters.values()].map((one) => [...(one as { data: Float32Array }).data]));
    };
    // A share of nothing would be as good as none: the targets of the original's own outputs pull nowhere.
    expect(new Set(await Promise.all([0, 0.25, 0.5, 1].map(bytes))).size).toBe(4);
  });
});

describe('bytes', () => {
  const encoded: ProductEncoding = {
    kind: 'product',
    shape: [3, 5],
    codewordPrecision: 'float32',
    blocks: [
      {
        first: 0,
        subspaceCount: 5,
        subvectorLength: 1,
        codewordCount: 5,
        codewords: Float32Array.of(0, 1, 2, 3, 4),
        codes: Uint16Array.from({ length: 15 }, (_, i) => i % 5),
        signs: Uint8Array.of(0xff, 0x7f),
      },
    ],
  };
  const base = sequential({ input: [5] }, [dense(3, { name: 'layer' })]);
  const whole: Network = { ...base, parameters: new Map(base.parameters).set('layer.weight', encoded) };

  it('of codes and signs are whole: 15 codes of 3 bits are 6, 15 signs are 2; what is no tensor is the rest', () => {
    const stored = [...whole.parameters.values()]
      .flatMap((one) => writeEncoding(one).tensors)
      .reduce((sum, { bytes }) => sum + bytes.length, 0);
    expect(splitBytes(whole, 1000)).toEqual({
      ...{ codes: 6, signs: 2, codebooks: 20, values: 12 },
      rest: 1000 - stored,
    });
  });

  it('of a layer are those of its parameters, of one that two layers share with the first alone', () => {
    const [layer] = compareLayers(whole, base);
    expect(layer).toMatchObject({
      ...{ name: 'layer', kind: 'dense' },
      before: { shape: [3, 5], parameters: 18, multiplyAdds: 15, bytes: 6 + 2 + 20 + 12 },
      after: { shape: [3, 5], parameters: 18, bytes: 72, encoding: 'dense' },
    });
    const pair = sequential({ input: [4] }, [dense(4, { name: 'a' }), relu({ name: 'no' }), dense(4, { name: 'b' })]);
    const shared: Network = {
      ...pair,
      nodes: pair.nodes.map((node) =>
        node.name === 'b' ? { ...node, parameters: { weight: 'a.weight', bias: 'b.bias' } } : node,
      ),
      parameters: new Map([...pair.parameters].filter(([name]) => name !== 'b.weight')),
    };
    expect(compareLayers(shared, shared).map(({ name, before }) => [name, before.bytes])).toEqual([
      ['a', 80],
      ['b', 16],
    ]);
    expect(compareLayers(shared, whole)).toEqual([]);
  });
});

describe('in words', () => {
  const stage = (report: TransformReport): StageReport => ({
    ...{ name: 'any', layers: [], attempt: 0, changed: true, parameters: 1, validation: 1 },
    report,
  });
  it.each<[TransformReport, string]>([
    [{ transform: 'prune', by: 2 }, 'prune, by 2'],
    [{ transform: 'prune', groups: [], by: 2 }, 'prune, by 2'],
    [{ transform: 'prune', skipped: [], by: 2 }, 'prune, by 2'],
    [{ transform: 'cut', groups: [], skipped: [], by: 2 }, 'cut, by 2'],
    [{ transform: 'prune', groups: [], skipped: [] }, 'nothing to remove'],
    [
      {
        transform: 'prune',
        groups: [{ group: 'a', before: 4, after: 2 }],
        skipped: [{ group: 'b', reason: 'it is shared' }],
      },
      'a 4 -> 2; b stays: it is shared',
    ],
    [{ transform: 'quantize', bits: 3 }, 'quantize, bits 3'],
    [{ transform: 'code', parameters: [] }, 'code'],
    [{ transform: 'quantize', parameters: [] }, 'nothing to quantize'],
    [{ transform: 'train', epochs: 3 }, 'train, epochs 3'],
    [{ transform: 'learn', history: [] }, 'learn'],
    [{ transform: 'train', history: [{ epoch: 0, loss: 1 }] }, '1 epochs'],
    [{ transform: 'train', history: [], learningRate: 0.1, status: 'skipped' }, 'nothing has changed'],
    [{ transform: 'train', history: [], learningRate: 0.1, status: 'finished' }, '0 epochs at 0.1'],
    [
      { transform: 'train', history: [], learningRate: 0.1, status: 'noImprovement' },
      '0 epochs at 0.1; none was better than the state before, which stays',
    ],
    [{ transform: 'roundCodebooks', parameters: [] }, 'to half precision'],
    [
      { transform: 'mine', a: 1, b: 'two', c: true, d: false, e: [1], f: null, g: { h: 1 } },
      'mine, a 1, b two, c true, d false',
    ],
  ])('a stage of %j: %s', (report, text) => {
    expect(describeStage(stage(report))).toBe(text);
  });
  it('epochs of what trained alone', () => {
    const history = [{ epoch: 0, loss: 1 }];
    expect(epochsOf(stage({ transform: 'train', history }))).toBe(history);
    expect(epochsOf(stage({ transform: 'learn', history }))).toEqual([]);
  });
  it('an accuracy that rises has a plus, one that stays has none', () => {
    const points = (before: number, after: number): string =>
      describeValidation({ before, after, yardstick: 'errorRate' }).change;
    expect(describeValidation({ before: 0.25, after: 0.5, yardstick: 'errorRate' })).toMatchObject({
      before: '75.00 %',
      after: '50.00 %',
    });
    expect([points(0.5, 0.25), points(0.25, 0.5), points(0.5, 0.5)]).toEqual([
      '+25.0 points',
      '-25.0 points',
      '0.0 points',
    ]);
  });
  it('a plan: fewer neurons than asked too, half a neuron not; dense by the rule with its reason', () => {
    const asked: PlanReport['asked'] = {
      keep: 0.5,
      keepIsOwn: false,
      quantize: true,
      quantizer: 'product',
      options: {},
    };
    const got = { ...{ keep: 0.5, quantize: true, attempt: 0 }, options: {} };
    const words = (change: Partial<typeof got>, more: Partial<PlanReport['asked']> = {}): unknown =>
      describePlan({ layer: 'a', asked: { ...asked, ...more }, got: { ...got, ...change } });
    expect(words({ keep: 0.44 })).toBe('a: keep 0.5 asked, 0.44 got');
    expect(words({ keep: 0.46 })).toBeUndefined();
    expect(words({ quantize: false }, { quantize: false, reason: 'tiny layer' })).toBe('a: dense, tiny layer');
    expect(words({ quantize: false }, { quantize: false })).toBeUndefined();
    // What is dense has no options that could be others.
    expect(words({ quantize: false, options: { bits: 4 } }, { quantize: false })).toBeUndefined();
  });
});
