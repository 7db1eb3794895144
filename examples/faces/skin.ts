/**
 * The skin as a texture over (angle, height): reflectance of skin with its blotches and creases, brows, eyes, mouth and
 * beard, painted at the frontal places that `shape.ts` gives the landmarks.
 */
import { below, stream, uniform } from 'espalier';
import type { Stream } from 'espalier';
import type { Traits } from './traits.ts';
import { eyeLids } from './shape.ts';
import type { FrontalPoints, HeadShape } from './shape.ts';
import { clamp, curveThrough, drawLattice, mix, noiseAt, smoothStep } from './noise.ts';
import type { Lattice } from './noise.ts';

/**
 * Texels (height, width): column i is the angle -REACH + (i + 0.5) 2 REACH / width, row j the height TOP + (j + 0.5)
 * step.
 */
export interface SkinTexture {
  readonly width: number;
  readonly height: number;
  readonly step: number;
  /** Reflectance, 0 to 1. */
  readonly tone: Float32Array;
  /** How much of the highlight the place returns: 1 skin, more on eyes and lips, less on hair. */
  readonly mirror: Float32Array;
}

const REACH = (100 * Math.PI) / 180;
const TOP = -8;
/**
 * At full detail: texels per turn of 200 degrees and height of a texel in centimetres, about a pixel of the doubled
 * crop each.
 */
const FULL_WIDTH = 200;
const FULL_STEP = 0.115;

interface Canvas extends SkinTexture {
  /** Frontal x of each texel of a row is `halfWidth[row] * sine[column]`. */
  readonly sine: Float32Array;
  readonly halfWidth: Float32Array;
}

/** `detail`: 1 for a face of 96 pixels; a smaller one needs fewer texels. */
export function paintSkin(
  seed: number | string,
  index: number,
  traits: Traits,
  head: HeadShape,
  detail: number,
): SkinTexture {
  const width = Math.round(FULL_WIDTH * detail),
    step = FULL_STEP / detail;
  const height = Math.ceil((head.chinY - TOP) / step) + 1;
  const canvas: Canvas = {
    width,
    height,
    step,
    tone: new Float32Array(width * height),
    mirror: new Float32Array(width * height).fill(1),
    sine: Float32Array.from({ length: width }, (_, i) => Math.sin(-REACH + ((i + 0.5) * 2 * REACH) / width)),
    halfWidth: Float32Array.from({ length: height }, (_, j) =>
      Math.max(0.05, head.slice(Math.min(head.chinY - 0.02, TOP + (j + 0.5) * step)).width),
    ),
  };
  const random = stream(seed, 'face skin', index);
  const lattice = drawLattice(random);
  paintBase(canvas, traits);
  paintCreases(canvas, traits, head, random);
  paintBeard(canvas, traits, head.points, lattice);
  paintMouth(canvas, traits, head.points, lattice);
  for (const side of [-1, 1] as const) {
    paintEye(canvas, traits, side);
    paintBrow(canvas, traits, head.points, side, lattice);
  }
  return canvas;
}

/** Bilinear reading at an angle and a height, clamped at the borders; `plane` is `tone` or `mirror`. */
export function readSkin(texture: SkinTexture, plane: Float32Array, u: number, v: number): number {
  const { width, height, step } = texture;
  const x = clamp(((u + REACH) * width) / (2 * REACH) - 0.5, 0, width - 1.001);
  const y = clamp((v - TOP) / step - 0.5, 0, height - 1.001);
  const column = Math.floor(x),
    row = Math.floor(y);
  const s = x - column,
    t = y - row;
  const i = row * width + column;
  const upper = plane[i] + s * (plane[i + 1] - plane[i]);
  const lower = plane[i + width] + s * (plane[i + width + 1] - plane[i + width]);
  return upper + t * (lower - upper);
}

