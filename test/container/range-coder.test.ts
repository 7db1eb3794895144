import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createCounter, createMixer } from '../../src/container/mixer.ts';
import { rangeDecoder, rangeEncoder } from '../../src/container/range-coder.ts';
import { stream } from '../../src/base/random.ts';

const bits = fc.array(fc.tuple(fc.integer({ min: 1, max: 65535 }), fc.integer({ min: 0, max: 1 })), { maxLength: 400 });

describe('the range coder', () => {
  it('gives back any bits under any probabilities', () => {
    fc.assert(
      fc.property(bits, (coded) => {
        const encoder = rangeEncoder();
        for (const [probability, bit] of coded) expect(encoder.code(probability, bit)).toBe(bit);
        const decoder = rangeDecoder(encoder.finish());
        expect(coded.map(([probability]) => decoder.code(probability, 0))).toEqual(coded.map(([, bit]) => bit));
      }),
      { numRuns: 200 },
    );
  });

  it('takes within 0.1 % and 4 bytes of the ideal length, for likely and unlikely bits', () => {
    const random = stream(1, 'range coder');
    for (const share of [0.5, 0.1, 0.01, 0.0005]) {
      const encoder = rangeEncoder();
      let ideal = 0;
      for (let i = 0; i < 50_000; i++) {
        const probability = Math.max(1, Math.round(65536 * share * (0.5 + random())));
        const bit = random() * 65536 < probability ? 1 : 0;
        ideal -= Math.log2(bit === 1 ? probability / 65536 : 1 - probability / 65536) / 8;
        encoder.code(probability, bit);
      }
      const { length } = encoder.finish();
      expect(length).toBeLessThan(1.001 * ideal + 4);
      expect(length).toBeGreaterThan(0.999 * ideal - 4);
    }
  });

  it('writes no zeros at the end, and nothing for nothing', () => {
    expect(rangeEncoder().finish()).toEqual(new Uint8Array(0));
    fc.assert(
      fc.property(bits, (coded) => {
        const encoder = rangeEncoder();
        for (const [probability, bit] of coded) encoder.code(probability, bit);
        expect(encoder.finish().at(-1)).not.toBe(0);
      }),
    );
  });
});

/** Numbers that are drawn by shares, and the bits that they are worth. */
function drawn(shares: readonly number[], count: number): { numbers: number[]; entropy: number } {
  const random = stream(2, 'numbers');
  const total = shares.reduce((sum, share) => sum + share, 0);
  const numbers = Array.from({ length: count }, () => {
    let left = random() * total;
    return Math.max(
      0,
      shares.findIndex((share) => (left -= share) < 0),
    );
  });
  return { numbers, entropy: shares.reduce((sum, share) => sum - (share / total) * Math.log2(share / total), 0) };
}

describe('numbers', () => {
  const shares = [1, 2, 4, 8, 16, 9, 3, 1, 1, 0.5, 0.5, 0.1, 0.1, 0.1, 0.1, 0.1];

  it('that are counted, and that are mixed in four contexts of which one helps, take at most 3 % more than they are worth', () => {
    const { numbers, entropy } = drawn(shares, 10_000);
    const ideal = (entropy * numbers.length) / 8;
    const counted = rangeEncoder();
    const count = createCounter(counted, 4);
    expect(numbers.map(count)).toEqual(numbers);
    const few = counted.finish();
    expect(few.length).toBeLessThan(1.03 * ideal);

    const encoder = rangeEncoder();
    const options = { inputs: 4, sets: 1, rate: 6, memory: 1023, stateBits: 16 };
    const mixer = createMixer(encoder, options);
    const code = ({ contexts, code: one }: typeof mixer, number: number, i: number): number => {
      contexts.set([1, i % 7, i % 64, 4]);
      return one(4, 0, number);
    };
    expect(numbers.map((number, i) => code(mixer, number, i))).toEqual(numbers);
    const bytes = encoder.finish();
    expect(bytes.length).toBeLessThan(1.03 * ideal);
    const decoding = createMixer(rangeDecoder(bytes), options);
    expect(numbers.map((_, i) => code(decoding, 0, i))).toEqual(numbers);
    const counting = createCounter(rangeDecoder(few), 4);
    expect(numbers.map(() => counting(0))).toEqual(numbers);
  });

  it('that a context tells take next to nothing', () => {
    const encoder = rangeEncoder();
    const mixer = createMixer(encoder, { inputs: 2, sets: 1, rate: 6, memory: 1023, stateBits: 14 });
    for (let i = 0; i < 8000; i++) {
      mixer.contexts.set([0, i % 16]);
      mixer.code(4, 0, (7 * (i % 16)) % 16);
    }
    expect(encoder.finish().length).toBeLessThan(200);
  });
});
