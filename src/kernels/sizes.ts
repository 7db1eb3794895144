/**
 * Words of packed weights and of scratch of the SIMD set's products: the layouts of assembly/matmul.ts and assembly/convolution*.ts, counted.
 */
import { BLOCK_K, BLOCK_M, BLOCK_N, CHUNK_MAX, CHUNK_MIN, CHUNK_WORDS, FEW_WORDS, FIXED_WORDS, GROUP_PANELS, STAGE_WORDS, TILE_COLUMNS, VECTOR_COLUMNS } from './assembly/blocking.ts';
import type { Geometry, KernelName } from './types.ts';

const pairs = (rows: number): number => rows + (rows & 1);

/** Weights that {@link Kernels.convolutionPack} writes: pairs of rows, a missing one filled with zeros; a group of one row stays alone. */
export function packedWords(geometry: Geometry, direction: 'forward' | 'backward'): number {
  const { channelsIn, channelsOut, kernelHeight, kernelWidth, groups } = geometry;
  const [rows, channels] = direction === 'forward' ? [channelsOut / groups, channelsIn / groups] : [channelsIn / groups, channelsOut / groups];
  return groups * (rows === 1 ? 1 : pairs(rows)) * channels * kernelHeight * kernelWidth;
}

/** Scratch of `matmul` (sizes [m, n, k], which may bound a piece) and of the convolution kernels (geometry); 0 for any other kernel. */
export function productScratchWords(kernel: KernelName, geometry?: Geometry, sizes?: readonly number[]): number {
  if (kernel === 'matmul') return FIXED_WORDS + matmulWords(sizes);
  if (!geometry) return 0;
  const taps = geometry.kernelHeight * geometry.kernelWidth;
  const fixed = FIXED_WORDS + taps + GROUP_PANELS * 64 + (BLOCK_K + 1) * TILE_COLUMNS;
  switch (kernel) {
    case 'convolutionPack': return fixed;
    case 'convolutionForward': case 'convolutionBackwardInput': return fixed + Math.max(STAGE_WORDS, rowOfStage(geometry, kernel));
    case 'convolutionBackwardWeights': return FIXED_WORDS + taps + chunkWords(geometry);
    default: return 0;
  }
}

function matmulWords([m = BLOCK_M, n = BLOCK_N, k = BLOCK_K]: readonly number[] = []): number {
  // A piece may have fewer rows than m, so that they are packed in whole where m are not.
  const rows = Math.max(Math.min(pairs(m) * k, FEW_WORDS), pairs(Math.min(BLOCK_M, m)) * Math.min(BLOCK_K, k));
  const columns = Math.ceil(Math.min(BLOCK_N, n) / TILE_COLUMNS) * TILE_COLUMNS * Math.min(BLOCK_K, k);
  return Math.max(rows + columns, BLOCK_K + 2 * VECTOR_COLUMNS);
}

/** Staged rows of one grid row, which may be more than STAGE_WORDS. */
function rowOfStage(geometry: Geometry, kernel: 'convolutionForward' | 'convolutionBackwardInput'): number {
  const { channelsIn, channelsOut, groups, widthIn, kernelHeight, kernelWidth, dilationY, dilationX, strideY, strideX } = geometry;
  const spanY = (kernelHeight - 1) * dilationY, spanX = (kernelWidth - 1) * dilationX;
  if (kernel === 'convolutionForward') return (channelsIn / groups) * (spanY + 1) * stagedRowWords(geometry);
  return (channelsOut / groups) * (Math.floor(spanY / strideY) + 1) * (Math.ceil(widthIn / strideX) + Math.floor(spanX / strideX));
}

function stagedRowWords({ widthOut, kernelWidth, dilationX, strideX }: Geometry): number {
  const span = (kernelWidth - 1) * dilationX;
  return Math.min(strideX, span + 1) * (widthOut + Math.floor(span / strideX));
}

/** dy's rows, four patch rows and the segments of one chunk, and four staged channels of it: of one sample if that is more than STAGE_WORDS. */
function chunkWords(geometry: Geometry): number {
  const { channelsOut, groups, heightOut, widthOut, kernelHeight, dilationY, strideY } = geometry;
  const rows = pairs(channelsOut / groups);
  const chunk = Math.max(CHUNK_MIN, Math.min(CHUNK_MAX, Math.floor(CHUNK_WORDS / Math.max(rows, 1))));
  const gridRows = Math.min(heightOut, Math.ceil(chunk / Math.max(widthOut, 1)) + 2);
  const plane = ((gridRows - 1) * strideY + (kernelHeight - 1) * dilationY + 1) * stagedRowWords(geometry);
  return (rows + 4 + 3) * chunk + Math.max(STAGE_WORDS, 4 * plane);
}
