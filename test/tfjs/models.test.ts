/** Layers, operations and whole models: what TensorFlow.js gives for them. */
import { describe, expect, it } from 'vitest';
import { readTfjs } from '../../src/tfjs/index.ts';
import { differences } from '../onnx/compare.ts';
import { bytesOf, cases, floatsOf, run } from './cases.ts';

describe('readTfjs', () => {
  it.each(cases.map((one) => [one.name, one] as const))(
    '%s gives the outputs of TensorFlow.js within 1e-5 + 1e-4 |y|, of its names and shapes',
    async (_, { model, weights, inputs, outputs }) => {
      for (const simplified of [true, false]) {
        const { network, batch } = readTfjs(model, bytesOf(weights), { simplified });
        const found = await run(network, inputs, { whole: batch === 'none' });
        expect(network.outputs).toEqual(outputs.map(({ name }) => name));
        for (const output of outputs)
          expect(differences(found.get(output.name) ?? [], floatsOf(output), 1e-4, 1e-5), output.name).toEqual([]);
      }
    },
  );
});
