/** The operators one by one, as the ONNX project tests its own: every case runs, or is refused by name and listed here. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadKernels, portableKernels } from '../../src/kernels/index.ts';
import { readOnnx } from '../../src/onnx/index.ts';
import { realData } from '../real-data.ts';
import { computeCase, isFloatCase, nodeTestNames, openNodeTest, runCase } from './node-tests.ts';

/** What the test set itself excepts: random numbers, values that are no tensors, elements of less than eight bits or of float8. */
const REFUSED: ReadonlyMap<string, RegExp> = new Map([
  ['test_dequantizelinear_e4m3fn_float16', /tensor "x": elements of type float8e4m3fn are not read/],
  ['test_dequantizelinear_e5m2', /tensor "x": elements of type float8e5m2 are not read/],
  ['test_dequantizelinear_int4', /tensor "x": elements of type int4 are not read/],
  ['test_dequantizelinear_uint2', /tensor "x": elements of type uint2 are not read/],
  ['test_identity_opt', /input "opt_in": optional values/],
  ['test_training_dropout', /random/],
  ['test_training_dropout_default_mask', /random/],
]);
/** Cases whose inputs are all values: what joins values has no constants. */
const ALL_VALUES = /_concat_|_add|_mul|_matmul_/;

describe.skipIf(realData === undefined)('node tests of ONNX', () => {
  const root = join(realData ?? '', 'onnx-node-tests');
  const names = realData === undefined ? [] : nodeTestNames(root);

  it(`are 147, of which ${REFUSED.size} are refused`, () => {
    expect(names.length).toBe(147);
    expect(names.filter((name) => REFUSED.has(name)).length).toBe(REFUSED.size);
  });

  it.each(names.filter((name) => !REFUSED.has(name)))('%s', async (name) => {
    const test = openNodeTest(root, name);
    if (!isFloatCase(test)) {
      expect(computeCase(test)).toEqual([]);
      return;
    }
    for (const kernels of [portableKernels(), await loadKernels()]) {
      if (!name.includes('_concat_')) expect(await runCase(test, kernels, 1)).toEqual([]);
      if (ALL_VALUES.test(name)) expect(await runCase(test, kernels, test.inputs.size)).toEqual([]);
    }
  });

  it.each([...REFUSED])('%s is refused', (name, reason) => {
    // Where even the data are no tensors the model says so first.
    const bytes = readFileSync(join(root, name, 'model.onnx'));
    expect(() => (name === 'test_identity_opt' ? readOnnx(bytes) : computeCase(openNodeTest(root, name)))).toThrow(
      reason,
    );
  });
});
