import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { summarize, takeTurns, verify } from '../../bench/measure.ts';
import { formatCsv, parseCsv, readResults, updateResults } from '../../bench/results.ts';
import type { Result } from '../../bench/results.ts';

const folder = mkdtempSync(join(tmpdir(), 'espalier-bench-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Numbers as they are written: five significant digits. */
const figure = fc.double({ min: 0, max: 1e9, noNaN: true }).map((value) => Number(value.toPrecision(5)));
const text = fc.string({ unit: fc.constantFrom('a', 'ü', ' ', ',', '"', '7') });
const result: fc.Arbitrary<Result> = fc.record({
  group: fc.constantFrom('forward', 'training', 'kernels'),
  case: text,
  what: text,
  size: fc.nat(99),
  who: text,
  version: text,
  threads: fc.nat(9),
  unit: fc.constantFrom('ms', 'MB'),
  minimum: figure,
  median: figure,
  rounds: fc.nat(99),
  work: figure,
  node: text,
  date: text,
  machine: text,
});

describe('results', () => {
  it('what is written is read, whatever the texts hold', () => {
    fc.assert(
      fc.property(fc.array(result), (results) => {
        expect(parseCsv(formatCsv(results))).toEqual(results);
      }),
    );
  });

  it('a run replaces the rows of its group alone, and groups stand in their order', () => {
    fc.assert(
      fc.property(fc.array(result), fc.array(result), (before, measured) => {
        const path = join(folder, 'results.csv'),
          order = ['kernels', 'forward', 'training'],
          rows = measured.map((row) => ({ ...row, group: 'forward' }));
        writeFileSync(path, formatCsv(before));
        updateResults(path, 'forward', rows, order);
        const after = readResults(path);
        expect(after.filter(({ group }) => group === 'forward')).toEqual(rows);
        for (const name of ['kernels', 'training'])
          expect(after.filter(({ group }) => group === name)).toEqual(before.filter(({ group }) => group === name));
        expect(after.map(({ group }) => order.indexOf(group))).toEqual(
          after.map(({ group }) => order.indexOf(group)).sort(),
        );
      }),
      { numRuns: 30 },
    );
  });

  it('a file with other columns is refused, a missing one is empty', () => {
    expect(() => parseCsv('group,case\nforward,a\n')).toThrow('expected the columns group,case,what,size');
    expect(readResults(join(folder, 'missing.csv'))).toEqual([]);
  });
});

describe('measuring', () => {
  it('results that differ by more than the bound, hold NaN or have another length are not timed', () => {
    expect(verify('a', [1, 2 + 1e-5], [1, 2], 1e-5)).toBeCloseTo(5e-6);
    expect(() => verify('a', [1, 2.1], [1, 2], 1e-2)).toThrow('a: the results differ by 0.05');
    expect(() => verify('a', [1, NaN], [1, 2], 1e-2)).toThrow('differ by Infinity');
    expect(() => verify('a', [1], [1, 2], 1e-2)).toThrow('differ by Infinity');
  });

  it('contenders take turns, and one of fewer rounds sits out', async () => {
    const calls: string[] = [];
    const contender = (name: string, seconds: number[], rounds?: number) => ({
      run: () => {
        calls.push(name);
        return seconds.shift()!;
      },
      ...(rounds !== undefined && { rounds }),
    });
    const timings = await takeTurns([contender('a', [3, 1, 2]), contender('b', [9], 1)], 3);
    expect(calls).toEqual(['a', 'b', 'a', 'a']);
    expect(timings).toEqual([
      { minimum: 1, median: 2, rounds: 3 },
      { minimum: 9, median: 9, rounds: 1 },
    ]);
  });

  it('the median of an even number is the mean of the two in the middle', () =>
    expect(summarize([4, 1, 3, 2])).toEqual({ minimum: 1, median: 2.5, rounds: 4 }));
});
