/**
 * The scene as grids of vertices: head, ears, hair and body, posed before the camera, with normals and light.
 * Camera axes: x right, y down, z towards the viewer.
 */
import type { Light, Pose, Traits } from './traits.ts';
import { CROWN_Y, surfacePoint } from './shape.ts';
import type { HeadShape } from './shape.ts';
import { clamp, mix, smoothStep } from './noise.ts';

export type Material = 'head' | 'ear' | 'hair' | 'body';

/** rows x columns vertices, row-major; `closed` joins the last column to the first. */
export interface Grid {
  readonly material: Material;
  readonly rows: number;
  readonly columns: number;
  readonly closed: boolean;
  /** Camera coordinates. */
  readonly x: Float32Array;
  readonly y: Float32Array;
  readonly z: Float32Array;
  /**
   * What the painters know a place by: the slice's angle in radians and the height in head coordinates (ears: -1 to 1
   * each).
   */
  readonly u: Float32Array;
  readonly v: Float32Array;
  /** Unit normals, outwards; filled by {@link addNormals}. */
  readonly nx: Float32Array;
  readonly ny: Float32Array;
  readonly nz: Float32Array;
  /** Received light and mirror-like highlight; filled by {@link addLight}. */
  readonly shade: Float32Array;
  readonly gloss: Float32Array;
}

/** Rotation matrix (row-major 3 x 3) of a pose: yaw first, then pitch, then roll. */
export function rotationOf(yaw: number, pitch: number, roll: number): Float64Array {
  const [sy, cy, sp, cp, sr, cr] = [
    Math.sin(yaw),
    Math.cos(yaw),
    Math.sin(pitch),
    Math.cos(pitch),
    Math.sin(roll),
    Math.cos(roll),
  ];
  // After yaw: (cy x + sy z, y, -sy x + cy z); after pitch: y' = cp y + sp z, z' = -sp y + cp z; roll turns x towards
  // y.
  const yawed = [cy, 0, sy, 0, 1, 0, -sy, 0, cy];
  const pitched = [0, 1, 2].map((c) => [
    yawed[c],
    cp * yawed[3 + c] + sp * yawed[6 + c],
    -sp * yawed[3 + c] + cp * yawed[6 + c],
  ]);
  return Float64Array.from(
    [0, 1, 2]
      .map((c) => cr * pitched[c][0] - sr * pitched[c][1])
      .concat(
        [0, 1, 2].map((c) => sr * pitched[c][0] + cr * pitched[c][1]),
        [0, 1, 2].map((c) => pitched[c][2]),
      ),
  );
}

export function headRotation({ yaw, pitch, roll }: Pose): Float64Array {
  return rotationOf(yaw, pitch, roll);
}

function makeGrid(material: Material, rows: number, columns: number, closed: boolean): Grid {
  const array = (): Float32Array => new Float32Array(rows * columns);
  return {
    material,
    rows,
    columns,
    closed,
    x: array(),
    y: array(),
    z: array(),
    u: array(),
    v: array(),
    nx: array(),
    ny: array(),
    nz: array(),
    shade: array(),
    gloss: array(),
  };
}

/** Angles that are dense in front, where the features are: 2.3 degrees apart at the nose, 8 at the ears, 18 behind. */
function headAngles(): Float64Array {
  const front = 22,
    back = 9;
  const angles: number[] = [];
  for (let i = -front; i <= front; i++) {
    const t = i / front;
    angles.push((Math.PI / 2) * (0.55 * t + 0.45 * t * t * t));
  }
  for (let i = 1; i <= back; i++) angles.push(Math.PI / 2 + (Math.PI * i) / (back + 1));
  return Float64Array.from(angles);
}

function headHeights(chinY: number): Float64Array {
  const heights: number[] = [];
  for (let y = CROWN_Y; y < -8; y += 0.9) heights.push(y);
  for (let y = -8; y < -3.2; y += 0.7) heights.push(y);
  const fine = Math.ceil((chinY - 0.6 + 3.2) / 0.38);
  for (let i = 0; i < fine; i++) heights.push(mix(-3.2, chinY - 0.6, i / fine));
  for (const left of [0.6, 0.35, 0.17, 0.06, 0.005]) heights.push(chinY - left);
  return Float64Array.from(heights);
}

