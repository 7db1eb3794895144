/** What compression does unless it is told otherwise, and that what it is told reaches those who do it. */
import { describe, expect, it } from 'vitest';
import { compress, describePlan, describeStage, presetOptions } from '../../src/compression/index.ts';
import type { CompressOptions, CompressResult, QuantizeStageReport } from '../../src/compression/index.ts';
import { decode } from '../../src/encodings/index.ts';
import type { ProductEncoding } from '../../src/encodings/index.ts';
import { examplesFromArrays } from '../../src/data/index.ts';
import type { Examples } from '../../src/graph/examples.ts';
import type { Network } from '../../src/graph/network.ts';
import type { Context } from '../../src/graph/transform.ts';
import { normal, stream } from '../../src/base/random.ts';
import { loadKernels } from '../../src/kernels/index.ts';
import { perturbed } from '../operators/examples.ts';
import {
  add,
  batchNorm,
  conv,
  dense,
  flatten,
  foldNormalization,
  globalAveragePool,
  graph,
  relu,
  sequential,
  vgg,
} from '../../src/network/index.ts';
import { denseByDefault } from '../../src/quantization/worth.ts';
import { evaluate, l2, reestimateBatchNorm, train } from '../../src/training/index.ts';
import { prune } from '../../src/pruning/index.ts';

const kernels = await loadKernels();
function examples(count: number, seed: number, outputs: number): Examples {
  const random = stream(seed, 'examples');
  const draw = (length: number): Float32Array => Float32Array.from({ length }, () => normal(random));
  return examplesFromArrays({
    inputs: draw(count * 2 * 36),
    inputShape: [2, 6, 6],
    targets: draw(count * outputs),
    targetShape: [outputs],
  });
}
const context: Context = { kernels, threads: 1, seed: 3, training: examples(96, 1, 4), validation: examples(40, 2, 4) };
const none = { epochs: 0, learningRate: 1 };
const bare: CompressOptions = {
  retrainPruned: none,
  retrainQuantized: none,
  final: none,
  training: { loss: l2() },
  tolerance: Infinity,
};
const network = sequential({ input: [2, 6, 6], seed: 1 }, [
  conv(8, 3),
  relu(),
  conv(8, 3, { groups: 8 }),
  relu(),
  conv(32, 3),
  relu(),
  flatten(),
  dense(32),
  relu(),
  dense(8),
  relu(),
  dense(4),
]);
const kinds = ({ parameters }: Network): string[] =>
  [...parameters].filter(([name]) => name.endsWith('.weight')).map(([, { kind }]) => kind);

describe('layers that stay dense', () => {
  it('the first, depthwise and tiny ones, with the reason; one that is named is quantized', async () => {
    const { network: small, report } = await compress(network, context, { ...bare, settings: { keep: 1 } });
    expect(kinds(small)).toEqual(['dense', 'dense', 'product', 'product', 'product', 'dense']);
    expect(report.plans.flatMap((plan) => describePlan(plan) ?? [])).toEqual([
      expect.stringMatching(/^conv1: dense, first layer: quantized it would save \d+ bytes, \d\.\d % of all$/),
      expect.stringMatching(/^conv2: dense, depthwise: quantized it would save/),
      expect.stringMatching(/^dense3: dense, tiny layer: quantized it would save/),
    ]);
    const all = await compress(network, context, { ...bare, settings: { keep: 1, quantize: true, codewordCount: 8 } });
    expect(kinds(all.network).slice(0, 2)).toEqual(['product', 'product']);
    const named = await compress(network, context, {
      ...bare,
      settings: { keep: 1 },
      layers: { conv1: { codewordCount: 8 } },
    });
    expect(kinds(named.network)).toEqual(['product', 'dense', 'product', 'product', 'product', 'dense']);
    const kept = await compress(network, context, {
      ...bare,
      settings: { keep: 1 },
      layers: { conv1: { keep: 0.5 }, dense1: { quantize: false } },
    });
    expect(kinds(kept.network)).toEqual(['dense', 'dense', 'product', 'dense', 'product', 'dense']);
  });

  it('a first layer that is most of the network is no small one', () => {
    const mlp = sequential({ input: [100], seed: 1 }, [dense(50), relu(), dense(50), relu(), dense(2)]);
    const options = {
      subvectorLength: 4,
      subspaceCount: 0,
      codewordCount: 16,
      codebooks: 'layer',
      signs: 'apart',
      clampCodewords: true,
    };
    const planned = new Map(
      ['dense1', 'dense2', 'dense3'].map((name) => [name, { kind: 'product', options } as const]),
    );
    const reasons = denseByDefault(mlp, planned);
    expect(reasons.has('dense1')).toBe(false);
    expect(reasons.has('dense2')).toBe(false);
    expect(denseByDefault(mlp, new Map([...planned].slice(2)))).toEqual(new Map());
  });
});

