/**
 * Things before the face: glasses (fixed to the head, hidden where the head hides them) and occluders that know nothing
 * of it: microphones, fingers, strands of hair, bars, captions.
 */
import { below, uniform } from 'espalier';
import type { Stream } from 'espalier';
import type { Glasses, Traits } from './traits.ts';
import { surfacePoint } from './shape.ts';
import type { HeadShape } from './shape.ts';
import type { Frame, Projection } from './raster.ts';
import { clamp, mix, smoothStep } from './noise.ts';

type Point = readonly [x: number, y: number];

export function drawGlasses(
  traits: Traits,
  glasses: Glasses,
  head: HeadShape,
  m: Float64Array,
  projection: Projection,
  frame: Frame,
  picture: Float32Array,
): void {
  const { person, light } = traits;
  const { side } = frame;
  const unit = projection.toX(1, 0) - projection.toX(0, 0);
  const at = new Float64Array(2);
  const centre = (person.eyeInner + person.eyeOuter) / 2;
  /** Pixel of a place of the head, and whether nothing of the scene is before it. */
  const see = (x: number, y: number, z: number): { x: number; y: number; seen: boolean } => {
    const cx = m[0] * x + m[1] * y + m[2] * z,
      cy = m[3] * x + m[4] * y + m[5] * z,
      cz = m[6] * x + m[7] * y + m[8] * z;
    const px = projection.toX(cx, cz),
      py = projection.toY(cy, cz);
    const column = Math.floor(px),
      row = Math.floor(py);
    const seen = column < 0 || row < 0 || column >= side || row >= side || frame.depth[row * side + column] < cz + 0.25;
    return { x: px, y: py, seen };
  };
  surfacePoint(head, head.slice(-0.3), -0.3, 0, at);
  const bridgeZ = at[1] + 0.35;
  const lensZ = (x: number): number => bridgeZ - 0.055 * x * x;
  const tone = glasses.frame * (light.ambient + 0.6 * light.key);
  const strokeLine = (line: readonly { x: number; y: number; seen: boolean }[], width: number): void => {
    for (let k = 0; k + 1 < line.length; k++) {
      if (line[k].seen && line[k + 1].seen)
        capsule(picture, side, [line[k].x, line[k].y], [line[k + 1].x, line[k + 1].y], width * unit, () => tone, 0.95);
    }
  };
  for (const s of [-1, 1]) {
    const rim = Array.from({ length: 25 }, (_, k) => {
      const a = (2 * Math.PI * k) / 24;
      const power = 2 / glasses.squareness;
      const x = s * centre + glasses.width * Math.sign(Math.cos(a)) * Math.pow(Math.abs(Math.cos(a)), power) * 0.98;
      const y = 0.25 + glasses.drop + glasses.height * Math.sign(Math.sin(a)) * Math.pow(Math.abs(Math.sin(a)), power);
      return see(x, y, lensZ(x));
    });
    const outline = rim.map((p): Point => [p.x, p.y]);
    if (glasses.tint > 0.01 || glasses.glare > 0) {
      fillPolygon(picture, side, outline, (old, x, y) => {
        const glare = glasses.glare * smoothStep(0.5, 1, Math.sin((x + 0.7 * y) / (3.2 * unit) + 2 * s));
        return mix(old, 0.02, glasses.tint) + glare * light.key;
      });
    }
    strokeLine(rim, glasses.thickness * 0.5);
    const hinge = s * (centre + glasses.width);
    strokeLine(
      Array.from({ length: 7 }, (_, k) =>
        see(
          mix(hinge, s * (person.headWidth + 0.35), Math.min(1, k / 3)),
          glasses.drop - 0.5 + 0.1 * k,
          mix(lensZ(hinge), -1.5, k / 6),
        ),
      ),
      glasses.thickness * 0.5,
    );
  }
  const inner = centre - glasses.width;
  strokeLine(
    Array.from({ length: 5 }, (_, k) => {
      const x = mix(-inner, inner, k / 4);
      return see(x, glasses.drop - 0.25 + 0.03 * (k - 2) * (k - 2), lensZ(x));
    }),
    glasses.thickness * 0.55,
  );
}