/** Calls `paint(texel, x, y)` for the front texels inside a frontal box. */
function within(
  canvas: Canvas,
  x0: number,
  y0: number,
  x1: number,
  y1: number,
  paint: (i: number, x: number, y: number) => void,
): void {
  const { width, height, step, sine, halfWidth } = canvas;
  const first = Math.max(0, Math.floor((y0 - TOP) / step)),
    last = Math.min(height - 1, Math.ceil((y1 - TOP) / step));
  // Columns beyond the widest place fold back to the same x: only the front belongs to the frontal view.
  const margin = Math.ceil(width * (0.5 - Math.PI / 4 / REACH));
  for (let row = first; row <= last; row++) {
    const y = TOP + (row + 0.5) * step,
      half = halfWidth[row];
    const end = Math.min(width - margin, Math.floor(columnAt(x1 / half, width)) + 1);
    for (let column = Math.max(margin, Math.ceil(columnAt(x0 / half, width))); column < end; column++)
      paint(row * width + column, half * sine[column], y);
  }
}

/**
 * Blotches and pores at an angle and a height, a factor about 1. Asked for per visible pixel: a third of the cost of
 * painting all texels.
 */
export function skinGrain({ person, makeup }: Traits, lattice: Lattice): (u: number, v: number) => number {
  const blotch = 0.04 + 0.05 * person.age,
    grain = (0.02 + 0.05 * person.age) * (1 - 0.6 * makeup);
  return (u, v) => 1 + blotch * noiseAt(lattice, u * 3, v * 0.5) + grain * noiseAt(lattice, u * 25 + 7, v * 3.4);
}

function columnAt(sine: number, width: number): number {
  return ((Math.asin(clamp(sine, -1, 1)) + REACH) * width) / (2 * REACH) - 0.5;
}

function paintBase(canvas: Canvas, { person }: Traits): void {
  canvas.tone.fill(person.skin);
  const flush = person.skin > 0.35 ? 0.08 : 0.04;
  for (const side of [-1, 1]) soften(canvas, side * 4.2, 4.2, 1.8, 1.6, -flush);
  soften(canvas, 0, person.noseTipY, 1.2, 0.9, -0.6 * flush);
  soften(canvas, 0, -4.5, 4, 1.6, 0.04);
}

/** Multiplies by 1 + strength in a Gaussian spot. */
function soften(canvas: Canvas, cx: number, cy: number, rx: number, ry: number, strength: number): void {
  within(canvas, cx - 2.2 * rx, cy - 2.2 * ry, cx + 2.2 * rx, cy + 2.2 * ry, (i, x, y) => {
    const dx = (x - cx) / rx,
      dy = (y - cy) / ry;
    canvas.tone[i] *= 1 + strength * Math.exp(-dx * dx - dy * dy);
  });
}

/** A dark line with a faint bright side below it, along points (x, y). */
function crease(canvas: Canvas, line: readonly (readonly [number, number])[], width: number, strength: number): void {
  if (strength < 0.01) return;
  const xs = line.map((p) => p[0]),
    ys = line.map((p) => p[1]);
  const reach = 2.5 * width;
  within(
    canvas,
    Math.min(...xs) - reach,
    Math.min(...ys) - reach,
    Math.max(...xs) + reach,
    Math.max(...ys) + reach,
    (i, x, y) => {
      let nearest = reach * reach,
        along = 0;
      for (let k = 0; k + 1 < line.length; k++) {
        const [ax, ay] = line[k],
          [bx, by] = line[k + 1];
        const ux = bx - ax,
          uy = by - ay;
        const t = clamp(((x - ax) * ux + (y - ay) * uy) / (ux * ux + uy * uy), 0, 1);
        const dx = x - ax - t * ux,
          dy = y - ay - t * uy;
        const d = dx * dx + dy * dy;
        if (d < nearest) {
          nearest = d;
          along = (k + t) / (line.length - 1);
        }
      }
      if (nearest >= reach * reach) return;
      const taper = Math.min(1, 4 * along, 4 * (1 - along) + 0.15);
      canvas.tone[i] *= 1 - strength * taper * Math.exp(-nearest / (width * width));
    },
  );
}

