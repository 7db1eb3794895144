/**
 * Numbers of a few bits, each bit predicted in several contexts at once: every context remembers how often the bit was 1
 * in it, and what they say is mixed by a logistic regression that learns while it codes (Mahoney, "Adaptive weighing of
 * context models for lossless data compression", 2005). Whole numbers only, but for sums below 2^53 and tables that are
 * rounded: every engine goes through the same states.
 *
 * Glossary: stretch(p) = ln(p / (1 - p)) in units of 1/256; squash its inverse, in units of 2^-16; a state is a
 * probability less one half in units of 2^-22, and in its lowest ten bits how often it was asked.
 */
import { exp } from '../base/elementary.ts';
import type { BitCoder } from './range-coder.ts';

export interface MixerOptions {
  /** Inputs that are mixed. */
  readonly inputs: number;
  /** Sets of weights. */
  readonly sets: number;
  /** Of 2^16: how fast weights learn. */
  readonly rate: number;
  /** Bits after which a context learns no slower: fewer for data that change, 1023 at most. */
  readonly memory: number;
  /** Contexts and bits share 2^this states; those that meet in one do harm, but none that shows below a fill of a half. */
  readonly stateBits: number;
}

export interface Mixer {
  /** To be set before each number: as many as there are inputs, any 32 bits. */
  readonly contexts: Int32Array;
  /**
   * Codes a number of `bits` bits, the highest first.
   * @param set - the weights that mix its bits
   * @param value - what is encoded; a decoder passes it by
   */
  code(bits: number, set: number, value: number): number;
}

/** Stretched probabilities are below this: 12 nats. */
const FARTHEST = 3072;
/** The most that a state remembers of itself. */
const MOST = 1023;

/** A probability moves towards the bit by one part in (n + 1.5) where it has been asked n times: in units of 2^-14. */
function shares(): Int32Array {
  return Int32Array.from({ length: MOST + 1 }, (_, n) => 16384 / (n + 1.5));
}

/** The state after a bit. */
function learned(state: number, bit: number, shareOf: Int32Array, memory: number): number {
  const count = state & MOST;
  const now = state >> 10;
  const next = now + (Math.imul(((-bit & 0x3fffff) - 0x200000 - now) >> 4, shareOf[count]) >> 10);
  return (next << 10) | (count < memory ? count + 1 : count);
}

/** See the head of this file. */
export function createMixer(coder: BitCoder, options: MixerOptions): Mixer {
  const { inputs, sets, rate, memory, stateBits } = options;
  const squash = Uint16Array.from({ length: 2 * FARTHEST }, (_, i) =>
    Math.min(65535, Math.max(1, Math.round(65536 / (1 + exp((FARTHEST - i) / 256))))),
  );
  const stretch = new Int16Array(4096);
  for (let i = 0, at = 0; i < stretch.length; i++) {
    while (at < squash.length - 1 && squash[at] < 16 * i + 8) at++;
    stretch[i] = at - FARTHEST;
  }
  const shareOf = shares();
  const states = new Int32Array(2 ** stateBits);
  // All say as much at first, and a little more together than their mean.
  const weights = new Int32Array(inputs * sets).fill(Math.round(65536 * (0.15 + 1 / inputs)));
  const contexts = new Int32Array(inputs);
  const groups = new Int32Array(inputs);
  const said = new Int32Array(inputs);
  return {
    contexts,
    code(bits, set, value) {
      const first = set * inputs;
      let node = 1;
      let near = 1;
      for (let place = bits - 1; place >= 0; place--) {
        // States of four bits lie together, in one line of the cache.
        if (place === bits - 1 || (place & 3) === 3) {
          const spread = Math.imul(node, 0x9e3779b1);
          for (let i = 0; i < inputs; i++)
            groups[i] = (Math.imul(contexts[i] ^ spread, 0x2c1b3c6d) >>> (32 - stateBits)) & -16;
          near = 1;
        }
        let sum = 0;
        for (let i = 0; i < inputs; i++) {
          said[i] = stretch[(states[groups[i] + near] >> 20) + 2048];
          sum += Math.imul(weights[first + i], said[i]) >> 8;
        }
        const at = (sum >> 8) + FARTHEST;
        const probability = squash[at < 0 ? 0 : at < 2 * FARTHEST ? at : 2 * FARTHEST - 1];
        const bit = coder.code(probability, (value >> place) & 1);
        const error = Math.imul((bit << 16) - probability, rate) >> 6;
        for (let i = 0; i < inputs; i++) {
          weights[first + i] += Math.imul(said[i], error) >> 14;
          const slot = groups[i] + near;
          states[slot] = learned(states[slot], bit, shareOf, memory);
        }
        node = 2 * node + bit;
        near = 2 * near + bit;
      }
      return node - 2 ** bits;
    },
  };
}

/**
 * Numbers of `bits` bits by how often each came before: one context, nothing mixed, and so several times as fast.
 * Takes 4 bytes times 2^bits.
 */
export function createCounter(coder: BitCoder, bits: number): (value: number) => number {
  const shareOf = shares();
  const states = new Int32Array(2 ** bits);
  return (value) => {
    let node = 1;
    for (let place = bits - 1; place >= 0; place--) {
      const state = states[node];
      const probability = (state >> 16) + 0x8000;
      const bit = coder.code(probability > 0 ? probability : 1, (value >> place) & 1);
      states[node] = learned(state, bit, shareOf, MOST);
      node = 2 * node + bit;
    }
    return node - 2 ** bits;
  };
}

/** 32 bits of two numbers, each of its bits of all of theirs. */
export function mix(a: number, b: number): number {
  const product = Math.imul(a ^ Math.imul(b, 0x85ebca6b), 0x9e3779b1);
  return product ^ (product >>> 15);
}
