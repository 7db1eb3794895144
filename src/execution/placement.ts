/** Placement: offsets for storages, so that those whose times do not meet share words. */

/** Words are handed out in multiples of four: 16 bytes, the width of a SIMD register. */
export const align = (words: number): number => Math.ceil(words / 4) * 4;

export interface Storage {
  words: number;
  from: number;
  until: number;
  offset: number;
}

/**
 * So many, the largest, are fitted into gaps, each looking at all before it: more than any network has that was made by
 * hand. What is smaller takes its turn, in time that is linear in their number: a file may describe 65,536 nodes.
 */
const MOST_FITTED = 4096;

/** Gives storages offsets: no two share words whose times meet. Returns the words used. */
export function place(storages: Iterable<Storage>, mostFitted = MOST_FITTED): number {
  const sorted = [...new Set(storages)].sort((a, b) => b.words - a.words);
  return placeInTurn(sorted.slice(mostFitted), placeInGaps(sorted.slice(0, mostFitted)));
}

/** Each the lowest place that is free during its time, in the order given. */
function placeInGaps(storages: readonly Storage[]): number {
  // In ascending order of their offsets, and not sorted anew for each.
  const placed: Storage[] = [];
  let top = 0;
  for (const storage of storages) {
    let offset = 0;
    for (const other of placed) {
      if (other.offset >= offset + storage.words) break;
      if (other.from <= storage.until && storage.from <= other.until)
        offset = Math.max(offset, other.offset + other.words);
    }
    storage.offset = offset;
    let [low, high] = [0, placed.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (placed[middle].offset <= offset) low = middle + 1;
      else high = middle;
    }
    placed.splice(low, 0, storage);
    top = Math.max(top, offset + storage.words);
  }
  return top;
}

/**
 * From `bottom` up, in the order of their times: each takes a place that an earlier one has left, or a new one. Places are
 * powers of two, so that one serves many sizes: at most twice the words.
 */
function placeInTurn(storages: readonly Storage[], bottom: number): number {
  const free = new Map<number, number[]>();
  const freeOf = (size: number): number[] => {
    const known = free.get(size) ?? [];
    free.set(size, known);
    return known;
  };
  const ending = [...storages].sort((a, b) => a.until - b.until);
  let ended = 0;
  let top = bottom;
  for (const storage of [...storages].sort((a, b) => a.from - b.from)) {
    // What ends before this one began before it, so it has its place.
    for (; ending[ended].until < storage.from; ended++) {
      freeOf(placeSize(ending[ended])).push(ending[ended].offset);
    }
    const size = placeSize(storage);
    storage.offset = freeOf(size).pop() ?? top;
    top = Math.max(top, storage.offset + size);
  }
  return top;
}

function placeSize({ words }: Storage): number {
  let size = 4;
  while (size < words) size *= 2;
  return size;
}
