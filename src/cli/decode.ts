/**
 * PNG and JPEG files as pixels, in any order of bytes that comes. The decoders are loaded when the first picture is read, and by
 * the command line alone: the library takes pixels.
 */
import { inflateSync } from 'node:zlib';
import type { Picture } from '../index.ts';

/** Pixels of a picture at most: 4 bytes each while it is decoded, and more of a JPEG. */
const MOST_PIXELS = 50_000_000;
/** Type of colour in a PNG's header: numbers into a palette. */
const INDEXED = 3;
/** Megabytes that the decoder of JPEG may take. */
const MOST_MEMORY = 1024;

const [PNG, JPEG] = [
  [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a],
  [0xff, 0xd8, 0xff],
];

/**
 * Pixels of a PNG or JPEG file, told apart by their first bytes. 16 bits a channel become 8, palettes colours; alpha stays as a
 * fourth channel, beside grey it is left out. A JPEG is turned as its EXIF orientation says.
 * @throws {Error} for anything else, and for what is cut, damaged or larger than 50 million pixels
 */
export async function decodePicture(bytes: Uint8Array): Promise<Picture> {
  if (begins(bytes, PNG)) return decodePng(bytes);
  if (begins(bytes, JPEG)) return decodeJpeg(bytes);
  if (bytes.length === 0) throw new Error('the file is empty');
  throw new Error('neither PNG nor JPEG by its first bytes; save it as one of them');
}

const begins = (bytes: Uint8Array, magic: readonly number[]): boolean => magic.every((byte, i) => bytes[i] === byte);

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

function checkSize(width: number, height: number): void {
  if (width < 1 || height < 1) throw new Error(`its header says ${width} x ${height} pixels; it is damaged`);
  if (width * height > MOST_PIXELS)
    throw new Error(
      `its header says ${width} x ${height} pixels, more than ${MOST_PIXELS / 1e6} million; make it smaller first`,
    );
}

async function decodePng(bytes: Uint8Array): Promise<Picture> {
  const view = viewOf(bytes);
  if (bytes.length < 33 || text(bytes, 12, 4) !== 'IHDR')
    throw new Error('the PNG is cut or damaged: it has no header');
  const [width, height] = [view.getUint32(16), view.getUint32(20)];
  checkSize(width, height);
  checkPixelData(bytes, view, width, height);
  const { decode, convertIndexedToRgb } = await import('fast-png');
  let image: ReturnType<typeof decode>;
  try {
    image = decode(bytes, { checkCrc: true });
  } catch (cause) {
    throw new Error(`the PNG is damaged: ${(cause as Error).message}`, { cause });
  }
  // A palette may stand beside true colours, as a hint.
  if (image.palette && bytes[25] === INDEXED) {
    const channels = image.palette[0].length;
    return { data: convertIndexedToRgb(image), shape: [height, width, channels] };
  }
  const { channels, depth } = image;
  const values = depth < 8 ? unpacked(image.data, width, height, depth) : image.data;
  const kept = channels === 2 ? 1 : channels;
  const data = new Uint8Array(width * height * kept);
  for (let pixel = 0; pixel < width * height; pixel++)
    for (let c = 0; c < kept; c++) {
      const value = values[pixel * channels + c];
      data[pixel * kept + c] = depth === 16 ? Math.round(value / 257) : value;
    }
  return { data, shape: [height, width, kept] };
}

/**
 * The packed pixels are whole, and not more than the header says: a small file may unfold to gigabytes. Told before the decoder,
 * which has no bound, is let at them.
 */
