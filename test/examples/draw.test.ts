import { expect, it } from 'vitest';
import { drawFaces } from '../../examples/faces/draw.ts';
import { syntheticFaces } from '../../examples/faces/index.ts';

it(
  'two threads draw the bytes of one, from any first face, and tell how far they are',
  { timeout: 60_000 },
  async () => {
    const told: number[] = [];
    const options = { count: 70, seed: 3, first: 5, side: 32 };
    const drawn = await drawFaces({ ...options, threads: 2, onProgress: (count) => told.push(count) });
    expect(drawn).toEqual(syntheticFaces(options));
    expect(told).toHaveLength(3);
    expect(told.at(-1)).toBe(70);
    await expect(drawFaces({ count: 1, side: 8, threads: 2 })).rejects.toThrow(/side/);
  },
);
