/** Faces in the report: each picture with one set of landmarks on it, large, and larger when it is chosen. */
import { square } from '../base/elementary.ts';
import { escapeHtml } from './charts.ts';

/** A grey picture with landmarks of the original and of the compressed network. */
export interface ReportFace {
  readonly side: number;
  /** (side, side) grey values. */
  readonly pixels: Uint8Array;
  /** x0, y0, x1, y1, ... in units of the side; each list may be left out. */
  readonly truth?: ArrayLike<number>;
  readonly before?: ArrayLike<number>;
  readonly after?: ArrayLike<number>;
}

const OVERLAYS = [
  ['before', 'original network'],
  ['after', 'compressed network'],
  ['truth', 'annotation'],
] as const;

/** Pictures side by side for each face, one for each set of landmarks that there is; the pixels are in the page once. */
export function faceFigures(faces: readonly ReportFace[]): string {
  return faces
    .map((face, i) => {
      const shown = OVERLAYS.filter(([of]) => face[of] !== undefined);
      // Without landmarks the face itself is still worth showing.
      const pictures = (shown.length > 0 ? shown : [[undefined, 'face'] as const]).map(([of, name], k) => {
        const image =
          k === 0
            ? `<image id="face-${i}" href="data:image/bmp;base64,${base64(greyBmp(face.pixels, face.side))}" width="100" height="100" preserveAspectRatio="none"/>`
            : `<use href="#face-${i}"/>`;
        const points = of === undefined ? '' : dots(face[of]!, of);
        return `<label><input type="checkbox" aria-label="larger"/><svg viewBox="0 0 100 100" role="img" aria-label="face ${i + 1}, ${name}">${image}${points}</svg></label>`;
      });
      const sets = shown.length > 0 ? `: ${shown.map(([, name]) => name).join(', ')}` : '';
      const words = [`face ${i + 1}${sets}`, ...distances(face)].join('; ');
      return `<figure class="face"><div class="faces">${pictures.join('')}</div><figcaption>${escapeHtml(words)}</figcaption></figure>`;
    })
    .join('\n');
}

function dots(points: ArrayLike<number>, color: string): string {
  const circles: string[] = [];
  for (let i = 0; i < points.length; i += 2)
    circles.push(`<circle cx="${(points[i] * 100).toFixed(2)}" cy="${(points[i + 1] * 100).toFixed(2)}" r=".85"/>`);
  return `<g fill="var(--${color})" stroke="#000" stroke-width=".2">${circles.join('')}</g>`;
}

/** How far the sets are apart, as the mean over points. */
function distances({ truth, before, after }: ReportFace): string[] {
  const apart = (name: string, a: ArrayLike<number> | undefined, b: ArrayLike<number> | undefined): string[] => {
    if (!a || !b || a.length !== b.length || a.length === 0) return [];
    let sum = 0;
    for (let i = 0; i < a.length; i += 2) sum += Math.sqrt(square(a[i] - b[i]) + square(a[i + 1] - b[i + 1]));
    return [`${name} ${((200 * sum) / a.length).toFixed(2)} % of the side`];
  };
  return [
    ...apart('the two networks apart', before, after),
    ...apart('original off the annotation', before, truth),
    ...apart('compressed', after, truth),
  ];
}

/** An 8-bit BMP with a grey palette: 1078 bytes of header, rows from the bottom up, each padded to 4 bytes. @throws {RangeError} if there are not side x side pixels */
export function greyBmp(pixels: Uint8Array, side: number): Uint8Array {
  if (pixels.length !== side * side)
    throw new RangeError(`greyBmp: pixels: expected ${side * side} grey values, got ${pixels.length}`);
  const stride = (side + 3) & ~3;
  const start = 54 + 1024;
  const bytes = new Uint8Array(start + stride * side);
  const view = new DataView(bytes.buffer);
  bytes.set([0x42, 0x4d]);
  view.setUint32(2, bytes.length, true);
  view.setUint32(10, start, true);
  view.setUint32(14, 40, true);
  view.setInt32(18, side, true);
  view.setInt32(22, side, true);
  view.setUint16(26, 1, true);
  view.setUint16(28, 8, true);
  view.setUint32(34, stride * side, true);
  view.setUint32(46, 256, true);
  for (let grey = 0; grey < 256; grey++) bytes.set([grey, grey, grey, 0], 54 + 4 * grey);
  for (let row = 0; row < side; row++)
    bytes.set(pixels.subarray(row * side, (row + 1) * side), start + (side - 1 - row) * stride);
  return bytes;
}

/** btoa takes a string of bytes; in pieces, since a call has only so many arguments. */
function base64(bytes: Uint8Array): string {
  let text = '';
  for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return btoa(text);
}
