import { describe, expect, it } from 'vitest';
import {
  checkPreprocessing,
  preprocess,
  preprocessedShape,
  presetPreprocessing,
  readNetwork,
  vgg,
  writeNetwork,
} from '../../src/index.ts';

/** One pixel: R 255, G 51, B 0. */
const pixel = { data: Uint8Array.of(255, 51, 0), shape: [1, 1, 3] };

describe('presetPreprocessing', () => {
  it.each([
    ['0..255', undefined, [255, 51, 0]],
    ['0..1', undefined, [1, 0.2, 0]],
    ['-1..1', undefined, [1, -0.6, -1]],
    ['-1..1', 'BGR', [-1, -0.6, 1]],
    ['imagenet', undefined, [(1 - 0.485) / 0.229, (0.2 - 0.456) / 0.224, -0.406 / 0.225]],
    ['imagenet', 'BGR', [-0.406 / 0.225, (0.2 - 0.456) / 0.224, (1 - 0.485) / 0.229]],
  ] as const)('%s, %s', (name, order, wanted) => {
    const preprocessing = presetPreprocessing(name, [3, 1, 1], { order });
    checkPreprocessing('test', preprocessing);
    preprocess(pixel, preprocessing).forEach((value, i) => expect(value).toBeCloseTo(wanted[i], 5));
  });

  it('channels may stand last, as in networks from TensorFlow: the same numbers, in another order', () => {
    const image = { data: Uint8Array.from({ length: 6 * 5 * 3 }, (_, i) => (i * 37) % 256), shape: [6, 5, 3] };
    for (const [name, order] of [
      ['imagenet', 'BGR'],
      ['0..1', 'RGB'],
    ] as const) {
      const [first, last] = [
        [3, 4, 2],
        [4, 2, 3],
      ].map((shape) => presetPreprocessing(name, shape, { order }));
      expect(preprocessedShape(last)).toEqual([4, 2, 3]);
      const [a, b] = [preprocess(image, first), preprocess(image, last)];
      expect([...b]).toEqual(Array.from(b, (_, i) => a[(i % 3) * 8 + Math.floor(i / 3)]));
    }
  });

  it.each([
    ['imagenet', [1, 8, 8], /imagenet is of three channels, the input has one/],
    ['0..1', [10], /the input \[10\] is no picture/],
    ['0..1', [4, 8, 8], /is no picture/],
  ] as const)('refuses %s for %j', (name, shape, message) => {
    expect(() => presetPreprocessing(name, shape)).toThrow(message);
  });

  it('order and layout travel with the network', () => {
    const preprocessing = presetPreprocessing('0..255', [8, 8, 3], { order: 'BGR' });
    const network = { ...vgg({ side: 8, channels: 3, widths: [4], hidden: [] }), preprocessing };
    expect(readNetwork(writeNetwork(network)).preprocessing).toEqual(preprocessing);
    expect(() => checkPreprocessing('test', { ...preprocessing, order: 'GBR' })).toThrow(
      /preprocessing.order: expected RGB or BGR|preprocessing.order/,
    );
    expect(() => checkPreprocessing('test', { ...preprocessing, layout: 'NHWC' })).toThrow(/preprocessing.layout/);
  });
});
