/**
 * Nearest-neighbour search among product-quantized vectors, and what it loses: vectors of 32 coordinates around 200
 * centers, queries that are none of them. The index goes through bytes, as it would through a file.
 *
 * Usage: npx tsx examples/nearest.ts [vectors, default 20000]
 */
import { loadKernels } from 'espalier/kernels';
import {
  denseEncoding,
  encodingSize,
  nearestRows,
  quantizeMatrixAsync,
  readEncodings,
  recall,
  writeEncodings,
} from 'espalier/quantization';
import { normal, stream } from 'espalier';

const [n, columns, queryCount, count] = [Number(process.argv[2] ?? 20_000), 32, 200, 10];
const random = stream(1, 'nearest');
const centers = Float32Array.from({ length: 200 * columns }, () => normal(random));
const around = (rows: number): { data: Float32Array; shape: number[] } => {
  const data = new Float32Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    const center = Math.floor(random() * 200) * columns;
    for (let j = 0; j < columns; j++) data[row * columns + j] = centers[center + j] + 0.4 * normal(random);
  }
  return { data, shape: [rows, columns] };
};
const vectors = around(n);
const queries = around(queryCount);
const kernels = await loadKernels();

const exact = nearestRows(denseEncoding(vectors), queries, { count });
console.log(
  `${n} vectors of ${columns} floats: ${4 * columns} bytes each; the ${count} nearest of ${queryCount} queries`,
);
for (const subvectorLength of [8, 4, 2]) {
  const { encoding } = await quantizeMatrixAsync(vectors, {
    subvectorLength,
    codewordCount: 256,
    codebooks: 'subspace',
    signs: 'none',
    kernels,
  });
  const bytes = writeEncodings(new Map([['vectors', encoding]]));
  const found = nearestRows(readEncodings(bytes).get('vectors') ?? encoding, queries, { count });
  const { codes, codebooks } = encodingSize(encoding);
  console.log(
    `${columns / subvectorLength} codes: ${codes / 8 / n} bytes a vector and ${codebooks / 8} of codebooks, ${bytes.length} as a file, recall ${count}@${count} ${recall(found, exact, count).toFixed(3)}`,
  );
}