/** Nothing for most faces; else one or two things, more often below the mouth than over the eyes. */
export function drawOccluders(
  random: Stream,
  traits: Traits,
  landmarks: Float32Array,
  picture: Float32Array,
  side: number,
): void {
  const roll = random();
  if (roll > 0.38) return;
  const mouth: Point = [((landmarks[96] + landmarks[108]) / 2) * side, ((landmarks[97] + landmarks[109]) / 2) * side];
  const unit = side / 20;
  const lit = traits.light.ambient + 0.5 * traits.light.key;
  if (roll < 0.11) drawMicrophone(random, mouth, unit, lit, picture, side);
  else if (roll < 0.2) drawHand(random, traits, landmarks, unit, lit, picture, side);
  else if (roll < 0.26) drawStrands(random, traits, lit, picture, side);
  else if (roll < 0.32) drawCaption(random, picture, side);
  else drawBar(random, picture, side);
}

function drawMicrophone(
  random: Stream,
  mouth: Point,
  unit: number,
  lit: number,
  picture: Float32Array,
  side: number,
): void {
  const radius = uniform(random, 0.9, 1.9) * unit;
  const x = mouth[0] + uniform(random, -5, 5) * unit,
    y = mouth[1] + uniform(random, 0.6, 6) * unit;
  const tone = uniform(random, 0.02, 0.3) * lit,
    lean = uniform(random, -0.7, 0.7);
  const grain = uniform(random, 0.1, 0.5);
  const foot: Point = [x + lean * side * 0.5, y + side * 0.6];
  capsule(picture, side, [x, y], foot, radius * 0.55, (across) => tone * (0.5 + 0.7 * (0.5 - 0.5 * across)), 1);
  capsule(
    picture,
    side,
    [x, y],
    [x + 0.1, y + 0.1],
    radius,
    (across, px, py) => tone * (1.1 - 0.5 * Math.abs(across)) * (1 + grain * Math.sin(px * 1.9) * Math.sin(py * 1.9)),
    1,
  );
}

/** Fingers that come from below or from the side and end on cheek, chin or mouth. */
function drawHand(
  random: Stream,
  traits: Traits,
  landmarks: Float32Array,
  unit: number,
  lit: number,
  picture: Float32Array,
  side: number,
): void {
  const target = [4, 6, 8, 10, 12, 48, 54, 57][below(random, 8)];
  const tipX = landmarks[2 * target] * side,
    tipY = landmarks[2 * target + 1] * side;
  const angle = uniform(random, -0.9, 0.9) + (tipX < side / 2 ? -0.4 : 0.4);
  const fingers = 2 + below(random, 3);
  const tone = traits.person.skin * lit * uniform(random, 0.7, 1.1);
  const width = uniform(random, 0.65, 0.95) * unit;
  const along: Point = [Math.sin(angle), Math.cos(angle)];
  for (let k = 0; k < fingers; k++) {
    const shift = (k - (fingers - 1) / 2) * 1.85 * width;
    const short = uniform(random, 0, 1.6) * unit;
    const x = tipX + along[1] * shift + along[0] * short,
      y = tipY - along[0] * shift + along[1] * short;
    const end: Point = [x + along[0] * 0.8 * side - along[1] * shift * 0.3, y + along[1] * 0.8 * side];
    capsule(picture, side, [x, y], end, width, (across) => tone * (1.08 - 0.55 * across * across), 1);
  }
}

function drawStrands(random: Stream, traits: Traits, lit: number, picture: Float32Array, side: number): void {
  const count = 4 + below(random, 14);
  const x = uniform(random, 0.05, 0.95) * side,
    spread = uniform(random, 0.03, 0.18) * side;
  const lean = uniform(random, -0.35, 0.35) * side,
    length = uniform(random, 0.3, 1) * side;
  const tone = traits.person.hairTone * lit;
  for (let k = 0; k < count; k++) {
    const start = x + uniform(random, -1, 1) * spread,
      bend = uniform(random, -0.08, 0.08) * side;
    const own = tone * uniform(random, 0.6, 1.4);
    let before: Point = [start, -2];
    for (let j = 1; j <= 6; j++) {
      const t = j / 6;
      const next: Point = [start + lean * t + bend * Math.sin(Math.PI * t), length * t];
      capsule(picture, side, before, next, uniform(random, 0.5, 1.6), () => own, 0.8);
      before = next;
    }
  }
}

