/** Where the interface allows output over input: the same floats as apart from it. */
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { ACTIVATION } from '../../src/kernels/index.ts';
import { bothSets, lengths, normals, openBench, seeds, type Bench } from './bench.ts';
import { callKernel } from '../../src/kernels/specification/call.ts';

let benches: readonly Bench[];
beforeAll(async () => {
  benches = (await bothSets()).map((set) => openBench(set));
});

/** Calls with inputs a and b (and small things at c) and output `to`; [3, 2, n] where a shape is asked for. */
type Call = (bench: Bench, a: number, b: number, c: readonly number[], to: number, n: number) => void;
const cases: readonly (readonly [string, Call])[] = [
  [
    'add over a',
    ({ kernels, scratch }, a, b, [slope], to, n) => kernels.add(scratch, a, b, to, 6 * n, ACTIVATION.leakyRelu, slope),
  ],
  [
    'add over b',
    ({ kernels, scratch }, a, b, [slope], to, n) => kernels.add(scratch, b, a, to, 6 * n, ACTIVATION.none, slope),
  ],
  ['multiply over a', ({ kernels, scratch }, a, b, _c, to, n) => kernels.multiply(scratch, a, b, to, 6 * n)],
  ['multiply over b', ({ kernels, scratch }, a, b, _c, to, n) => kernels.multiply(scratch, b, a, to, 6 * n)],
  [
    'affineForward',
    ({ kernels, scratch }, a, _b, [scale, shift], to, n) =>
      callKernel(kernels, 'affineForward', scratch, {
        x: a,
        scale,
        shift,
        y: to,
        samples: 3,
        allChannels: 2,
        positions: n,
        activation: ACTIVATION.relu,
        parameters: -1,
      }),
  ],
  [
    'affineBackward over dy',
    ({ kernels, scratch }, a, _b, [scale], to, n) => kernels.affineBackward(scratch, a, scale, to, 3, 2, n),
  ],
  [
    'batchNormBackward over dy',
    ({ kernels, scratch }, dy, x, [scale, mean, inverse, dscale, dshift], to, n) =>
      callKernel(kernels, 'batchNormBackward', scratch, {
        x,
        dy,
        scale,
        savedMean: mean,
        savedInverse: inverse,
        dx: to,
        dscale,
        dshift,
        samples: 3,
        allChannels: 2,
        positions: n,
        channel: 0,
        channels: 2,
      }),
  ],
  ['softmaxForward', ({ kernels, scratch }, a, _b, _c, to, n) => kernels.softmaxForward(scratch, a, to, 6, n, 1, 1)],
  [
    'softmaxBackward over dy',
    ({ kernels, scratch }, dy, y, _c, to, n) => kernels.softmaxBackward(scratch, y, dy, to, 6, n),
  ],
  [
    'sumParts over part 0',
    ({ kernels, scratch }, a, _b, _c, to, n) => kernels.sumParts(scratch, a, to, 2, 3 * n, 3 * n),
  ],
];

describe.each(cases)('%s in place', (name, call) => {
  it('gives the floats that it gives apart, on both sets', () => {
    fc.assert(
      fc.property(seeds, lengths, (seed, n) => {
        for (const bench of benches) {
          const size = name.startsWith('sumParts') ? 3 * n : 6 * n;
          const results = [false, true].map((inPlace) => {
            bench.reset();
            const a = bench.floats(normals(seed, 6 * n)),
              b = bench.floats(normals(seed + 1, 6 * n)),
              c = [2, 3, 4, 5, 6].map((i) => bench.floats(normals(seed + i, 2)));
            const to = inPlace ? a : bench.room(6 * n);
            call(bench, a, b, c, to, n);
            bench.checkGuards();
            return bench.read(to, size);
          });
          expect(results[1]).toEqual(results[0]);
        }
      }),
      { numRuns: 20 },
    );
  });
});