function paintCreases(canvas: Canvas, { person, expression }: Traits, head: HeadShape, random: Stream): void {
  const { age, noseBaseY: base, noseWidth } = person;
  const p = head.points;
  const happy = Math.max(0, expression.smile);
  const at = (k: number): [number, number] => [p[2 * k], p[2 * k + 1]];
  for (const side of [-1, 1]) {
    const [cornerX, cornerY] = at(side < 0 ? 48 : 54);
    // Nose: nostril, the groove around the wing, the side of the bridge.
    const [wingX, wingY] = at(side < 0 ? 31 : 35);
    spot(canvas, wingX * 0.5, base - 0.2, 0.42, 0.2, 0.62);
    crease(
      canvas,
      [
        [side * (noseWidth + 0.05), base - 1.25],
        [side * (noseWidth + 0.22), base - 0.7],
        [wingX + side * 0.12, wingY + 0.12],
      ],
      0.2,
      0.3,
    );
    soften(canvas, side * 1.15, -0.1, 0.55, 0.9, -0.16);
    // Cheek fold from the wing around the corner of the mouth.
    const fold = 0.04 + 0.2 * age + 0.32 * happy;
    crease(
      canvas,
      [
        [side * (noseWidth + 0.4), base - 0.8],
        [side * (noseWidth + 1.1), base + 0.5],
        [cornerX + side * 0.65, cornerY - 0.6],
        [cornerX + side * 0.8, cornerY + 0.9 - happy],
      ],
      0.3,
      fold,
    );
    soften(canvas, cornerX + side * 0.15, cornerY + 0.1, 0.4, 0.35, -0.22);
    // Under the eye, beside it, and the fold of the upper lid.
    soften(canvas, side * 2.7, 0.95, 1.4, 0.45, -0.1 - 0.16 * age);
    crease(
      canvas,
      [
        [side * 1.7, 0.8],
        [side * 2.8, 1.35],
        [side * 4.1, 1.1],
      ],
      0.2,
      0.05 + 0.28 * age * random(),
    );
    for (let k = 0; k < 3; k++)
      crease(
        canvas,
        [
          [side * 4.8, 0.1 + 0.3 * k],
          [side * 5.7, -0.25 + 0.55 * k],
        ],
        0.12,
        0.25 * age * happy + 0.1 * age * random(),
      );
    soften(canvas, side * 3.1, -0.95, 1.7, 0.5, -0.1 - 0.08 * person.browRidge);
  }
  // Shadow below nose and lower lip, the groove between, the cleft of the chin.
  soften(canvas, 0, base + 0.25, 1.1, 0.35, -0.2);
  soften(canvas, 0, p[2 * 57 + 1] + 0.45, 1.8, 0.35, -0.18);
  soften(canvas, 0, (base + p[2 * 51 + 1]) / 2 + 0.1, 0.3, 0.6, -0.08);
  if (random() < 0.25) soften(canvas, 0, head.chinY - 1.1, 0.22, 0.55, -0.16);
  const furrow = 0.35 * expression.frown + 0.15 * age * random();
  for (const side of [-1, 1])
    crease(
      canvas,
      [
        [side * 0.75, person.browY - 0.6],
        [side * 0.65, person.browY + 0.5],
      ],
      0.14,
      furrow,
    );
  const raised = Math.max(0, expression.browRaise[0] + expression.browRaise[1]) / 2;
  const lines = age > 0.35 || raised > 0.3 ? 3 : 0;
  for (let k = 0; k < lines; k++) {
    const y = person.browY - 1.5 - 0.75 * k + uniform(random, -0.15, 0.15),
      reach = uniform(random, 2.5, 4.3);
    crease(
      canvas,
      [
        [-reach, y + 0.2],
        [0, y - 0.15 + uniform(random, -0.15, 0.2)],
        [reach, y + 0.2],
      ],
      0.16,
      0.06 + 0.14 * age + 0.25 * raised,
    );
  }
  const moles = random() < 0.4 ? 1 + below(random, 4) : 0;
  for (let k = 0; k < moles; k++) spot(canvas, uniform(random, -6, 6), uniform(random, -4, 10), 0.14, 0.14, 0.45);
}

