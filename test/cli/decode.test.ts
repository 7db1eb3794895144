/** Files as cameras, scanners and attackers write them. */
import { encode } from 'fast-png';
import jpeg from 'jpeg-js';
import { describe, expect, it } from 'vitest';
import { decodePicture, turned } from '../../src/cli/decode.ts';
import { crc32, jpegBytes, pngBytes, withOrientation } from './fixtures.ts';

const pixels = (count: number): Uint8Array => Uint8Array.from({ length: count }, (_, i) => (i * 37) % 256);

describe('PNG', () => {
  it.each([1, 3, 4] as const)('%i channels of 8 bits as they are', async (channels) => {
    const data = pixels(5 * 4 * channels);
    expect(await decodePicture(encode({ width: 5, height: 4, data, channels, depth: 8 }))).toEqual({
      data,
      shape: [4, 5, channels],
    });
  });

  it('grey with alpha is grey; 16 bits are 8', async () => {
    const two = encode({ width: 2, height: 1, data: Uint8Array.of(10, 255, 20, 0), channels: 2, depth: 8 });
    expect(await decodePicture(two)).toEqual({ data: Uint8Array.of(10, 20), shape: [1, 2, 1] });
    const deep = encode({ width: 3, height: 1, data: Uint16Array.of(0, 257 * 100, 65535), channels: 1, depth: 16 });
    expect(await decodePicture(deep)).toEqual({ data: Uint8Array.of(0, 100, 255), shape: [1, 3, 1] });
  });

  it('grey of 1, 2 and 4 bits fills 0 to 255, rows of whole bytes', async () => {
    // 3 x 2 pixels of 1 bit: 101, 010.
    expect(await decodePicture(pngBytes(3, 2, { depth: 1, type: 0, raw: [0, 0b1010_0000, 0, 0b0100_0000] }))).toEqual({
      data: Uint8Array.of(255, 0, 255, 0, 255, 0),
      shape: [2, 3, 1],
    });
    expect((await decodePicture(pngBytes(3, 1, { depth: 2, type: 0, raw: [0, 0b0001_1100] }))).data).toEqual(
      Uint8Array.of(0, 85, 255),
    );
    expect((await decodePicture(pngBytes(2, 1, { depth: 4, type: 0, raw: [0, 0x1f] }))).data).toEqual(
      Uint8Array.of(17, 255),
    );
  });

  it('a palette is looked up; beside true colours it is a hint', async () => {
    const palette = [9, 8, 7, 1, 2, 3];
    expect(await decodePicture(pngBytes(2, 1, { depth: 8, type: 3, raw: [0, 1, 0], palette }))).toEqual({
      data: Uint8Array.of(1, 2, 3, 9, 8, 7),
      shape: [1, 2, 3],
    });
    expect((await decodePicture(pngBytes(1, 1, { depth: 8, type: 2, raw: [0, 5, 6, 7], palette }))).data).toEqual(
      Uint8Array.of(5, 6, 7),
    );
  });

  it.each([
    ['cut anywhere', (good: Uint8Array) => good.subarray(0, good.length - 20), /the PNG is cut: its end is missing/],
    ['cut in its header', (good: Uint8Array) => good.subarray(0, 20), /it has no header/],
    ['a flipped bit', (good: Uint8Array) => good.map((byte, i) => (i === 45 ? byte ^ 1 : byte)), /the PNG is damaged/],
    ['nothing', () => new Uint8Array(0), /the file is empty/],
    ['text', () => new TextEncoder().encode('not a picture'), /neither PNG nor JPEG/],
    [
      'a bomb in the header',
      () => pngBytes(60_000, 60_000, { depth: 8, type: 2, raw: [0] }),
      /60000 x 60000 pixels, more than 50 million/,
    ],
    [
      'a bomb in the pixels',
      () => pngBytes(4, 4, { depth: 8, type: 0, raw: new Uint8Array(50_000_000) }),
      /unfolds to more than its header says/,
    ],
    ['no side', () => pngBytes(0, 4, { depth: 8, type: 0, raw: [] }), /0 x 4 pixels; it is damaged/],
    ['too few pixels', () => pngBytes(4, 4, { depth: 8, type: 0, raw: [0, 1, 2, 3, 4] }), /damaged|cut/],
  ])('%s is told of', async (_name, spoil, message) => {
    await expect(
      decodePicture(spoil(encode({ width: 8, height: 8, data: pixels(192), channels: 3, depth: 8 }))),
    ).rejects.toThrow(message);
  });

  it('any cut and any changed byte ends in a picture or in an error with a reason', async () => {
    const good = encode({ width: 6, height: 6, data: pixels(108), channels: 3, depth: 8 });
    for (let at = 0; at < good.length; at++) {
      await expect(decodePicture(good.subarray(0, at))).rejects.toThrow(/PNG|empty/);
      const spoilt = good.map((byte, i) => (i === at ? byte ^ 0x41 : byte));
      await decodePicture(spoilt).catch((error: unknown) => expect((error as Error).message).toMatch(/PNG|pixels/));
    }
  });
});

