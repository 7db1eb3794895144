import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readPts } from '../../src/data/index.ts';
import { EspalierError } from '../../src/base/errors.ts';

const write = (points: readonly number[][]): string =>
  `version: 1\nn_points:  ${points.length}\n{\n${points.map(([x, y]) => `${x} ${y}\n`).join('')}}\n`;
const number = fc.double({ min: -1e5, max: 1e5, noNaN: true });

function codeOf(text: string): string {
  try {
    readPts(text);
  } catch (error) {
    if (error instanceof EspalierError) return error.code;
    throw error;
  }
  return 'read';
}

describe('readPts', () => {
  it('reads every point exactly, with either line ending, and takes 1 off where asked to', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(number, number), { minLength: 1, maxLength: 70 }),
        fc.constantFrom('\n', '\r\n'),
        (points, end) => {
          const text = write(points).replaceAll('\n', end);
          const { data, shape } = readPts(text);
          expect(shape).toEqual([points.length, 2]);
          expect(Array.from(data)).toEqual(points.flat().map((v) => v + 0));
          expect(Array.from(readPts(text, { oneBased: true }).data)).toEqual(points.flat().map((v) => v - 1));
        },
      ),
    );
  });

  it('refuses a text cut at any character, and never by another error', () => {
    const text = write([
      [1.5, 2],
      [3, -4e1],
    ]);
    for (let end = 0; end < text.length - 2; end++) expect(codeOf(text.slice(0, end))).not.toBe('read');
    expect(codeOf(text.trimEnd())).toBe('read');
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'version: 1\nn_pts{}.-+eE023\t'), maxLength: 80 }), (noise) => {
        codeOf(noise);
        codeOf(`version: 1\nn_points: 2\n{\n${noise}}`);
      }),
      { numRuns: 500 },
    );
  });

  it('names what is wrong: header, count, braces, numbers', () => {
    const cases: [string, string, RegExp][] = [
      ['1 2\n3 4\n', 'HEADER', /line 1: expected "version: \.\.\."/],
      ['version: 2\nn_points: 1\n{\n1 2\n}', 'HEADER', /expected 1, got "2"/],
      ['version: 1\n{\n1 2\n}', 'HEADER', /n_points/],
      ['version: 1\nn_points: 0\n{\n}', 'HEADER', /whole number from 1/],
      ['version: 1\nn_points: 9007199254740993\n{\n1 2\n}', 'HEADER', /whole number/],
      ['version: 1\nn_points: 4000000000\n{\n1 2\n}', 'LAYOUT', /4000000000 lines/],
      ['version: 1\nn_points: 1\n1 2\n}', 'LAYOUT', /line 3: expected \{/],
      ['version: 1\nn_points: 2\n{\n1 2\n}', 'LAYOUT', /expected 2 lines .* got 1/],
      ['version: 1\nn_points: 1\n{\n1 2\n3 4\n}', 'LAYOUT', /got 2 lines/],
      ['version: 1\nn_points: 1\n{\n1 2\n]', 'LAYOUT', /line 5: expected \}/],
      ['version: 1\nn_points: 1\n{\n1\n}', 'FIELD', /line 4: expected two numbers/],
      ['version: 1\nn_points: 1\n{\n1 2 3\n}', 'FIELD', /two numbers/],
      ['version: 1\nn_points: 1\n{\n1 nan\n}', 'FIELD', /"1 nan"/],
      ['version: 1\nn_points: 1\n{\n0x10 2\n}', 'FIELD', /two numbers/],
      ['version: 1\nn_points: 1\n{\n1 1e999\n}', 'FIELD', /two numbers/],
    ];
    for (const [text, code, message] of cases) {
      expect(codeOf(text), text).toBe(code);
      expect(() => readPts(text)).toThrow(message);
    }
    expect(() => readPts(new Uint8Array(3) as never)).toThrow(TypeError);
  });
});
