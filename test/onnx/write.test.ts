/** Networks as ONNX models: every operator, any graph, both kinds of batch; judged by onnxruntime and ONNX's checker. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Network } from '../../src/graph/network.ts';
import { loadKernels } from '../../src/kernels/index.ts';
import { readOnnx, writeOnnx } from '../../src/onnx/index.ts';
import { EXPORTS } from '../../src/onnx/exports/table.ts';
import { OPERATORS } from '../../src/operators/table.ts';
import { examplesOf, inputNumbers, networkOf } from '../operators/examples.ts';
import { anyGraph } from '../operators/graphs.ts';
import { checkModels, hasChecker } from './checker.ts';
import { differencesBetween, runNetwork, runOnnx } from './onnxruntime.ts';
import type { Values } from './onnxruntime.ts';

const kernels = await loadKernels();
const BATCH = 3;

const LAYOUTS = ['any', 'none', BATCH] as const;
type Layout = 'any' | 'none' | number;
const laidOut = (network: Network, batch: Layout): Network => ({ ...network, origin: { batch, metadata: {} } });

/** Numbers for every input, which depend on its name alone. */
function someInputs({ inputs }: Network, batch: number | undefined): Map<string, Values> {
  const sides = batch === undefined ? [] : [batch];
  return new Map(
    inputs.map(({ name, shape }) => [
      name,
      { shape: [...sides, ...shape], data: inputNumbers(name, batch ?? 1, shape) },
    ]),
  );
}

/** What is wrong with the model of a network, by onnxruntime and by our own reader. */
async function wrongWith(network: Network): Promise<string[]> {
  const batch = network.origin?.batch === 'none' ? undefined : BATCH;
  const inputs = someInputs(network, batch);
  const bytes = writeOnnx(network);
  const expected = await runNetwork(network, inputs, batch, kernels);
  const theirs = differencesBetween(await runOnnx(bytes, inputs), expected);
  const again = readOnnx(bytes);
  const ours = differencesBetween(await runNetwork(again.network, inputs, batchOf(again.batch), kernels), expected);
  // Without a batch, axis 0 may be read as one where nothing looks across it.
  const isKept = again.batch === network.origin?.batch || (batch === undefined && again.batch !== 'any');
  return [
    ...theirs.map((text) => `onnxruntime: ${text}`),
    ...ours.map((text) => `readOnnx: ${text}`),
    ...(isKept ? [] : [`batch: expected ${network.origin?.batch}, got ${again.batch}`]),
  ];
}

const batchOf = (batch: Layout): number | undefined => (batch === 'any' ? BATCH : batch === 'none' ? undefined : batch);

const kinds = Object.keys(OPERATORS);
const cases = kinds.flatMap((kind) => examplesOf(kind).map((example, i) => [`${example.title} (${i})`, example] as const));

describe('every operator', () => {
  it('is written', () => expect(Object.keys(EXPORTS).sort()).toEqual([...kinds].sort()));

  it.each(cases)('%s: onnxruntime and readOnnx give what espalier gives within 1e-4 + 1e-3 |y|, with a batch and without', async (_, example) => {
    for (const batch of LAYOUTS) expect(await wrongWith(laidOut(networkOf([example], 'alone'), batch)), String(batch)).toEqual([]);
  });

  it.skipIf(!hasChecker)("passes ONNX's checker (skipped without Python's package onnx)", () => {
    const models = new Map(
      cases.flatMap(([title, example]) =>
        LAYOUTS.map((batch) => [`${title}, batch ${batch}`, writeOnnx(laidOut(networkOf([example], 'alone'), batch))] as const),
      ),
    );
    expect(checkModels(models)).toBe('');
  });
});

describe('any graph', () => {
  it('gives in onnxruntime what espalier gives, names and all', async () => {
    await fc.assert(
      fc.asyncProperty(anyGraph({ sharesWeights: true }), fc.constantFrom(...LAYOUTS), async (network, batch) => {
        expect(await wrongWith(laidOut(network, batch))).toEqual([]);
      }),
      { numRuns: 60, seed: 1 },
    );
  });
});
