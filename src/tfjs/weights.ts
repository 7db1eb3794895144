/**
 * The weights of a TensorFlow.js model: a manifest in the JSON, whose groups lie in files ("shards") one behind the other,
 * each weight as it is, as halves, or as 8 or 16 bits with a scale and a smallest value.
 */
import { concatenateBytes } from '../base/bytes.ts';
import { EspalierError, show, showAll } from '../base/errors.ts';
import { arrayName, asBytes, isMap } from '../base/realm.ts';
import { sizeOf } from '../base/tensor.ts';
import type { Shape } from '../base/tensor.ts';
import type { Json } from '../container/json.ts';
import { steadyBytes } from '../container/safetensors.ts';
import { halfToNumber } from '../encodings/half.ts';
import { checkExternalPath } from '../onnx/external.ts';
import type { SideFiles } from '../onnx/external.ts';
import type { OnnxTensor } from '../onnx/tensor.ts';
import { MOST_AXES } from '../onnx/tensor-message.ts';
import { isIntegers, isObject } from './json.ts';
import type { JsonObject } from './json.ts';

/** Shards by the paths that the manifest names, or all of them behind each other. */
export type TfjsWeights = Uint8Array | SideFiles;

export interface Quantization {
  readonly dtype: 'float16' | 'uint8' | 'uint16';
  readonly scale: number;
  readonly min: number;
}

export interface Weight {
  readonly name: string;
  readonly shape: Shape;
  readonly dtype: 'float32' | 'int32' | 'bool';
  readonly quantization?: Quantization;
  /** Bytes that it takes. */
  readonly length: number;
}

export interface Group {
  readonly paths: readonly string[];
  readonly weights: readonly Weight[];
}

const BYTES = { float32: 4, int32: 4, bool: 1, float16: 2, uint8: 1, uint16: 2 } as const;

/**
 * The manifest of a model.
 * @throws {EspalierError} FIELD, DUPLICATE, TENSOR for wrong shapes and quantization, UNSUPPORTED for element types that
 *   are not read, PATH for shards that would lie elsewhere
 */
export function readManifest(who: string, json: Json | undefined): Group[] {
  if (!Array.isArray(json))
    throw new EspalierError('FIELD', `${who}: weightsManifest: expected a list of groups, got ${show(plain(json))}`, {
      name: 'weightsManifest',
    });
  const names = new Set<string>();
  return (json as readonly Json[]).map((group, i): Group => {
    const where = `weightsManifest[${i}]`;
    if (!isObject(group)) throw fieldError(who, where, 'an object { paths, weights }', group);
    const [paths, weights] = [group.get('paths'), group.get('weights')];
    if (!Array.isArray(paths) || !paths.every((path) => typeof path === 'string'))
      throw fieldError(who, `${where}.paths`, 'a list of texts', paths);
    if (!Array.isArray(weights)) throw fieldError(who, `${where}.weights`, 'a list', weights);
    for (const path of paths as readonly string[]) checkExternalPath(`of ${where}`, path);
    return {
      paths: paths as readonly string[],
      weights: (weights as readonly Json[]).map((weight, k) => {
        const found = readWeight(who, `${where}.weights[${k}]`, weight);
        if (names.has(found.name))
          throw new EspalierError('DUPLICATE', `${who}: two weights are called ${show(found.name)}`, {
            name: found.name,
          });
        names.add(found.name);
        return found;
      }),
    };
  });
}

/** JSON for an error's text. */
const plain = (json: Json | undefined): unknown => (json instanceof Map ? Object.fromEntries(json) : json);

const fieldError = (who: string, name: string, expected: string, got: Json | undefined): EspalierError =>
  new EspalierError('FIELD', `${who}: ${name}: expected ${expected}, got ${show(plain(got))}`, { name });

