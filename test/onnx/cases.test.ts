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

/**
 * Of quantized models: outputs with what is off by one level put right, if that is at most one in fifty. A sum that lies
 * between two levels falls to either side by its last bit.
 */
function nearLevels(title: string, found: ArrayLike<number>, expected: readonly number[]): ArrayLike<number> {
  if (!/^Q(DQ|Linear)/.test(title)) return found;
  const level = 0.1;
  const isOff = (value: number, i: number): boolean => Math.abs(Math.abs(value - expected[i]) - level) < 1e-5;
  const off = Array.from(found).filter(isOff).length;
  return off <= expected.length / 50 ? Array.from(found, (value, i) => (isOff(value, i) ? expected[i] : value)) : found;
}

describe('models that others stumbled over', () => {
  it.each(cases)('$name', async ({ name: title, model, inputs, outputs }) => {
    const { network, batch } = readOnnx(Buffer.from(model, 'base64'));
    const count = batch === 'none' ? 1 : Object.values(inputs)[0].shape[0];
    for (const kernels of [portableKernels(), await loadKernels()]) {
      const executor = await createExecutor(network, { kernels, batch: count });
      for (const { name } of network.inputs) executor.input(name).set(inputs[name].data);
      executor.forward();
      for (const [name, { shape, data }] of Object.entries(outputs)) {
        expect([...(batch === 'none' ? [] : [count]), ...executor.shapeOf(name)]).toEqual(shape);
        expect(differences(nearLevels(title, executor.output(name), data), data, 1e-4, 1e-5)).toEqual([]);
      }
      executor.dispose();
    }
  });
});
