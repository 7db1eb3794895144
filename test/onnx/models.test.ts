/** Real models: the outputs that onnxruntime gave for them. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createExecutor } from '../../src/execution/executor.ts';
import { loadKernels, portableKernels } from '../../src/kernels/index.ts';
import { readNpy } from '../../src/data/npy.ts';
import { foldNormalization } from '../../src/network/simplify.ts';
import { readOnnx } from '../../src/onnx/index.ts';
import { realData } from '../real-data.ts';
import { differences } from './compare.ts';

describe.skipIf(realData === undefined)('models by others', () => {
  const folder = join(realData ?? '', 'models');
  const models = realData === undefined ? [] : readdirSync(folder).filter((name) => name.endsWith('.onnx'));

  it('are there', () => {
    expect(models.length).toBe(5);
  });

  const folded: string[] = [];
  it.each(models)(
    '%s gives the outputs of onnxruntime within 1e-4 + 1e-3 |y|, in both sets of kernels, simplified, and with its normalizations folded',
    async (file) => {
      const { network } = readOnnx(readFileSync(join(folder, file)));
      const array = (part: string): ReturnType<typeof readNpy> =>
        readNpy(readFileSync(join(folder, `${file.slice(0, -5)}.${part}.npy`)));
      const input = array('input');
      const plain = foldNormalization(network);
      const isFolded = plain.nodes.length < network.nodes.length;
      if (isFolded) folded.push(file);
      for (const kernels of [portableKernels(), await loadKernels()]) {
        for (const form of isFolded ? [network, plain] : [network]) {
          const executor = await createExecutor(form, { kernels, batch: input.shape[0] });
          executor.input().set(input.data);
          executor.forward();
          for (const name of network.outputs)
            expect(differences(executor.output(name), array(`output-${name}`).data, 1e-3, 1e-4), name).toEqual([]);
          executor.dispose();
        }
      }
    },
    120_000,
  );

  it('of which two have normalizations behind layers', () => {
    expect(folded).toEqual(['resnet-face68.onnx', 'ultraface-rfb-320.onnx']);
  });
});
