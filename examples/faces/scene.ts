/**
 * One face from its traits to a picture in linear light: where the camera looks (the crop is fitted to the landmarks),
 * what is visible, and what colour each visible place has. Rendered at twice the side of the crop.
 */
import { stream, uniform } from 'espalier';
import type { Stream } from 'espalier';
import type { Hair, Traits } from './traits.ts';
import { shapeHead, surfacePoint } from './shape.ts';
import type { HeadShape } from './shape.ts';
import { addLight, addNormals, buildBody, buildEars, buildHair, buildHead, headRotation } from './mesh.ts';
import type { Grid } from './mesh.ts';
import { clearFrame, drawGrid, makeFrame, narrowFrame, NOTHING, shadowMap } from './raster.ts';
import type { Frame, Projection } from './raster.ts';
import { paintSkin, readSkin, skinGrain } from './skin.ts';
import type { SkinTexture } from './skin.ts';
import { paintBackground } from './background.ts';
import { drawGlasses, drawOccluders } from './accessories.ts';
import { clamp, drawLattice, mix, noiseAt, smoothStep } from './noise.ts';
import type { Lattice } from './noise.ts';

/** Buffers that one face after another may use; nothing of a face stays in them. */
export interface Workspace {
  readonly side: number;
  readonly frame: Frame;
  /** At least (2 side, 2 side) linear light. */
  readonly picture: Float32Array;
}

/**
 * A face before the camera's lens: `picture` is (2 pixels, 2 pixels) of linear light, landmarks (68, 2) in crop units.
 */
export interface Scene {
  readonly pixels: number;
  readonly picture: Float32Array;
  readonly landmarks: Float32Array;
}

export function makeWorkspace(side: number): Workspace {
  return { side, frame: makeFrame(2 * side), picture: new Float32Array(4 * side * side) };
}

/** The side of the crop is 1.3 times the larger side of the landmarks' bounding box. */
const BOX_MARGIN = 1.3;

/** Renders at twice the resolution of the video frame, into the workspace. */
export function renderScene(seed: number | string, index: number, traits: Traits, workspace: Workspace): Scene {
  const pixels = Math.max(8, Math.round(workspace.side * traits.resolution));
  const frame = narrowFrame(workspace.frame, 2 * pixels);
  const picture = workspace.picture.subarray(0, 4 * pixels * pixels);
  const head = shapeHead(traits);
  const rotation = headRotation(traits.pose);
  const { landmarks, projection } = fitCrop(traits, head, rotation, frame.side);
  const random = stream(seed, 'face scene', index);
  const lattice = drawLattice(random);

  const edge = hairEdge(traits.hair, lattice);
  const ragged = traits.hair.kind === 'cap' ? 0 : 0.25 + 0.5 * traits.hair.frizz;
  const hairVisible = (u: number, v: number): boolean => {
    const inside = edge(u) - v;
    return inside > ragged || (inside > -ragged && inside > ragged * noiseAt(lattice, u * 55, v * 1.7));
  };
  const parts: { grid: Grid; visible?: (u: number, v: number) => boolean }[] = [
    { grid: buildHead(head, rotation) },
    ...buildEars(traits, rotation).map((grid) => ({ grid })),
    { grid: buildBody(traits, rotation, head.chinY, uniform(random, 0.1, 0.8)) },
    { grid: buildHair(traits, head, rotation), visible: hairVisible },
  ];
  for (const { grid } of parts) addNormals(grid);
  const shadow = shadowMap(parts, traits.light.direction, 17);
  for (const { grid } of parts) addLight(grid, traits.light, shadow);

  clearFrame(frame);
  parts.forEach(({ grid, visible }, i) => drawGrid(frame, grid, i, projection, visible));
  paintBackground(stream(seed, 'face background', index), picture, frame.side);
  const skin = paintSkin(seed, index, traits, head, clamp(pixels / 96, 0.4, 3));
  paintParts(
    traits,
    frame,
    picture,
    parts.map((part) => part.grid),
    skin,
    drawClothes(random, head),
    lattice,
  );
  if (traits.glasses !== undefined) drawGlasses(traits, traits.glasses, head, rotation, projection, frame, picture);
  drawOccluders(stream(seed, 'face occlusion', index), traits, landmarks, picture, frame.side);
  return { pixels, picture, landmarks };
}

/**
 * Where the landmarks fall and how the camera maps to pixels. A contour point (0-16) is the place of its slice that
 * reaches farthest outwards in the image, from the mid-line to the jaw line: so on the far side of a turned head it
 * lies on the visible outline.
 */