describe('batch normalization', () => {
  const normalized = sequential({ input: [2, 6, 6], seed: 4 }, [
    conv(12, 3),
    batchNorm(),
    relu(),
    conv(12, 3),
    batchNorm(),
    relu(),
    globalAveragePool(),
    dense(4),
  ]);
  const options: CompressOptions = {
    ...bare,
    criterion: 'magnitude',
    settings: { keep: 0.5, subvectorLength: 2, codewordCount: 4 },
    order: ['dense1', 'conv2'],
    layersPerStep: 1,
  };

  it('statistics are taken anew after every removal and quantization, before anything is measured', async () => {
    const { network: trained } = await train(normalized, context, { epochs: 1, learningRate: 0.02, loss: l2() });
    const { report, network: small } = await compress(trained, context, options);
    const changed = report.stages.filter((stage) => stage.changed && stage.name !== 'round');
    expect(changed.length).toBe(3);
    // That of conv2 is multiplied into its weight before they are quantized.
    expect(changed.map(({ report: stage }) => [stage['batchNorm'], stage['folded']])).toEqual([
      [{ layers: 2, samples: 96 }, undefined],
      [{ layers: 2, samples: 96 }, undefined],
      [{ layers: 1, samples: 96 }, 1],
    ]);
    expect(describeStage(report.stages.findLast(({ name }) => name === 'quantize')!)).toMatch(
      /^1 normalization folded; conv2: /,
    );
    expect(small.nodes.filter(({ kind }) => kind === 'batchNorm')).toHaveLength(1);
    const { network: pruned } = await prune({ criterion: 'magnitude', keep: { conv2: 0.5 }, repair: true, loss: l2() })(
      trained,
      context,
    );
    const { network: anew } = await reestimateBatchNorm(pruned, context);
    const rmse = async (one: Network): Promise<number> => (await evaluate(one, context.validation!, { kernels })).rmse!;
    expect(report.stages[0].validation).toBe(await rmse(anew));
    expect(report.stages[0].validation).not.toBe(await rmse(pruned));
    // The last word is that of the network handed out.
    const again = (await reestimateBatchNorm(small, context)).network;
    for (const [name, encoding] of small.parameters)
      expect(decode(again.parameters.get(name)!)).toEqual(decode(encoding));
  });

  it('error feedback aims at the responses of layers that it is multiplied into', async () => {
    const trained = perturbed(normalized);
    const draw = stream(3, 'examples');
    const inputs = Float32Array.from({ length: 96 * 72 }, () => normal(draw));
    // Judged by the outputs: by labels that say little the difference is lost.
    const unlabelled = examplesFromArrays({ inputs, inputShape: [2, 6, 6] });
    const given = { ...context, training: unlabelled, validation: unlabelled };
    const fed: CompressOptions = {
      ...{ ...bare, layersPerStep: Infinity, feedback: 'full', order: 'lastToFirst' },
      settings: { keep: 1, quantize: true, quantizer: 'scalar', bits: 6 },
    };
    const after = async (one: Network): Promise<number> =>
      (await compress(one, given, { ...fed, tolerance: Infinity })).report.validation.after;
    const folded = await after(foldNormalization(trained));
    expect(Math.abs((await after(trained)) / folded - 1)).toBeLessThan(0.02);
  });

  it('networks without it are left alone', async () => {
    const { report } = await compress(network, context, { ...bare, order: ['dense2'] });
    expect(report.stages[0].report['batchNorm']).toBeUndefined();
  });
});

