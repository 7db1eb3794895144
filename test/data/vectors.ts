/** The vectors of `test/vectors/data.py` (NumPy, PyTorch), and how to compare with them. */
import { readFileSync } from 'node:fs';
import { expect } from 'vitest';

type Size = readonly [number, number];

export interface Vectors {
  resize: { source: Size; target: Size; image: number[]; area: number[]; bilinear: number[] }[];
  preprocess: { source: Size; target: Size; epsilon: number; image: number[]; input: number[] };
  warp: {
    shape: number[];
    image: number[];
    points: number[];
    warps: { matrix: [number, number, number, number, number, number]; image: number[]; points: number[] }[];
  };
  metrics: {
    points: number;
    normalizeBy: Size;
    predictions: number[];
    targets: number[];
    rmse: number;
    nme: number;
    nmeMedian: number;
    failureRate: number;
    errors: number[];
    curve: number[];
    area: number;
  };
  npy: { file: string; shape: number[]; type: string; values: string[] }[];
  refused: string[];
  beyond: string;
}

export const vectors = JSON.parse(readFileSync(new URL('../vectors/data.json', import.meta.url), 'utf8')) as Vectors;

export const fromBase64 = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'base64'));

/** Largest absolute difference; the lengths must be equal. */
export function difference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  expect(a.length).toBe(b.length);
  let most = 0;
  for (let i = 0; i < a.length; i++)
    most = Math.max(most, Number.isNaN(a[i] - b[i]) ? Infinity : Math.abs(a[i] - b[i]));
  return most;
}
