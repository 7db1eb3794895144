import { expect, test } from 'vitest';
import { planRows, stepRows } from '../../src/compression/summary.ts';
import type { CompressionReport } from '../../src/compression/report.ts';

const options = { codewordCount: 256 };
const report = {
  steps: [
    { layers: ['a', 'b'], start: 0.1, limit: 0.2, tries: [0.5, 0.3, 0.15], kept: 2, within: true },
    { layers: ['c'], start: 0.11, limit: 0.12, tries: [0.9, 0.8], kept: 1, within: false },
    { layers: ['d'], start: 0.13, tries: [0.14], kept: 0, within: true },
  ],
  plans: [
    {
      layer: 'a',
      asked: { keep: 0.5, quantize: true, options },
      got: { keep: 0.75, quantize: false, options, attempt: 2 },
    },
  ],
} as unknown as CompressionReport;

test('Each step says where it began, its limit, every try in order and which one stays', () => {
  expect(stepRows(report)).toEqual([
    ['1', 'a, b', '0.1000', '0.2000', '0.5000, 0.3000, 0.1500', 'try 3 of 3 stays, within the limit'],
    ['2', 'c', '0.1100', '0.1200', '0.9000, 0.8000', 'try 2 of 2 stays, beyond the limit'],
    ['3', 'd', '0.1300', 'none', '0.1400', 'the only try stays, within the limit'],
  ]);
});

test('Each layer says what was asked beside what was got', () => {
  expect(planRows(report)).toEqual([
    ['a', '0.5', '0.75', 'yes', 'no', 'a: keep 0.5 asked, 0.75 got, quantized asked, dense got'],
  ]);
});
