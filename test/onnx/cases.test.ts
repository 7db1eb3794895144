/** What users of other importers reported, each as a model with the outputs of PyTorch or NumPy (test/vectors/onnx_models.py). */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { createExecutor } from '../../src/execution/executor.ts';
import { loadKernels, portableKernels } from '../../src/kernels/index.ts';
import { readOnnx } from '../../src/onnx/index.ts';
import { differences } from './compare.ts';

interface Stored {
  readonly shape: readonly number[];
  readonly data: readonly number[];
}
interface Case {
  readonly name: string;
  readonly model: string;
  readonly inputs: Readonly<Record<string, Stored>>;
  readonly outputs: Readonly<Record<string, Stored>>;
}
const cases = JSON.parse(
  readFileSync(new URL('../vectors/onnx_models.json', import.meta.url), 'utf8'),
) as readonly Case[];

describe('models that others stumbled over', () => {
  it.each(cases)('$name', async ({ model, inputs, outputs }) => {
    const { network, batch } = readOnnx(Buffer.from(model, 'base64'));
    const count = batch === 'none' ? 1 : Object.values(inputs)[0].shape[0];
    for (const kernels of [portableKernels(), await loadKernels()]) {
      const executor = await createExecutor(network, { kernels, batch: count });
      for (const { name } of network.inputs) executor.input(name).set(inputs[name].data);
      executor.forward();
      for (const [name, { shape, data }] of Object.entries(outputs)) {
        expect([...(batch === 'none' ? [] : [count]), ...executor.shapeOf(name)]).toEqual(shape);
        expect(differences(executor.output(name), data, 1e-4, 1e-5)).toEqual([]);
      }
      executor.dispose();
    }
  });
});
