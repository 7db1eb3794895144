/**
 * Words of packed weights and of scratch of the SIMD set's products: the layouts of assembly/matmul.ts and
 * assembly/convolution*.ts, counted. What the gradients need is in training-sizes.ts.
 */
import {
  ACROSS_POSITIONS,
  ACROSS_WORDS,
  ALONG_BLOCK,
  ALONG_K,
  ALONG_WORDS,
  BLOCK_K,
  BLOCK_M,
  BLOCK_N,
  FEW_WORDS,
  FIXED_WORDS,
  GROUP_PANELS,
  STAGE_WORDS,
  TILE_COLUMNS,
  VECTOR_COLUMNS,
  WINOGRAD_CHANNELS,
  WINOGRAD_POSITIONS,
  WINOGRAD_ROWS,
  WINOGRAD_TILES,
  WINOGRAD_WORDS,
} from '../assembly/blocking.ts';
import type { Geometry } from '../specification/geometry.ts';
import type { KernelName } from '../types.ts';

/** Rows rounded up to whole pairs. */
export const pairs = (rows: number): number => rows + (rows & 1);

/**
 * Whether convolutionForward and convolutionBackwardInput go by Winograd's minimal filtering: assembly/convolution.ts
 * asks the same.
 */
export function byWinograd({
  channelsIn,
  channelsOut,
  heightOut,
  widthOut,
  kernelHeight,
  kernelWidth,
  strideY,
  strideX,
  dilationY,
  dilationX,
  groups,
}: Geometry): boolean {
  return (
    kernelHeight === 3 &&
    kernelWidth === 3 &&
    strideY === 1 &&
    strideX === 1 &&
    dilationY === 1 &&
    dilationX === 1 &&
    channelsIn / groups >= WINOGRAD_CHANNELS &&
    channelsOut / groups >= WINOGRAD_CHANNELS &&
    heightOut * widthOut >= WINOGRAD_POSITIONS
  );
}

/**
 * Weights that {@link Kernels.convolutionPack} writes: at most whole panels of rows, where channels may lie along the
 * lanes (convolution-across.ts). By Winograd 36 words for nine, rows in eights.
 */
export function packedWords(geometry: Geometry, direction: 'forward' | 'transposed'): number {
  const { channelsIn, channelsOut, kernelHeight, kernelWidth, groups } = geometry;
  const [rows, channels] =
    direction === 'forward' ? [channelsOut / groups, channelsIn / groups] : [channelsIn / groups, channelsOut / groups];
  if (byWinograd(geometry)) return groups * 36 * Math.ceil(rows / 8) * 8 * channels;
  return (
    groups *
    (rows === 1 && channels === 1 ? 1 : mayBeAcross(rows) ? panels(rows) : pairs(rows)) *
    channels *
    kernelHeight *
    kernelWidth
  );
}

const panels = (rows: number): number => Math.ceil(rows / TILE_COLUMNS) * TILE_COLUMNS;

/** Of 8 rows or fewer, a panel would be half empty, as the positions' panels are at worst. */
const mayBeAcross = (rows: number): boolean => rows > TILE_COLUMNS / 2;

/** Positions, pairs of patches and sums of convolution-across.ts. */
export function acrossWords(rows: number): number {
  return mayBeAcross(rows) ? ACROSS_POSITIONS * (2 + BLOCK_K) + Math.max(ACROSS_WORDS, 2 * panels(rows)) : 0;
}

/**
 * Scratch of `matmul` (sizes [m, n, k], which may bound a piece) and of the convolution kernels of inference
 * (geometry); 0 for any other kernel.
 */
export function productScratchWords(kernel: KernelName, geometry?: Geometry, sizes?: readonly number[]): number {
  if (kernel in FUNCTION_WORDS) return FUNCTION_WORDS[kernel as keyof typeof FUNCTION_WORDS];
  if (kernel === 'matmul') return FIXED_WORDS + matmulWords(sizes);
  if (!geometry) return 0;
  switch (kernel) {
    case 'convolutionPack':
      return blockWords(geometry) + (byWinograd(geometry) ? WINOGRAD_PACK_WORDS : 0);
    case 'convolutionForward':
      return (
        blockWords(geometry) +
        (byWinograd(geometry)
          ? winogradWords(geometry.channelsIn / geometry.groups, geometry.widthOut)
          : acrossWords(geometry.channelsOut / geometry.groups) +
            Math.max(STAGE_WORDS, rowOfStage(geometry), directRow(geometry)))
      );
    case 'transposedForward':
      return (
        blockWords(geometry) +
        (byWinograd(geometry)
          ? winogradWords(geometry.channelsOut / geometry.groups, geometry.widthIn)
          : acrossWords(geometry.channelsIn / geometry.groups) + Math.max(STAGE_WORDS, rowOfTransposed(geometry)))
      );
    case 'maxPoolForward':
    case 'averagePoolForward':
      return 2 * pooledRow(geometry);
    default:
      return 0;
  }
}

/**
 * `forwardRun` of the SIMD set: by Winograd whole rows of tiles, 16 tiles or more; of planes that are read for
 * themselves (convolution-direct.ts) 12 rows, since those that two pieces share are staged twice; else four panels of
 * the widest tile.
 */
