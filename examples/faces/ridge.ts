/**
 * The baseline that a trained network has to beat: ridge regression from block means of the picture to the landmarks.
 * Linear, closed form, no pose or light in it. Glossary: A (n, d) centred features, Y (n, m) centred targets, W (d, m)
 * weights.
 */
import { checkInteger, checkNumber } from 'espalier';

export interface RidgeOptions {
  /** Weight of the penalty lambda |W|^2. Default 300. */
  lambda?: number;
  /** Blocks along each border of the picture; has to divide its side. Default 24. */
  blocks?: number;
}

export interface Ridge {
  readonly side: number;
  readonly blocks: number;
  /** (d): mean of the features over the training set; d = blocks^2. */
  readonly featureMean: Float64Array;
  /** (m): mean of the targets. */
  readonly targetMean: Float64Array;
  /** (d, m). */
  readonly weights: Float64Array;
}

const VALUES = 68 * 2;

/**
 * Fits W = (A'A + lambda I)^-1 A'Y on block means, standardized per picture, minus their mean over the set. Shapes:
 * images (n, side, side) bytes, landmarks (n, 68, 2). Cost: n d^2 / 2 + d^3 / 6 + d^2 m multiply-adds; 1 to 2 s for n =
 * 4000, d = 576. Source: Hoerl and Kennard, "Ridge Regression", Technometrics 12(1), 1970.
 * @throws {RangeError} if the lengths do not belong together, blocks does not divide the side, or lambda is not above 0
 */
export function fitRidge(images: Uint8Array, landmarks: Float32Array, options: RidgeOptions = {}): Ridge {
  const lambda = checkNumber('fitRidge', 'lambda', options.lambda ?? 300, 0, Infinity, true);
  const count = landmarks.length / VALUES;
  checkInteger('fitRidge', 'landmarks.length / 136', count, 1);
  const side = checkInteger('fitRidge', 'side of the images', Math.sqrt(images.length / count), 1);
  const blocks = checkInteger('fitRidge', 'blocks', options.blocks ?? 24, 1, side);
  if (side % blocks !== 0)
    throw new RangeError(`fitRidge: blocks: expected a divisor of the side ${side}, got ${blocks}`);

  const d = blocks * blocks;
  const A = blockMeans(images, count, side, blocks);
  const featureMean = centre(A, count, d);
  const Y = Float64Array.from(landmarks);
  const targetMean = centre(Y, count, VALUES);

  const gram = new Float64Array(d * d);
  const weights = new Float64Array(d * VALUES); // first A'Y, then the solution in place
  for (let row = 0; row < count; row++) {
    const features = A.subarray(row * d, (row + 1) * d),
      targets = Y.subarray(row * VALUES, (row + 1) * VALUES);
    for (let i = 0; i < d; i++) {
      const value = features[i];
      for (let j = 0; j <= i; j++) gram[i * d + j] += value * features[j];
      for (let k = 0; k < VALUES; k++) weights[i * VALUES + k] += value * targets[k];
    }
  }
  for (let i = 0; i < d; i++) gram[i * d + i] += lambda;
  factorize(gram, d);
  solve(gram, d, weights, VALUES);
  return { side, blocks, featureMean, targetMean, weights };
}

/**
 * Landmarks (n, 68, 2) for images (n, side, side).
 * @throws {RangeError} if the images are not a whole number of pictures of the side that was fitted
 */
export function predictRidge(ridge: Ridge, images: Uint8Array): Float32Array {
  const { side, blocks, featureMean, targetMean, weights } = ridge;
  const count = checkInteger('predictRidge', `images.length / ${side * side}`, images.length / (side * side), 0);
  const d = blocks * blocks;
  const features = blockMeans(images, count, side, blocks);
  const out = new Float32Array(count * VALUES);
  const sum = new Float64Array(VALUES);
  for (let row = 0; row < count; row++) {
    sum.set(targetMean);
    for (let i = 0; i < d; i++) {
      const value = features[row * d + i] - featureMean[i];
      for (let k = 0; k < VALUES; k++) sum[k] += value * weights[i * VALUES + k];
    }
    out.set(sum, row * VALUES);
  }
  return out;
}

/** (n, blocks^2) means of blocks, per picture minus their mean over their deviation (a flat picture gives zeros). */
function blockMeans(images: Uint8Array, count: number, side: number, blocks: number): Float64Array {
  const width = side / blocks,
    d = blocks * blocks;
  const features = new Float64Array(count * d);
  for (let row = 0; row < count; row++) {
    const own = features.subarray(row * d, (row + 1) * d);
    for (let y = 0; y < side; y++) {
      const line = Math.floor(y / width) * blocks,
        pixels = (row * side + y) * side;
      for (let x = 0; x < side; x++) own[line + Math.floor(x / width)] += images[pixels + x];
    }
    let mean = 0,
      square = 0;
    for (const value of own) mean += value / d;
    for (const value of own) square += ((value - mean) * (value - mean)) / d;
    const scale = square > 0 ? 1 / Math.sqrt(square) : 0;
    for (let i = 0; i < d; i++) own[i] = (own[i] - mean) * scale;
  }
  return features;
}

/** Subtracts the column means in place and returns them. */
function centre(matrix: Float64Array, rows: number, columns: number): Float64Array {
  const mean = new Float64Array(columns);
  for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) mean[c] += matrix[r * columns + c] / rows;
  for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) matrix[r * columns + c] -= mean[c];
  return mean;
}

/** Cholesky: the lower triangle of a positive definite (d, d) matrix becomes L with L L' = matrix. */
function factorize(matrix: Float64Array, d: number): void {
  for (let i = 0; i < d; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = matrix[i * d + j];
      for (let k = 0; k < j; k++) sum -= matrix[i * d + k] * matrix[j * d + k];
      matrix[i * d + j] = i === j ? Math.sqrt(sum) : sum / matrix[j * d + j];
    }
  }
}

/** Solves L L' X = B in place of B (d, m). */
function solve(lower: Float64Array, d: number, B: Float64Array, m: number): void {
  const eliminate = (i: number, k: number, factor: number): void => {
    for (let c = 0; c < m; c++) B[i * m + c] -= factor * B[k * m + c];
  };
  const divide = (i: number): void => {
    for (let c = 0; c < m; c++) B[i * m + c] /= lower[i * d + i];
  };
  for (let i = 0; i < d; i++) {
    for (let k = 0; k < i; k++) eliminate(i, k, lower[i * d + k]);
    divide(i);
  }
  for (let i = d - 1; i >= 0; i--) {
    for (let k = i + 1; k < d; k++) eliminate(i, k, lower[k * d + i]);
    divide(i);
  }
}