describe('layers that are cut together', () => {
  const joined = graph({ seed: 5 }, (g) => {
    const stem = g.node(conv(16, 3, { name: 'stem' }), g.input([2, 6, 6]));
    const branch = g.node(conv(16, 3, { name: 'out' }), g.node(relu(), stem));
    const sum = g.node(relu(), g.node(add(), stem, branch));
    return g.node(dense(4, { name: 'head' }), g.node(globalAveragePool(), sum));
  });
  const widths = async (layers: CompressOptions['layers'], keep = 0.75): Promise<number[]> => {
    const result = await compress(joined, context, {
      ...bare,
      settings: { keep, quantize: false },
      layers: layers ?? {},
    });
    return ['stem.weight', 'out.weight'].map((name) => result.network.parameters.get(name)!.shape[0]);
  };
  it.each<[string, CompressOptions['layers'], number]>([
    ['none is named: the setting of all', {}, 12],
    ['another than the first is named', { out: { keep: 1 } }, 16],
    ['it is named with less than all have', { out: { keep: 0.25 } }, 4],
    ['the first is named', { stem: { keep: 0.5 } }, 8],
    ['both are named: the largest', { stem: { keep: 0.25 }, out: { keep: 0.5 } }, 8],
  ])('%s', async (_name, layers, width) => {
    expect(await widths(layers)).toEqual([width, width]);
  });
});

