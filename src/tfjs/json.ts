/** The JSON of a model: from a text, its bytes, or an object that was parsed already. Objects become Maps. */
import { EspalierError, show } from '../base/errors.ts';
import { arrayName, isMap } from '../base/realm.ts';
import { looksLike } from '../container/foreign.ts';
import { parseJson } from '../container/json.ts';
import type { Json } from '../container/json.ts';
import { steadyBytes } from '../container/safetensors.ts';

export type JsonObject = ReadonlyMap<string, Json>;

/** Models within models lie some four levels deeper each. */
const MOST_DEPTH = 64;
const MOST_VALUES = 4_000_000;

/**
 * What a model's JSON says, and how many bytes it is worth.
 * @throws {TypeError} for what is neither text, bytes nor an object
 * @throws {EspalierError} BAD_MAGIC, HEADER, DUPLICATE, TOO_LARGE
 */
export function jsonOf(who: string, input: unknown): { json: Json; bytes: number } {
  if (typeof input === 'string') return { json: parsed(who, input), bytes: input.length };
  if (arrayName(input) === 'Uint8Array') {
    const bytes = steadyBytes(who, input as Uint8Array);
    return { json: parsed(who, textOf(who, bytes)), bytes: bytes.length };
  }
  if (typeof input !== 'object' || input === null || arrayName(input) !== undefined)
    throw new TypeError(`${who}: modelJson: expected a text, a Uint8Array or an object, got ${show(input)}`);
  const count = { values: 0 };
  const json = taken(who, input, 0, count);
  return { json, bytes: 16 * count.values };
}

function textOf(who: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw notJson(who, looksLike(bytes));
  }
}

const notJson = (who: string, found: string | undefined): EspalierError =>
  new EspalierError(
    'BAD_MAGIC',
    `${who}: expected the JSON of a TensorFlow.js model, ${found === undefined ? 'this is none' : `this looks like ${found}`}`,
    { found },
  );

function parsed(who: string, text: string): Json {
  // A mark of byte order is no part of the text.
  const start = /^\uFEFF?\s{0,256}/.exec(text)?.[0].length ?? 0;
  const first = text.charAt(start);
  if (first !== '{' && first !== '[') throw notJson(who, looksLike(new TextEncoder().encode(text.slice(0, 1024))));
  return parseJson(text.slice(start), { who, maxDepth: MOST_DEPTH, maxValues: MOST_VALUES });
}

/** A copy: later changes of the caller's object change nothing. */
function taken(who: string, value: unknown, depth: number, count: { values: number }): Json {
  if (++count.values > MOST_VALUES)
    throw new EspalierError('TOO_LARGE', `${who}: modelJson: more than ${MOST_VALUES} values`);
  if (depth > MOST_DEPTH) throw new EspalierError('HEADER', `${who}: modelJson: nested deeper than ${MOST_DEPTH}`);
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return value;
  if (typeof value === 'number' && Number.isFinite(value)) return value;
  if (Array.isArray(value)) return value.map((one) => taken(who, one, depth + 1, count));
  if (typeof value !== 'object')
    throw new TypeError(`${who}: modelJson: expected what JSON can hold, got ${show(value)} in it`);
  const entries: [unknown, unknown][] = isMap(value) ? [...value.entries()] : Object.entries(value);
  return new Map(
    entries
      .filter(([, one]) => one !== undefined)
      .map(([key, one]) => [String(key), taken(who, one, depth + 1, count)]),
  );
}

export const isObject = (value: Json | undefined): value is JsonObject => value instanceof Map;

/** A list of whole numbers. */
export const isIntegers = (value: Json | undefined): value is number[] =>
  Array.isArray(value) && value.every((one) => Number.isSafeInteger(one));
