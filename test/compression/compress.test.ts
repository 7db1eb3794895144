import { describe, expect, it } from 'vitest';
import { compress, describeStage, describeValidation, epochsOf } from '../../src/compression/index.ts';
import type { CompressOptions, CompressResult, Stage, StageContext } from '../../src/compression/index.ts';
import { memoryStore } from '../../src/container/index.ts';
import { examplesFromArrays } from '../../src/data/index.ts';
import { decode, trainedValues, withTrainedValues } from '../../src/encodings/index.ts';
import type { Encoding, ProductEncoding } from '../../src/encodings/index.ts';
import { CRITERION_NAMES } from '../../src/importance/index.ts';
import { QUANTIZER_NAMES } from '../../src/quantization/index.ts';
import { loadKernels } from '../../src/kernels/index.ts';
import { affine, conv, dense, flatten, maxPool, readNetwork, relu, sequential } from '../../src/network/index.ts';
import type { Examples } from '../../src/graph/examples.ts';
import type { Network } from '../../src/graph/network.ts';
import { normal, stream } from '../../src/base/random.ts';
import { crossEntropy, evaluate, l2, predictAll, train } from '../../src/training/index.ts';
import type { RunEvent } from '../../src/base/control.ts';
import type { Context, Transform } from '../../src/graph/transform.ts';

const kernels = await loadKernels();

function examples(count: number, seed: number): Examples {
  const random = stream(seed, 'examples');
  const inputs = Float32Array.from({ length: count * 64 }, () => normal(random));
  // Targets that a small network can learn: means of the four quarters.
  const targets = Float32Array.from({ length: count * 4 }, (_, i) => {
    const [sample, quarter] = [Math.floor(i / 4), i % 4];
    let sum = 0;
    for (let y = 0; y < 4; y++)
      for (let x = 0; x < 4; x++)
        sum += Math.abs(inputs[sample * 64 + (y + 4 * (quarter >> 1)) * 8 + x + 4 * (quarter & 1)]);
    return sum / 16;
  });
  return examplesFromArrays({ inputs, inputShape: [1, 8, 8], targets, targetShape: [4] });
}

const context: Context = { kernels, threads: 1, seed: 3, training: examples(96, 1), validation: examples(40, 2) };
const raw = sequential({ input: [1, 8, 8], seed: 1 }, [
  conv(16, 3),
  relu(),
  conv(24, 3),
  relu(),
  maxPool(2),
  flatten(),
  dense(32),
  relu(),
  dense(4),
  affine(0.5, 0.8),
]);
const { network: original } = await train(raw, context, { epochs: 6, learningRate: 0.02, loss: l2() });

const quick: CompressOptions = {
  layersPerStep: 1,
  settings: { keep: 0.75, subvectorLength: 4, codewordCount: 16 },
  retrainPruned: { epochs: 1, learningRate: 0.01 },
  retrainQuantized: { epochs: 1, learningRate: 0.01 },
  final: { epochs: 2, learningRate: 0.01 },
  training: { loss: l2() },
  tolerance: Infinity,
};

