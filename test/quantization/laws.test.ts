/** What holds for every quantizer: each law runs over the whole table, so a new one is held to it unasked. */
import { readdirSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { resolveOptions, type Rule, type RuledBy, type Rules } from '../../src/base/rules.ts';
import { normal, stream } from '../../src/base/random.ts';
import type { Tensor } from '../../src/base/tensor.ts';
import { decode, encodingOperations, encodingSize, writeEncoding } from '../../src/encodings/index.ts';
import { loadKernels } from '../../src/kernels/index.ts';
import {
  DEFAULT_QUANTIZER,
  QUANTIZER_NAMES,
  quantizerOf,
  resolveQuantizer,
  type FitContext,
  type QuantizerSettings,
} from '../../src/quantization/index.ts';

const context: FitContext = { kernels: await loadKernels(), threads: 1, seed: 5 };
const random = (rows: number, columns: number, seed = 1): Tensor => {
  const draw = stream(seed, 'matrix');
  return { data: Float32Array.from({ length: rows * columns }, () => normal(draw)), shape: [rows, columns] };
};

/** Any value that a rule allows; of whole numbers those up to 40 above the least, and the largest. */
function allowed(rule: Rule): fc.Arbitrary<unknown> {
  switch (rule.kind) {
    case 'integer':
      return fc.oneof(
        { weight: 9, arbitrary: fc.integer({ min: rule.from, max: Math.min(rule.to, rule.from + 40) }) },
        { weight: 1, arbitrary: fc.constant(rule.to) },
      );
    case 'number':
      return fc.oneof(fc.constant(rule.from), fc.double({ min: 0.05, max: 1, noNaN: true }));
    case 'boolean':
      return fc.boolean();
    case 'choice':
      return fc.constantFrom(...rule.of);
    default:
      throw new Error(`no arbitrary for a rule of kind ${rule.kind}: write one`);
  }
}

test('every file of quantizers/ is in the table under its own name', () => {
  const files = readdirSync(new URL('../../src/quantization/quantizers', import.meta.url));
  expect(QUANTIZER_NAMES).toEqual(files.map((file) => file.split('.')[0]).sort());
  for (const name of QUANTIZER_NAMES) expect(quantizerOf(name).kind).toBe(name);
});

describe.each(QUANTIZER_NAMES)('%s', (name) => {
  const quantizer = quantizerOf(name);
  const { options: rules, defaults, words } = quantizer;
  const options = fc.record(Object.fromEntries(Object.entries(rules).map(([key, rule]) => [key, allowed(rule)]))).map(
    // Of k-means; what comes of few iterations is a fit like any other.
    (given) => ({ ...given, ...('iterations' in rules && { iterations: 2 }) }) as RuledBy<Rules>,
  );
  const sides = fc.tuple(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 12 }), fc.nat());

  test('defaults obey the rules, and each option has its line of help', () => {
    expect(resolveOptions('test', 'options', rules, defaults, defaults)).toEqual(defaults);
    expect(Object.keys(defaults).sort()).toEqual(Object.keys(rules).sort());
    expect(Object.keys(words).sort()).toEqual(Object.keys(rules).sort());
    for (const line of Object.values(words)) expect(line).toMatch(/^[a-z].*[^.]$/);
    expect(Object.keys(rules)).not.toEqual(
      expect.arrayContaining([expect.stringMatching(/^(quantizer|seed|importance|kernels|threads|signal)$/)]),
    );
  });

  test('named with no options it has its defaults; an option that it has not is refused by name', () => {
    expect(resolveQuantizer('test', 'options', { quantizer: name } as QuantizerSettings)).toMatchObject({
      kind: name,
      options: defaults,
    });
    for (const wrong of ['codewords', 'kernels', 'toString'])
      expect(() =>
        resolveQuantizer('test', 'options', { quantizer: name, [wrong]: 1 } as unknown as QuantizerSettings),
      ).toThrow(new RegExp(`test: options: expected ${Object.keys(rules)[0]}.*, got "${wrong}"`));
  });

  test('the estimate is what encodingSize counts of a matrix without equal values; of any matrix it is no less', async () => {
    await fc.assert(
      fc.asyncProperty(sides, options, fc.boolean(), async ([rows, columns, seed], given, coarse) => {
        const matrix = random(rows, columns, seed);
        if (coarse) matrix.data.forEach((value, i) => (matrix.data[i] = Math.round(value)));
        const { encoding, report } = await quantizer.fit(matrix, given, context);
        const written = writeEncoding(encoding).tensors.reduce((sum, { bytes }) => sum + 8 * bytes.length, 0);
        const estimate = quantizer.estimateBits([rows, columns], given);
        expect(estimate).toBeGreaterThanOrEqual(written);
        if (!coarse && !quantizer.isBound) expect(estimate).toBe(written);
        expect([report.bits, encodingSize(encoding).total]).toEqual([written, written]);
        // Of a convolution as of the matrix that it is.
        expect(quantizer.estimateBits([rows, columns, 1, 1], given)).toBe(estimate);
      }),
      { numRuns: 60 },
    );
  });

  test('the report has the error that decoding has; the encoding is plain data of its kind, finite, of the shape given', async () => {
    await fc.assert(
      fc.asyncProperty(sides, options, async ([rows, columns, seed], given) => {
        const matrix = random(rows, columns, seed);
        const { encoding, report } = await quantizer.fit(matrix, given, context);
        const decoded = decode(encoding);
        const squares = (values: Float32Array): number => values.reduce((sum, value) => sum + value * value, 0);
        const lost = matrix.data.reduce((sum, value, i) => sum + (value - decoded[i]) ** 2, 0);
        expect(report.sumSquares).toBe(lost);
        expect(report.relativeError).toBeCloseTo(Math.sqrt(lost / squares(matrix.data)), 5);
        expect(report.bitsPerWeight).toBe(report.bits / (rows * columns));
        expect(decoded.every(Number.isFinite)).toBe(true);
        expect(encoding.shape).toEqual([rows, columns]);
        expect(encodingOperations(encoding.kind).kind).toBe(encoding.kind);
        expect(JSON.parse(JSON.stringify(report))).toEqual(report);
        expect(quantizer.describe(report)).toMatch(/^\w/);
      }),
      { numRuns: 30 },
    );
  });

  test('milder loses no more and costs no less, step by step, and ends', async () => {
    const matrix = random(256, 24);
    let given = defaults;
    let [error, bits] = [Infinity, 0];
    for (let step = 0; step < 3; step++) {
      const { report } = await quantizer.fit(matrix, given, context);
      expect(report.relativeError).toBeLessThanOrEqual(error);
      expect(quantizer.estimateBits(matrix.shape, given)).toBeGreaterThanOrEqual(bits);
      [error, bits] = [report.relativeError, quantizer.estimateBits(matrix.shape, given)];
      given = quantizer.milder(given);
    }
    for (let step = 0; step < 20; step++) given = quantizer.milder(given);
    expect(quantizer.milder(given)).toEqual(given);
    fc.assert(
      fc.property(options, (one) => {
        const next = quantizer.milder(one);
        expect(resolveOptions('test', 'options', rules, defaults, next)).toEqual(next);
        expect(quantizer.estimateBits([64, 24], next)).toBeGreaterThanOrEqual(quantizer.estimateBits([64, 24], one));
      }),
    );
  });

  test('the same seed gives the same bytes; values from 1e-45 to 3e38, equal ones and single ones are fitted', async () => {
    const matrix = random(16, 9);
    expect(await quantizer.fit(matrix, defaults, context)).toEqual(await quantizer.fit(matrix, defaults, context));
    for (const values of [[0], [-0, 0], [1e-45], [-1e-45, 3e38], [3.4028234663852886e38], [5, 5, 5, 5], [-2, -2.5]]) {
      const one = { data: Float32Array.from(values), shape: [1, values.length] };
      for (const shape of [one.shape, one.shape.toReversed()]) {
        const { encoding, report } = await quantizer.fit({ ...one, shape }, defaults, context);
        expect(decode(encoding).every(Number.isFinite)).toBe(true);
        // What leaves weights out may leave out all but one, and of signs the magnitudes are lost.
        expect(report.relativeError).toBeLessThanOrEqual(['binary', 'connections'].includes(name) ? 1 : 0.5);
      }
    }
  });

  test('NaN is refused by row and column, importance of another shape or below zero too; an abort stops it', async () => {
    const matrix = random(4, 3);
    const holed = { ...matrix, data: matrix.data.with(7, NaN) };
    await expect(quantizer.fit(holed, defaults, context)).rejects.toThrow(/got NaN at row 2, column 1/);
    const weigh = (importance: Tensor): Promise<unknown> => quantizer.fit(matrix, defaults, { ...context, importance });
    await expect(weigh(random(1, 5))).rejects.toThrow(RangeError);
    await expect(weigh({ data: Float32Array.of(1, -1, 1), shape: [3] })).rejects.toThrow(RangeError);
    for (const shape of [[3], [4, 3]])
      await weigh({ data: new Float32Array(shape.length === 1 ? 3 : 12).fill(2), shape });
    const reason = new Error('enough');
    await expect(quantizer.fit(matrix, defaults, { ...context, signal: AbortSignal.abort(reason) })).rejects.toBe(
      reason,
    );
  });
});