function fitCrop(
  { pose }: Traits,
  head: HeadShape,
  m: Float64Array,
  side: number,
): { landmarks: Float32Array; projection: Projection } {
  const { cameraDistance: distance } = pose;
  const plane = new Float64Array(68 * 2);
  const at = new Float64Array(2);
  const project = (x: number, y: number, z: number, k: number): void => {
    const scale = distance / (distance - (m[6] * x + m[7] * y + m[8] * z));
    plane[2 * k] = scale * (m[0] * x + m[1] * y + m[2] * z);
    plane[2 * k + 1] = scale * (m[3] * x + m[4] * y + m[5] * z);
  };
  for (let k = 0; k < 68; k++) {
    const x = head.points[2 * k],
      y = head.points[2 * k + 1];
    const slice = head.slice(Math.min(y, head.chinY - 0.005));
    if (k > 16) {
      const t = Math.asin(clamp(x / slice.width, -1, 1));
      surfacePoint(head, slice, y, t, at);
      project(x, y, at[1], k);
      continue;
    }
    const outward = k < 8 ? -1 : k > 8 ? 1 : 0;
    if (outward === 0) {
      surfacePoint(head, slice, y, 0, at);
      project(0, y, at[1] - 0.3, k);
      continue;
    }
    // Outwards in the image before roll; the first candidate is the jaw line itself.
    let best = -Infinity;
    const steps = 18;
    for (let i = 0; i <= steps; i++) {
      const t = outward * (Math.PI / 2) * (1 - i / steps);
      surfacePoint(head, slice, y, t, at);
      const reach = outward * (Math.cos(pose.yaw) * at[0] + Math.sin(pose.yaw) * at[1]);
      if (reach > best) {
        best = reach;
        project(at[0], y, at[1], k);
      }
    }
  }
  let x0 = Infinity,
    x1 = -Infinity,
    y0 = Infinity,
    y1 = -Infinity;
  for (let k = 0; k < 68; k++) {
    x0 = Math.min(x0, plane[2 * k]);
    x1 = Math.max(x1, plane[2 * k]);
    y0 = Math.min(y0, plane[2 * k + 1]);
    y1 = Math.max(y1, plane[2 * k + 1]);
  }
  const box = BOX_MARGIN * Math.max(x1 - x0, y1 - y0);
  const left = (x0 + x1 - box) / 2,
    top = (y0 + y1 - box) / 2;
  const landmarks = new Float32Array(68 * 2);
  for (let k = 0; k < 68; k++) {
    landmarks[2 * k] = (plane[2 * k] - left) / box;
    landmarks[2 * k + 1] = (plane[2 * k + 1] - top) / box;
  }
  const pixels = side / box;
  return {
    landmarks,
    projection: {
      toX: (x, z) => (x * (distance / (distance - z)) - left) * pixels,
      toY: (y, z) => (y * (distance / (distance - z)) - top) * pixels,
    },
  };
}

/** Lower edge of the hair at an angle of the shell: a height, roughened strand by strand. */
function hairEdge(hair: Hair, lattice: Lattice): (u: number) => number {
  const degree = Math.PI / 180;
  const steps = 512;
  const table = new Float32Array(steps + 1);
  const long = hair.kind === 'bob' || hair.kind === 'long';
  for (let i = 0; i <= steps; i++) {
    const u = (2 * Math.PI * i) / steps - Math.PI;
    const angle = Math.abs(u) / degree;
    const rough =
      hair.kind === 'cap' ? 0 : hair.frizz * (0.35 * noiseAt(lattice, u * 9, 3) + 0.2 * noiseAt(lattice, u * 31, 5));
    const arch = -0.9 * Math.exp(-Math.pow((u - hair.parting) / 0.28, 2)) + 1.5 * Math.pow(angle / hair.templeAngle, 2);
    const front = hair.kind === 'bald' ? -40 : hair.frontY + (hair.kind === 'cap' ? 0.4 * arch : arch);
    // Behind the temple: down to the sideburn, free above the ear, to the nape behind it.
    const burn = hair.kind === 'bald' ? -1.5 : hair.sideY;
    const ear = hair.kind === 'cap' ? -2.6 : -1.2;
    const side = long ? hair.sideY : angle < 82 ? burn : mix(ear, 6, smoothStep(104, 122, angle));
    table[i] =
      mix(front, side, smoothStep(hair.templeAngle - 6, hair.templeAngle + (long ? 5 : 9), angle + 6 * rough)) + rough;
  }
  return (u) => {
    const x = ((u + Math.PI) / (2 * Math.PI)) * steps;
    return table[((Math.floor(x) % steps) + steps) % steps];
  };
}

