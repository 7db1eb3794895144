/**
 * Texts such as JSON: each byte predicted from the one, two and four before it, from the word that it stands in and the
 * one before that, and from what followed when the last five bytes came before. A description of a network of a hundred
 * layers takes a twentieth of itself.
 */
import { createMixer, mix } from './mixer.ts';
import type { BitCoder } from './range-coder.ts';

/** Bytes that must have come before for what followed them to count. */
const LEAST_MATCH = 5;
/** Match lengths are told apart up to here. */
const MOST_MATCH = 256;

/** Codes all of `bytes`; a decoder fills them. The first `known` of them both sides have: they only teach. */
export function codeText(coder: BitCoder, bytes: Uint8Array, known = 0): void {
  const stateBits = Math.min(21, Math.max(14, 38 - Math.clz32(bytes.length)));
  let at = 0;
  const asked: BitCoder =
    known === 0 ? coder : { code: (probability, bit) => (at < known ? bit : coder.code(probability, bit)) };
  const mixer = createMixer(asked, { inputs: 6, sets: 16, rate: 40, memory: 16, stateBits });
  const { contexts } = mixer;
  /** Where the bytes behind each hash of five came last. */
  const places = new Int32Array(2 ** 16);
  let match = 0;
  let length = 0;
  let word = 0;
  let wordBefore = 0;
  /** The last four bytes. */
  let last = 0;
  for (; at < bytes.length; at++) {
    if (at >= LEAST_MATCH) {
      length = length > 0 && bytes[match] === bytes[at - 1] ? Math.min(MOST_MATCH, length + 1) : 0;
      match++;
      const place = mix(mix(last, bytes[at - 5]), 0) >>> 16;
      if (length === 0) {
        match = places[place];
        while (length < 32 && length < match && bytes[match - 1 - length] === bytes[at - 1 - length]) length++;
      }
      places[place] = at;
    }
    const set = length === 0 ? 0 : length < 16 ? 1 + (length >> 2) : Math.min(15, 5 + (length >> 4));
    contexts[0] = mix(last & 0xff, 1);
    contexts[1] = mix(last & 0xffff, 2);
    contexts[2] = mix(last, 3);
    contexts[3] = mix(word, 4);
    contexts[4] = mix(mix(word, wordBefore), 5);
    contexts[5] = mix(length > 0 ? (set << 8) | bytes[match] : -1, 6);
    const byte = mixer.code(8, set, bytes[at]);
    bytes[at] = byte;
    last = (last << 8) | byte;
    const isLetter = (byte | 32) >= 0x61 && (byte | 32) <= 0x7a;
    if (isLetter) word = mix(word, byte);
    else if (word !== 0) {
      wordBefore = word;
      word = 0;
    }
    // Brackets: what a list or an object begins or ends with.
    if ((byte | 0x26) === 0x7f) wordBefore = mix(wordBefore, byte);
  }
}