export function forwardRun(geometry: Geometry): number {
  if (geometry.channelsIn === geometry.groups) return 12 * geometry.widthOut;
  const rows = Math.ceil(16 / Math.ceil(geometry.widthOut / 4));
  return byWinograd(geometry) ? 4 * rows * geometry.widthOut : 4 * TILE_COLUMNS;
}

/** Two filters halfway and whole in double, and 8 channels of 8 transformed ones. */
const WINOGRAD_PACK_WORDS = 72 + 144 + 36 * 64;

/** Scratch of Winograd's forward pass beside `blockWords`; `channels` are summed over, `width` is the output's. */
export function winogradWords(channels: number, width: number): number {
  const together = Math.max(16, Math.min(WINOGRAD_TILES, Math.floor(WINOGRAD_WORDS / channels / 16) * 16));
  return (
    4 +
    64 +
    tilingWords(together, width) +
    36 * (channels * together + 32 * (together / 16 + 1)) +
    36 * WINOGRAD_ROWS * 16
  );
}

/** The tables and staged strips of `together` tiles of planes of this width. */
export function tilingWords(together: number, width: number): number {
  const across = Math.ceil(width / 4),
    strips = Math.ceil((together - 1) / across) + 1;
  return 16 + 36 * 4 + 5 * together + 4 * strips + (strips + 1) * 6 * (4 * Math.min(across, together) + 4);
}

/** Scratch of convolution but for the staged rows. */
export function blockWords({ kernelHeight, kernelWidth }: Geometry): number {
  return FIXED_WORDS + kernelHeight * kernelWidth + GROUP_PANELS * 64 + (BLOCK_K + 1) * TILE_COLUMNS;
}

function matmulWords([m = BLOCK_M, n = BLOCK_N, k = BLOCK_K]: readonly number[] = []): number {
  // A piece may have fewer rows than m, so that they are packed in whole where m are not.
  const rows = Math.max(Math.min(pairs(m) * k, FEW_WORDS), pairs(Math.min(BLOCK_M, m)) * Math.min(BLOCK_K, k));
  const columns = Math.ceil(Math.min(BLOCK_N, n) / TILE_COLUMNS) * TILE_COLUMNS * Math.min(BLOCK_K, k);
  // Rows alone, where both operands lie contiguous along k.
  const along =
    k < ALONG_K
      ? 0
      : Math.max(
          Math.min(pairs(m) * (k + 3), ALONG_WORDS),
          pairs(Math.min(BLOCK_M, m)) * (Math.min(ALONG_BLOCK, k) + 3),
        );
  return Math.max(rows + columns, along, BLOCK_K + 2 * VECTOR_COLUMNS);
}

/** Of functions of elements: the last ones; of binary ones also what lies apart; of reductions four doubles and twice four floats. */
const FUNCTION_WORDS = { activationForward: 8, binaryForward: 512, reduceForward: 16 } as const;

/** Elements of a row with its padding, of which averages keep doubles. */
const pooledRow = ({ widthOut, strideX, kernelWidth, paddingLeft, widthIn }: Geometry): number =>
  Math.max((widthOut - 1) * strideX + kernelWidth, paddingLeft + widthIn);

/** Staged rows of one grid row, which may be more than STAGE_WORDS. */
function rowOfStage(geometry: Geometry): number {
  const { channelsIn, groups, kernelHeight, dilationY } = geometry;
  return (channelsIn / groups) * ((kernelHeight - 1) * dilationY + 1) * stagedRowWords(geometry);
}

/**
 * Words of the rows that one grid row of convolution-direct.ts and convolution-direct-weights.ts needs, 0 where they
 * are not asked: a plane that planForward sees as one row is staged in whole.
 */
export function directRow(geometry: Geometry): number {
  const { channelsIn, heightIn, widthIn, groups, kernelHeight, kernelWidth, dilationY } = geometry;
  if (channelsIn !== groups) return 0;
  return kernelHeight * kernelWidth === 1
    ? Math.max(heightIn * widthIn, stagedRowWords(geometry))
    : ((kernelHeight - 1) * dilationY + 1) * stagedRowWords(geometry);
}

/** Words of one padded input row as it is staged: a plane for each phase of the stride. */
export function stagedRowWords({ widthOut, kernelWidth, dilationX, strideX }: Geometry): number {
  const span = (kernelWidth - 1) * dilationX;
  return Math.min(strideX, span + 1) * (widthOut + Math.floor(span / strideX));
}

/** Staged rows of dy for one grid row of the input, which may be more than STAGE_WORDS. */
function rowOfTransposed({
  channelsOut,
  groups,
  widthIn,
  kernelHeight,
  kernelWidth,
  dilationY,
  dilationX,
  strideY,
  strideX,
}: Geometry): number {
  const spanY = (kernelHeight - 1) * dilationY,
    spanX = (kernelWidth - 1) * dilationX;
  return (
    (channelsOut / groups) *
    (Math.floor(spanY / strideY) + 1) *
    (Math.ceil(widthIn / strideX) + Math.floor(spanX / strideX))
  );
}
