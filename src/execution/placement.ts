/** Placement: offsets for storages, so that those whose times do not meet share words. */

/** Words are handed out in multiples of four: 16 bytes, the width of a SIMD register. */
export const align = (words: number): number => Math.ceil(words / 4) * 4;

export interface Storage {
  words: number;
  from: number;
  until: number;
  offset: number;
}

/** Gives storages offsets, largest first, each the lowest place that is free during its time. Returns the words used. */
export function place(storages: Iterable<Storage>): number {
  // In ascending order of their offsets: a network from a file may have tens of thousands, too many to sort anew for
  // each.
  const placed: Storage[] = [];
  let top = 0;
  for (const storage of [...new Set(storages)].sort((a, b) => b.words - a.words)) {
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