describe('compress', () => {
  it('removes the fraction asked for, encodes every layer, and reports the bytes of the file to the byte', async () => {
    const { network, bytes, report } = await compress(original, context, quick);
    const shape = (name: string): readonly number[] => network.parameters.get(name)!.shape;
    expect([shape('conv1.weight'), shape('conv2.weight'), shape('dense1.weight'), shape('dense2.weight')]).toEqual([
      [12, 1, 3, 3],
      [18, 12, 3, 3],
      [24, 288],
      [4, 24],
    ]);
    expect(report.bytes).toBe(bytes.length);
    const { codes, signs, codebooks, values, rest, packing = 0 } = report.split;
    expect(codes + signs + codebooks + values + rest + packing).toBe(bytes.length);
    expect(rest).toBeGreaterThan(0);
    expect(report.originalBytes).toBe(4 * report.parameters.before);
    expect(report.ratio).toBe(report.originalBytes / report.bytes);
    expect(report.layers.reduce((sum, layer) => sum + layer.after.parameters, 0)).toBe(report.parameters.after);
    expect(report.layers.map(({ name }) => name)).toEqual(['conv1', 'conv2', 'dense1', 'dense2', 'affine1']);
    for (const name of ['conv2.weight', 'dense1.weight']) expect(network.parameters.get(name)!.kind).toBe('product');
  });

  it('steps go from the last layer to the first, and no step cuts what is encoded', async () => {
    const { report } = await compress(original, context, quick);
    expect(
      report.stages.filter(({ name }) => name === 'prune').map((stage) => [stage.layers[0], describeStage(stage)]),
    ).toEqual([
      ['dense2', 'dense1 32 -> 24'],
      ['dense1', 'conv2 24 -> 18'],
      ['conv2', 'conv1 16 -> 12'],
      ['conv1', 'nothing to remove'],
    ]);
    expect(report.stages.filter(({ name }) => name === 'quantize').map(({ layers }) => layers[0])).toEqual([
      'dense2',
      'dense1',
      'conv2',
      'conv1',
    ]);
  });

  it('in the other order neurons that an encoded layer reads stay, and the report says so', async () => {
    const { network, report } = await compress(original, context, { ...quick, order: 'firstToLast' });
    const details = report.stages.filter(({ name }) => name === 'prune').map(describeStage);
    expect(details[0]).toBe('nothing to remove');
    ['conv1', 'conv2', 'dense1'].forEach((name, i) =>
      expect(details[i + 1]).toContain(`${name} stays: the parameter "${name}.weight" is product-encoded`),
    );
    expect(network.parameters.get('conv2.weight')!.shape).toEqual([24, 16, 3, 3]);
  });

  it('all layers in one step: everything is pruned, then everything quantized', async () => {
    const { report } = await compress(original, context, { ...quick, layersPerStep: Infinity });
    expect(report.stages.map(({ name }) => name)).toEqual([
      'prune',
      'retrain',
      'quantize',
      'retrain',
      'final',
      'round',
    ]);
    expect(describeStage(report.stages[0])).toBe('conv1 16 -> 12; conv2 24 -> 18; dense1 32 -> 24');
  });

  it('the original is not changed, and the file gives bit-identical outputs', async () => {
    const kept = [...original.parameters.values()].map((encoding) => decode(encoding).slice());
    const { network, bytes } = await compress(original, context, quick);
    expect([...original.parameters.values()].map((encoding) => decode(encoding))).toEqual(kept);
    const loaded = readNetwork(bytes);
    expect(await predictAll(loaded, context.validation!, { kernels })).toEqual(
      await predictAll(network, context.validation!, { kernels }),
    );
  });

  it('codewords of absolute values that a stage made negative are turned: none is left, and outputs are the same', async () => {
    const negated: Transform = async (network) => ({
      network: {
        ...network,
        parameters: new Map(
          [...network.parameters].map(([name, encoding]) => [
            name,
            encoding.kind === 'product'
              ? withTrainedValues(
                  encoding,
                  trainedValues(encoding).map((value, i) => (i % 3 === 0 ? -value : value)),
                )
              : encoding,
          ]),
        ),
      },
      report: { transform: 'negated' },
    });
    let before: Network | undefined;
    const { network } = await compress(original, context, {
      ...quick,
      final: { epochs: 0, learningRate: 1 },
      codewords: 'float32',
      stages: (planned) => [
        ...planned,
        {
          name: 'negated',
          step: planned.at(-1)!.step + 1,
          layers: [],
          transform: async (given, run) => {
            const outcome = await negated(given, run);
            before = outcome.network;
            return outcome;
          },
        },
      ],
    });
    const products = ({ parameters }: Network): ProductEncoding[] =>
      [...parameters.values()].filter((encoding) => encoding.kind === 'product');
    const below = (encoding: ProductEncoding): boolean => trainedValues(encoding).some((value) => value < 0);
    expect(products(before!).length).toBeGreaterThan(1);
    expect(products(before!).every(below)).toBe(true);
    expect(products(network).some(below)).toBe(false);
    expect(await predictAll(network, context.validation!, { kernels })).toEqual(
      await predictAll(before!, context.validation!, { kernels }),
    );
  });

  it('the same seed gives the same bytes, another seed others', async () => {
    const [a, b, c] = await Promise.all([3, 3, 4].map((seed) => compress(original, { ...context, seed }, quick)));
    expect(a.bytes).toEqual(b.bytes);
    expect(a.bytes).not.toEqual(c.bytes);
  });

  it('stopped in any stage and started again it ends in the same bytes', async () => {
    const wanted = (await compress(original, context, { ...quick, tolerance: 0, retries: 1 })).bytes;
    const store = memoryStore();
    let stops = 0;
    let bytes: Uint8Array | undefined;
    while (!bytes) {
      const controller = new AbortController();
      let seen = 0;
      // Each start gets a little further: it stops at its fifth batch or stage.
      const onEvent = (event: RunEvent): void => {
        if ((event.kind === 'batch' || event.kind === 'stage') && ++seen === 5) controller.abort(new Error('stopped'));
      };
      try {
        ({ bytes } = await compress(
          original,
          { ...context, signal: controller.signal, onEvent },
          { ...quick, tolerance: 0, retries: 1, checkpoint: { store, key: 'job' } },
        ));
      } catch (error) {
        expect((error as Error).message).toBe('stopped');
        stops++;
        expect(stops).toBeLessThan(60);
      }
    }
    expect(stops).toBeGreaterThan(5);
    expect(bytes).toEqual(wanted);
  });

  it('a checkpoint of another network, option, data or seed is refused, naming which', async () => {
    const store = memoryStore();
    const run = (network: Network, other: Partial<Context>, options: CompressOptions): Promise<unknown> =>
      compress(network, { ...context, ...other }, { ...options, checkpoint: { store, key: 'job' } });
    const short: CompressOptions = { ...quick, order: ['dense2'], final: { epochs: 1, learningRate: 0.01 } };
    await run(original, {}, short);
    await expect(run(raw, {}, short)).rejects.toThrow(
      expect.objectContaining({ code: 'CHECKPOINT', message: expect.stringContaining('network') }),
    );
    await expect(run(original, { seed: 4 }, short)).rejects.toThrow(/seed/);
    await expect(run(original, { training: examples(95, 1) }, short)).rejects.toThrow(/data/);
    await expect(run(original, {}, { ...short, tolerance: 0.5 })).rejects.toThrow(/options/);
  });

  it('a step beyond the tolerance is undone and tried milder; the best try stays', async () => {
    // Distance from the original's own predictions: 0 at first, so every step is beyond a tolerance of 0.
    const wanted = await predictAll(original, context.validation!, { kernels });
    const validationMetric = (predictions: Float32Array): number =>
      Math.hypot(...predictions.map((value, i) => value - wanted[i]));
    const { report, network } = await compress(original, context, {
      ...quick,
      settings: { keep: 0.1, subvectorLength: 8, codewordCount: 2 },
      order: ['dense2', 'dense1'],
      tolerance: 0,
      retries: 2,
      training: { loss: l2(), validationMetric },
    });
    const tries = report.stages.filter(({ name, layers }) => name === 'prune' && layers[0] === 'dense1');
    expect(tries.map((stage) => [stage.attempt, describeStage(stage)])).toEqual([
      [0, 'conv2 24 -> 2'],
      [1, 'conv2 24 -> 13'],
      [2, 'conv2 24 -> 19'],
    ]);
    const ends = report.stages.filter(
      ({ name, layers }, i) => name === 'retrain' && layers[0] === 'dense1' && report.stages[i - 1].name === 'quantize',
    );
    const best = ends.reduce((a, b) => (b.validation < a.validation ? b : a));
    expect(network.parameters.get('conv2.weight')!.shape[0]).toBe([2, 13, 19][best.attempt]);
  });

  it('a try that is undone leaves no number behind: the report ends with the validation of the network handed out', async () => {
    // Worse with every look, so the first try of each step is its best and the others are undone.
    let looks = 0;
    const { report } = await compress(original, context, {
      ...quick,
      settings: { keep: 0.5, codewordCount: 2 },
      order: ['dense2', 'conv1'],
      layers: { conv1: { quantize: true } },
      codewords: 'float32',
      tolerance: 0,
      retries: 1,
      final: { epochs: 0, learningRate: 1 },
      training: { loss: l2(), validationMetric: () => ++looks },
    });
    const ends = report.stages.filter(({ name }, i) => name === 'retrain' && report.stages[i - 1].name === 'quantize');
    expect(ends.map(({ layers, attempt }) => [layers[0], attempt])).toEqual([
      ['dense2', 0],
      ['dense2', 1],
      ['conv1', 0],
      ['conv1', 1],
    ]);
    expect(report.steps.map(({ tries, kept, within }) => [tries, kept, within])).toEqual([
      [[ends[0].validation, ends[1].validation], 0, false],
      [[ends[2].validation, ends[3].validation], 0, false],
    ]);
    expect(report.validation.after).toBe(ends[2].validation);
    // The step of conv1 begins with nothing to remove: with the first try of dense2, not with the one that was undone.
    const first = report.stages.find(({ name, layers }) => name === 'prune' && layers[0] === 'conv1')!;
    expect([first.changed, first.validation]).toEqual([false, ends[0].validation]);
  });

  it('the tolerance is a share of the size of a metric, which may be negative', async () => {
    const once = await compress(original, context, {
      ...quick,
      order: ['dense2'],
      tolerance: 0.25,
      retries: 1,
      training: { loss: l2(), validationMetric: () => -1 },
    });
    expect(once.report.stages.every(({ attempt }) => attempt === 0)).toBe(true);
    let looks = 0;
    const twice = await compress(original, context, {
      ...quick,
      order: ['dense2'],
      tolerance: 0.25,
      retries: 1,
      training: { loss: l2(), validationMetric: () => (looks++ === 0 ? -1 : -0.7) },
    });
    expect(twice.report.stages.some(({ attempt }) => attempt === 1)).toBe(true);
  });

  it('classes are judged by accuracy, without a task; without labels a metric of the caller judges against the original', async () => {
    const classes = (set: Examples): Examples => ({
      ...set,
      targetShape: [1],
      read: (indices, inputs, targets) => {
        void set.read(indices, inputs, undefined);
        targets?.fill(1);
      },
    });
    const labelled = { ...context, training: classes(context.training!), validation: classes(context.validation!) };
    const options: CompressOptions = {
      ...quick,
      order: [],
      final: { epochs: 1, learningRate: 0.01 },
      training: { loss: crossEntropy() },
    };
    const { report } = await compress(original, labelled, options);
    const { predictions } = await evaluate(original, labelled.validation, { kernels });
    const right = Array.from({ length: 40 }, (_, i) => predictions.subarray(4 * i, 4 * i + 4)).filter(
      (row) => row.indexOf(Math.max(...row)) === 1,
    ).length;
    expect(right).toBeGreaterThan(0);
    expect(report.validation).toMatchObject({ before: 1 - right / 40, yardstick: 'errorRate' });
    const { targetShape: _shape, ...bare } = context.validation!;
    const seen: boolean[] = [];
    const validationMetric = (predictions: Float32Array, targets: Float32Array): number =>
      seen.push(predictions.length === targets.length);
    await compress(
      original,
      { ...context, validation: bare },
      { ...options, teacherWeight: 1, training: { loss: l2(), validationMetric } },
    );
    expect(seen.length).toBeGreaterThan(0);
    expect(seen.every(Boolean)).toBe(true);
  });

  it('a finished job that is started again gives the same at once, and clears what a kill between two writes left', async () => {
    const store = memoryStore();
    const options: CompressOptions = {
      ...quick,
      order: ['dense2'],
      final: { epochs: 0, learningRate: 0.01 },
      checkpoint: { store, key: 'job' },
    };
    const first = await compress(original, context, options);
    const kept = await store.list();
    expect(kept.every((name) => name.startsWith('job.'))).toBe(true);
    await store.write(`job-stage${first.report.stages.length - 1}.a.safetensors`, new Uint8Array(8));
    const again = await compress(
      original,
      {
        ...context,
        onEvent: (event) => {
          throw new Error(event.kind);
        },
      },
      options,
    );
    expect(again.bytes).toEqual(first.bytes);
    expect(again.report).toEqual(first.report);
    expect(await store.list()).toEqual(kept);
  });

  it('with the original as teacher no labels are needed', async () => {
    const bare = (set: Examples): Examples => ({
      count: set.count,
      inputShape: set.inputShape,
      read: (indices, inputs) => set.read(indices, inputs, undefined),
    });
    const { report } = await compress(
      original,
      { ...context, training: bare(context.training!), validation: bare(context.validation!) },
      { ...quick, teacherWeight: 1 },
    );
    expect(report.validation).toMatchObject({ before: 0, yardstick: 'outputError' });
    expect(report.validation.after).toBeGreaterThan(0);
    expect(report.validation.after).toBeLessThan(2);
    expect(describeValidation(report.validation).change).toBe('');
  });

  it('a keep of 0.001 leaves one neuron in every layer', async () => {
    const { network } = await compress(original, context, {
      ...quick,
      settings: { keep: 0.001, quantize: false },
      final: { epochs: 0, learningRate: 0.01 },
    });
    expect(network.parameters.get('dense1.weight')!.shape).toEqual([1, 16]);
    expect(network.parameters.get('conv1.weight')!.shape).toEqual([1, 1, 3, 3]);
  });

  it('rounded codebooks are halves and the file is smaller', async () => {
    const whole = await compress(original, context, { ...quick, codewords: 'float32' });
    const half = await compress(original, context, quick);
    expect(half.bytes.length).toBeLessThan(whole.bytes.length);
    expect(half.report.stages.at(-1)!.name).toBe('round');
    expect(whole.report.stages.at(-1)!.name).toBe('final');
    expect(half.report.split.codebooks * 2).toBe(whole.report.split.codebooks);
  });
});

