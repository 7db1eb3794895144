/** The page on quantizing vectors of one's own, and the example of searching among them, run as they stand. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, expect, it, vi } from 'vitest';
import { normal, stream } from '../../src/base/random.ts';
import * as kernels from '../../src/kernels/index.ts';
import * as quantization from '../../src/quantization/index.ts';
import { codeBlocks, runCode } from '../blocks.ts';

const ENTRIES = { 'espalier/kernels': kernels, 'espalier/quantization': quantization };

afterEach(() => {
  vi.restoreAllMocks();
});

it('the lines of docs/method.md write an index and find with it what the encoding finds', async () => {
  const page = await readFile(join(import.meta.dirname, '../../docs/method.md'), 'utf8');
  const [code] = codeBlocks(page.slice(page.indexOf('## Only the quantizer')));
  const random = stream(3, 'vectors');
  const draw = (rows: number): quantization.KMeansResult['codewords'] => ({
    data: Float32Array.from({ length: rows * 8 }, () => normal(random)),
    shape: [rows, 8],
  });
  const [vectors, queries] = [draw(600), draw(5)];
  const given = { vectors, queries };
  const { bytes, encoding, found } = (await runCode(
    code,
    '{ bytes, encoding, found: { rows, distances } }',
    given,
    ENTRIES,
  )) as { bytes: Uint8Array; encoding: quantization.Encoding; found: quantization.NearestRows };
  expect(found).toEqual(quantization.nearestRows(encoding, queries, { count: 10 }));
  // 2 codes of a byte for each vector, 2 codebooks of 256 x 4 floats, less than 1 kB around them.
  expect(bytes.length - (600 * 2 + 2 * 256 * 16)).toBeLessThan(1024);
  const exact = quantization.nearestRows(quantization.denseEncoding(vectors), queries, { count: 10 });
  expect(quantization.recall(found, exact, 10)).toBeGreaterThan(0.5);
});

it('the example prints a line for each index, and more bytes find more', async () => {
  const lines: string[] = [];
  vi.spyOn(console, 'log').mockImplementation((line: string) => void lines.push(line));
  const { argv } = process;
  process.argv = [...argv.slice(0, 2), '1000'];
  try {
    await import('../../examples/nearest.ts');
  } finally {
    process.argv = argv;
  }
  const recalls = lines.slice(1).map((line) => Number(/recall 10@10 (\S+)$/.exec(line)?.[1]));
  expect(recalls).toHaveLength(3);
  expect(recalls).toEqual([...recalls].sort((a, b) => a - b));
  expect(recalls[2]).toBeGreaterThan(0.5);
});