describe('what is asked reaches those who do it', () => {
  const run = (options: CompressOptions): Promise<CompressResult> =>
    compress(network, context, { ...bare, settings: { keep: 0.5, subvectorLength: 4, codewordCount: 16 }, ...options });
  const fitted = async (settings: CompressOptions['settings']): Promise<ProductEncoding> =>
    (
      await run({
        settings: { keep: 1, subvectorLength: 4, codewordCount: 16, ...settings } as never,
        order: ['dense1'],
      })
    ).network.parameters.get('dense1.weight') as ProductEncoding;

  it('signs, codebooks, codewords, iterations', async () => {
    const usual = await fitted({});
    expect(usual.blocks.length).toBe(1);
    expect(usual.blocks[0].signs).toBeDefined();
    const signed = await fitted({ signs: 'none' });
    expect(signed.blocks[0].signs).toBeUndefined();
    const apart = await fitted({ codebooks: 'subspace', codewordCount: 2 });
    expect(apart.blocks.length).toBe(288);
    const once = await fitted({ iterations: 0 });
    expect(once.blocks[0].codewords).not.toEqual(usual.blocks[0].codewords);
  });

  it('repair: consumers keep their weights without it, and are refitted by default', async () => {
    const consumers = async (options: CompressOptions): Promise<Float32Array> =>
      decode(
        (
          await run({ ...options, criterion: 'magnitude', settings: { keep: 0.5, quantize: false }, order: ['dense2'] })
        ).network.parameters.get('dense2.weight')!,
      );
    const plain = await consumers({ repair: false });
    const original = decode(network.parameters.get('dense2.weight')!);
    expect([...plain].every((value) => original.includes(value))).toBe(true);
    expect([...(await consumers({}))].every((value) => original.includes(value))).toBe(false);
    expect(await consumers({ repair: true })).toEqual(await consumers({}));
  });

  it('refit and feedback, in weights and codes, in the report, and first layer before the next', async () => {
    const options: CompressOptions = { layersPerStep: Infinity, criterion: 'magnitude', codewords: 'float32' };
    const plain = await run(options);
    const refitted = await run({ ...options, refit: true });
    expect(plain.report.stages[0].report['refitted']).toBeUndefined();
    expect(refitted.report.stages[0].report['refitted']).toContainEqual({ layer: 'dense2', status: 'refitted' });
    expect(describeStage(refitted.report.stages[0])).toContain('; 5 layers refitted');
    const bias = ({ network: one }: CompressResult): Float32Array => decode(one.parameters.get('dense2.bias')!);
    expect(bias(refitted)).not.toEqual(bias(plain));
    const fed = await run({ ...options, feedback: 'full' });
    expect(bias(fed)).not.toEqual(bias(plain));
    const [, stage] = fed.report.stages;
    expect((stage.report as QuantizeStageReport).parameters.map(({ layer }) => layer)).toEqual([
      'conv3',
      'dense1',
      'dense2',
    ]);
    const diagonal = await run({ ...options, feedback: 'diagonal' });
    expect(bias(diagonal)).toEqual(bias(plain));
    expect(decode(diagonal.network.parameters.get('dense1.weight')!)).not.toEqual(
      decode(plain.network.parameters.get('dense1.weight')!),
    );
  });

  it('the preset quick runs on samples without labels, and outputs stay nearer than with neither', async () => {
    // Made of eight patterns, as inputs that a network is for depend on each other; noise has nothing to be predicted from.
    const patterns = Float32Array.from(
      { length: 8 * 72 },
      (
        (draw) => () =>
          normal(draw)
      )(stream(1, 'patterns')),
    );
    const unlabelled = (count: number, seed: number): Examples => {
      const draw = stream(seed, 'mixtures');
      const mixture = Float32Array.from({ length: count * 8 }, () => normal(draw));
      const inputs = Float32Array.from({ length: count * 72 }, (_, i) => {
        let sum = 0;
        for (let k = 0; k < 8; k++) sum += mixture[8 * Math.floor(i / 72) + k] * patterns[72 * k + (i % 72)];
        return sum / 3;
      });
      return examplesFromArrays({ inputs, inputShape: [2, 6, 6] });
    };
    const given = { ...context, training: unlabelled(512, 1), validation: unlabelled(100, 2) };
    const preset: CompressOptions = {
      ...presetOptions('quick', vgg()),
      layers: { conv1: { quantize: false }, dense1: { keep: 0.25 } },
    };
    const after = async (options: CompressOptions): Promise<number> =>
      (await compress(network, given, { ...preset, ...options, tolerance: Infinity })).report.validation.after;
    const both = await after({});
    expect(both).toBeLessThan(await after({ refit: false }));
    expect(both).toBeLessThan(await after({ feedback: 'none' }));
  });

  it('samples, in how many different ones are measured where no epoch reads them all', async () => {
    const measured = async (samples: number): Promise<number> => {
      const seen = new Set<number>();
      const training: Examples = {
        ...context.training!,
        read(indices, ...rest) {
          for (const index of Array.from(indices)) seen.add(index);
          return context.training!.read(indices, ...rest);
        },
      };
      const none = { epochs: 0, learningRate: 1 };
      await compress(
        network,
        { ...context, training },
        {
          ...{ samples, refit: true, feedback: 'full', retries: 0, settings: { keep: 0.5 } },
          ...{ retrainPruned: none, retrainQuantized: none, final: none },
        },
      );
      return seen.size;
    };
    const [few, many] = [await measured(16), await measured(64)];
    expect(few).toBeGreaterThanOrEqual(16);
    expect(few).toBeLessThan(64);
    expect(many).toBeGreaterThanOrEqual(64);
    await expect(measured(0)).rejects.toThrow('compress: samples: expected');
  });

  it('criterion, in what is removed and in the report', async () => {
    const options: CompressOptions = { settings: { keep: 0.5, quantize: false }, order: ['dense2'], repair: false };
    const [a, b] = await Promise.all(
      (['magnitude', 'random'] as const).map((criterion) => run({ ...options, criterion })),
    );
    expect([a, b].map(({ report }) => report.stages[0].report['criterion'])).toEqual(['magnitude', 'random']);
    expect(decode(a.network.parameters.get('dense1.weight')!)).not.toEqual(
      decode(b.network.parameters.get('dense1.weight')!),
    );
  });

  it('seed, in how codebooks are fitted', async () => {
    const codes = async (seed: number): Promise<unknown> => {
      const { network: small } = await compress(
        network,
        { ...context, seed },
        { ...bare, settings: { keep: 1 }, order: ['dense1'] },
      );
      return (small.parameters.get('dense1.weight') as ProductEncoding).blocks[0].codes;
    };
    expect(await codes(3)).toEqual(await codes(3));
    expect(await codes(3)).not.toEqual(await codes(4));
  });

  it('rate and loss of retraining, with the rate of codebooks', async () => {
    const options: CompressOptions = {
      order: ['dense1'],
      settings: { keep: 1, codewordCount: 16 },
      retrainQuantized: { epochs: 1, learningRate: 0.02 },
    };
    const codewords = async (training: NonNullable<CompressOptions['training']>): Promise<Float32Array> =>
      (
        (await run({ ...options, training: { loss: l2(), ...training }, codewords: 'float32' })).network.parameters.get(
          'dense1.weight',
        ) as ProductEncoding
      ).blocks[0].codewords;
    const usual = await codewords({});
    expect(await codewords({ codebookRate: 10 })).toEqual(usual);
    expect(await codewords({ codebookRate: 1 })).not.toEqual(usual);
    expect(await codewords({ batchSize: 16 })).not.toEqual(usual);
  });

  it('retraining between steps, and at the end, hands on its best state, the one before it among them', async () => {
    let looks = 0;
    const { report, network: small } = await run({
      order: ['dense2'],
      settings: { keep: 0.5, quantize: false },
      retrainPruned: { epochs: 2, learningRate: 0.5 },
      final: { epochs: 2, learningRate: 0.5 },
      // Every look at the validation set is worse than the one before: no epoch is an improvement.
      training: { loss: l2(), validationMetric: () => ++looks },
    });
    const [pruned, retrained, final] = report.stages;
    expect([retrained.name, final.name]).toEqual(['retrain', 'final']);
    for (const stage of [retrained, final]) {
      expect(stage.report).toMatchObject({ status: 'noImprovement' });
      expect(stage.changed).toBe(false);
      expect(stage.validation).toBe(pruned.validation);
      expect(describeStage(stage)).toContain('none was better than the state before');
    }
    const { network: untrained } = await run({ order: ['dense2'], settings: { keep: 0.5, quantize: false } });
    for (const [name, encoding] of untrained.parameters)
      expect(decode(small.parameters.get(name)!)).toEqual(decode(encoding));
  });

  it('the weights of quantized layers are those in the report', async () => {
    const { report } = await run({});
    const names = report.stages
      .filter(({ name }) => name === 'quantize')
      .flatMap((stage) => (stage.report as QuantizeStageReport).parameters.map(({ layer }) => layer));
    expect(names).toEqual(
      report.plans
        .filter(({ got }) => got.quantize)
        .map(({ layer }) => layer)
        .reverse(),
    );
  });
});

describe('compressing what is compressed', () => {
  const warnings = async (given: Network, options: CompressOptions): Promise<string[]> => {
    const texts: string[] = [];
    await compress(
      given,
      { ...context, onEvent: (event) => void (event.kind === 'warning' && texts.push(event.text)) },
      options,
    );
    return texts;
  };

  it('says why nothing happens, by the names of the layers that stay as they are', async () => {
    const all = { ...bare, settings: { keep: 1, quantize: true, subvectorLength: 4, codewordCount: 4 } };
    const { network: whole } = await compress(network, context, all);
    expect(await warnings(network, all)).toEqual([]);
    expect(await warnings(whole, all)).toEqual([
      expect.stringMatching(/^compress: quantized already.*"conv1", "conv2".*compress the original$/),
    ]);
    const { network: part } = await compress(network, context, { ...all, layers: { conv1: { quantize: false } } });
    const [text, ...others] = await warnings(part, all);
    expect(others).toEqual([]);
    expect(text).toContain('"conv2"');
    expect(text).not.toContain('"conv1"');
  });
});