describe('stages', () => {
  const short: CompressOptions = {
    layersPerStep: 1,
    ...quick,
    order: ['dense2', 'dense1'],
    final: { epochs: 0, learningRate: 0.01 },
    codewords: 'float32',
  };
  /** A user's three lines: every weight a little smaller. */
  const shrink: Transform = async (network) => ({
    network: {
      ...network,
      parameters: new Map([...network.parameters].map(([name, encoding]) => [name, scaled(encoding)])),
    },
    report: { transform: 'shrink', by: 0.99, notes: ['kept in checkpoints'] },
  });
  const scaled = (encoding: Encoding): Encoding =>
    withTrainedValues(
      encoding,
      trainedValues(encoding).map((value) => value * 0.99),
    );
  const withShrink = (planned: readonly Stage[]): Stage[] =>
    planned.flatMap((stage) =>
      stage.name === 'prune' ? [stage, { ...stage, name: 'shrink', transform: shrink }] : [stage],
    );

  it('a report is plain data: groups, weights with their quantizer and error, losses by epoch', async () => {
    const { report } = await compress(original, context, short);
    expect(JSON.parse(JSON.stringify(report.stages))).toEqual(report.stages);
    const [pruned, retrained, quantized] = report.stages;
    expect(pruned.report).toMatchObject({
      transform: 'prune',
      criterion: 'activationCorrelation',
      groups: [{ group: 'dense1', before: 32, after: 24 }],
    });
    expect(retrained.report).toMatchObject({ transform: 'train', epochs: 1, learningRate: 0.01, status: 'finished' });
    expect(epochsOf(retrained)).toMatchObject([{ epoch: 0, loss: expect.any(Number) }]);
    expect(quantized.report).toMatchObject({
      transform: 'quantize',
      parameters: [{ layer: 'dense2', parameter: 'dense2.weight', quantizer: 'product', status: 'quantized' }],
    });
    expect(describeStage(quantized)).toMatch(/^dense2: 4 codewords of 4, signs apart, [\d.]+ bits a weight, relative/);
  });

  it("a transform of one's own stands among ours: it is run, judged, reported, tried again with its step", async () => {
    const seen: Pick<StageContext, 'attempt' | 'layers' | 'stageSeed'>[] = [];
    const stages = (planned: readonly Stage[]): Stage[] =>
      withShrink(planned).map((stage) =>
        stage.name !== 'shrink'
          ? stage
          : {
              ...stage,
              transform: (network, given) => {
                seen.push({ attempt: given.attempt, layers: given.layers, stageSeed: given.stageSeed });
                expect(given.original).toBe(original);
                expect(given.before.map(({ name }) => name)).toEqual(['prune']);
                return shrink(network, given);
              },
            },
      );
    const { report } = await compress(original, context, { ...short, stages, tolerance: 0, retries: 1 });
    expect(report.stages.slice(0, 5).map(({ name }) => name)).toEqual([
      'prune',
      'shrink',
      'retrain',
      'quantize',
      'retrain',
    ]);
    const own = report.stages.filter(({ name }) => name === 'shrink');
    expect(own.every(({ changed }) => changed)).toBe(true);
    expect(describeStage(own[0])).toBe('shrink, by 0.99');
    expect(own.map(({ attempt }) => attempt)).toEqual(seen.map(({ attempt }) => attempt));
    expect(seen.map(({ layers }) => layers[0])).toEqual(own.map(({ layers }) => layers[0]));
    expect(new Set(seen.map(({ stageSeed }) => stageSeed)).size).toBe(seen.length);
  });

  it('where ours prunes nothing, retraining follows the change that another stage made', async () => {
    const { report } = await compress(original, context, {
      ...short,
      order: ['conv1'],
      settings: { quantize: false },
      stages: withShrink,
    });
    expect(report.stages.map(({ name, changed }) => [name, changed])).toEqual([
      ['prune', false],
      ['shrink', true],
      ['retrain', true],
    ]);
  });

  it("stopped at any stage and resumed, with a transform of one's own it ends in the same bytes; without it the checkpoint is refused", async () => {
    const wanted = await compress(original, context, { ...short, stages: withShrink });
    const store = memoryStore();
    const options = { ...short, stages: withShrink, checkpoint: { store, key: 'job' } };
    let result: CompressResult | undefined;
    for (let stops = 0; !result && stops < 30; stops++) {
      const controller = new AbortController();
      let stagesSeen = 0;
      const onEvent = (event: RunEvent): void => {
        if (event.kind === 'stage' && event.count > 4 && ++stagesSeen === 2) controller.abort(new Error('stopped'));
      };
      result = await compress(original, { ...context, signal: controller.signal, onEvent }, options).catch(
        (error: Error) => {
          expect(error.message).toBe('stopped');
          return undefined;
        },
      );
      if (stops === 3) {
        const { stages: _stages, ...without } = options;
        await expect(compress(original, context, without)).rejects.toThrow(/options/);
      }
    }
    expect(result?.bytes).toEqual(wanted.bytes);
    expect(result?.report).toEqual(wanted.report);
  });

  it.each<[string, unknown, RegExp]>([
    ['no function', [], /stages: expected a function of the planned stages, got \[\]/],
    ['no array', () => 3, /stages: expected it to give an array of stages, got 3/],
    [
      'no transform',
      () => [{ name: 'a', step: 0, layers: [] }],
      /stages\[0\]: expected \{ name, step, layers, transform/,
    ],
    [
      'steps out of order',
      (planned: readonly Stage[]) => [...planned].reverse(),
      /stages\[4\].step .*expected an integer of at least/,
    ],
    [
      'a transform without a report',
      (planned: readonly Stage[]) => [
        { ...planned[0], name: 'mine', transform: (network: Network) => Promise.resolve({ network }) },
      ],
      /stage "mine": expected its transform to give \{ network, report/,
    ],
  ])('refused by name: %s', async (_name, stages, message) => {
    await expect(compress(original, context, { ...short, stages } as CompressOptions)).rejects.toThrow(message);
  });
});

describe('quantizers', () => {
  const first: CompressOptions = { ...quick, order: ['dense1', 'conv2'], final: { epochs: 1, learningRate: 0.01 } };

  it.each(QUANTIZER_NAMES)(
    '%s can be chosen, is trained on, resumes, and is in the report by name',
    async (quantizer) => {
      const options: CompressOptions = { ...first, settings: { keep: 0.75, quantizer } };
      const { report, network, bytes } = await compress(original, context, options);
      expect(network.parameters.get('dense1.weight')!.kind).toBe(quantizer === 'connections' ? 'sparse' : quantizer);
      expect(report.validation.after).toBeLessThan(2 * report.validation.before);
      expect(report.stages.filter(({ name }) => name === 'quantize')[0].report).toMatchObject({
        parameters: [{ layer: 'dense1', quantizer, status: 'quantized' }],
      });
      const store = memoryStore();
      const checkpoint = { store, key: 'job' };
      const controller = new AbortController();
      const onEvent = (event: RunEvent): void => {
        if (event.kind === 'stage' && event.name === 'final') controller.abort(new Error('stopped'));
      };
      await expect(
        compress(original, { ...context, signal: controller.signal, onEvent }, { ...options, checkpoint }),
      ).rejects.toThrow('stopped');
      expect((await compress(original, context, { ...options, checkpoint })).bytes).toEqual(bytes);
    },
  );

  it('a layer of another quantizer takes no options over from the settings of all', async () => {
    const { network } = await compress(original, context, {
      ...first,
      layers: { dense1: { quantizer: 'scalar', bits: 4 } },
      final: { epochs: 0, learningRate: 1 },
    });
    expect(network.parameters.get('dense1.weight')).toMatchObject({ kind: 'scalar', bits: 4 });
    expect(network.parameters.get('conv2.weight')!.kind).toBe('product');
    await expect(
      compress(original, context, { ...first, layers: { dense1: { quantizer: 'scalar', codewordCount: 4 } as never } }),
    ).rejects.toThrow(/dense1: expected keep, quantize, quantizer, bits.*got "codewordCount"/);
  });
});

describe('criteria', () => {
  const first: CompressOptions = {
    ...quick,
    order: ['dense2'],
    settings: { quantize: false },
    retrainPruned: { epochs: 0, learningRate: 1 },
    final: { epochs: 0, learningRate: 1 },
  };
  const removed = async (options: CompressOptions): Promise<unknown> =>
    (await compress(original, context, { ...first, ...options })).report.stages[0].report['groups'];

  it.each(CRITERION_NAMES)('%s can be chosen', async (criterion) => {
    expect(await removed({ criterion })).toMatchObject([{ group: 'dense1', before: 32, after: 24 }]);
  });
  it("a criterion's own options reach it: norm, neighbours, seed", async () => {
    for (const [criterion, scoring] of [
      ['magnitude', { norm: 'L2' }],
      ['weightCorrelation', { neighbours: 31 }],
      ['random', { seed: 99 }],
    ] as const)
      expect(await removed({ criterion, scoring })).not.toEqual(await removed({ criterion }));
  });
  it('gradients without labels are refused before any work', async () => {
    const { targetShape: _shape, ...training } = context.training!;
    await expect(
      compress(original, { ...context, training }, { ...first, criterion: 'taylor', teacherWeight: 1 }),
    ).rejects.toThrow(/compress: context.training: expected labelled samples/);
  });
});

describe('wrong arguments, each before any work', () => {
  const untouched: Examples = {
    ...context.training!,
    read: () => {
      throw new Error('data was read');
    },
  };
  const attempt = (options: unknown, network = original): Promise<unknown> =>
    compress(network, { ...context, training: untouched, validation: untouched }, options as CompressOptions);
  it.each<[unknown, RegExp]>([
    [{ keep: 0.5 }, /options: expected .*got "keep"/],
    [{ settings: 3 }, /conv1: expected an object, got 3/],
    [{ layers: { conv1: null } }, /conv1: expected an object, got null/],
    [{ repair: 'no' }, /repair: expected true or false, got "no"/],
    [{ training: { epochs: 3 } }, /training: expected batchSize, .*got "epochs"/],
    [{ training: { batchSize: -1 } }, /batchSize: expected an integer of at least 1, got -1/],
    [{ training: { loss: 'l2' } }, /loss: expected a loss/],
    [{ final: { epochs: 1, learningRate: 1, patience: 2 } }, /final: expected epochs, learningRate, got "patience"/],
    [{ checkpoint: 'here' }, /checkpoint: expected \{ store, key \}/],
    [{ settings: { keep: 0 } }, /keep: expected a finite number above 0 and at most 1, got 0/],
    [{ settings: { keep: Number.NaN } }, /keep/],
    [{ settings: { codewords: 3 } }, /expected keep, quantize.*got "codewords"/],
    [{ settings: { codewordCount: 1 } }, /codewordCount: expected an integer from 2 to 65536, got 1/],
    [{ settings: { subvectorLength: 2.5 } }, /subvectorLength/],
    [{ settings: { signs: 'together' } }, /signs: expected one of apart, none, got "together"/],
    [{ settings: { quantize: 'yes' } }, /quantize: expected true or false, got "yes"/],
    [
      { layers: { nowhere: {} } },
      /layers: expected names of layers that can be compressed \(conv1, conv2, dense1, dense2\), got "nowhere"/,
    ],
    [{ order: ['conv1', 'conv1'] }, /order: expected each name once/],
    [{ order: ['pool'] }, /order: .*got "pool"/],
    [{ order: 'sideways' }, /order/],
    [{ layersPerStep: 0 }, /layersPerStep/],
    [{ tolerance: -1 }, /tolerance/],
    [{ retries: 1.5 }, /retries/],
    [{ teacherWeight: 1.5 }, /teacherWeight/],
    [{ criterion: 'beauty' }, /criterion: expected one of/],
    [{ criterion: 'magnitude', scoring: { neighbours: 2 } }, /scoring: expected norm, got "neighbours"/],
    [{ settings: { quantizer: 'best' } }, /quantizer: expected one of .*product.*got "best"/],
    [
      { settings: { quantizer: 'product', beauty: 3 } },
      /expected keep, quantize, quantizer, subvectorLength.*got "beauty"/,
    ],
    [{ final: { epochs: -1, learningRate: 1 } }, /final.epochs/],
    [{ final: 3 }, /final: expected an object, got 3; it may have epochs, learningRate/],
    [{ codewords: 'float8' }, /codewords/],
    [{ originalBytes: 0 }, /originalBytes/],
    [null, /options: expected an object, got null/],
  ])('%j', async (options, message) => {
    await expect(attempt(options)).rejects.toThrow(message);
  });
  it('a network without weights', async () => {
    await expect(attempt({}, sequential({ input: [4] }, [relu()]))).rejects.toThrow(
      /at least one layer that can be compressed/,
    );
  });
  it('a training set that cannot be trained on', async () => {
    const { targetShape: _shape, ...unlabelled } = untouched;
    await expect(
      compress(original, { ...context, training: unlabelled, validation: untouched }, quick),
    ).rejects.toThrow(/context.training: expected targets, got an unlabelled set/);
    await expect(
      compress(
        original,
        { ...context, training: { ...untouched, inputShape: [1, 9, 9] }, validation: untouched },
        quick,
      ),
    ).rejects.toThrow(/inputs of shape \[1, 8, 8\]/);
  });
  it('a setting that is undefined is not given', async () => {
    const { report } = await compress(original, context, {
      ...quick,
      settings: { keep: undefined, quantize: false } as never,
      order: ['dense2'],
      final: { epochs: 0, learningRate: 1 },
      retrainPruned: { epochs: 0, learningRate: 1 },
    });
    expect(describeStage(report.stages[0])).toBe('dense1 32 -> 24');
  });
  it('missing sets', async () => {
    const { training: _training, ...rest } = context;
    await expect(compress(original, rest, quick)).rejects.toThrow(/context.training: expected examples, got none/);
  });
});
