import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseJson } from '../../src/container/json.ts';
import type { Json } from '../../src/container/json.ts';
import { expectCode } from './files.ts';

const read = (text: string): Json => parseJson(text, { who: 'test' });

/** What JSON.parse would give, Maps in place of objects. */
function toMaps(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(toMaps);
  if (typeof value === 'object' && value !== null)
    return new Map(Object.entries(value).map(([key, one]) => [key, toMaps(one)]));
  return value;
}

function hasInfinity(value: unknown): boolean {
  return typeof value === 'object' && value !== null
    ? Object.values(value).some(hasInfinity)
    : value === Infinity || value === -Infinity;
}

describe('strict JSON', () => {
  it('reads every text that JSON.stringify writes as JSON.parse does, -0 and spacing included', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.constantFrom(undefined, 1, '\t'), (value, space) => {
        const text = JSON.stringify(value, undefined, space);
        expect(read(text)).toEqual(toMaps(JSON.parse(text)));
      }),
      { numRuns: 300 },
    );
  });

  it('accepts and refuses the same texts as JSON.parse, numbers beyond doubles apart (too short for repeated keys)', () => {
    const pieces = fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      '"a"',
      '"b"',
      '"\\n"',
      '"\\u00e9"',
      '"\\x"',
      '0',
      '01',
      '-',
      '-1',
      '1.5',
      '1.',
      '.5',
      '1e3',
      '1e',
      '+1',
      'true',
      'nul',
      'null',
      ' ',
      '\n',
      '\u00a0',
      "'",
      '"',
      'NaN',
    );
    fc.assert(
      fc.property(
        fc.array(pieces, { maxLength: 7 }).map((parts) => parts.join('')),
        (text) => {
          let expected: unknown;
          try {
            expected = JSON.parse(text);
          } catch {
            expectCode(() => read(text), 'HEADER');
            return;
          }
          if (hasInfinity(expected)) expectCode(() => read(text), 'HEADER');
          else expect(read(text)).toEqual(toMaps(expected));
        },
      ),
      { numRuns: 2000 },
    );
  });

  it('names the byte where it goes wrong, also behind letters of several bytes', () => {
    expect(expectCode(() => parseJson('{"ü":x}', { who: 'test', start: 8 }), 'HEADER').details.offset).toBe(8 + 6);
    expect(expectCode(() => read('[1,]'), 'HEADER').message).toContain('character 3');
  });

  it('refuses a repeated key, which JSON.parse hides', () => {
    expect(expectCode(() => read('{"a":1,"b":{"x":1,"\\u0078":2}}'), 'DUPLICATE').details.name).toBe('x');
  });

  it('keeps "__proto__" and "constructor" as keys like any other', () => {
    const value = read('{"__proto__":{"polluted":1},"constructor":2}') as Map<string, Json>;
    expect([...value.keys()]).toEqual(['__proto__', 'constructor']);
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });

  it.each([
    ['a number beyond doubles', '1e400'],
    ['half of a surrogate pair', '"\\ud800"'],
    ['a lone low half', '"\\udc00x"'],
    ['a wrong second half', '"\\ud800\\u0041"'],
    ['a control character', '"\u0001"'],
    ['an open string', '"abc'],
    ['a cut escape', '"abc\\'],
    ['three digits', '"\\u12"'],
    ['a comma at the end', '{"a":1,}'],
    ['two values', '1 2'],
    ['nothing', ''],
    ['a byte order mark', '\ufeff{}'],
    ['a comment', '/**/1'],
  ])('refuses %s', (_, text) => {
    expectCode(() => read(text), 'HEADER');
  });

  it('refuses 10,000 and 1,000,000 nested brackets without a stack overflow, and allows 32', () => {
    for (const depth of [10_000, 1_000_000]) expectCode(() => read('['.repeat(depth)), 'HEADER');
    expectCode(() => read('{"a":'.repeat(10_000)), 'HEADER');
    expect(read(`${'['.repeat(32)}${']'.repeat(32)}`)).toBeDefined();
  });

  it('stops at the largest number of values', () => {
    expectCode(() => parseJson('[1,2,3]', { who: 'test', maxValues: 3 }), 'TOO_LARGE');
    expect(parseJson('[1,2,3]', { who: 'test', maxValues: 4 })).toEqual([1, 2, 3]);
  });

  it('reads a string of a million escapes and 100,000 keys, each within five seconds', () => {
    const started = performance.now();
    expect((read(`"${'\\n'.repeat(1_000_000)}"`) as string).length).toBe(1_000_000);
    expect(performance.now() - started).toBeLessThan(5000);
    const keys = Array.from({ length: 100_000 }, (_, i) => `"${i}":0`).join(',');
    const again = performance.now();
    expect((read(`{${keys}}`) as Map<string, Json>).size).toBe(100_000);
    expect(performance.now() - again).toBeLessThan(5000);
  });
});
