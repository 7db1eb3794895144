/** Presets: the settings that docs/results.md was measured with, for any network. */
import { describe, expect, it } from 'vitest';
import { conv, dense, flatten, PRESET_NAMES, presetOptions, sequential, vgg } from '../../src/index.ts';
import { resolveCompressOptions } from '../../src/compression/options.ts';

const network = vgg({ side: 16, widths: [32, 64], hidden: [256] });

describe('presetOptions', () => {
  it('of the reference network the layers are those of the results', () => {
    expect(presetOptions('size', network)).toEqual({
      layersPerStep: Infinity,
      settings: { keep: 0.3, quantizer: 'scalar', bits: 4, scales: 'layer', step: 0.9, rate: 0.2 },
      layers: { conv1_1: { quantize: false }, dense1: { keep: 0.12 } },
      refit: true,
      feedback: 'full',
      samples: 2048,
      teacherWeight: 0.5,
      training: { average: 0.998 },
      retrainPruned: { epochs: 60, learningRate: 0.04 },
      retrainQuantized: { epochs: 0, learningRate: 0.01 },
      final: { epochs: 0, learningRate: 0.01 },
    });
    expect(presetOptions('quick', network).layers).toEqual({ conv1_1: { quantize: false }, dense1: { keep: 0.2 } });
    expect(presetOptions('paper', network)).toHaveProperty('layersPerStep', 1);
  });

  it('a network of small layers gets levels in all of them, and keeps its channels', () => {
    const small = sequential({ input: [3, 16, 16] }, [
      conv(16, 3),
      conv(64, 1),
      conv(64, 3, { groups: 64 }),
      conv(64, 1),
    ]);
    for (const [name, step] of [
      ['quick', 0.28],
      ['size', 0.4],
    ] as const) {
      const { layers } = resolveCompressOptions(small, presetOptions(name, small));
      expect(
        [...layers.values()].map(({ keep, quantize, quantizer, options }) => [
          keep,
          quantize,
          quantizer,
          options['step'],
        ]),
      ).toEqual(Array.from({ length: 4 }, () => [1, true, 'scalar', step]));
    }
    expect(presetOptions('size', small).training?.levels).toBe('moving');
    // Half of its weights in one layer that pays for a codebook, and a few more: 200 x 110 is 22,000.
    const large = sequential({ input: [110] }, [dense(200), dense(100)]);
    expect(presetOptions('size', large).settings).toMatchObject({ keep: 0.3 });
    expect(presetOptions('size', sequential({ input: [100] }, [dense(200), dense(100)])).settings).toMatchObject({
      keep: 1,
    });
  });

  it.each(PRESET_NAMES)('%s names only layers that a network has, and never thins its output', (name) => {
    const others = [
      sequential({ input: [1, 8, 8] }, [conv(4, 3), conv(4, 3), flatten(), dense(2)]),
      sequential({ input: [4] }, [dense(2)]),
      sequential({ input: [4] }, [dense(8, { name: 'a' }), dense(2)]),
    ];
    for (const one of others) {
      const options = presetOptions(name, one);
      resolveCompressOptions(one, options);
      expect(
        Object.entries(options.layers ?? {}).filter(([layer, { keep }]) => keep !== undefined && layer !== 'a'),
      ).toEqual([]);
    }
  });

  it('another name is refused, with those that there are', () => {
    expect(() => presetOptions('least' as never, network)).toThrow(
      /expected one of paper, size, tiny, quick, got "least"/,
    );
  });
});
