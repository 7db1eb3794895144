/**
 * The head as a surface and the 68 landmarks on it. A horizontal slice at height y is an ellipse-like closed curve
 * (angle t: 0 in front, +-90 degrees at the widest place, which is the jaw line); on its front lie bumps and hollows:
 * brow ridge, sockets, eyeballs, nose, cheeks, lips, chin. Landmarks are placed on the frontal view after expression
 * and lifted onto the same surface, so that they fit the painted and modelled features exactly. Units: see `traits.ts`.
 */
import type { Expression, Person, Traits } from './traits.ts';
import { clamp, curveThrough, mix, smoothStep, tabulated } from './noise.ts';

/** Frontal positions: x and y of the 68 points in the iBUG order. */
export type FrontalPoints = Float64Array;

export interface HeadShape {
  /** (68, 2): frontal x and y, after expression. */
  readonly points: FrontalPoints;
  /** Lowest point of the chin, after the jaw opened. */
  readonly chinY: number;
  /** Half the width, depth of the widest place, and depth in front and behind of the slice at height `y`. */
  slice(y: number): Slice;
  /** What the features add to the depth at a frontal place. */
  relief(x: number, y: number): number;
}

export interface Slice {
  readonly width: number;
  readonly sideZ: number;
  readonly frontZ: number;
  readonly backZ: number;
}

export const CROWN_Y = -12.6;
const SIDE_Z = -0.8;
/** Points of the contour: index 0 at the left ear, 8 at the chin, 16 at the right ear. */
const JAW_POINTS = 17;
/** Where the contour begins, a little below the corners of the eyes. */
const EAR_Y = 0.25;

export function shapeHead({ person, expression }: Traits): HeadShape {
  const chinY = person.chinY + 0.72 * expression.open;
  const width = sliceWidth(person, chinY);
  const points = placePoints(person, expression, chinY, width);
  const front = tabulated(frontProfile(person, expression, chinY, points), CROWN_Y, chinY, 200);
  const relief = reliefOf(person, expression, chinY, points);
  const slice = (y: number): Slice => {
    const below = clamp(y / chinY, 0, 1);
    const sideZ = SIDE_Z + 6.1 * Math.pow(below, 2.4);
    const back =
      y < 3
        ? 9.6 * Math.sqrt(Math.max(0, 1 - Math.pow(Math.min(0, y + 1) / (CROWN_Y + 1), 2)))
        : mix(9.6, 1.2, smoothStep(3, 10, y));
    return { width: width(y), sideZ, frontZ: front(y), backZ: sideZ - back };
  };
  return { points, chinY, slice, relief };
}

/** A point of the surface: angle `t` of the slice at `y`; writes x and z to `out`. */
export function surfacePoint(head: HeadShape, slice: Slice, y: number, t: number, out: Float64Array): void {
  const sine = Math.sin(t),
    cosine = Math.cos(t);
  const x = slice.width * sine;
  out[0] = x;
  // A face is flatter in front than an ellipse: the power below 1 keeps the middle forward.
  out[1] =
    cosine > 0
      ? slice.sideZ +
        (slice.frontZ - slice.sideZ) * Math.pow(cosine, 0.86) +
        head.relief(x, y) * smoothStep(0, 0.35, cosine)
      : slice.sideZ + (slice.sideZ - slice.backZ) * cosine;
}

function sliceWidth(person: Person, chinY: number): (y: number) => number {
  return (y) =>
    y < 0
      ? person.headWidth *
        Math.pow(Math.max(0, 1 - Math.pow(y / CROWN_Y, 2.6)), 1 / 2.6) *
        (1 - 0.035 * smoothStep(0, -3, y))
      : person.headWidth *
        Math.pow(Math.max(0, 1 - Math.pow(Math.min(1, y / chinY), person.jawPower)), 1 / person.jawPower);
}