export function buildHead(head: HeadShape, rotation: Float64Array): Grid {
  const angles = headAngles(),
    heights = headHeights(head.chinY);
  const grid = makeGrid('head', heights.length, angles.length, true);
  const at = new Float64Array(2);
  let i = 0;
  for (const y of heights) {
    const slice = head.slice(y);
    for (const t of angles) {
      surfacePoint(head, slice, y, t, at);
      set(grid, i++, rotation, at[0], y, at[1], t > Math.PI ? t - 2 * Math.PI : t, y);
    }
  }
  return grid;
}

/** Flattened ellipsoids beside the head, tilted outwards at the back. */
export function buildEars(traits: Traits, rotation: Float64Array): Grid[] {
  const { headWidth } = traits.person;
  const size = 0.9 + 0.2 * traits.person.age;
  return [-1, 1].map((side) => {
    const rows = 9,
      columns = 10;
    const grid = makeGrid('ear', rows, columns, true);
    let i = 0;
    for (let r = 0; r < rows; r++) {
      const latitude = Math.PI * (r / (rows - 1) - 0.5);
      for (let c = 0; c < columns; c++) {
        const longitude = (-side * 2 * Math.PI * c) / columns; // both ears wind outwards
        const radius = Math.cos(latitude);
        const along = radius * Math.sin(longitude),
          across = radius * Math.cos(longitude) * side;
        const x = side * (headWidth + 0.05) + 0.42 * across - side * 0.85 * along;
        set(
          grid,
          i++,
          rotation,
          x,
          1.9 + 3.0 * size * Math.sin(latitude) + 0.25 * along,
          -1.7 + 1.35 * along,
          along,
          Math.sin(latitude),
        );
      }
    }
    return grid;
  });
}

/**
 * A shell around the skull that falls straight from the height of the ears; where hair really is, its edge decides
 * (`hairEdge`).
 */
export function buildHair(traits: Traits, head: HeadShape, rotation: Float64Array): Grid {
  const { hair } = traits;
  const columns = 44;
  const long = hair.kind === 'bob' || hair.kind === 'long';
  const lowest = long ? hair.sideY + 1.5 : 8;
  const rows = long ? 34 : 28;
  const grid = makeGrid('hair', rows, columns, true);
  const at = new Float64Array(2);
  let i = 0;
  for (let r = 0; r < rows; r++) {
    const y = mix(CROWN_Y - 0.05, lowest, Math.pow(r / (rows - 1), 0.9));
    const skullY = Math.min(y, 1.5);
    const slice = head.slice(skullY);
    const fall = Math.max(0, y - 1.5);
    const thick = hair.thickness * (0.55 + 0.45 * smoothStep(-12, -4, y)) + (long ? 0.08 * hair.wave * fall : 0);
    for (let c = 0; c < columns; c++) {
      const t = (2 * Math.PI * c) / columns - Math.PI;
      surfacePoint(head, slice, skullY, t, at);
      const grow = thick * (0.6 + 0.4 * Math.abs(Math.sin(t))) + 0.08;
      const x = at[0] + Math.sin(t) * grow;
      const z = (Math.cos(t) > 0.3 && y > -3 ? Math.min(at[1], 8.4) : at[1]) + Math.cos(t) * grow * 0.8;
      const lift = y < -6 ? 0.75 * hair.thickness * smoothStep(-6, CROWN_Y, y) : 0;
      set(grid, i++, rotation, x, y - lift, z, t, y);
    }
  }
  return grid;
}