function readWeight(who: string, where: string, json: Json): Weight {
  if (!isObject(json)) throw fieldError(who, where, 'an object { name, shape, dtype }', json);
  const [name, shape, dtype] = [json.get('name'), json.get('shape'), json.get('dtype')];
  if (typeof name !== 'string') throw fieldError(who, `${where}.name`, 'a text', name);
  const bad = (code: 'TENSOR' | 'UNSUPPORTED', text: string, found?: unknown): EspalierError =>
    new EspalierError(code, `${who}: weight ${show(name)}: ${text}`, { name, found });
  if (!isIntegers(shape) || shape.length > MOST_AXES || shape.some((side) => side < 0))
    throw bad('TENSOR', `shape: expected at most ${MOST_AXES} whole numbers from 0, got ${show(plain(shape))}`);
  const elements = sizeOf(shape);
  if (!Number.isSafeInteger(8 * elements)) throw bad('TENSOR', `shape: [${shape.join(', ')}] is beyond any file`);
  if (dtype !== 'float32' && dtype !== 'int32' && dtype !== 'bool')
    throw bad(
      'UNSUPPORTED',
      `elements of type ${show(plain(dtype))} are not read; expected float32, int32 or bool`,
      dtype,
    );
  const stated = json.get('quantization');
  const quantization = isObject(stated) ? readQuantization(stated, dtype, bad) : undefined;
  if (stated !== undefined && stated !== null && !quantization)
    throw bad('TENSOR', `quantization: expected an object, got ${show(plain(stated))}`);
  const length = elements * BYTES[quantization?.dtype ?? dtype];
  return { name, shape, dtype, length, ...(quantization && { quantization }) };
}

function readQuantization(
  json: JsonObject,
  dtype: Weight['dtype'],
  bad: (code: 'TENSOR' | 'UNSUPPORTED', text: string, found?: unknown) => EspalierError,
): Quantization {
  const stored = json.get('dtype');
  if (stored === 'float16') {
    if (dtype !== 'float32') throw bad('TENSOR', `quantization: float16 stands for float32, not for ${dtype}`);
    return { dtype: stored, scale: 1, min: 0 };
  }
  if (stored !== 'uint8' && stored !== 'uint16')
    throw bad('UNSUPPORTED', `quantization: expected float16, uint8 or uint16, got ${show(plain(stored))}`, stored);
  if (dtype === 'bool') throw bad('TENSOR', 'quantization: truth values have none');
  const [scale, min] = [json.get('scale'), json.get('min')];
  if (typeof scale !== 'number' || !(scale > 0))
    throw bad('TENSOR', `quantization: scale: expected a number above 0, got ${show(plain(scale))}`, scale);
  if (typeof min !== 'number')
    throw bad('TENSOR', `quantization: min: expected a number, got ${show(plain(min))}`, min);
  return { dtype: stored, scale, min };
}

/** A weight with its bytes. */
export interface StoredWeight extends Weight {
  readonly bytes: Uint8Array;
}

/**
 * Each weight with its bytes, by name. Sizes are compared before anything is allocated.
 * @throws {TypeError} if `weights` is neither bytes nor a map of bytes
 * @throws {EspalierError} MISSING for shards that were not given; TRUNCATED and LAYOUT where bytes are too few or too many
 */