/** Depth of the mid-line without nose and lips, through bone landmarks. */
function frontProfile(
  person: Person,
  expression: Expression,
  chinY: number,
  points: FrontalPoints,
): (y: number) => number {
  const mouth = person.mouthY;
  const jawSwing = -0.35 * expression.open;
  return curveThrough(
    [
      CROWN_Y,
      -10.5,
      -7.5,
      -4.5,
      -2.2,
      0,
      2.5,
      person.noseBaseY,
      mouth,
      points[2 * 57 + 1] + 0.5,
      chinY - 1.2,
      chinY - 0.3,
      chinY + 0.01,
    ],
    [
      SIDE_Z,
      3.2,
      6.5,
      8.1,
      8.6 + 0.3 * person.browRidge,
      7.9,
      7.9,
      8.1,
      8.3,
      7.9 + 0.6 * person.chinForward + jawSwing,
      8.1 + person.chinForward + jawSwing,
      7.3 + person.chinForward + jawSwing,
      5.5 + person.chinForward,
    ],
  );
}

/** Gaussian bump at (x, y) with radii (rx, ry) and height h. */
type Bump = readonly [x: number, y: number, rx: number, ry: number, h: number];

function reliefOf(
  person: Person,
  expression: Expression,
  chinY: number,
  points: FrontalPoints,
): (x: number, y: number) => number {
  const smile = Math.max(0, expression.smile);
  const { noseBaseY: base, noseTipY: tip, noseWidth } = person;
  const upper = (points[2 * 51 + 1] + points[2 * 62 + 1]) / 2,
    lower = (points[2 * 57 + 1] + points[2 * 66 + 1]) / 2;
  const inner = (points[2 * 62 + 1] + points[2 * 66 + 1]) / 2;
  const half = points[2 * 54];
  const paired: Bump[] = [
    [2.9, 0.05, 1.75, 1.0, -person.socketDepth],
    [3.15, 0, 1.05, 0.8, 0.55],
    [3.1, person.browY + 0.15, 2.2, 0.6, 0.15 + 0.45 * person.browRidge],
    [4.7, 3.1, 1.7, 1.5, 0.2 + 0.6 * person.cheek],
    [3.8, 4.5, 1.4, 1.3, 0.55 * smile],
    [3.0, 6.0, 0.5, 1.3, -0.22 * (person.age + smile)],
    [5.2, 7.2, 1.5, 1.9, 0.6 * person.fullness - 0.45],
    [6.3, -3, 1.3, 2, -0.35],
    [noseWidth - 0.3, base - 0.55, 0.48, 0.52, 0.75],
    [1.6, chinY - 1.6, 1.2, 0.9, 0.25 * person.masculine],
  ];
  const middle: Bump[] = [
    [0, tip - 0.1, 0.75, 0.62, 0.2 * person.noseHeight],
    [0, (upper + lower) / 2, 2.7, 1.9, 0.45],
    [0, upper, 0.75 * half, 0.4, 0.28],
    [0, lower, 0.68 * half, 0.45, 0.38],
    [0, points[2 * 57 + 1] + 0.45, 2, 0.45, -0.35],
    [0, chinY - 1.15, 1.5, 0.95, 0.5],
    [0, -6, 3.5, 2.2, 0.2],
    [0, inner, 0.6 * half, 0.25 + 0.4 * expression.open, -0.9 * Math.min(1, expression.open)],
  ];
  const bumps = [...paired, ...paired.map(([x, y, rx, ry, h]): Bump => [-x, y, rx, ry, h]), ...middle];
  const count = bumps.length;
  const flat = Float64Array.from(bumps.flatMap(([x, y, rx, ry, h]) => [x, y, 1 / rx, 1 / ry, h]));
  const ridge = tabulated(
    curveThrough(
      [-1.6, -0.3, 0.8, mix(0.5, tip, 0.55), tip - 0.3, tip + 0.15, base - 0.35, base + 0.25],
      [
        0,
        0.15,
        0.5,
        person.noseHeight * 0.55 + person.noseHump,
        person.noseHeight * 0.82,
        person.noseHeight * 0.84,
        0.72,
        0,
      ],
    ),
    -1.6,
    base + 0.25,
  );
  const spread = tabulated(
    curveThrough([-1, 0.8, tip - 0.6, tip + 0.3, base], [0.95, 0.85, 1.0, 0.62 * noseWidth + 0.25, 0.75 * noseWidth]),
    -1,
    base,
  );
  return (x, y) => {
    let depth = 0;
    for (let k = 0, i = 0; k < count; k++, i += 5) {
      const dy = (y - flat[i + 1]) * flat[i + 3],
        dx = (x - flat[i]) * flat[i + 2];
      const d = dx * dx + dy * dy;
      if (d < 6) depth += flat[i + 4] * Math.exp(-d);
    }
    if (y > -1.6 && y < base + 0.25 && x > -2.6 && x < 2.6) {
      const d = (x - noseShift(person, y)) / spread(y);
      depth += ridge(y) * Math.exp(-d * d);
    }
    return depth;
  };
}

