import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { concatenated, examplesFromArrays, meanTarget, subset } from '../../src/data/index.ts';
import type { Examples } from '../../src/graph/examples.ts';

/** Sample i of a set: inputs base + i, base + i + 0.5, target 10 (base + i). */
function numbered(count: number, base = 0): Examples {
  const inputs = Float32Array.from({ length: 2 * count }, (_, i) => base + Math.floor(i / 2) + (i % 2) / 2);
  return examplesFromArrays({
    inputs,
    inputShape: [2],
    targets: Float32Array.from({ length: count }, (_, i) => 10 * (base + i)),
    targetShape: [1],
  });
}

async function read(examples: Examples, indices: readonly number[]): Promise<{ inputs: number[]; targets: number[] }> {
  const inputs = new Float32Array(indices.length * 2),
    targets = new Float32Array(indices.length);
  await examples.read(indices, inputs, targets);
  return { inputs: Array.from(inputs), targets: Array.from(targets) };
}

describe('sets in memory', () => {
  it('give the samples asked for, in any order, some twice', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(8), { maxLength: 20 }), async (indices) => {
        expect(await read(numbered(9), indices)).toEqual({
          inputs: indices.flatMap((i) => [i, i + 0.5]),
          targets: indices.map((i) => 10 * i),
        });
      }),
    );
  });

  it('read the same whether cut from a whole or joined of parts, however parts and order fall', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 5 }),
        fc.infiniteStream(fc.nat(1000)),
        async (sizes, picks) => {
          const total = sizes.reduce((a, b) => a + b);
          const whole = numbered(total);
          const starts = sizes.map((_, i) => sizes.slice(0, i).reduce((a, b) => a + b, 0));
          const joined = concatenated(sizes.map((size, i) => numbered(size, starts[i])));
          const cut = concatenated(
            sizes.map((size, i) =>
              subset(
                whole,
                Array.from({ length: size }, (_, k) => starts[i] + k),
              ),
            ),
          );
          const indices = Array.from({ length: 12 }, () => (picks.next().value as number) % total);
          expect(joined.count).toBe(total);
          expect(await read(joined, indices)).toEqual(await read(whole, indices));
          expect(await read(cut, indices)).toEqual(await read(whole, indices));
        },
      ),
      { numRuns: 40 },
    );
  });

  it('pass on in which epoch they are read', async () => {
    const passes: unknown[] = [];
    const source: Examples = {
      ...numbered(4),
      read: (_indices, _inputs, _targets, pass) => {
        passes.push(pass);
      },
    };
    const pass = { seed: 3, epoch: 5 };
    await concatenated([subset(source, [1, 2]), source]).read([0, 3], new Float32Array(4), undefined, pass);
    expect(passes).toEqual([pass, pass]);
  });

  it('have the mean of their targets, also over several batches', async () => {
    expect(Array.from(await meanTarget(numbered(1001)))).toEqual([5000]);
    await expect(meanTarget(examplesFromArrays({ inputs: new Float32Array(2), inputShape: [2] }))).rejects.toThrow(
      /unlabelled/,
    );
  });

  it('refuse arrays that do not fit, empty sets, and values that are not finite, naming the sample', () => {
    const inputs = new Float32Array(6);
    expect(() => examplesFromArrays({ inputs, inputShape: [4] })).toThrow(/multiple of 4/);
    expect(() => examplesFromArrays({ inputs, inputShape: [0] })).toThrow(RangeError);
    expect(() => examplesFromArrays({ inputs: [1, 2] as never, inputShape: [2] })).toThrow(TypeError);
    expect(() => examplesFromArrays({ inputs, inputShape: 'x' as never })).toThrow(TypeError);
    expect(() => examplesFromArrays({ inputs, inputShape: [2], targets: new Float32Array(3) })).toThrow(
      /both or neither/,
    );
    expect(() =>
      examplesFromArrays({ inputs, inputShape: [2], targets: new Float32Array(2), targetShape: [1] }),
    ).toThrow(/expected 3 samples/);
    expect(() => examplesFromArrays({ inputs: new Float32Array(0), inputShape: [2] })).toThrow(
      expect.objectContaining({ code: 'DATA' }),
    );
    const bad = Float32Array.from([1, 2, 3, NaN, 5, 6]);
    expect(() => examplesFromArrays({ inputs: bad, inputShape: [2] })).toThrow(/got NaN in sample 1, element 1/);
    expect(() =>
      examplesFromArrays({ inputs, inputShape: [2], targets: Float32Array.from([0, 0, Infinity]), targetShape: [1] }),
    ).toThrow(expect.objectContaining({ code: 'DATA', details: expect.objectContaining({ offset: 2 }) }));
  });

  it('refuse indices outside, too little room, and targets of an unlabelled set', async () => {
    const examples = numbered(3);
    for (const index of [-1, 3, 0.5, NaN])
      expect(() => examples.read([index], new Float32Array(2), undefined)).toThrow(RangeError);
    expect(() => examples.read([0, 1], new Float32Array(3), undefined)).toThrow(/room for 4/);
    expect(() => examples.read([0, 1], new Float32Array(4), new Float32Array(1))).toThrow(/room for 2/);
    const unlabelled = examplesFromArrays({ inputs: new Float32Array(2), inputShape: [2] });
    expect(() => unlabelled.read([0], new Float32Array(2), new Float32Array(1))).toThrow(/unlabelled/);
    expect(() => subset(examples, [3])).toThrow(RangeError);
    expect(() => subset(examples, [])).toThrow(/at least one/);
    expect(() => concatenated([])).toThrow(/at least one set/);
    expect(() => concatenated(undefined as never)).toThrow(TypeError);
    expect(() => concatenated([examples, unlabelled])).toThrow(/expected targets \[1\], got no targets/);
    expect(() => concatenated([examples, { ...examples, inputShape: [3] }])).toThrow(
      /expected inputs \[2\], got \[3\]/,
    );
    await expect(concatenated([examples]).read([3], new Float32Array(2), undefined)).rejects.toThrow(RangeError);
  });
});