interface Clothes {
  readonly chinY: number;
  readonly collarY: number;
  readonly neckline: number;
  readonly tone: number;
  readonly shirt: number;
  readonly tie: number;
  readonly lapel: number;
  readonly pattern: number;
}

function drawClothes(random: Stream, head: HeadShape): Clothes {
  const suit = random() < 0.5;
  return {
    chinY: head.chinY,
    collarY: head.chinY + uniform(random, 0, suit ? 2.6 : 4.5),
    neckline: uniform(random, 0, suit ? 1 : 5),
    tone: random() < 0.6 ? uniform(random, 0.02, 0.15) : uniform(random, 0.15, 0.8),
    shirt: suit ? uniform(random, 0.5, 0.95) : -1,
    tie: suit && random() < 0.75 ? uniform(random, 0.03, 0.4) : -1,
    lapel: uniform(random, 0.4, 0.7),
    pattern: random() < 0.35 ? uniform(random, 0.1, 0.4) : 0,
  };
}

function paintParts(
  traits: Traits,
  frame: Frame,
  picture: Float32Array,
  grids: readonly Grid[],
  skin: SkinTexture,
  clothes: Clothes,
  lattice: Lattice,
): void {
  const { person, hair } = traits;
  const grain = skinGrain(traits, lattice);
  for (let i = 0; i < picture.length; i++) {
    const owner = frame.owner[i];
    if (owner === NOTHING) continue;
    const u = frame.u[i],
      v = frame.v[i],
      shade = frame.shade[i],
      gloss = frame.gloss[i];
    switch (grids[owner].material) {
      case 'head':
        picture[i] = readSkin(skin, skin.tone, u, v) * grain(u, v) * shade;
        if (gloss > 0.02) picture[i] += 0.9 * person.shine * gloss * readSkin(skin, skin.mirror, u, v);
        break;
      case 'ear': {
        const d = Math.hypot((u - 0.1) / 0.5, (v - 0.05) / 0.62);
        picture[i] =
          person.skin * (1 - 0.45 * smoothStep(0.95, 0.45, d) + 0.1 * smoothStep(0.6, 1, Math.abs(v))) * shade;
        break;
      }
      case 'hair': {
        if (hair.kind === 'cap') {
          picture[i] =
            clothes.tone * (1 + 0.08 * noiseAt(lattice, u * 40, v * 6)) * shade * (v > hair.frontY - 0.7 ? 0.6 : 1);
          break;
        }
        const bend = hair.wave * 0.22 * noiseAt(lattice, u * 2, v * 0.3);
        const strand =
          noiseAt(lattice, (u + bend) * 21, v * 0.3) * 0.6 + noiseAt(lattice, (u + bend) * 60, v * 0.6) * 0.4;
        const band = Math.exp(-Math.pow((v + 6.5 + 2 * bend) / 2.5, 2));
        picture[i] =
          person.hairTone * (1 + 0.55 * strand) * shade * 0.95 +
          (0.1 + 0.35 * person.hairTone) * gloss * (0.4 + 0.6 * band) * (1 + strand);
        break;
      }
      case 'body':
        picture[i] = bodyTone(clothes, person.skin, u, v, lattice) * shade;
        break;
    }
  }
}

function bodyTone(clothes: Clothes, skin: number, u: number, v: number, lattice: Lattice): number {
  const front = Math.abs(u);
  const collar = clothes.collarY + clothes.neckline * Math.max(0, 1 - front / 0.7);
  // The jaw keeps light from the neck.
  if (v < collar)
    return (
      skin *
      (0.55 +
        0.4 * smoothStep(clothes.chinY - 1.5, clothes.chinY + 4.5, v + 1.5 * front) +
        0.06 * noiseAt(lattice, u * 3, v * 0.7))
    );
  const below = v - clothes.collarY;
  if (clothes.shirt >= 0) {
    // Lapels close from the sides of the neck to a point on the chest; the shirt's collar ends in two tips.
    const opening = clothes.lapel * (1.5 - 0.16 * below);
    if (front < opening) {
      if (clothes.tie >= 0 && front < 0.11 + 0.012 * below && below > 0.5)
        return clothes.tie * (1 + 0.8 * Math.sign(Math.sin(v * 5 + u * 14)) * clothes.pattern);
      const seam = Math.abs(below - 2.4 + 3 * front);
      return clothes.shirt * (seam < 0.12 ? 0.65 : below > 2.4 - 3 * front ? 0.9 : 1);
    }
    if (front < opening + 0.03) return clothes.tone * 0.4;
  }
  const weave = clothes.pattern * Math.sin(u * 30) * Math.sin(v * 3);
  return Math.max(0.01, clothes.tone * (1 + weave + 0.15 * noiseAt(lattice, u * 4, v * 0.8)));
}
