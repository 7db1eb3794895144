/** Real models there and back: imported, written, and run by onnxruntime; and small versions of one of them. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readNpy } from '../../src/data/npy.ts';
import type { Network } from '../../src/graph/network.ts';
import { loadKernels } from '../../src/kernels/index.ts';
import { writeNetwork } from '../../src/network/index.ts';
import { readOnnx, writeOnnx } from '../../src/onnx/index.ts';
import { prune } from '../../src/pruning/index.ts';
import { quantize, roundCodebooks } from '../../src/quantization/index.ts';
import type { QuantizeOptions } from '../../src/quantization/index.ts';
import { realData } from '../real-data.ts';
import { checkModels, hasChecker } from './checker.ts';
import { differencesBetween, runNetwork, runOnnx } from './onnxruntime.ts';
import type { Values } from './onnxruntime.ts';

describe.skipIf(realData === undefined)('models by others', () => {
  const folder = join(realData ?? '', 'models');
  const files = realData === undefined ? [] : readdirSync(folder).filter((name) => name.endsWith('.onnx'));
  const stored = (file: string, part: string): Values =>
    readNpy(readFileSync(join(folder, `${file.slice(0, -5)}.${part}.npy`)));

  it.each(files)(
    '%s is written again and gives in onnxruntime what it gave within 1e-4 + 1e-3 |y|, names and batch kept',
    async (file) => {
      const { network, batch } = readOnnx(readFileSync(join(folder, file)));
      const bytes = writeOnnx(network);
      const [{ name }] = network.inputs;
      const expected = new Map(network.outputs.map((output) => [output, stored(file, `output-${output}`)]));
      const inputs = new Map([[name, stored(file, 'input')]]);
      expect(differencesBetween(await runOnnx(bytes, inputs), expected)).toEqual([]);
      const again = readOnnx(bytes);
      expect(again.batch).toEqual(batch);
      expect(again.network.inputs).toEqual(network.inputs);
      const kernels = await loadKernels();
      const rows = inputs.get(name)?.shape[0];
      expect(differencesBetween(await runNetwork(again.network, inputs, rows, kernels), expected)).toEqual([]);
      if (hasChecker) expect(checkModels(new Map([[file, bytes]]))).toBe('');
    },
    120_000,
  );

  describe('vgg-face68, made small', () => {
    const file = 'vgg-face68.onnx';
    const product = {
      quantizer: 'product',
      subvectorLength: 8,
      codewordCount: 256,
      iterations: 1,
      init: 'random',
    } as const;
    // Steps are given: a search for the best takes seven seconds, and nothing here depends on it.
    const settings: readonly (readonly [string, QuantizeOptions, boolean])[] = [
      ['256 codewords of 8, signs apart, halves', product, true],
      ['256 codewords of 4, no signs, floats', { ...product, subvectorLength: 4, signs: 'none' }, false],
      ['levels of 8 bits', { quantizer: 'scalar', bits: 8, step: 0.04 }, false],
      ['levels of 4 bits', { quantizer: 'scalar', bits: 4, step: 0.4 }, false],
    ];

    it.each(settings)(
      '%s: onnxruntime and readOnnx agree with espalier, at most 1.15 of its own bytes',
      async (title, options, halves) => {
        const kernels = await loadKernels();
        const context = { kernels, threads: 1, seed: 1 };
        const { network: whole } = readOnnx(readFileSync(join(folder, file)));
        const { network: thin } = await prune({ criterion: 'magnitude', fold: false, keep: 0.9 })(whole, context);
        const { network: quantized } = await quantize(options)(thin, context);
        const network: Network = halves ? (await roundCodebooks()(quantized, context)).network : quantized;
        const bytes = writeOnnx(network);
        const own = writeNetwork(network).length;
        console.log(
          `vgg-face68, ${title}: ${bytes.length} bytes, espalier's ${own}, ${(bytes.length / own).toFixed(4)}`,
        );
        expect(bytes.length / own).toBeLessThanOrEqual(1.15);
        const inputs = new Map([[network.inputs[0].name, stored(file, 'input')]]);
        const expected = await runNetwork(network, inputs, 2, kernels);
        expect(differencesBetween(await runOnnx(bytes, inputs), expected)).toEqual([]);
        expect(differencesBetween(await runNetwork(readOnnx(bytes).network, inputs, 2, kernels), expected)).toEqual([]);
        if (hasChecker) expect(checkModels(new Map([[title, bytes]]))).toBe('');
      },
      240_000,
    );
  });
});
