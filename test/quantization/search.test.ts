import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { portableKernels } from '../../src/kernels/index.ts';
import { decode, denseEncoding, nearestRows, quantizeMatrix, recall } from '../../src/quantization/index.ts';
import type { ProductEncoding } from '../../src/encodings/types.ts';
import { normal, stream } from '../../src/base/random.ts';
import faiss from '../vectors/search.json' with { type: 'json' };

const { n, d, M, K, q, k } = faiss;
const queries = { data: Float32Array.from(faiss.queries), shape: [q, d] };
const width = d / M;
/** A codebook per sub-space, as faiss has them. */
const index: ProductEncoding = {
  kind: 'product',
  shape: [n, d],
  codewordPrecision: 'float32',
  blocks: Array.from({ length: M }, (_, m) => ({
    first: m * width,
    subspaceCount: 1,
    subvectorLength: width,
    codewordCount: K,
    codewords: Float32Array.from(faiss.codewords.slice(m * K * width, (m + 1) * K * width)),
    codes: Uint16Array.from({ length: n }, (_, row) => faiss.codes[row * M + m]),
  })),
};

/** Distances agree, and so do rows, but where faiss's rounding swaps two that lie equally far. */
function expectAgreement(found: ReturnType<typeof nearestRows>, rows: number[], distances: number[]): void {
  found.distances.forEach((distance, i) =>
    expect(Math.abs(distance - distances[i])).toBeLessThanOrEqual(1e-5 * Math.max(1, distances[i])),
  );
  for (let i = 0; i < q; i++) {
    for (let j = 0; j < k; j++) {
      const place = i * k + j;
      const isTie = [place - 1, place + 1].some((other) => Math.abs(distances[other] - distances[place]) < 1e-5);
      if (!isTie && j < k - 1) expect(found.rows[place]).toBe(rows[place]);
    }
  }
}

describe('nearest rows', () => {
  it('by tables are those of faiss IndexPQ: distances within 1e-5', () => {
    expectAgreement(nearestRows(index, queries, { count: k }), faiss.ids, faiss.distances);
  });
  it('of dense rows are those of faiss IndexFlatL2, and the recall is what its two searches give', () => {
    const points = { data: Float32Array.from(faiss.points), shape: [n, d] };
    const exact = nearestRows(denseEncoding(points), queries, { count: k });
    expectAgreement(exact, faiss.exactIds, faiss.exactDistances);
    const share = recall(nearestRows(index, queries, { count: k }), exact, k);
    let hits = 0;
    for (let i = 0; i < q * k; i++) {
      const row = Math.floor(i / k) * k;
      if (faiss.exactIds.slice(row, row + k).includes(faiss.ids[i])) hits++;
    }
    // A tie at the last place may fall either way.
    expect(Math.abs(share - hits / (q * k))).toBeLessThanOrEqual(1 / q);
    expect(share).toBeGreaterThan(0.3);
    expect(recall(exact, exact, k)).toBe(1);
  });
  it('of any quantized matrix are the nearest among its decoded rows, ties to the lower row', () => {
    fc.assert(
      fc.property(
        fc.record({
          rows: fc.integer({ min: 2, max: 30 }),
          columns: fc.integer({ min: 1, max: 7 }),
          signs: fc.constantFrom('none' as const, 'apart' as const),
          seed: fc.nat(),
        }),
        ({ rows, columns, signs, seed }) => {
          const random = stream(seed, 'search');
          const values = (count: number): Float32Array => Float32Array.from({ length: count }, () => normal(random));
          const { encoding } = quantizeMatrix(
            { data: values(rows * columns), shape: [rows, columns] },
            { subvectorLength: 2, codewordCount: 4, signs, kernels: portableKernels() },
          );
          const query = values(columns);
          const count = 1 + (seed % rows);
          const found = nearestRows(encoding, { data: query, shape: [1, columns] }, { count });
          const decoded = decode(encoding);
          const apart = Array.from({ length: rows }, (_, row) =>
            query.reduce((sum, value, j) => sum + (value - decoded[row * columns + j]) ** 2, 0),
          );
          const order = apart.map((_, row) => row).sort((a, b) => apart[a] - apart[b] || a - b);
          found.distances.forEach((distance, i) => expect(distance).toBeCloseTo(apart[order[i]], 4));
          expect(new Set(found.rows).size).toBe(count);
          // Rows of one code lie equally far: they come in ascending order.
          for (let i = 1; i < count; i++)
            if (found.distances[i] === found.distances[i - 1] && apart[found.rows[i]] === apart[found.rows[i - 1]])
              expect(found.rows[i]).toBeGreaterThan(found.rows[i - 1]);
        },
      ),
    );
  });
  it('says what is wrong with its arguments', () => {
    expect(() => nearestRows(index, { data: new Float32Array(9), shape: [1, 9] })).toThrow(
      /queries: expected shape \(q, 8\).*got \[1, 9\]/,
    );
    expect(() => nearestRows(index, queries, { count: n + 1 })).toThrow(
      /count: expected at most the 200 rows.*got 201/,
    );
    expect(() => nearestRows(index, queries, { count: 0 })).toThrow(/count/);
    expect(() => nearestRows(index, { data: Float32Array.of(NaN, 0, 0, 0, 0, 0, 0, 0), shape: [1, 8] })).toThrow(
      /queries/,
    );
    const found = nearestRows(index, queries);
    expect(() => recall(found, nearestRows(index, queries, { count: 2 }), 2)).toThrow(/as many rows/);
  });
});
