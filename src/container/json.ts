/**
 * A strict JSON reader (RFC 8259) for text that comes from a file. `JSON.parse` hides duplicate keys, gives '__proto__'
 * a meaning and has no bound on depth; this one refuses the first, keeps objects as Maps, and has bounds. Linear time.
 */
import { EspalierError } from '../errors.ts';
import type { ErrorCode } from '../errors.ts';

/** Objects are Maps, so that every key is a key like any other. */
export type Json = null | boolean | number | string | readonly Json[] | ReadonlyMap<string, Json>;

export interface JsonOptions {
  /** Who asks, for error texts. */
  who: string;
  /** Byte offset of the text in its file; with it errors carry byte offsets. */
  start?: number;
  /** Arrays and objects within each other. Default 32. */
  maxDepth?: number;
  /** Values in all: a million empty arrays cost far more memory than text. Default 4,000,000. */
  maxValues?: number;
}

/** @throws {EspalierError} HEADER where it is not JSON, DUPLICATE for a repeated key, TOO_LARGE for more values than allowed */
export function parseJson(text: string, { who, start, maxDepth = 32, maxValues = 4_000_000 }: JsonOptions): Json {
  let at = 0;
  let values = 0;

  function fail(code: ErrorCode, problem: string, name?: string): never {
    const offset = start === undefined ? undefined : start + new TextEncoder().encode(text.slice(0, at)).length;
    throw new EspalierError(code, `${who}: ${problem} at ${offset === undefined ? `character ${at} of the JSON text` : `byte ${offset}`}`,
      { ...(offset === undefined ? {} : { offset }), ...(name === undefined ? {} : { name }) });
  }

  function skipSpace(): void {
    for (let code = text.charCodeAt(at); code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09; code = text.charCodeAt(at)) at++;
  }

  function take(expected: string): void {
    if (!text.startsWith(expected, at)) fail('HEADER', `expected '${expected}'`);
    at += expected.length;
  }

  function readString(): string {
    take('"');
    let out = '';
    let from = at;
    for (;;) {
      const code = text.charCodeAt(at);
      if (Number.isNaN(code)) fail('HEADER', 'the text ends within a string');
      if (code < 0x20) fail('HEADER', 'control character in a string');
      if (code === 0x22) break;
      if (code === 0x5c) {
        out += text.slice(from, at) + readEscape();
        from = at;
      } else {
        at++;
      }
    }
    out += text.slice(from, at);
    at++;
    return out;
  }

  function readEscape(): string {
    const plain = '"\\/bfnrt'.indexOf(text.charAt(at + 1));
    if (text.charAt(at + 1) !== 'u') {
      if (plain < 0 || at + 1 >= text.length) fail('HEADER', 'unknown escape in a string');
      at += 2;
      return '"\\/\b\f\n\r\t'.charAt(plain);
    }
    const high = readUnit();
    if ((high & 0xf800) !== 0xd800) return String.fromCharCode(high);
    if (high >= 0xdc00 || !text.startsWith('\\u', at)) fail('HEADER', 'half of a surrogate pair in a string');
    const low = readUnit();
    if ((low & 0xfc00) !== 0xdc00) fail('HEADER', 'half of a surrogate pair in a string');
    return String.fromCharCode(high, low);
  }

  function readUnit(): number {
    let unit = 0;
    for (let i = at + 2; i < at + 6; i++) {
      const digit = hexDigit(text.charCodeAt(i));
      if (digit < 0) fail('HEADER', 'expected four hexadecimal digits after \\u');
      unit = unit * 16 + digit;
    }
    at += 6;
    return unit;
  }

  function readDigits(): void {
    const from = at;
    while (isDigit(text.charCodeAt(at))) at++;
    if (at === from) fail('HEADER', 'expected a digit');
  }

  function readNumber(): number {
    const from = at;
    if (text.charAt(at) === '-') at++;
    if (text.charAt(at) === '0') at++; else readDigits();
    if (text.charAt(at) === '.') {
      at++;
      readDigits();
    }
    if (text.charAt(at) === 'e' || text.charAt(at) === 'E') {
      at++;
      if (text.charAt(at) === '+' || text.charAt(at) === '-') at++;
      readDigits();
    }
    const value = Number(text.slice(from, at));
    if (!Number.isFinite(value)) fail('HEADER', 'a number beyond the range of doubles');
    return value;
  }

  function readArray(depth: number): Json[] {
    take('[');
    const out: Json[] = [];
    skipSpace();
    if (text.charAt(at) === ']') {
      at++;
      return out;
    }
    for (;;) {
      out.push(readValue(depth + 1));
      skipSpace();
      if (text.charAt(at) === ']') break;
      take(',');
    }
    at++;
    return out;
  }

  function readObject(depth: number): Map<string, Json> {
    take('{');
    const out = new Map<string, Json>();
    skipSpace();
    if (text.charAt(at) === '}') {
      at++;
      return out;
    }
    for (;;) {
      skipSpace();
      const key = readString();
      if (out.has(key)) fail('DUPLICATE', `the key ${JSON.stringify(key.slice(0, 60))} stands twice in one object`, key);
      skipSpace();
      take(':');
      out.set(key, readValue(depth + 1));
      skipSpace();
      if (text.charAt(at) === '}') break;
      take(',');
    }
    at++;
    return out;
  }

  function readValue(depth: number): Json {
    if (++values > maxValues) fail('TOO_LARGE', `more than ${maxValues} JSON values`);
    if (depth > maxDepth) fail('HEADER', `JSON nested deeper than ${maxDepth}`);
    skipSpace();
    switch (text.charAt(at)) {
      case '{': return readObject(depth);
      case '[': return readArray(depth);
      case '"': return readString();
      case 't': take('true'); return true;
      case 'f': take('false'); return false;
      case 'n': take('null'); return null;
      default:
        if (text.charAt(at) !== '-' && !isDigit(text.charCodeAt(at))) fail('HEADER', at < text.length ? 'expected a JSON value' : 'the JSON text ends too early');
        return readNumber();
    }
  }

  const value = readValue(0);
  skipSpace();
  if (at < text.length) fail('HEADER', 'text after the end of the JSON value');
  return value;
}

function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39;
}

function hexDigit(code: number): number {
  if (isDigit(code)) return code - 0x30;
  const letter = code | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}