describe('JPEG', () => {
  const good = jpegBytes(16, 8, (x) => (x < 8 ? [200, 30, 30] : [30, 30, 200]));

  it('has its colours where they were, within what it loses', async () => {
    const { data, shape } = await decodePicture(good);
    expect(shape).toEqual([8, 16, 3]);
    [200, 30, 30].forEach((value, c) => expect(Math.abs(data[(4 * 16 + 2) * 3 + c] - value)).toBeLessThan(12));
    [30, 30, 200].forEach((value, c) => expect(Math.abs(data[(4 * 16 + 13) * 3 + c] - value)).toBeLessThan(12));
  });

  it('is turned as its EXIF says, in either order of bytes', async () => {
    const plain = await decodePicture(good);
    for (const little of [true, false]) {
      for (let orientation = 1; orientation <= 8; orientation++)
        expect(await decodePicture(withOrientation(good, orientation, little))).toEqual(turned(plain, orientation));
    }
    expect(await decodePicture(withOrientation(good, 9, true))).toEqual(plain);
  });

  it.each([
    ['cut', () => good.subarray(0, good.length - 6), /the JPEG is cut or damaged: its end is missing/],
    ['cut in front of its pixels', () => good.subarray(0, 60), /JPEG is cut or damaged/],
    ['a bomb in the header', () => sized(60_000, 60_000), /60000 x 60000 pixels, more than 50 million/],
    ['a start alone', () => Uint8Array.of(0xff, 0xd8, 0xff), /it has no pixels/],
  ])('%s is told of', async (_name, make, message) => {
    await expect(decodePicture(make())).rejects.toThrow(message);
  });

  it('any cut ends in an error with a reason', async () => {
    for (let at = 3; at < good.length - 2; at += 7)
      await expect(decodePicture(good.subarray(0, at))).rejects.toThrow(/JPEG/);
  });

  /** With another size in its header. */
  function sized(width: number, height: number): Uint8Array {
    const bytes = Uint8Array.from(good);
    const at = bytes.findIndex((byte, i) => byte === 0xff && bytes[i + 1] === 0xc0);
    new DataView(bytes.buffer).setUint16(at + 5, height);
    new DataView(bytes.buffer).setUint16(at + 7, width);
    return bytes;
  }
});

it('turned: the eight orientations put the first pixel where EXIF says', () => {
  // Stored: a b c / d e f. By the letters' places once turned.
  const stored = { data: Uint8Array.from('abcdef', (letter) => letter.charCodeAt(0)), shape: [2, 3, 1] };
  const rows = (orientation: number): string => {
    const { data, shape } = turned(stored, orientation);
    const text = String.fromCharCode(...data);
    return Array.from({ length: shape[0] }, (_, y) => text.slice(y * shape[1], (y + 1) * shape[1])).join(' ');
  };
  expect([1, 2, 3, 4, 5, 6, 7, 8].map(rows)).toEqual([
    ...['abc def', 'cba fed', 'fed cba', 'def abc'],
    ...['ad be cf', 'da eb fc', 'fc eb da', 'cf be ad'],
  ]);
});

it('the fixtures are what they say', () => {
  expect(crc32(new TextEncoder().encode('123456789'))).toBe(0xcbf43926);
  expect(jpeg.decode(jpegBytes(8, 8, () => [1, 2, 3])).width).toBe(8);
});