test('of settings the later win; those of another quantizer say nothing; undefined is not given', () => {
  const { options } = resolveQuantizer('test', 'options', { codewordCount: 16, signs: 'none' }, undefined, {
    codewordCount: 32,
    signs: undefined,
  } as unknown as QuantizerSettings);
  expect(options).toMatchObject({ codewordCount: 32, signs: 'none' });
  for (const name of QUANTIZER_NAMES.filter((name) => name !== DEFAULT_QUANTIZER))
    expect(
      resolveQuantizer('test', 'options', { codewordCount: 16 }, { quantizer: name } as QuantizerSettings),
    ).toMatchObject({ kind: name, options: quantizerOf(name).defaults });
  for (const wrong of [null, 3, 'product'])
    expect(() => resolveQuantizer('test', 'options', wrong as unknown as QuantizerSettings)).toThrow(TypeError);
});

test('a way of cutting columns takes the place of a shared one, whichever it is', () => {
  const resolved = (...given: QuantizerSettings[]): RuledBy<Rules> =>
    resolveQuantizer('test', 'options', ...given).options;
  expect(resolved({ subvectorLength: 8 }, { subspaceCount: 2 })).toMatchObject({ subspaceCount: 2 });
  expect(resolved({ subspaceCount: 2 }, { subvectorLength: 8 })).toMatchObject({
    subspaceCount: 0,
    subvectorLength: 8,
  });
  expect(resolved({ subspaceCount: 2 }, { codewordCount: 8 })).toMatchObject({ subspaceCount: 2, codewordCount: 8 });
  expect(() => resolved({ subvectorLength: 8, subspaceCount: 2 })).toThrow(/got both/);
});
