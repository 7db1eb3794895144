import { describe, expect, it } from 'vitest';
import { reportHtml } from '../../src/compression/index.ts';
import { dense, heNormal, sequential, withOutputUnit, constantInitializer, affine } from '../../src/network/index.ts';

describe('arguments of a wrong kind', () => {
  it.each([
    [undefined, /input: expected \{ title/],
    [{}, /title: expected text, got undefined/],
    [{ title: 'a', description: 'b' }, /report: expected the report of compress/],
    [{ title: 'a', description: 'b', report: { layers: [], split: {} }, faces: 3 }, /faces: expected a list/],
    [
      { title: 'a', description: 'b', report: { layers: [], split: {} }, faces: [{ side: 2, pixels: [1] }] },
      /faces\[0\]/,
    ],
    [{ title: 'a', description: 'b', face: [] }, /input: expected .*got "face"; did you mean faces\?/],
  ])('of reportHtml are named: %j', (input, text) => {
    expect(() => reportHtml(input as never)).toThrow(TypeError);
    expect(() => reportHtml(input as never)).toThrow(text);
  });

  it('of pictures too, by their number: a whole side, and as many grey values as that squared', () => {
    const given = (face: unknown): unknown => {
      const report = { layers: [], split: {} };
      const sound = { side: 1, pixels: Uint8Array.of(1) };
      try {
        return reportHtml({ title: 'a', description: 'b', report, faces: [sound, face] } as never);
      } catch (error) {
        return `${(error as Error).name}: ${(error as Error).message}`;
      }
    };
    const pixels = new Uint8Array(4);
    const expected = 'reportHtml: faces[1]: expected a whole side and grey values in a typed array, got';
    expect(given(7)).toBe('TypeError: reportHtml: faces[1]: expected { side, pixels, ... }, got 7');
    expect(given({ side: 1.5, pixels })).toBe(`TypeError: ${expected} 1.5`);
    expect(given({ side: 2, pixels: [0, 0, 0, 0] })).toContain(`TypeError: ${expected} `);
    expect(given({ side: 2, pixels: [0, 0, 0, 0] })).not.toMatch(/got 2$/);
    expect(given({ side: 2, pixels: new Uint8Array(5) })).toBe(
      'RangeError: reportHtml: faces[1].pixels: expected 2 x 2, got 5',
    );
  });

  it.each([
    ['input', null],
    ['description', { title: 'a', description: 3 }],
    ['report', { title: 'a', description: 'b', report: { layers: [], split: null } }],
    ['report', { title: 'a', description: 'b', report: { layers: 3, split: {} } }],
    ['metrics', { title: 'a', description: 'b', report: { layers: [], split: {} }, metrics: {} }],
    ['baseline', { title: 'a', description: 'b', report: { layers: [], split: {} }, baseline: 1 }],
    ['made', { title: 'a', description: 'b', report: { layers: [], split: {} }, made: 'by hand' }],
  ])('of %s', (name, input) => {
    expect(() => reportHtml(input as never)).toThrow(new RegExp(`^reportHtml: ${name}: expected `));
  });

  it('and numbers beyond float32 are named by withOutputUnit and initializers', () => {
    const network = sequential({ input: [2] }, [dense(1)]);
    const unit = (value: unknown) => () => withOutputUnit(network, value as never);
    expect(unit(undefined)).toThrow(/unit: expected \{ scale, shift \}/);
    expect(unit({ scale: 1 })).toThrow(/unit.shift: expected a number per output/);
    expect(unit({ scale: 1e39, shift: [0] })).toThrow(/1e\+39 is beyond float32/);
    expect(unit({ scale: 1e-40, shift: [1] })).toThrow(/unit.scale/);
    expect(() => withOutputUnit(7 as never, { scale: 1, shift: new Float32Array(1) })).toThrow(/expected a network/);
    expect(() => constantInitializer(1e39)).toThrow(/beyond float32/);
    expect(() => sequential({ input: [2] }, [affine(1e39, 0)])).toThrow(/beyond float32/);
  });

  it('and shapes that no memory holds are MEMORY, naming the parameter', () => {
    expect(() => heNormal([2 ** 26, 2 ** 20], 0, 'w')).toThrow(
      expect.objectContaining({ code: 'MEMORY', message: expect.stringContaining('"w"') as string }) as Error,
    );
  });
});

it('parts of a page that stand on a prototype are none', () => {
  const report = {
    ...{ bytes: 1, originalBytes: 2, ratio: 2, layers: [], plans: [], steps: [], stages: [] },
    split: { codes: 0, signs: 0, codebooks: 0, values: 0, rest: 1 },
    ...{ parameters: { before: 1, after: 1 }, multiplyAdds: { before: 1, after: 1 } },
    validation: { before: 1, after: 1, yardstick: 'rmse' },
  } as const;
  const given = { title: 't', description: 'd', report };
  const polluted = Object.assign(
    Object.create({ metrics: [{ name: 'nobody', before: '', after: '' }] }),
    given,
  ) as never;
  expect(reportHtml(polluted)).toBe(reportHtml(given));
});
