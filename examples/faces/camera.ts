/**
 * From linear light to the bytes of a video frame: exposure and tone curve, blur, lower resolution, edge enhancement,
 * noise, and the quantized 8 x 8 cosine blocks of a compressed picture.
 */
import { normal, uniform } from 'espalier';
import type { Stream } from 'espalier';
import { clamp, tabulated } from './noise.ts';

/** Develops `picture` (2 pixels, 2 pixels) as a video frame of (pixels, pixels), enlarged to (side, side). */
export function develop(random: Stream, picture: Float32Array, pixels: number, side: number): Uint8Array {
  let image = halve(picture, pixels);
  expose(random, image);
  // Blur in pixels of the frame, and a little more where the frame holds the face in many of them.
  const soft = uniform(random, 0.2, 0.6) + Math.max(0, (pixels * 96) / side - 70) * 0.012 * random();
  const motion = random() < 0.08 ? uniform(random, 0.5, 1.8) : 0;
  image = blur(image, pixels, soft + motion * 0.3, soft + motion);
  addNoise(random, image, uniform(random, 0.2, 2.4) * (random() < 0.12 ? 2.5 : 1));
  if (random() < 0.6) compress(image, pixels, uniform(random, 1.5, 12));
  if (random() < 0.35) sharpen(image, pixels, uniform(random, 0.2, 0.9));
  if (pixels < side) image = resize(image, pixels, side);
  return Uint8Array.from(image, (value) => clamp(Math.round(value), 0, 255));
}

function halve(picture: Float32Array, side: number): Float32Array {
  const image = new Float32Array(side * side);
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      const i = 4 * side * y + 2 * x;
      image[y * side + x] = 0.25 * (picture[i] + picture[i + 1] + picture[i + 2 * side] + picture[i + 2 * side + 1]);
    }
  }
  return image;
}

/**
 * Linear light to grey values: a gain towards a mean that varies from picture to picture, a gamma, a soft shoulder, a
 * lifted black.
 */
function expose(random: Stream, image: Float32Array): void {
  const gamma = uniform(random, 0.45, 0.8);
  const curve = tabulated((light) => Math.pow(light, gamma), 0, 3, 1536);
  const side = Math.sqrt(image.length);
  let mean = 0,
    square = 0,
    weight = 0;
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      const dx = x / side - 0.5,
        dy = y / side - 0.5;
      const w = Math.exp(-8 * (dx * dx + dy * dy)); // meters the middle, as cameras do
      const value = curve(image[y * side + x]);
      mean += w * value;
      square += w * value * value;
      weight += w;
    }
  }
  mean /= weight;
  const spread = Math.sqrt(Math.max(0, square / weight - mean * mean));
  const target = clamp(103 + 27 * normal(random), 42, 185);
  const gain = target / Math.max(0.02, mean);
  const black = random() < 0.3 ? uniform(random, 5, 40) : uniform(random, 0, 10);
  // Cameras stretch a dull scene.
  const contrast = uniform(random, 0.9, 1.4) * clamp((0.3 * mean) / Math.max(1e-3, spread), 1, 1.8);
  for (let i = 0; i < image.length; i++) {
    const value = gain * curve(image[i]);
    const bent = target + contrast * (value - target);
    const shoulder = bent > 200 ? 200 + 55 * (1 - Math.exp(-(bent - 200) / 55)) : bent;
    image[i] = black + (1 - black / 255) * Math.max(0, shoulder);
  }
}

function blur(image: Float32Array, side: number, sigmaX: number, sigmaY: number): Float32Array {
  return blurRows(blurRows(image, side, 1, side, sigmaX), side, side, 1, sigmaY);
}

/** Gaussian along one axis: `step` between neighbours, `line` between lines. */
function blurRows(image: Float32Array, side: number, step: number, line: number, sigma: number): Float32Array {
  const radius = Math.ceil(2.5 * sigma);
  const weights = Float64Array.from({ length: 2 * radius + 1 }, (_, k) =>
    Math.exp(-((k - radius) ** 2) / (2 * sigma * sigma)),
  );
  const total = weights.reduce((sum, w) => sum + w, 0);
  const out = new Float32Array(image.length);
  for (let l = 0; l < side; l++) {
    for (let p = 0; p < side; p++) {
      let sum = 0;
      for (let k = -radius; k <= radius; k++)
        sum += weights[k + radius] * image[l * line + clamp(p + k, 0, side - 1) * step];
      out[l * line + p * step] = sum / total;
    }
  }
  return out;
}

