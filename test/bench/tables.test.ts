/** The tables of docs/benchmarks.md of any part of the results: what was not measured is a dash. */
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { peakRate } from '../../bench/charts.ts';
import { readResults } from '../../bench/results.ts';
import type { Result } from '../../bench/results.ts';
import * as tables from '../../bench/tables.ts';

const results = readResults(join(import.meta.dirname, '../../bench/results/amd-epyc.csv'));
const own = (rows: readonly Result[]): Result[] => rows.map((row) => ({ ...row, machine: `${row.machine}, again` }));

describe('a processor without the kernels group', () => {
  const without = own(results.filter(({ group }) => group !== 'kernels'));
  const lines = tables.sideBySide([without, results]).split('\n');
  it('has a dash for its peak, beside the one that has it', () => {
    const peak = lines.find((line) => line.startsWith('| peak'));
    expect(peak).toBe(`| peak, GFLOP/s | – | ${peakRate(results).toFixed(1)} |`);
  });
  it('has the same ratios as with it in every other line', () => {
    const others = lines.slice(2).filter((line) => !line.startsWith('| peak'));
    expect(others.length).toBeGreaterThan(10);
    for (const line of others) {
      const [, one, other] = line.slice(2, -2).split(' | ');
      expect(one, line).toBe(other);
    }
  });
});

describe('any rows that were measured', () => {
  const some = fc.subarray(results, { minLength: 1 });
  const { sideBySide, ...single } = tables;
  it.each(Object.entries(single).filter(([name]) => name !== 'halved'))(
    '%s prints no number that is none',
    (_name, draw) => {
      fc.assert(
        fc.property(some, (rows) => {
          expect(draw(rows)).not.toMatch(/NaN|Infinity|undefined/);
        }),
        { numRuns: 100 },
      );
    },
  );
  it('sideBySide prints no number that is none', () => {
    fc.assert(
      fc.property(some, some, (one, other) => {
        expect(sideBySide([one, own(other)])).not.toMatch(/NaN|Infinity|undefined/);
      }),
      { numRuns: 100 },
    );
  });
});
