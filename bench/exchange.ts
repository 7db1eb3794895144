/**
 * Networks and arrays on disk, as all programs of the comparison read them: `graph.json` (inputs, nodes with inputs,
 * parameters by role and attributes, outputs; each parameter's shape and place) beside `weights.f32`, all parameters
 * one after another, little-endian float32.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { decode, normal, stream } from 'espalier';
import type { Encoding, Network } from 'espalier';
import { sizeOf } from 'espalier/tensor';

export interface ExchangeGraph extends Pick<Network, 'name' | 'inputs' | 'nodes' | 'outputs'> {
  /** `first`: index of the first value in weights.f32. */
  readonly parameters: Readonly<Record<string, { readonly shape: readonly number[]; readonly first: number }>>;
}

export interface Exchanged {
  readonly graph: ExchangeGraph;
  weights(name: string): Float32Array;
}

export function writeArray(path: string, values: Float32Array): string {
  writeFileSync(path, Buffer.from(values.buffer, values.byteOffset, values.byteLength));
  return path;
}

export function readArray(path: string): Float32Array {
  const { buffer, byteOffset, byteLength } = readFileSync(path);
  // A short file comes from a pool, at any offset.
  return byteOffset % 4 === 0
    ? new Float32Array(buffer, byteOffset, byteLength / 4)
    : new Float32Array(buffer.slice(byteOffset, byteOffset + byteLength));
}

/** Values of several arrays one after another. */
export function joinedFloats(arrays: readonly ArrayLike<number | bigint>[]): Float32Array {
  return Float32Array.from(arrays.flatMap((values) => Array.from(values, Number)));
}

/** `count` draws from N(0, 1), the same for the same name. */
export function normals(count: number, name: string): Float32Array {
  const random = stream(1, 'bench', name);
  return Float32Array.from({ length: count }, () => normal(random));
}

export function writeExchange(folder: string, { name, inputs, nodes, outputs, parameters }: Network): string {
  mkdirSync(folder, { recursive: true });
  const placed: Record<string, ExchangeGraph['parameters'][string]> = {};
  let first = 0;
  for (const [parameter, { shape }] of parameters) {
    placed[parameter] = { shape, first };
    first += sizeOf(shape);
  }
  const weights = new Float32Array(first);
  for (const [parameter, encoding] of parameters) weights.set(decode(encoding), placed[parameter].first);
  writeArray(join(folder, 'weights.f32'), weights);
  writeFileSync(
    join(folder, 'graph.json'),
    JSON.stringify({ name, inputs, nodes, outputs, parameters: placed } satisfies ExchangeGraph),
  );
  return folder;
}

export function readExchange(folder: string): Exchanged {
  const graph = JSON.parse(readFileSync(join(folder, 'graph.json'), 'utf8')) as ExchangeGraph;
  const values = readArray(join(folder, 'weights.f32'));
  return {
    graph,
    weights: (name) =>
      values.subarray(
        graph.parameters[name].first,
        graph.parameters[name].first + sizeOf(graph.parameters[name].shape),
      ),
  };
}

export function networkOf({ graph, weights }: Exchanged): Network {
  const { name, inputs, nodes, outputs } = graph;
  const parameters = new Map(
    Object.entries(graph.parameters).map(([key, { shape }]): [string, Encoding] => [
      key,
      { kind: 'dense', shape, data: weights(key) },
    ]),
  );
  return { name, inputs, nodes, outputs, parameters };
}
