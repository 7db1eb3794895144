/**
 * Sizes of the blocks in which the SIMD products work, shared by the kernels (AssemblyScript) and by `sizes.ts`
 * (TypeScript), which computes the scratch from them: hence constants only. Chosen on a core with 48 KB of L1 and 1 MB
 * of L2.
 */

/**
 * Rows and columns of the register tile: 8 accumulators of 4 lanes, 4 vectors of b, 2 of a, 1 product: 15 registers,
 * all that V8 has.
 */
export const TILE_ROWS = 2;
export const TILE_COLUMNS = 16;
/**
 * Longest block of the inner dimension: a panel of TILE_COLUMNS columns takes 20 KB, well within L1. Blocks are equal,
 * so 9 * 32 = 288 is one block and 576 two.
 */
export const BLOCK_K = 320;
/** matmul: rows and columns of the packed blocks: 160 KB of a, 320 KB of b. */
export const BLOCK_M = 128;
export const BLOCK_N = 256;
/**
 * matmul of few rows: words of a that are packed in whole (512 KB), and columns of b that are then packed at once,
 * unless k is short.
 */
export const FEW_WORDS = 131072;
export const NARROW_N = 64;
export const SHORT_K = 64;
/**
 * matmul of operands that are contiguous along k: the shortest k (below, adding up the lanes costs more than packing
 * b); the longest block, four columns of which take 8 KB (a longer one leaves the prefetcher idle at its end, a shorter
 * one adds up lanes more often); and words of a that are packed in whole (1 MB).
 */
export const ALONG_K = 96;
export const ALONG_BLOCK = 512;
export const ALONG_WORDS = 262144;
/** matmul: words of a packed block of b that fit L1, so that c may be written row by row. */
export const ROWS_FIRST_WORDS = 8192;
/** matmul of one row: outputs that are summed at once, 4 KB. */
export const VECTOR_COLUMNS = 1024;
/** Panels of TILE_COLUMNS positions that a convolution gathers for one pass over the weights: 160 KB. */
export const GROUP_PANELS = 8;
/**
 * With output channels along the lanes: most positions at once, and words of their sums, unless two positions have
 * more: 192 KB.
 */
export const ACROSS_POSITIONS = 96;
export const ACROSS_WORDS = 49152;
/** Words of padded input rows that a convolution stages at once, unless a single output row needs more. */
export const STAGE_WORDS = 49152;
/**
 * Words of a plane's padded rows that a direct convolution stages at once, unless a single output row needs more: half
 * of L1.
 */
export const DIRECT_WORDS = 6144;
/**
 * Winograd: fewest channels on either side and fewest positions of a plane for which it is taken (on smaller planes its
 * weights, four times as many words, cost more to read for one sample than the multiplications that they save); rows of
 * a block, a multiple of 8; most tiles, and words of one frequency, that are transformed at once.
 */
export const WINOGRAD_CHANNELS = 4;
export const WINOGRAD_POSITIONS = 25;
export const WINOGRAD_ROWS = 64;
export const WINOGRAD_TILES = 128;
export const WINOGRAD_WORDS = 4096;
/**
 * Gradient to the weights by Winograd: fewest tiles of a call for which it is taken; rows whose sums are held at once
 * (at 256 channels 600 KB); most tiles of a chunk, and words of one frequency's patches.
 */
export const WINOGRAD_GRADIENT_TILES = 12;
export const WINOGRAD_GRADIENT_ROWS = 16;
export const WINOGRAD_CHUNK_TILES = 128;
export const WINOGRAD_CHUNK_WORDS = 16384;
/** Weight gradient: words of dy packed per chunk of positions (512 KB), longest and shortest chunk. */
export const CHUNK_WORDS = 131072;
export const CHUNK_MAX = 1024;
export const CHUNK_MIN = 64;
/** Scratch that every product kernel keeps before its blocks: the alignment slack, a tile and tables. */
export const FIXED_WORDS = 1024;
/** Points whose own groups the search for the nearest codeword measures before any other group. */
export const NEAREST_BLOCK = 32;