/** Two rows of letter-like blocks near the lower border, as in captioned video. */
function drawCaption(random: Stream, picture: Float32Array, side: number): void {
  const size = uniform(random, 0.05, 0.11) * side;
  const top = uniform(random, 0.72, 0.97) * side;
  const tone = random() < 0.7 ? uniform(random, 0.8, 1.2) : uniform(random, 0, 0.05);
  for (let x = uniform(random, -0.5, 0.5) * side; x < side; x += size * uniform(random, 0.75, 1.1)) {
    if (random() < 0.15) continue;
    const strokes = 2 + below(random, 2);
    for (let k = 0; k < strokes; k++) {
      const ax = x + random() * size * 0.6,
        ay = top + random() * size;
      const upright = random() < 0.5;
      capsule(
        picture,
        side,
        [ax, ay],
        upright ? [ax, ay + 0.6 * size] : [ax + 0.5 * size, ay],
        size * 0.1,
        () => tone,
        0.95,
      );
    }
  }
}

function drawBar(random: Stream, picture: Float32Array, side: number): void {
  const edge = below(random, 4),
    depth = uniform(random, 0.08, 0.3) * side,
    tone = Math.pow(random(), 2) * 0.9;
  const lean = uniform(random, -0.25, 0.25) * side;
  const far = side + 2;
  const line: readonly [Point, Point] =
    edge === 0
      ? [
          [-2, -2 + depth / 2],
          [far, depth / 2 + lean],
        ]
      : edge === 1
        ? [
            [-2, far - depth / 2],
            [far, far - depth / 2 + lean],
          ]
        : edge === 2
          ? [
              [depth / 2, -2],
              [depth / 2 + lean, far],
            ]
          : [
              [far - depth / 2, -2],
              [far - depth / 2 + lean, far],
            ];
  const fold = uniform(random, 0, 0.4);
  capsule(
    picture,
    side,
    line[0],
    line[1],
    depth / 2,
    (across) => tone * (1 + fold * Math.sin(3 * across)),
    uniform(random, 0.9, 1),
  );
}

/** A thick line with round ends. `tone` gets the signed distance from the middle line (-1 to 1) and the pixel. */
function capsule(
  picture: Float32Array,
  side: number,
  a: Point,
  b: Point,
  radius: number,
  tone: (across: number, x: number, y: number) => number,
  cover: number,
): void {
  const x0 = Math.max(0, Math.floor(Math.min(a[0], b[0]) - radius - 1)),
    x1 = Math.min(side - 1, Math.ceil(Math.max(a[0], b[0]) + radius + 1));
  const y0 = Math.max(0, Math.floor(Math.min(a[1], b[1]) - radius - 1)),
    y1 = Math.min(side - 1, Math.ceil(Math.max(a[1], b[1]) + radius + 1));
  const ux = b[0] - a[0],
    uy = b[1] - a[1];
  const length = ux * ux + uy * uy || 1e-9;
  for (let y = y0; y <= y1; y++) {
    for (let x = x0; x <= x1; x++) {
      const px = x + 0.5 - a[0],
        py = y + 0.5 - a[1];
      const t = clamp((px * ux + py * uy) / length, 0, 1);
      const dx = px - t * ux,
        dy = py - t * uy;
      const d = Math.sqrt(dx * dx + dy * dy);
      const share = cover * clamp(radius + 0.5 - d, 0, 1);
      if (share <= 0) continue;
      const i = y * side + x;
      const across = (d / radius) * (dx * uy - dy * ux > 0 ? 1 : -1);
      picture[i] += share * (tone(across, x, y) - picture[i]);
    }
  }
}

/** Even-odd fill, one sample per pixel. */
function fillPolygon(
  picture: Float32Array,
  side: number,
  outline: readonly Point[],
  tone: (old: number, x: number, y: number) => number,
): void {
  const rows = outline.map((p) => p[1]);
  const y0 = Math.max(0, Math.floor(Math.min(...rows))),
    y1 = Math.min(side - 1, Math.ceil(Math.max(...rows)));
  for (let y = y0; y <= y1; y++) {
    const crossings: number[] = [];
    for (let k = 0; k < outline.length; k++) {
      const [ax, ay] = outline[k],
        [bx, by] = outline[(k + 1) % outline.length];
      if (ay <= y + 0.5 !== by <= y + 0.5) crossings.push(ax + ((y + 0.5 - ay) / (by - ay)) * (bx - ax));
    }
    crossings.sort((p, q) => p - q);
    for (let k = 0; k + 1 < crossings.length; k += 2) {
      for (let x = Math.max(0, Math.ceil(crossings[k] - 0.5)); x < Math.min(side, crossings[k + 1] - 0.5); x++)
        picture[y * side + x] = tone(picture[y * side + x], x, y);
    }
  }
}