/** A dark spot with a soft edge. */
function spot(canvas: Canvas, cx: number, cy: number, rx: number, ry: number, strength: number): void {
  within(canvas, cx - 1.6 * rx, cy - 1.6 * ry, cx + 1.6 * rx, cy + 1.6 * ry, (i, x, y) => {
    const d = Math.hypot((x - cx) / rx, (y - cy) / ry);
    canvas.tone[i] *= 1 - strength * smoothStep(1.5, 0.5, d);
  });
}

function paintBrow(canvas: Canvas, { person }: Traits, points: FrontalPoints, side: -1 | 1, lattice: Lattice): void {
  const order = side < 0 ? [17, 18, 19, 20, 21] : [22, 23, 24, 25, 26];
  const xs = order.map((k) => points[2 * k]),
    ys = order.map((k) => points[2 * k + 1]);
  const ridge = curveThrough(xs, ys);
  const low = xs[0],
    high = xs[4];
  const density = 0.55 + 0.4 * person.masculine;
  within(canvas, low - 0.3, Math.min(...ys) - 0.8, high + 0.3, Math.max(...ys) + 1.1, (i, x, y) => {
    const t = side < 0 ? (high - x) / (high - low) : (x - low) / (high - low);
    // The landmarks run along the upper half of the hair.
    const half = person.browThickness * (0.75 + 0.35 * smoothStep(0, 0.2, t) - 0.8 * smoothStep(0.45, 1.05, t)) + 0.03;
    const d = Math.abs(y - ridge(x) - 0.12) / half;
    const hair = 0.75 + 0.35 * noiseAt(lattice, x * 4 + 3 * t, y * 2.5 + x);
    const cover = clamp(
      density * hair * smoothStep(1.25, 0.55, d) * smoothStep(-0.05, 0.06, t) * smoothStep(1.05, 0.95, t),
      0,
      1,
    );
    canvas.tone[i] = mix(canvas.tone[i], person.browTone, cover);
    canvas.mirror[i] *= 1 - 0.8 * cover;
  });
}

function paintEye(canvas: Canvas, { person, expression, makeup }: Traits, side: -1 | 1): void {
  const { upper, lower } = eyeLids(person, expression, side);
  const { eyeInner, eyeOuter } = person;
  const gap = expression.eyeOpen[side < 0 ? 0 : 1];
  const middle = (eyeInner + eyeOuter) / 2;
  const irisX = side * middle + expression.gazeX * 0.85,
    irisY = -0.1 + expression.gazeY - 0.1 * Math.min(1, gap),
    radius = 0.58;
  const lash = 0.5 + 0.45 * makeup + 0.1 * (1 - person.masculine);
  const white = 0.66 + 0.2 * person.skin;
  within(
    canvas,
    side < 0 ? -eyeOuter - 0.9 : eyeInner - 0.7,
    -1.7,
    side < 0 ? -eyeInner + 0.7 : eyeOuter + 0.9,
    1.3,
    (i, x, y) => {
      const outward = side * x;
      const top = upper(outward),
        bottom = lower(outward);
      const inside =
        smoothStep(-0.06, 0.06, Math.min(y - top, bottom - y)) *
        smoothStep(eyeInner - 0.05, eyeInner + 0.08, outward) *
        smoothStep(eyeOuter + 0.05, eyeOuter - 0.1, outward);
      let tone = canvas.tone[i];
      // Lid fold above, shaded lid between.
      const fold = Math.abs(y - (top - 0.3 - 0.12 * gap)) / 0.11;
      const span =
        smoothStep(eyeInner - 0.4, eyeInner + 0.5, outward) * smoothStep(eyeOuter + 0.5, eyeOuter - 0.3, outward);
      if (y < top) {
        tone *= 1 - 0.3 * span * Math.exp(-fold * fold);
        if (makeup > 0) tone *= 1 - 0.35 * makeup * span * smoothStep(top - 0.75, top - 0.1, y);
      }
      if (inside > 0) {
        const d = Math.hypot(x - irisX, y - irisY);
        let eye = white * (0.8 + 0.2 * smoothStep(1.4, 0.4, Math.abs(x - side * middle)));
        const ring = smoothStep(radius + 0.05, radius - 0.06, d);
        eye = mix(eye, person.iris * (0.7 + 0.5 * smoothStep(radius, 0.2, d)), ring);
        eye = mix(eye, 0.015, smoothStep(0.3, 0.2, d));
        // The lid's shadow on the ball, and the reflected lamp.
        eye *= 1 - 0.45 * smoothStep(top + 0.38, top, y);
        if (gap > 0.35)
          eye = mix(eye, 1.25, 0.8 * smoothStep(0.15, 0.07, Math.hypot(x - irisX + 0.16, y - irisY + 0.2)));
        tone = mix(tone, eye, inside);
        canvas.mirror[i] = mix(canvas.mirror[i], 0.4, inside);
      }
      const nearTop = Math.abs(y - top) / 0.11,
        nearBottom = Math.abs(y - bottom) / 0.09;
      const ends =
        smoothStep(eyeInner - 0.1, eyeInner + 0.25, outward) * smoothStep(eyeOuter + 0.22, eyeOuter - 0.05, outward);
      tone *=
        1 -
        ends *
          Math.min(
            0.92,
            lash * Math.exp(-nearTop * nearTop) +
              (0.22 + 0.3 * makeup) * Math.exp(-nearBottom * nearBottom) * smoothStep(eyeInner, eyeInner + 1, outward),
          );
      canvas.tone[i] = tone;
    },
  );
  spot(canvas, side * (eyeInner - 0.05), 0.08, 0.16, 0.12, 0.3);
}