/** Neck and shoulders. The top follows the head, the bottom the body, which turns less. */
export function buildBody(traits: Traits, rotation: Float64Array, chinY: number, turn: number): Grid {
  const { person, pose } = traits;
  const body = rotationOf(pose.yaw * turn, 0, pose.roll * 0.25);
  const rows = 18,
    columns = 30;
  const grid = makeGrid('body', rows, columns, true);
  const neck = 4.8 + 0.9 * person.masculine + 0.7 * person.fullness;
  const top = chinY - 6;
  let i = 0;
  for (let r = 0; r < rows; r++) {
    const y = top + 19 * Math.pow(r / (rows - 1), 1.1);
    const flare = smoothStep(chinY - 0.5, chinY + 7, y);
    const width = mix(neck, 19, Math.pow(flare, 1.6)),
      depth = mix(neck, 8.5, flare);
    const follow = smoothStep(chinY - 3, chinY + 6, y);
    for (let c = 0; c < columns; c++) {
      const t = (2 * Math.PI * c) / columns - Math.PI;
      const x = width * Math.sin(t),
        z = -2.2 - 0.6 * flare + depth * Math.cos(t);
      set(grid, i, rotation, x, y, z, t, y);
      const drop = 2.5 * flare * Math.abs(Math.sin(t));
      const bx = body[0] * x + body[1] * y + body[2] * z,
        by = body[3] * x + body[4] * y + body[5] * z + drop,
        bz = body[6] * x + body[7] * y + body[8] * z;
      grid.x[i] = mix(grid.x[i], bx, follow);
      grid.y[i] = mix(grid.y[i], by, follow);
      grid.z[i] = mix(grid.z[i], bz, follow);
      i++;
    }
  }
  return grid;
}

function set(grid: Grid, i: number, m: Float64Array, x: number, y: number, z: number, u: number, v: number): void {
  grid.x[i] = m[0] * x + m[1] * y + m[2] * z;
  grid.y[i] = m[3] * x + m[4] * y + m[5] * z;
  grid.z[i] = m[6] * x + m[7] * y + m[8] * z;
  grid.u[i] = u;
  grid.v[i] = v;
}

/** Normals from the neighbours along the row and the column. */
export function addNormals(grid: Grid): void {
  const { rows, columns, closed, x, y, z } = grid;
  for (let r = 0; r < rows; r++) {
    const up = Math.max(0, r - 1) * columns,
      down = Math.min(rows - 1, r + 1) * columns;
    for (let c = 0; c < columns; c++) {
      const left = r * columns + (c > 0 ? c - 1 : closed ? columns - 1 : 0);
      const right = r * columns + (c < columns - 1 ? c + 1 : closed ? 0 : c);
      const ax = x[right] - x[left],
        ay = y[right] - y[left],
        az = z[right] - z[left];
      const bx = x[down + c] - x[up + c],
        by = y[down + c] - y[up + c],
        bz = z[down + c] - z[up + c];
      const nx = ay * bz - az * by,
        ny = az * bx - ax * bz,
        nz = ax * by - ay * bx;
      const length = Math.sqrt(nx * nx + ny * ny + nz * nz) || 1;
      const i = r * columns + c;
      grid.nx[i] = nx / length;
      grid.ny[i] = ny / length;
      grid.nz[i] = nz / length;
    }
  }
}

/**
 * Light at each vertex: ambient from above, wrapped Lambert for the key, a rim from behind; `shadow` is the share of
 * the key that arrives.
 */
export function addLight(grid: Grid, light: Light, shadow: (x: number, y: number, z: number) => number): void {
  const [lx, ly, lz] = light.direction;
  const hx = lx,
    hy = ly,
    hz = lz + 1;
  const half = Math.sqrt(hx * hx + hy * hy + hz * hz) || 1;
  const count = grid.rows * grid.columns;
  for (let i = 0; i < count; i++) {
    const nx = grid.nx[i],
      ny = grid.ny[i],
      nz = grid.nz[i];
    const facing = nx * lx + ny * ly + nz * lz;
    const lit =
      facing > -0.15
        ? 1 - light.shadow * (1 - shadow(grid.x[i] + 0.5 * nx, grid.y[i] + 0.5 * ny, grid.z[i] + 0.5 * nz))
        : 1 - light.shadow;
    const lambert = clamp((facing + 0.12) / 1.12, 0, 1);
    const edge = 1 - Math.min(1, Math.abs(nz));
    const rim = light.rim * edge * edge * (nx * lx < 0 ? 1 : 0.3);
    grid.shade[i] =
      light.ambient * (1 - light.skyward * (0.5 + 0.5 * ny)) * (0.75 + 0.25 * Math.max(0, nz)) +
      light.key * lambert * lit +
      rim;
    const mirror = (nx * hx + ny * hy + nz * hz) / half;
    grid.gloss[i] = mirror > 0.75 ? light.key * lit * Math.pow(mirror, 18) : 0;
  }
}
