/**
 * Words of scratch of every kernel of the SIMD set: those of inference (sizes.ts), the gradients of convolution, and
 * the codebook kernels.
 */
import {
  CHUNK_MAX,
  CHUNK_MIN,
  CHUNK_WORDS,
  DIRECT_WORDS,
  FIXED_WORDS,
  STAGE_WORDS,
  WINOGRAD_CHUNK_TILES,
  WINOGRAD_CHUNK_WORDS,
  WINOGRAD_GRADIENT_ROWS,
} from '../assembly/blocking.ts';
import { codebookScratchWords } from './codebook-sizes.ts';
import { byWinograd, directRow, pairs, productScratchWords, stagedRowWords, tilingWords } from './sizes.ts';
import type { Geometry } from '../specification/geometry.ts';
import type { KernelName } from '../types.ts';

/** `scratchWords` of the SIMD set with all kernels. */
export function trainingScratchWords(kernel: KernelName, geometry?: Geometry, sizes?: readonly number[]): number {
  switch (kernel) {
    case 'nearestCodeword':
    case 'nearestCodewordAgain':
    case 'accumulateCentroids':
    case 'codebookPullback':
      return codebookScratchWords(sizes?.[0] ?? 0, sizes?.[1] ?? 0);
    case 'activationBackward':
      return 8;
    case 'convolutionBackwardInput':
      return productScratchWords('transposedForward', geometry);
    case 'convolutionBackwardWeights':
      return geometry
        ? FIXED_WORDS +
            geometry.kernelHeight * geometry.kernelWidth +
            Math.max(
              chunkWords(geometry),
              geometry.channelsIn === geometry.groups ? directWords(geometry) : 0,
              byWinograd(geometry) ? winogradGradientWords(geometry) : 0,
            )
        : 0;
    case 'reduceBackward':
      return MASK_WORDS;
    case 'binaryBackward':
      return BINARY_WORDS;
    default:
      return productScratchWords(kernel, geometry, sizes);
  }
}

/** Which of four results have found their first element. */
const MASK_WORDS = 4;

/** Four doubles. */
const BINARY_WORDS = 8;

/** Sums of convolution-direct-weights.ts, staged words of one band, and dy's rows there, which are whole vectors. */
function directWords(geometry: Geometry): number {
  const { channelsOut, groups, kernelHeight, kernelWidth } = geometry,
    row = directRow(geometry);
  return (
    4 * (channelsOut / groups) * kernelHeight * kernelWidth +
    Math.max(DIRECT_WORDS, row) +
    4 +
    Math.max(4 * DIRECT_WORDS, row + 3)
  );
}

/**
 * dy's rows, four patch rows and the segments of one chunk, and four staged channels of it: of one sample if that is
 * more than STAGE_WORDS.
 */
function chunkWords(geometry: Geometry): number {
  const { channelsOut, groups, heightOut, widthOut, kernelHeight, dilationY, strideY } = geometry;
  const rows = pairs(channelsOut / groups);
  const chunk = Math.max(CHUNK_MIN, Math.min(CHUNK_MAX, Math.floor(CHUNK_WORDS / Math.max(rows, 1))));
  const gridRows = Math.min(heightOut, Math.ceil(chunk / Math.max(widthOut, 1)) + 2);
  const plane = ((gridRows - 1) * strideY + (kernelHeight - 1) * dilationY + 1) * stagedRowWords(geometry);
  return (rows + 4 + 3) * chunk + Math.max(STAGE_WORDS, 4 * plane);
}

/** Of assembly/winograd-weights.ts: tables and staged strips, patches, gradients and sums. */
function winogradGradientWords({ channelsIn, groups, widthOut }: Geometry): number {
  const channels = channelsIn / groups,
    padded = Math.ceil(channels / 4) * 4;
  const together = Math.max(32, Math.min(WINOGRAD_CHUNK_TILES, Math.floor(WINOGRAD_CHUNK_WORDS / channels / 16) * 16));
  return (
    16 +
    32 +
    36 +
    tilingWords(together, widthOut) +
    36 * ((padded + WINOGRAD_GRADIENT_ROWS) * together + 64) +
    36 * (WINOGRAD_GRADIENT_ROWS * padded + 32)
  );
}