function paintMouth(
  canvas: Canvas,
  { person, expression, makeup }: Traits,
  points: FrontalPoints,
  lattice: Lattice,
): void {
  const through = (order: readonly number[]): ((x: number) => number) =>
    curveThrough(
      order.map((k) => points[2 * k]),
      order.map((k) => points[2 * k + 1]),
    );
  const upperOuter = through([48, 49, 50, 51, 52, 53, 54]),
    lowerOuter = through([48, 59, 58, 57, 56, 55, 54]);
  const upperInner = through([48, 60, 61, 62, 63, 64, 54]),
    lowerInner = through([48, 60, 67, 66, 65, 64, 54]);
  const left = points[2 * 48],
    right = points[2 * 54];
  const lip = person.skin * (makeup > 0.5 ? person.lipTone * 0.75 : mix(person.lipTone, 1, 0.25));
  const { open } = expression;
  const teethEdge = points[2 * 62 + 1] + Math.min(0.85, 0.25 + 0.5 * open),
    lowerTeeth = points[2 * 66 + 1] - 0.3;
  const teeth = expression.smile > 0.3 || open > 0.4 ? 0.62 : 0.3;
  within(canvas, left - 0.3, points[2 * 50 + 1] - 0.5, right + 0.3, points[2 * 57 + 1] + 0.5, (i, x, y) => {
    const a = upperOuter(x),
      b = upperInner(x),
      c = lowerInner(x),
      d = lowerOuter(x);
    const ends = smoothStep(left - 0.08, left + 0.15, x) * smoothStep(right + 0.08, right - 0.15, x);
    const upper = smoothStep(a - 0.09, a + 0.09, y) * smoothStep(b + 0.05, b - 0.05, y);
    const lower = smoothStep(c - 0.05, c + 0.05, y) * smoothStep(d + 0.11, d - 0.11, y);
    const gap = c - b > 0.03 ? smoothStep(b - 0.05, b + 0.05, y) * smoothStep(c + 0.05, c - 0.05, y) : 0;
    let tone = canvas.tone[i];
    const rough = 1 + 0.1 * noiseAt(lattice, x * 5, y * 1.5);
    tone = mix(tone, lip * 0.86 * rough, upper * ends);
    tone = mix(tone, lip * 1.05 * rough, lower * ends);
    if (gap > 0) {
      let mouth = person.skin * 0.12;
      const row =
        smoothStep(teethEdge + 0.08, teethEdge - 0.08, y) *
        smoothStep(0.95, 0.7, Math.abs(2 * x - left - right) / (right - left));
      mouth = mix(mouth, teeth * (1 - 0.25 * smoothStep(0.1, 0, y - b)) * (0.93 + 0.07 * Math.cos(x * 7.5)), row);
      const under =
        open > 0.9
          ? smoothStep(lowerTeeth - 0.1, lowerTeeth + 0.05, y) *
            0.7 *
            smoothStep(0.7, 0.45, Math.abs(2 * x - left - right) / (right - left))
          : 0;
      mouth = mix(mouth, 0.5 * teeth, under);
      tone = mix(tone, mouth, gap * ends);
      canvas.mirror[i] = mix(canvas.mirror[i], 0.3, gap);
    }
    // The line where the lips meet, or the edges of the open mouth.
    const line = Math.min(Math.abs(y - b), Math.abs(y - c)) / 0.1;
    tone *= 1 - (open < 0.15 ? 0.6 : 0.3) * ends * Math.exp(-line * line);
    const rim = (y - d) / 0.16;
    tone *= 1 - 0.12 * ends * Math.exp(-rim * rim);
    canvas.tone[i] = tone;
    canvas.mirror[i] *= 1 + 0.6 * lower * ends;
  });
}