/** Linear interpolation at pixel centres, widened to a tent when shrinking. */
function resize(image: Float32Array, from: number, to: number): Float32Array {
  const ratio = from / to,
    reach = Math.max(1, ratio);
  const first = new Int32Array(to),
    weights: Float64Array[] = [];
  for (let i = 0; i < to; i++) {
    const centre = (i + 0.5) * ratio - 0.5;
    first[i] = Math.ceil(centre - reach);
    const count = Math.floor(centre + reach) - first[i] + 1;
    const row = Float64Array.from({ length: count }, (_, k) =>
      Math.max(0, 1 - Math.abs(first[i] + k - centre) / reach),
    );
    const total = row.reduce((sum, w) => sum + w, 0);
    weights.push(row.map((w) => w / total));
  }
  const half = new Float32Array(from * to),
    out = new Float32Array(to * to);
  for (let y = 0; y < from; y++) {
    for (let x = 0; x < to; x++) {
      let sum = 0;
      for (let k = 0; k < weights[x].length; k++)
        sum += weights[x][k] * image[y * from + clamp(first[x] + k, 0, from - 1)];
      half[y * to + x] = sum;
    }
  }
  for (let y = 0; y < to; y++) {
    for (let x = 0; x < to; x++) {
      let sum = 0;
      for (let k = 0; k < weights[y].length; k++)
        sum += weights[y][k] * half[clamp(first[y] + k, 0, from - 1) * to + x];
      out[y * to + x] = sum;
    }
  }
  return out;
}

function addNoise(random: Stream, image: Float32Array, deviation: number): void {
  // A sum of three uniform draws is normal enough for sensor noise and three times as fast as Box and Muller.
  for (let i = 0; i < image.length; i++) image[i] += deviation * 2 * (random() + random() + random() - 1.5);
}

function sharpen(image: Float32Array, side: number, amount: number): void {
  const smooth = blur(image, side, 1, 1);
  for (let i = 0; i < image.length; i++) image[i] += amount * (image[i] - smooth[i]);
}

/** Cosine basis of 8 points: row k, column n. */
function cosineBasis(): Float64Array {
  return Float64Array.from({ length: 64 }, (_, i) => {
    const k = i >> 3,
      n = i & 7;
    return (k === 0 ? Math.sqrt(1 / 8) : 0.5) * Math.cos(((2 * n + 1) * k * Math.PI) / 16);
  });
}

/** Rounds the cosine coefficients of whole 8 x 8 blocks to multiples of a step that grows with the frequency. */
function compress(image: Float32Array, side: number, quality: number): void {
  const basis = cosineBasis();
  const block = new Float64Array(64),
    half = new Float64Array(64);
  for (let top = 0; top + 8 <= side; top += 8) {
    for (let left = 0; left + 8 <= side; left += 8) {
      for (let y = 0; y < 8; y++) for (let x = 0; x < 8; x++) block[8 * y + x] = image[(top + y) * side + left + x];
      multiply(basis, block, half, false);
      multiply(basis, half, block, false);
      for (let i = 0; i < 64; i++) {
        const step = quality * (1 + 0.35 * ((i >> 3) + (i & 7)));
        block[i] = step * Math.round(block[i] / step);
      }
      multiply(basis, block, half, true);
      multiply(basis, half, block, true);
      for (let y = 0; y < 8; y++) for (let x = 0; x < 8; x++) image[(top + y) * side + left + x] = block[8 * y + x];
    }
  }
}

/**
 * out = (matrix or its transpose) x block, transposed: applied twice it transforms both axes and restores the order.
 */
function multiply(matrix: Float64Array, block: Float64Array, out: Float64Array, transpose: boolean): void {
  for (let r = 0; r < 8; r++) {
    for (let c = 0; c < 8; c++) {
      let sum = 0;
      for (let k = 0; k < 8; k++) sum += (transpose ? matrix[8 * k + r] : matrix[8 * r + k]) * block[8 * k + c];
      out[8 * c + r] = sum;
    }
  }
}