function checkPixelData(bytes: Uint8Array, view: DataView, width: number, height: number): void {
  const parts: Uint8Array[] = [];
  let ended = false;
  for (let at = 8; at + 12 <= bytes.length && !ended;) {
    const length = view.getUint32(at);
    const type = text(bytes, at + 4, 4);
    if (at + 12 + length > bytes.length) break;
    if (type === 'IDAT') parts.push(bytes.subarray(at + 8, at + 8 + length));
    ended = type === 'IEND';
    at += 12 + length;
  }
  if (!ended) throw new Error('the PNG is cut: its end is missing');
  // 4 channels of 16 bits and a byte for each row; where rows are interlaced, at most as many again.
  const most = 2 * (height * (8 * width + 1)) + 64;
  try {
    inflateSync(Buffer.concat(parts), { maxOutputLength: most });
  } catch (cause) {
    const isLarge = (cause as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE';
    throw new Error(
      isLarge ? 'the PNG unfolds to more than its header says' : `the PNG is damaged: ${(cause as Error).message}`,
      { cause },
    );
  }
}

/** Grey of 1, 2 or 4 bits, rows of whole bytes, as 0 ... 255. */
function unpacked(packed: ArrayLike<number>, width: number, height: number, depth: number): Uint8Array {
  const stride = Math.ceil((width * depth) / 8);
  const most = 2 ** depth - 1;
  return Uint8Array.from({ length: width * height }, (_, i) => {
    const bit = (i % width) * depth;
    const byte = packed[Math.floor(i / width) * stride + (bit >> 3)];
    return (((byte >> (8 - depth - (bit & 7))) & most) * 255) / most;
  });
}

async function decodeJpeg(bytes: Uint8Array): Promise<Picture> {
  const { width, height, orientation } = readJpegHeader(bytes);
  checkSize(width, height);
  const { default: jpeg } = await import('jpeg-js');
  let image: { readonly width: number; readonly height: number; readonly data: Uint8Array };
  try {
    image = jpeg.decode(bytes, {
      useTArray: true,
      formatAsRGBA: false,
      tolerantDecoding: false,
      maxResolutionInMP: MOST_PIXELS / 1e6,
      maxMemoryUsageInMB: MOST_MEMORY,
    });
  } catch (cause) {
    throw new Error(`the JPEG is damaged, or of a kind that is not read: ${(cause as Error).message}`, { cause });
  }
  return turned({ data: image.data, shape: [image.height, image.width, 3] }, orientation);
}

/** Size and orientation, from the segments in front of the pixels; the end is where it should be. */
function readJpegHeader(bytes: Uint8Array): { width: number; height: number; orientation: number } {
  const view = viewOf(bytes);
  const cut = new Error('the JPEG is cut or damaged: ');
  let [width, height, orientation] = [0, 0, 1];
  for (let at = 2; at + 4 <= bytes.length;) {
    if (bytes[at] !== 0xff) throw new Error(`${cut.message}no marker at byte ${at}`);
    const marker = bytes[at + 1];
    if (marker === 0xff) {
      at++; // padding
      continue;
    }
    const length = view.getUint16(at + 2);
    const isFrame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (length < 2 || at + 2 + length > bytes.length) break;
    if (isFrame && length >= 8) [height, width] = [view.getUint16(at + 5), view.getUint16(at + 7)];
    if (marker === 0xe1) orientation = orientationOf(bytes.subarray(at + 4, at + 2 + length)) ?? orientation;
    if (marker === 0xda) {
      if (width === 0) break;
      // What some cameras write behind the end does no harm.
      for (let end = bytes.length - 2; end > at; end--)
        if (bytes[end] === 0xff && bytes[end + 1] === 0xd9) return { width, height, orientation };
      throw new Error(`${cut.message}its end is missing`);
    }
    at += 2 + length;
  }
  throw new Error(`${cut.message}it has no pixels`);
}

/** The orientation (1 ... 8) that an EXIF segment says; undefined where it says none. */
function orientationOf(segment: Uint8Array): number | undefined {
  if (text(segment, 0, 6) !== 'Exif\0\0' || segment.length < 14) return undefined;
  const tiff = viewOf(segment.subarray(6));
  const little = tiff.getUint16(0) === 0x4949;
  const first = tiff.getUint32(4, little);
  if (first + 2 > tiff.byteLength) return undefined;
  const count = tiff.getUint16(first, little);
  for (let i = 0, at = first + 2; i < count && at + 12 <= tiff.byteLength; i++, at += 12) {
    if (tiff.getUint16(at, little) !== 0x0112) continue;
    const value = tiff.getUint16(at + 8, little);
    return value >= 1 && value <= 8 ? value : undefined;
  }
  return undefined;
}

/** The picture as it is to be seen: EXIF's eight ways to hold a camera. */
export function turned({ data, shape: [height, width, channels] }: Picture, orientation: number): Picture {
  if (orientation === 1) return { data, shape: [height, width, channels] };
  const swaps = orientation >= 5;
  const [rows, columns] = swaps ? [width, height] : [height, width];
  const out = new Uint8Array(data.length);
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++) {
      // Along the stored columns and rows; then from the other end of either.
      let [column, row] = swaps ? [y, x] : [x, y];
      if ([2, 3, 7, 8].includes(orientation)) column = width - 1 - column;
      if ([3, 4, 6, 7].includes(orientation)) row = height - 1 - row;
      for (let c = 0; c < channels; c++)
        out[(y * columns + x) * channels + c] = data[(row * width + column) * channels + c];
    }
  }
  return { data: out, shape: [rows, columns, channels] };
}

const text = (bytes: Uint8Array, at: number, length: number): string =>
  String.fromCharCode(...bytes.subarray(at, at + length));
