/** The models of test/vectors/tfjs_models.json, made by TensorFlow.js. */
import { readFileSync } from 'node:fs';
import { EspalierError } from '../../src/base/errors.ts';
import { createExecutor } from '../../src/execution/executor.ts';
import type { Network } from '../../src/graph/network.ts';
import { inferTypes } from '../../src/network/shapes.ts';
import { portableKernels } from '../../src/kernels/index.ts';
import type { KernelSet } from '../../src/kernels/types.ts';

export interface StoredArray {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: string;
}

/** JSON of a model. */
export interface ModelJson {
  format: string;
  modelTopology: Record<string, unknown>;
  weightsManifest: { paths: string[]; weights: Record<string, unknown>[] }[];
}

export interface Case {
  readonly name: string;
  readonly model: ModelJson;
  readonly weights: string;
  readonly inputs: readonly StoredArray[];
  readonly outputs: readonly StoredArray[];
}

export const cases = (
  JSON.parse(readFileSync(new URL('../vectors/tfjs_models.json', import.meta.url), 'utf8')) as { cases: Case[] }
).cases;

export function caseNamed(name: string): Case {
  const found = cases.find((one) => one.name === name);
  if (!found) throw new Error(`no case ${name}`);
  return found;
}

export const bytesOf = (base64: string): Uint8Array => Uint8Array.from(Buffer.from(base64, 'base64'));
export const floatsOf = ({ data }: StoredArray): Float32Array => new Float32Array(bytesOf(data).buffer);

/** Outputs of a network for the inputs of a case, by name. */
export async function run(
  network: Network,
  inputs: readonly StoredArray[],
  { kernels = portableKernels(), whole = false }: { kernels?: KernelSet; whole?: boolean } = {},
): Promise<Map<string, Float32Array>> {
  const executor = await createExecutor(network, { kernels, batch: whole ? 1 : inputs[0].shape[0] });
  try {
    for (const { name } of network.inputs) {
      const found = inputs.find((one) => one.name === name);
      if (!found) throw new Error(`no input ${name}; there are ${inputs.map((one) => one.name).join(', ')}`);
      executor.input(name).set(floatsOf(found));
    }
    executor.forward();
    const types = inferTypes(network);
    return new Map(
      network.outputs.map((name) => [
        name,
        Float32Array.from(types.get(name)?.type === 'integer' ? executor.integers(name) : executor.output(name)),
      ]),
    );
  } finally {
    executor.dispose();
  }
}

/** The error of reading: one of the contract, with a code. */
export function refusal(read: () => unknown): EspalierError {
  try {
    read();
  } catch (error) {
    if (!(error instanceof EspalierError)) throw error;
    // What the engine says of a size is no answer.
    if (error.code === 'MEMORY') throw new Error('the engine refused it', { cause: error });
    return error;
  }
  throw new Error('it was read');
}
