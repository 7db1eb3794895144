/**
 * A binary arithmetic coder without carries (Moffat, Neal, Witten, "Arithmetic coding revisited", TOIS 1998, in the form
 * of Mahoney's lpaq): an interval of 32 bits is cut in proportion to the probability of the next bit; leading bytes that
 * both ends share are done. Whole numbers below 2^53 only, so every engine gives the same bytes. What it loses to the
 * ideal length is below 0.1 %.
 */

/** Codes bits one after another, to bytes or from them. */
export interface BitCoder {
  /**
   * One bit; `probability`, of its being 1, in units of 2^-16, from 1 to 65535. A decoder passes `bit` by and returns
   * what it finds; an encoder returns what it is given.
   */
  code(probability: number, bit: number): number;
}

/** Places in the state of a coder: the interval, and what a decoder looks for in it. Typed, so that nothing is boxed. */
const [LOW, HIGH, VALUE] = [0, 1, 2];

/** Where a bit that is 1 ends: between low and high. */
function cut(low: number, high: number, probability: number): number {
  const range = (high - low) >>> 0;
  return (low + Math.imul(range >>> 16, probability) + (Math.imul(range & 0xffff, probability) >>> 16)) >>> 0;
}

/** Reads bits from bytes; behind their end it finds zeros. */
export function rangeDecoder(bytes: Uint8Array): BitCoder {
  const state = Uint32Array.of(0, 0xffffffff, 0);
  let at = 0;
  const next = (): number => (at < bytes.length ? bytes[at++] : 0);
  for (let i = 0; i < 4; i++) state[VALUE] = (state[VALUE] << 8) | next();
  return {
    code(probability) {
      let low = state[LOW];
      let high = state[HIGH];
      const middle = cut(low, high, probability);
      const bit = state[VALUE] <= middle ? 1 : 0;
      // Without a branch, which no processor would foresee.
      low ^= (low ^ (middle + 1)) & (bit - 1);
      high ^= (high ^ middle) & -bit;
      while (((low ^ high) & 0xff000000) === 0) {
        low <<= 8;
        high = (high << 8) | 255;
        state[VALUE] = (state[VALUE] << 8) | next();
      }
      state[LOW] = low;
      state[HIGH] = high;
      return bit;
    },
  };
}

export interface RangeEncoder extends BitCoder {
  /** Bytes so far, within four. */
  length(): number;
  /** All bytes, without zeros at their end. */
  finish(): Uint8Array;
}

/** Writes bits to bytes. */
export function rangeEncoder(): RangeEncoder {
  const state = Uint32Array.of(0, 0xffffffff);
  let bytes = new Uint8Array(1024);
  let at = 0;
  function put(byte: number): void {
    if (at === bytes.length) {
      const longer = new Uint8Array(2 * at);
      longer.set(bytes);
      bytes = longer;
    }
    bytes[at++] = byte;
  }
  return {
    code(probability, bit) {
      const middle = cut(state[LOW], state[HIGH], probability);
      if (bit === 1) state[HIGH] = middle;
      else state[LOW] = middle + 1;
      while (((state[LOW] ^ state[HIGH]) & 0xff000000) === 0) {
        put(state[HIGH] >>> 24);
        state[LOW] <<= 8;
        state[HIGH] = (state[HIGH] << 8) | 255;
      }
      return bit;
    },
    length: () => at,
    finish() {
      // The shortest number in the interval, zeros behind it being what a decoder finds there.
      const [low, high] = state;
      let unit = 2 ** 32;
      while (Math.ceil(low / unit) * unit > high) unit /= 256;
      const last = Math.ceil(low / unit) * unit;
      for (let shift = 24; shift >= 0; shift -= 8) put((last / 2 ** shift) & 255);
      while (at > 0 && bytes[at - 1] === 0) at--;
      return bytes.slice(0, at);
    },
  };
}