/** Share of the skin that hair covers at a frontal place, for each kind of beard. */
function paintBeard(canvas: Canvas, { person, beard }: Traits, points: FrontalPoints, lattice: Lattice): void {
  if (beard.kind === 'none') return;
  const { headWidth, noseBaseY: base } = person;
  const cornerY = points[2 * 54 + 1],
    half = points[2 * 54],
    lowerLip = points[2 * 57 + 1],
    upperLip = points[2 * 51 + 1];
  const cheekLine = curveThrough(
    [0, 1.2, 2.4, 3.4, 5.2, 0.8 * headWidth, headWidth],
    [base + 0.25, base + 0.35, base + 0.9, cornerY - 1, cornerY - 1.2, 4, -0.5],
  );
  const chin = beard.kind === 'full' || beard.kind === 'stubble' || beard.kind === 'goatee';
  const sides = beard.kind === 'full' || beard.kind === 'stubble';
  const { tone, mirror, width, height, step, sine, halfWidth } = canvas;
  const coarse = beard.kind === 'stubble' ? 0.25 : 0.5;
  const fine = FULL_STEP / step;
  for (let row = Math.max(0, Math.floor((-0.5 - TOP) / step)); row < height; row++) {
    const y = TOP + (row + 0.5) * step;
    for (let column = 0; column < width; column++) {
      const x = Math.abs(halfWidth[row] * sine[column]);
      const edge = 0.25 * noiseAt(lattice, (column * 0.3) / fine, (row * 0.3) / fine);
      const hairy = smoothStep(-0.25, 0.35, y - cheekLine(x) + edge);
      if (hairy === 0) continue;
      const moustache =
        smoothStep(half + 0.5, half - 0.2, x + edge) *
        smoothStep(upperLip + 0.5, upperLip - 0.1, y - 0.35 * Math.max(0, x - 1));
      const goatee =
        smoothStep(half + 0.6, half, x + edge) *
        smoothStep(cornerY - 0.6, cornerY + 0.3, y + (x > half - 0.5 ? 0.8 : 0)) *
        (y > lowerLip + 0.25 || x > half - 0.7 ? 1 : 0.1);
      const cover = Math.max(moustache, chin ? goatee : 0, sides ? 1 : 0) * hairy * beard.strength;
      if (cover < 0.01) continue;
      const i = row * width + column;
      const strand = 1 + coarse * noiseAt(lattice, (column * 0.9) / fine, (row * 0.35) / fine);
      tone[i] = mix(
        tone[i],
        clamp(person.hairTone * 1.1 * strand, 0.01, 1),
        clamp(cover * (0.85 + 0.3 * (strand - 1)), 0, 0.97),
      );
      mirror[i] *= 1 - 0.8 * cover;
    }
  }
}
