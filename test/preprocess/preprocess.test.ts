import fc from 'fast-check';
import ndarray from 'ndarray';
import { describe, expect, it } from 'vitest';
import { checkPreprocessing, preprocess } from '../../src/data/index.ts';
import type { Preprocessing } from '../../src/graph/preprocessing.ts';
import { difference, vectors } from '../data/vectors.ts';

const PLAIN: Preprocessing = {
  width: 4,
  height: 3,
  channels: 1,
  filter: 'area',
  scale: 1,
  standardize: { kind: 'none' },
};
const bytes = (length: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ minLength: length, maxLength: length });

describe('preprocess', () => {
  it('agrees with the recipe in PyTorch within 1e-5: area, 1/255, minus mean over (deviation with n - 1, plus epsilon)', () => {
    const {
      source,
      target: [height, width],
      epsilon,
      image,
      input,
    } = vectors.preprocess;
    const found = preprocess(
      { data: Uint8Array.from(image), shape: source },
      { width, height, channels: 1, filter: 'area', scale: 1 / 255, standardize: { kind: 'image', epsilon } },
    );
    expect(difference(found, input)).toBeLessThan(1e-5);
  });

  it('standardized per image without epsilon has mean 0 and deviation 1, and does not change with brightness and contrast', () => {
    const standard: Preprocessing = { ...PLAIN, standardize: { kind: 'image', epsilon: 0 } };
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 12, maxLength: 12, max: 100 }).filter((data) => new Set(data).size > 3),
        (data) => {
          const found = preprocess({ data, shape: [3, 4] }, standard);
          const mean = found.reduce((sum, value) => sum + value, 0) / 12;
          expect(Math.abs(mean)).toBeLessThan(1e-5);
          expect(Math.abs(found.reduce((sum, value) => sum + value * value, 0) / 11 - 1)).toBeLessThan(1e-4);
          expect(
            difference(preprocess({ data: data.map((value) => 2 * value + 30), shape: [3, 4] }, standard), found),
          ).toBeLessThan(1e-4);
        },
      ),
    );
  });

  it('makes zeros of an image without contrast, even with epsilon 0', () => {
    const found = preprocess(
      { data: new Uint8Array(12).fill(77), shape: [3, 4] },
      { ...PLAIN, standardize: { kind: 'image', epsilon: 0 } },
    );
    expect(Array.from(found, Math.abs)).toEqual(new Array(12).fill(0));
    expect(
      preprocess(
        { data: new Uint8Array([9]), shape: [1, 1] },
        { ...PLAIN, width: 1, height: 1, standardize: { kind: 'image', epsilon: 0 } },
      )[0],
    ).toBe(0);
  });

  it('repeats grey where colour is wanted, makes grey of colour by 0.299, 0.587, 0.114, and leaves alpha out', () => {
    fc.assert(
      fc.property(bytes(12), (data) => {
        const three = preprocess({ data, shape: [3, 4] }, { ...PLAIN, channels: 3 });
        for (let channel = 0; channel < 3; channel++)
          expect(Array.from(three.subarray(channel * 12, channel * 12 + 12))).toEqual(Array.from(data));
      }),
    );
    fc.assert(
      fc.property(bytes(48), (data) => {
        const grey = preprocess({ data, shape: [3, 4, 4] }, PLAIN);
        const opaque = data.filter((_, i) => i % 4 !== 3);
        expect(preprocess({ data: opaque, shape: [3, 4, 3] }, PLAIN)).toEqual(grey);
        expect(
          difference(
            grey,
            Array.from(
              { length: 12 },
              (_, i) => 0.299 * data[4 * i] + 0.587 * data[4 * i + 1] + 0.114 * data[4 * i + 2],
            ),
          ),
        ).toBeLessThan(1e-4);
        const colour = preprocess({ data, shape: [3, 4, 4] }, { ...PLAIN, channels: 3 });
        expect(Array.from(colour)).toEqual(
          [0, 1, 2].flatMap((channel) => Array.from(data).filter((_, i) => i % 4 === channel)),
        );
      }),
    );
  });

  it('applies fixed means and deviations after scaling, channel by channel', () => {
    const found = preprocess(
      { data: new Uint8Array([10, 20, 30]), shape: [1, 1, 3] },
      {
        ...PLAIN,
        width: 1,
        height: 1,
        channels: 3,
        scale: 0.1,
        standardize: { kind: 'fixed', mean: [1, 1, 1], deviation: [1, 2, 4] },
      },
    );
    expect(difference(found, [0, 0.5, 0.5])).toBeLessThan(1e-6);
  });

  it('takes an ndarray with any strides as an image', () => {
    const data = Uint8Array.from({ length: 12 }, (_, i) => i * 20);
    expect(preprocess(ndarray(data, [4, 3]).transpose(1, 0), PLAIN)).toEqual(
      preprocess({ data: data.map((_, i) => data[(i % 4) * 3 + Math.floor(i / 4)]), shape: [3, 4] }, PLAIN),
    );
  });

  it('refuses images that are none, and names the field of a preprocessing that is wrong', () => {
    expect(() => preprocess({ data: new Uint8Array(24), shape: [3, 4, 2] }, PLAIN)).toThrow(/1, 3 or 4 channels/);
    expect(() => preprocess({ data: new Uint8Array(0), shape: [0, 4] }, PLAIN)).toThrow(RangeError);
    expect(() => preprocess({ data: new Uint8Array(5), shape: [3, 4] }, PLAIN)).toThrow(/expected 12 elements/);
    expect(() => preprocess(7 as never, PLAIN)).toThrow(TypeError);
    const wrong: [unknown, RegExp][] = [
      [undefined, /preprocessing: expected an object/],
      [{ ...PLAIN, width: 0 }, /preprocessing\.width/],
      [{ ...PLAIN, height: '3' }, /preprocessing\.height/],
      [{ ...PLAIN, channels: 2 }, /preprocessing\.channels/],
      [{ ...PLAIN, filter: 'cubic' }, /preprocessing\.filter/],
      [{ ...PLAIN, scale: 0 }, /preprocessing\.scale/],
      [{ ...PLAIN, scale: NaN }, /preprocessing\.scale/],
      [{ ...PLAIN, standardize: null }, /preprocessing\.standardize/],
      [{ ...PLAIN, standardize: { kind: 'x' } }, /standardize\.kind/],
      [{ ...PLAIN, standardize: { kind: 'image', epsilon: -1 } }, /standardize\.epsilon/],
      [{ ...PLAIN, standardize: { kind: 'image' } }, /standardize\.epsilon/],
      [
        { ...PLAIN, standardize: { kind: 'fixed', mean: [0, 0], deviation: [1] } },
        /standardize\.mean: expected 1 numbers, got 2/,
      ],
      [{ ...PLAIN, standardize: { kind: 'fixed', mean: [0], deviation: [0] } }, /standardize\.deviation\[0\]/],
      [{ ...PLAIN, standardize: { kind: 'fixed', mean: 0, deviation: [1] } }, /standardize\.mean/],
    ];
    for (const [preprocessing, text] of wrong)
      expect(() => {
        checkPreprocessing('test', preprocessing);
      }).toThrow(text);
  });
});
