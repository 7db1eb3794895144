import fc from 'fast-check';
import ndarray from 'ndarray';
import { describe, expect, it } from 'vitest';
import { resizeImage } from '../../src/data/index.ts';
import { difference, vectors } from '../data/vectors.ts';

const FILTERS = ['area', 'bilinear'] as const;
const side = fc.integer({ min: 1, max: 12 });
const pixels = (length: number): fc.Arbitrary<Float32Array> =>
  fc.float32Array({ minLength: length, maxLength: length, min: 0, max: 255, noNaN: true });
const image = fc
  .tuple(side, side)
  .chain(([height, width]) => pixels(height * width).map((data) => ({ data, shape: [height, width] })));
const mean = (data: Float32Array): number => data.reduce((sum, value) => sum + value, 0) / data.length;

describe('resizeImage', () => {
  it('agrees with PyTorch within 2e-4 of 255: mode area, and bilinear antialiased, shrinking and growing', () => {
    for (const {
      source,
      target: [height, width],
      image,
      ...expected
    } of vectors.resize) {
      for (const filter of FILTERS) {
        const { data, shape } = resizeImage({ data: Float32Array.from(image), shape: source }, width, height, filter);
        expect(shape).toEqual([height, width]);
        expect(difference(data, expected[filter])).toBeLessThan(2e-4);
      }
    }
  });

  it('stays within the least and largest pixel, and keeps a constant image', () => {
    fc.assert(
      fc.property(image, side, side, fc.constantFrom(...FILTERS), (source, width, height, filter) => {
        const { data } = resizeImage(source, width, height, filter);
        const low = Math.min(...source.data),
          high = Math.max(...source.data);
        for (const value of data) expect(value >= low - 1e-4 && value <= high + 1e-4).toBe(true);
      }),
    );
  });

  it('is the identity at the same size, for both filters', () => {
    fc.assert(
      fc.property(image, fc.constantFrom(...FILTERS), (source, filter) => {
        const [height, width] = source.shape;
        expect(difference(resizeImage(source, width, height, filter).data, source.data)).toBeLessThan(1e-4);
      }),
    );
  });

  it('keeps the mean where sides divide (area), within 1e-3 of 255', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 3 }),
        fc.integer({ min: 1, max: 3 }),
        fc.infiniteStream(fc.nat(255)),
        (width, height, across, down, values) => {
          const data = new Float32Array(width * across * height * down).map(() => values.next().value as number);
          const small = resizeImage({ data, shape: [height * down, width * across] }, width, height, 'area');
          expect(Math.abs(mean(small.data) - mean(data))).toBeLessThan(1e-3);
        },
      ),
    );
  });

  it('commutes with transposing and with mirroring the image', () => {
    fc.assert(
      fc.property(image, side, side, fc.constantFrom(...FILTERS), (source, width, height, filter) => {
        const [h, w] = source.shape;
        const straight = resizeImage(source, width, height, filter).data;
        const turned = resizeImage(
          { data: source.data.map((_, i) => source.data[(i % h) * w + Math.floor(i / h)]), shape: [w, h] },
          height,
          width,
          filter,
        ).data;
        expect(
          difference(
            turned.map((_, i) => turned[(i % width) * height + Math.floor(i / width)]),
            straight,
          ),
        ).toBeLessThan(1e-3);
        const flip = (data: Float32Array, columns: number): Float32Array =>
          data.map((_, i) => data[Math.floor(i / columns) * columns + columns - 1 - (i % columns)]);
        expect(
          difference(
            flip(resizeImage({ data: flip(source.data, w), shape: [h, w] }, width, height, filter).data, width),
            straight,
          ),
        ).toBeLessThan(1e-3);
      }),
    );
  });

  it('treats each channel by itself, and takes an ndarray with any strides', () => {
    const data = Float32Array.from({ length: 5 * 4 * 3 }, (_, i) => (i * 37) % 256);
    const small = resizeImage({ data, shape: [5, 4, 3] }, 2, 3, 'area');
    expect(small.shape).toEqual([3, 2, 3]);
    const whole = ndarray(data, [5, 4, 3]);
    for (let channel = 0; channel < 3; channel++) {
      const plane = resizeImage(whole.pick(null, null, channel), 2, 3, 'area');
      expect(Array.from(plane.data)).toEqual(Array.from(small.data).filter((_, i) => i % 3 === channel));
    }
  });

  it('refuses empty images, other ranks, sides of 0 and unknown filters', () => {
    const source = { data: new Float32Array(4), shape: [2, 2] };
    expect(() => resizeImage({ data: new Float32Array(0), shape: [0, 2] }, 1, 1, 'area')).toThrow(RangeError);
    expect(() => resizeImage({ data: new Float32Array(4), shape: [4] }, 1, 1, 'area')).toThrow(/expected shape/);
    expect(() => resizeImage(source, 0, 1, 'area')).toThrow(/width: expected an integer of at least 1/);
    expect(() => resizeImage(source, 1, 1.5, 'area')).toThrow(/height/);
    expect(() => resizeImage(source, 1, 1, 'cubic' as never)).toThrow(/one of area, bilinear/);
    expect(() => resizeImage(null as never, 1, 1, 'area')).toThrow(TypeError);
  });
});
