/** How work is cut in pieces: by shapes alone, never by the number of threads, so that results do not depend on it. */

/** How many pieces a step is cut into where there is work enough: divisible by 2, 3 (nearly) and 4 threads. */
const PIECES = 8;

/** Fewer words than this are not worth a piece, which costs about a microsecond. */
const PIECE_WORDS = 16384;

/** [first, length] of one piece. */
export type Run = readonly [first: number, length: number];

/**
 * Cuts [0, count) in at most `pieces` runs, each but the last a multiple of `multiple`. They differ by one multiple at
 * most and the longer ones come first, so that threads which take one after another end together.
 */
export function cut(count: number, multiple = 1, pieces = PIECES): Run[] {
  const units = Math.ceil(count / multiple),
    most = Math.min(pieces, units);
  const longer = units % most,
    length = Math.floor(units / most) * multiple;
  const runs: Run[] = [];
  for (let first = 0; first < count;) {
    const next = Math.min(first + length + (runs.length < longer ? multiple : 0), count);
    runs.push([first, next - first]);
    first = next;
  }
  return runs;
}

/** Pieces that so many words of elementwise work are worth. */
export function piecesOf(words: number): number {
  return Math.max(1, Math.min(PIECES, Math.floor(words / PIECE_WORDS)));
}

/** Elementwise work of `count` words: runs of whole vectors of four. */
export function cutWords(count: number): Run[] {
  return cut(count, 4, piecesOf(count));
}
