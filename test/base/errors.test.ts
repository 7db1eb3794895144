import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EspalierError, show, showAll, visible, visibleLines } from '../../src/base/errors.ts';

/** Controls, marks of direction, zero width, separators, tags and halves of surrogate pairs, but for those in `except`. */
const unseen = (text: string, except = ''): string[] =>
  [...text].filter((one) => /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u.test(one) && !except.includes(one));

const HOSTILE = [
  '\x1b[2J\x1b]0;owned\x07',
  '\u202egnp.exe',
  'a\u200bb',
  '\u2066x\u2069',
  '\x9b31m',
  '\ufeff',
  '\u{e0041}',
  '\ud800',
  '\u2028',
  '\x7f',
  '\0',
];

describe('visible', () => {
  it('writes what cannot be seen as JSON does and leaves the rest alone', () => {
    expect(visible('\x1b[2J\u202e\n\r\t\0')).toBe('\\u001b[2J\\u202e\\n\\r\\t\\u0000');
    expect(visible('conv1_1 größe 層 😀 "\\ <b>')).toBe('conv1_1 größe 層 😀 "\\ <b>');
    expect(visibleLines('a\n\x1bb')).toBe('a\n\\u001bb');
    for (const text of HOSTILE) expect(unseen(visible(text))).toEqual([]);
  });

  it('keeps the meaning of JSON text, and is the same done twice', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const json = visible(JSON.stringify({ [text]: text }));
        expect(unseen(json)).toEqual([]);
        expect(JSON.parse(json)).toEqual({ [text]: text });
        expect(visible(visible(text))).toBe(visible(text));
      }),
    );
  });
});

describe('texts of errors', () => {
  it('show is bounded in depth and in length, whatever it is shown', () => {
    let deep: unknown = 'x'.repeat(1e6);
    for (let i = 0; i < 20; i++) deep = [deep, deep, deep, deep, deep, deep, deep, deep];
    expect(show(deep)).toBe(show(deep).slice(0, 240));
    expect(show([[[1]]])).toBe('[[[...]]]');
    expect(show([[1, 2], 'a'])).toBe('[[1, 2], "a"]');
    expect(show('\x1b'.repeat(1e6)).length).toBeLessThanOrEqual(240);
    let nested: unknown = [];
    for (let i = 0; i < 100_000; i++) nested = [nested];
    expect(show(nested)).toBe('[[[...]]]');
    for (const text of HOSTILE) expect(unseen(show(text))).toEqual([]);
  });

  it('showAll names the first and counts the rest', () => {
    expect(showAll(['a', 'b'])).toBe('"a", "b"');
    expect(
      showAll(
        Array.from({ length: 100_000 }, (_, i) => `n${i}`),
        2,
      ),
    ).toBe('"n0", "n1" and 99998 more');
  });

  it('of an EspalierError are bounded and visible, with the cure at their end; details keep the name as it is', () => {
    for (const text of HOSTILE) {
      const error = new EspalierError('FIELD', `who: ${text.repeat(100_000)}\nrename it`, { name: text });
      expect(unseen(error.message, '\n')).toEqual([]);
      expect(error.message.length).toBeLessThanOrEqual(4000);
      expect(error.message).toMatch(/^who: [^]* \.\.\. [^]*\nrename it$/);
      expect(error.details.name).toBe(text);
    }
  });
});
