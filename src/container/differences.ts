/** What differs between two JSON texts, field by field: for the user who changed an option and does not know which. */
import { show } from '../base/errors.ts';
import { parseJson } from './json.ts';
import type { Json } from './json.ts';

/** Most that are named; of a wholly different thing nobody reads on. */
const MOST = 6;

/**
 * 'learningRate was 0.1, is 0.2; clip was not given, is 1'; undefined where either is no JSON text with fields, or they
 * say the same.
 */
export function describeDifferences(then: unknown, now: unknown): string | undefined {
  const [was, is] = [fieldsOf(then), fieldsOf(now)];
  if (!was || !is) return undefined;
  const found: string[] = [];
  compare('', was, is, found);
  if (found.length === 0) return undefined;
  const more = found.length > MOST ? `; and ${found.length - MOST} more` : '';
  return found.slice(0, MOST).join('; ') + more;
}

function fieldsOf(text: unknown): Json | undefined {
  if (typeof text !== 'string') return undefined;
  try {
    const value = parseJson(text, { who: 'checkpoint' });
    return value instanceof Map ? value : undefined;
  } catch {
    return undefined; // A digest, or a damaged text: it differs, and no more can be said of it.
  }
}

function compare(path: string, was: Json | undefined, is: Json | undefined, found: string[]): void {
  const [a, b] = [entriesOf(was), entriesOf(is)];
  if (!a || !b) {
    if (word(was) !== word(is) || JSON.stringify(plain(was)) !== JSON.stringify(plain(is)))
      found.push(`${path} was ${word(was)}, is ${word(is)}`);
    return;
  }
  for (const key of new Set([...a.keys(), ...b.keys()]))
    compare(path === '' ? key : `${path}.${key}`, a.get(key), b.get(key), found);
}

/** Fields of an object, elements of a list, and entries of a map as `digestOptions` writes it. */
function entriesOf(value: Json | undefined): ReadonlyMap<string, Json> | undefined {
  if (value instanceof Map) return value as ReadonlyMap<string, Json>;
  if (!Array.isArray(value)) return undefined;
  const list = value as readonly Json[];
  return list[0] === 'Map'
    ? new Map((list.slice(1) as [Json, Json][]).map((pair) => [String(pair[0]), pair[1]]))
    : new Map(list.map((one, i) => [String(i), one]));
}

/** As text that tells any two apart. */
function plain(value: Json | undefined): unknown {
  if (value instanceof Map) return [...(value as ReadonlyMap<string, Json>)].map(([key, one]) => [key, plain(one)]);
  return Array.isArray(value) ? (value as readonly Json[]).map(plain) : value;
}

function word(value: Json | undefined): string {
  if (value === undefined) return 'not given';
  if (value instanceof Map) return `{ ${[...(value as ReadonlyMap<string, Json>).keys()].map(show).join(', ')} }`;
  // What JSON has no word for: see `digestOptions`.
  return typeof value === 'string' && /^(number|function) /.test(value)
    ? value.replace(/^number /, '').slice(0, 60)
    : show(value);
}