function noseShift(person: Person, y: number): number {
  return person.noseBend * smoothStep(0, person.noseTipY, y) * 1.5;
}

function placePoints(
  person: Person,
  expression: Expression,
  chinY: number,
  width: (y: number) => number,
): FrontalPoints {
  const points = new Float64Array(68 * 2);
  const put = (index: number, x: number, y: number): void => {
    points[2 * index] = x;
    points[2 * index + 1] = y;
  };
  placeJaw(put, chinY, width);
  placeBrows(put, person, expression);
  placeNose(put, person, expression);
  placeEye(put, person, expression, -1, [36, 37, 38, 39, 40, 41]);
  placeEye(put, person, expression, 1, [45, 44, 43, 42, 47, 46]);
  placeMouth(put, person, expression);
  return points;
}

type Put = (index: number, x: number, y: number) => void;

/**
 * Seventeen points at equal arc lengths along the widest places of the slices, from the height of the eyes to the chin.
 */
function placeJaw(put: Put, chinY: number, width: (y: number) => number): void {
  const steps = 160;
  const heights = new Float64Array(steps + 1),
    lengths = new Float64Array(steps + 1);
  for (let i = 0; i <= steps; i++) {
    heights[i] = mix(EAR_Y, chinY, Math.sin((Math.PI / 2) * (i / steps)));
    if (i > 0)
      lengths[i] = lengths[i - 1] + Math.hypot(heights[i] - heights[i - 1], width(heights[i]) - width(heights[i - 1]));
  }
  const last = JAW_POINTS - 1;
  let step = 0;
  for (let k = 0; k <= last / 2; k++) {
    const target = (lengths[steps] * k) / (last / 2);
    while (step < steps - 1 && lengths[step + 1] < target) step++;
    const t = clamp((target - lengths[step]) / (lengths[step + 1] - lengths[step]), 0, 1);
    const y = mix(heights[step], heights[step + 1], t);
    put(k, -width(y), y);
    put(last - k, width(y), y);
  }
}

function placeBrows(put: Put, person: Person, expression: Expression): void {
  for (let k = 0; k < 5; k++) {
    const t = k / 4;
    const x = mix(person.browInner - 0.25 * expression.frown, person.browOuter, t);
    const rest =
      person.browY -
      person.browArch * Math.sin(Math.PI * Math.pow(t, 1.25)) +
      person.browTilt * (0.5 - t) +
      0.45 * t * t;
    const frown = 0.45 * expression.frown * (1 - t) * (1 - t);
    put(21 - k, -x, rest + frown - 0.8 * expression.browRaise[0] * (1 - 0.4 * t));
    put(22 + k, x, rest + frown - 0.8 * expression.browRaise[1] * (1 - 0.4 * t));
  }
}

function placeNose(put: Put, person: Person, expression: Expression): void {
  const smile = Math.max(0, expression.smile);
  for (let k = 0; k < 4; k++) {
    const y = mix(0.05, person.noseTipY, k / 3);
    put(27 + k, noseShift(person, y), y);
  }
  const half = person.noseWidth * (1 + 0.1 * smile) - 0.12;
  const shift = noseShift(person, person.noseBaseY);
  for (let k = -2; k <= 2; k++)
    put(33 + k, shift + (k * half) / 2, person.noseBaseY - [0, 0.13, 0.36][Math.abs(k)] - 0.15 * smile);
}

