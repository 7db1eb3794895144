/** Error feedback in product quantization: each sub-vector to the codeword that is nearest in what the layer makes of it. */
import { createRunControl } from '../base/control.ts';
import type { Tensor } from '../base/tensor.ts';
import { decode } from '../encodings/index.ts';
import type { ProductBlock, ProductEncoding } from '../encodings/types.ts';
import { feedRows, type Choose, type Cut, type FactoredMoments } from './feedback.ts';
import { packSigns } from './subvectors.ts';

/** The encoding with codes and signs chosen anew, with the same codebooks. `matrix`: what it was fitted to. */
export async function feedProduct(
  matrix: Tensor,
  encoding: ProductEncoding,
  feedback: FactoredMoments,
  signal: AbortSignal | undefined,
): Promise<ProductEncoding> {
  const { data, shape } = matrix;
  const [rows, columns] = shape;
  const values = decode(encoding);
  const pieces = encoding.blocks.flatMap((block) =>
    Array.from({ length: block.subspaceCount }, (_, m): Cut & { block: ProductBlock; subspace: number } => ({
      first: block.first + m * block.subvectorLength,
      count: block.subvectorLength,
      block,
      subspace: m,
    })),
  );
  const codes = encoding.blocks.map((block) => block.codes.slice());
  const index = new Map(encoding.blocks.map((block, i) => [block, i]));
  const chosen = new Uint16Array(rows * pieces.length);
  const nearest = createSearch(pieces.reduce((most, { count }) => Math.max(most, count), 0));
  const choose: Choose = (row, i, carried, decoded, factor) => {
    const { first, count: d, block } = pieces[i];
    nearest.aim(data, row * columns + first, { columns, factor }, first, d, carried, block.signs !== undefined);
    const code = nearest.find(block.codewords, block.codewordCount, d);
    chosen[row * pieces.length + i] = code;
    for (let j = 0; j < d; j++) decoded[first + j] = nearest.signs[j] * block.codewords[code * d + j];
  };
  const keep = (row: number, decoded: Float64Array): void => {
    values.set(decoded, row * columns);
    pieces.forEach(({ block, subspace }, i) => {
      codes[index.get(block)!][row * block.subspaceCount + subspace] = chosen[row * pieces.length + i];
    });
  };
  await feedRows(matrix, feedback, pieces, values.slice(), choose, keep, createRunControl(signal ? { signal } : {}));
  const blocks = encoding.blocks.map((block, i): ProductBlock => ({
    ...block,
    codes: codes[i],
    ...(block.signs && { signs: packSigns({ data: values, shape }, block) }),
  }));
  return { ...encoding, blocks };
}

interface Search {
  /** 1 or -1 for each coordinate of the piece. */
  readonly signs: Float64Array;
  /** Takes the place where the error would be 0: its signs, and what a distance from it costs. */
  aim(
    data: Float32Array,
    at: number,
    feedback: Pick<FactoredMoments, 'columns' | 'factor'>,
    first: number,
    d: number,
    carried: Float64Array,
    isSigned: boolean,
  ): void;
  /** The codeword that costs least, the lowest among equals. */
  find(codewords: Float32Array, count: number, d: number): number;
}

function createSearch(most: number): Search {
  const signs = new Float64Array(most);
  const target = new Float64Array(most);
  /** The triangle of the piece, its columns times the signs. */
  const triangle = new Float64Array(most * most);
  const distance = new Float64Array(most);
  return {
    signs,
    aim(data, at, { columns, factor }, first, d, carried, isSigned) {
      for (let j = 0; j < d; j++) {
        const from = (first + j) * columns + first;
        let sum = carried[j];
        // `distance` holds the errors that would make good what is carried.
        for (let i = 0; i < j; i++) sum += factor[from + i] * distance[i];
        distance[j] = -sum / factor[from + j];
        const aimed = data[at + j] - distance[j];
        signs[j] = isSigned && aimed < 0 ? -1 : 1;
        target[j] = signs[j] * aimed;
        for (let i = 0; i <= j; i++) triangle[j * most + i] = factor[from + i] * signs[i];
      }
    },
    find(codewords, count, d) {
      let least = Infinity;
      let best = 0;
      for (let c = 0; c < count; c++) {
        let cost = 0;
        for (let j = 0; j < d && cost < least; j++) {
          distance[j] = target[j] - codewords[c * d + j];
          let sum = 0;
          for (let i = 0; i <= j; i++) sum += triangle[j * most + i] * distance[i];
          cost += sum * sum;
        }
        if (cost >= least) continue;
        least = cost;
        best = c;
      }
      return best;
    },
  };
}
