/** Compression without data: weights are quantized, the error is unknown, and what needs data is refused by name. */
import { describe, expect, it } from 'vitest';
import { compress, reportHtml, summaryTable } from '../../src/compression/index.ts';
import type { CompressOptions } from '../../src/compression/index.ts';
import { isDense } from '../../src/encodings/index.ts';
import { batchNorm, conv, dense, flatten, relu, readNetwork, sequential } from '../../src/network/index.ts';
import { quantizeParameterAsync } from '../../src/quantization/index.ts';
import type { RunEvent } from '../../src/base/control.ts';

const network = sequential({ input: [8], seed: 3 }, [
  dense(64, { name: 'a' }),
  relu(),
  dense(64, { name: 'b' }),
  relu(),
  dense(2, { name: 'c' }),
]);
const context = { threads: 1, seed: 1 };
const settings = { codewordCount: 8, quantize: true } as const;

describe('without data', () => {
  it('quantizes what quantizing alone gives, prunes nothing, and says that the error is unknown', async () => {
    const { network: small, bytes, report } = await compress(network, context, { settings, codewords: 'float32' });
    const { network: alone } = await quantizeParameterAsync(network, 'b.weight', { codewordCount: 8, seed: 1 });
    expect(small.parameters.get('b.weight')).toEqual(alone.parameters.get('b.weight'));
    expect(small.parameters.get('c.weight')!.shape).toEqual([2, 64]);
    expect(readNetwork(bytes).nodes).toEqual(network.nodes);
    expect(report.validation).toEqual({ before: NaN, after: NaN, yardstick: 'none' });
    expect(report.steps).toEqual([]);
    expect(report.stages.some(({ name }) => name === 'retrain' || name === 'final')).toBe(false);
    for (const { asked, got } of report.plans) expect(got.keep).toBe(asked.keep);

    const text = summaryTable(report);
    expect(text).toMatch(/validation error +unknown +unknown/);
    const html = reportHtml({ title: 't', description: 'd', report });
    expect(html).toContain('the error is unknown, as there were no data to measure it on');
    expect(html).not.toContain('Validation error after each stage');
    expect(text + html).not.toContain('NaN');
  });

  it('removes neurons by a criterion that reads weights alone', async () => {
    const options = { criterion: 'magnitude', settings: { ...settings, keep: 0.5 } } as const;
    const { network: small } = await compress(network, context, options);
    expect(small.parameters.get('b.weight')!.shape).toEqual([32, 32]);
    expect(isDense(small.parameters.get('b.weight'))).toBe(false);
  });

  it.each<[string, CompressOptions]>([
    ['settings.keep', { settings: { keep: 0.5 } }],
    ['b.keep', { layers: { b: { keep: 0.5 } } }],
    ['settings.keep', { criterion: 'taylor', settings: { keep: 0.5 } }],
    ['criterion', { criterion: 'magnitude' }],
    ['scoring.norm', { scoring: { norm: 'L2' } }],
    ['retrainPruned.epochs', { retrainPruned: { epochs: 1, learningRate: 0.1 } }],
    ['retrainQuantized.epochs', { retrainQuantized: { epochs: 1, learningRate: 0.1 } }],
    ['final.epochs', { final: { epochs: 1, learningRate: 0.1 } }],
    ['teacherWeight', { teacherWeight: 1 }],
    ['tolerance', { tolerance: 0.1 }],
    ['retries', { retries: 2 }],
    ['repair', { repair: true }],
    ['training.batchSize', { training: { batchSize: 4 } }],
  ])('refuses %s with the cure', async (name, options) => {
    await expect(compress(network, context, options)).rejects.toThrow(
      new RegExp(`^compress: ${name.replace('.', '\\.')}: .*give context.training and context.validation`),
    );
  });

  it('refuses one set without the other', async () => {
    const set = { count: 1, inputShape: [8], read: () => undefined };
    await expect(compress(network, { ...context, training: set })).rejects.toThrow('context.validation');
    await expect(compress(network, { ...context, validation: set })).rejects.toThrow('context.training');
  });

  it('warns that statistics of batch normalization stay', async () => {
    const normalized = sequential({ input: [1, 6, 6] }, [conv(8, 3), batchNorm(), relu(), flatten(), dense(2)]);
    const events: RunEvent[] = [];
    await compress(normalized, { ...context, onEvent: (event) => void events.push(event) }, { settings });
    expect(events).toContainEqual(
      expect.objectContaining({ kind: 'warning', text: expect.stringContaining('batch normalization') as string }),
    );
  });
});

it('an output layer is not asked for a share that is set for all, but for its own', async () => {
  const options = { criterion: 'magnitude', settings: { ...settings, keep: 0.5 } } as const;
  const keeps = async (more: CompressOptions) =>
    (await compress(network, context, { ...options, ...more })).report.plans.map(({ asked }) => asked.keep);
  expect(await keeps({})).toEqual([0.5, 0.5, 1]);
  expect(await keeps({ layers: { c: { keep: 0.25 } } })).toEqual([0.5, 0.5, 0.25]);
});