/** `order`: outer corner, outer and inner upper lid, inner corner, inner and outer lower lid. */
function placeEye(put: Put, person: Person, expression: Expression, side: -1 | 1, order: readonly number[]): void {
  const lids = eyeLids(person, expression, side);
  const { eyeInner, eyeOuter } = person;
  const at = (t: number): number => mix(eyeOuter, eyeInner, t);
  put(order[0], side * at(0), lids.upper(at(0)));
  put(order[1], side * at(0.31), lids.upper(at(0.31)));
  put(order[2], side * at(0.68), lids.upper(at(0.68)));
  put(order[3], side * at(1), lids.upper(at(1)));
  put(order[4], side * at(0.68), lids.lower(at(0.68)));
  put(order[5], side * at(0.31), lids.lower(at(0.31)));
}

/** The lids' edges as functions of the distance from the mid-line (the mirrored x of the left eye). */
export function eyeLids(
  person: Person,
  expression: Expression,
  side: -1 | 1,
): { upper(x: number): number; lower(x: number): number } {
  const { eyeInner, eyeOuter, eyeTilt } = person;
  const gap = expression.eyeOpen[side < 0 ? 0 : 1];
  // A closing eye meets below its middle: the upper lid travels.
  const up = 0.68 * gap - 0.16 * (1 - Math.min(1, gap)),
    down = gap - up + 0.02;
  const line = (t: number): number => mix(-eyeTilt, eyeTilt * 0.6 + 0.06, t);
  const bow = (t: number): number => Math.pow(Math.sin(Math.PI * clamp(t, 0, 1)), 0.75);
  const part = (x: number): number => (eyeOuter - x) / (eyeOuter - eyeInner);
  return {
    upper: (x) => line(part(x)) - up * bow(Math.pow(clamp(part(x), 0, 1), 0.92)),
    lower: (x) => line(part(x)) + down * bow(Math.pow(clamp(part(x), 0, 1), 1.12)),
  };
}

function placeMouth(put: Put, person: Person, expression: Expression): void {
  const { open, smile, pucker, skew } = expression;
  const happy = Math.max(0, smile);
  const half = person.mouthWidth * (1 + 0.24 * happy - pucker - 0.05 * Math.min(2, open));
  const cornerY = person.mouthY + 0.12 * open - 0.55 * smile;
  const thin = 1 - 0.25 * happy + 0.25 * pucker;
  const upperInner = person.mouthY - 0.12 * open - 0.1 * happy,
    lowerInner = upperInner + open + 0.02;
  const upperOuter = upperInner - person.upperLip * thin,
    lowerOuter = lowerInner + person.lowerLip * thin;
  /** `x` as a share of the half width, y rising from the corner's height to `top` at the middle by `share`. */
  const lip = (index: number, x: number, middle: number, share: number): void =>
    put(index, x * half, mix(cornerY, middle, share) + skew * x);
  lip(48, -1, cornerY, 1);
  lip(54, 1, cornerY, 1);
  lip(49, -0.6, upperOuter, 0.68);
  lip(53, 0.6, upperOuter, 0.68);
  lip(50, -0.23, upperOuter - 0.05, 1);
  lip(52, 0.23, upperOuter - 0.05, 1);
  lip(51, 0, upperOuter + 0.06, 1);
  lip(59, -0.62, lowerOuter, 0.66);
  lip(55, 0.62, lowerOuter, 0.66);
  lip(58, -0.3, lowerOuter, 0.95);
  lip(56, 0.3, lowerOuter, 0.95);
  lip(57, 0, lowerOuter, 1);
  lip(60, -0.92, cornerY, 1);
  lip(64, 0.92, cornerY, 1);
  lip(61, -0.34, upperInner, 0.9);
  lip(63, 0.34, upperInner, 0.9);
  lip(62, 0, upperInner, 1);
  lip(66, 0, lowerInner, 1);
  lip(67, -0.34, lowerInner, 0.9);
  lip(65, 0.34, lowerInner, 0.9);
}