export function storedWeights(
  who: string,
  groups: readonly Group[],
  weights: unknown,
): { stored: Map<string, StoredWeight>; bytes: number } {
  const needed = groups.map((group) => group.weights.reduce((sum, { length }) => sum + length, 0));
  const stored = new Map<string, StoredWeight>();
  const place = (group: Group, bytes: Uint8Array): void => {
    let at = 0;
    for (const weight of group.weights)
      stored.set(weight.name, { ...weight, bytes: bytes.subarray(at, (at += weight.length)) });
  };
  const whole = asBytes(weights);
  if (whole === undefined) {
    if (typeof weights !== 'object' || weights === null || arrayName(weights) !== undefined || Array.isArray(weights))
      throw new TypeError(
        `${who}: weights: expected a Uint8Array, or several by the paths of the manifest, got ${show(weights)}`,
      );
    let total = 0;
    groups.forEach((group, i) => {
      const parts = group.paths.map((path) => shardNamed(who, weights, path));
      const length = parts.reduce((sum, part) => sum + part.length, 0);
      checkLength(who, length, needed[i], group.paths);
      total += length;
      place(group, parts.length === 1 ? parts[0] : concatenateBytes(parts));
    });
    return { stored, bytes: total };
  }
  const bytes = steadyBytes(who, whole);
  checkLength(
    who,
    bytes.length,
    needed.reduce((sum, length) => sum + length, 0),
    groups.flatMap(({ paths }) => paths),
  );
  let at = 0;
  groups.forEach((group, i) => place(group, bytes.subarray(at, (at += needed[i]))));
  return { stored, bytes: bytes.length };
}

function shardNamed(who: string, weights: object, path: string): Uint8Array {
  const found: unknown = isMap(weights)
    ? weights.get(path)
    : Object.hasOwn(weights, path)
      ? (weights as Readonly<Record<string, unknown>>)[path]
      : undefined;
  if (found === undefined) {
    const names = isMap(weights) ? [...weights.keys()].map(String) : Object.keys(weights);
    throw new EspalierError(
      'MISSING',
      `${who}: the shard ${show(path)} of the weights was not given; ${names.length > 0 ? `given were ${showAll(names)}` : 'none was'}`,
      { name: path },
    );
  }
  if (!asBytes(found)) throw new TypeError(`${who}: weights: ${show(path)}: expected a Uint8Array, got ${show(found)}`);
  return steadyBytes(who, found as Uint8Array);
}

function checkLength(who: string, found: number, needed: number, paths: readonly string[]): void {
  if (found === needed) return;
  throw new EspalierError(
    found < needed ? 'TRUNCATED' : 'LAYOUT',
    `${who}: the weights of ${showAll(paths)} are ${needed} bytes by the manifest, the shards have ${found}; are they those of this model, and whole?`,
    { name: paths[0], limit: needed, found },
  );
}

/**
 * The numbers of a weight. Whole numbers get 64 bits, as those that shapes are computed with.
 * @throws {EspalierError} TENSOR for a truth value that is neither 0 nor 1
 */
export function tensorOf(who: string, { name, shape, dtype, quantization, bytes }: StoredWeight): OnnxTensor {
  const count = sizeOf(shape);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (dtype === 'bool') {
    const wrong = bytes.findIndex((value) => value > 1);
    if (wrong >= 0)
      throw new EspalierError(
        'TENSOR',
        `${who}: weight ${show(name)}: element ${wrong}: expected 0 or 1, got ${bytes[wrong]}`,
        { name, found: bytes[wrong] },
      );
    return { type: 'bool', shape, data: Uint8Array.from(bytes) };
  }
  const read = readerOf(view, dtype, quantization);
  if (dtype === 'float32') {
    const data = new Float32Array(count);
    for (let i = 0; i < count; i++) data[i] = read(i);
    return { type: 'float', shape, data };
  }
  const data = new BigInt64Array(count);
  for (let i = 0; i < count; i++) data[i] = BigInt(Math.round(read(i)));
  return { type: 'int64', shape, data };
}

function readerOf(view: DataView, dtype: 'float32' | 'int32', quantization?: Quantization): (i: number) => number {
  if (!quantization)
    return dtype === 'float32' ? (i) => view.getFloat32(4 * i, true) : (i) => view.getInt32(4 * i, true);
  const { dtype: stored, scale, min } = quantization;
  if (stored === 'float16') return (i) => halfToNumber(view.getUint16(2 * i, true));
  if (stored === 'uint8') return (i) => view.getUint8(i) * scale + min;
  return (i) => view.getUint16(2 * i, true) * scale + min;
}
