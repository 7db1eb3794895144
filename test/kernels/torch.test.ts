/** Both sets, and double precision, against PyTorch 1.13 (test/vectors/kernels.py). */
import { beforeAll, describe, expect, it } from 'vitest';
import { ACTIVATION, portableKernels } from '../../src/kernels/index.ts';
import vectors from '../vectors/kernels.json';
import { bothSets, openBench, type Bench } from './bench.ts';
import { callKernel } from '../../src/kernels/specification/call.ts';

const names = ['portable', 'simd', 'portable in double'] as const;
let benches: Record<(typeof names)[number], Bench>;
beforeAll(async () => {
  const [portable, simd] = await bothSets();
  benches = {
    portable: openBench(portable),
    simd: openBench(simd, { scratchWords: 1 << 20 }),
    'portable in double': openBench(portableKernels(), { precision: 'float64' }),
  };
});

describe.each(names)('%s against PyTorch', (name) => {
  const bound = name === 'portable in double' ? 1e-8 : 1e-5;
  const title = `within ${bound} (1 + |expected|)`;
  /** Lays a fresh bench. */
  const start = (): Bench => {
    benches[name].reset();
    return benches[name];
  };
  const expectClose = (bench: Bench, offset: number, expected: readonly number[]): void => {
    bench.read(offset, expected.length).forEach((value, i) => {
      if (!(Math.abs(value - expected[i]) <= bound * (1 + Math.abs(expected[i]))))
        expect.fail(`element ${i}: expected ${expected[i]}, got ${value}`);
    });
    bench.checkGuards();
  };

  it.each(vectors.convolution.map((vector, i) => ({ ...vector, i })))(
    `convolution $i, both gradients: ${title}`,
    ({ geometry, x, w, b, y, dy, dx, dw }) => {
      const bench = start(),
        { kernels, scratch, set } = bench;
      const at = {
        geometry: bench.geometry(geometry),
        x: bench.floats(x),
        w: bench.floats(w),
        b: bench.floats(b),
        dy: bench.floats(dy),
      };
      const packed = bench.room(set.sizes.packedWords(geometry, 'forward')),
        packedBack = bench.room(set.sizes.packedWords(geometry, 'transposed'));
      const out = { y: bench.room(y.length), dx: bench.room(dx.length), dw: bench.room(dw.length) };
      kernels.convolutionPack(scratch, at.geometry, at.w, packed, 0);
      kernels.convolutionPack(scratch, at.geometry, at.w, packedBack, 1);
      callKernel(kernels, 'convolutionForward', scratch, {
        geometry: at.geometry,
        x: at.x,
        packed,
        bias: at.b,
        y: out.y,
        sample: 0,
        samples: 2,
        position: 0,
        positions: geometry.heightOut * geometry.widthOut,
        activation: ACTIVATION.none,
        parameters: -1,
      });
      kernels.convolutionBackwardInput(scratch, at.geometry, at.dy, packedBack, out.dx, 0, 2);
      kernels.convolutionBackwardWeights(scratch, at.geometry, at.x, at.dy, out.dw, 0, 2, 0);
      expectClose(bench, out.y, y);
      expectClose(bench, out.dx, dx);
      expectClose(bench, out.dw, dw);
    },
  );

  it.each(vectors.pooling.map((vector, i) => ({ ...vector, i })))(
    `$kind pooling $i: ${title}, the same arg max`,
    ({ kind, countPadding, geometry, x, y, dy, dx, argmax = [] }) => {
      const bench = start(),
        { kernels, scratch } = bench;
      const at = { geometry: bench.geometry(geometry), x: bench.floats(x), dy: bench.floats(dy) },
        out = { y: bench.room(y.length), where: bench.room(y.length), dx: bench.room(dx.length) };
      if (kind === 'max') {
        kernels.maxPoolForward(scratch, at.geometry, at.x, out.y, out.where, 0, 3);
        kernels.maxPoolBackward(scratch, at.geometry, at.dy, out.where, out.dx, 0, 3);
        expect(bench.readInts(out.where, y.length)).toEqual(argmax);
      } else {
        kernels.averagePoolForward(scratch, at.geometry, at.x, out.y, countPadding, 0, 3);
        kernels.averagePoolBackward(scratch, at.geometry, at.dy, out.dx, countPadding, 0, 3);
      }
      expectClose(bench, out.y, y);
      expectClose(bench, out.dx, dx);
    },
  );

  it(`batch normalization in training, backward and folded: ${title}`, () => {
    const bench = start(),
      { kernels, scratch } = bench,
      v = vectors.batchNorm,
      { samples, channels, positions } = v;
    const at = {
      x: bench.floats(v.x),
      dy: bench.floats(v.dy),
      scale: bench.floats(v.scale),
      shift: bench.floats(v.shift),
      mean: bench.floats(v.mean),
      variance: bench.floats(v.variance),
      hyper: bench.floats([v.epsilon, v.momentum]),
    };
    const out = {
      y: bench.room(v.y.length),
      dx: bench.room(v.dx.length),
      dscale: bench.room(2),
      dshift: bench.room(2),
      mean: bench.room(2),
      inverse: bench.room(2),
      scale: bench.room(2),
      shift: bench.room(2),
    };
    callKernel(kernels, 'batchNormForward', scratch, {
      x: at.x,
      scale: at.scale,
      shift: at.shift,
      runningMean: at.mean,
      runningVariance: at.variance,
      savedMean: out.mean,
      savedInverse: out.inverse,
      y: out.y,
      hyper: at.hyper,
      samples,
      allChannels: channels,
      positions,
      channel: 0,
      channels,
    });
    callKernel(kernels, 'batchNormBackward', scratch, {
      x: at.x,
      dy: at.dy,
      scale: at.scale,
      savedMean: out.mean,
      savedInverse: out.inverse,
      dx: out.dx,
      dscale: out.dscale,
      dshift: out.dshift,
      samples,
      allChannels: channels,
      positions,
      channel: 0,
      channels,
    });
    expectClose(bench, out.y, v.y);
    expectClose(bench, out.dx, v.dx);
    expectClose(bench, out.dscale, v.dscale);
    expectClose(bench, out.dshift, v.dshift);
    expectClose(bench, at.mean, v.meanAfter);
    expectClose(bench, at.variance, v.varianceAfter);
    callKernel(kernels, 'batchNormFold', scratch, {
      scale: at.scale,
      shift: at.shift,
      mean: at.mean,
      variance: at.variance,
      scaleOut: out.scale,
      shiftOut: out.shift,
      hyper: at.hyper,
      channels,
    });
    callKernel(kernels, 'affineForward', scratch, {
      x: at.x,
      scale: out.scale,
      shift: out.shift,
      y: out.y,
      samples,
      allChannels: channels,
      positions,
      activation: ACTIVATION.none,
      parameters: -1,
    });
    expectClose(bench, out.y, v.inference);
  });

  it(`softmax: ${title}`, () => {
    const bench = start(),
      { kernels, scratch } = bench,
      { rows, columns, x, y, dy, dx } = vectors.softmax;
    const at = { x: bench.floats(x), dy: bench.floats(dy), y: bench.room(y.length), dx: bench.room(dx.length) };
    kernels.softmaxForward(scratch, at.x, at.y, rows, columns, 1, 1);
    kernels.softmaxBackward(scratch, at.y, at.dy, at.dx, rows, columns);
    expectClose(bench, at.y, y);
    expectClose(bench, at.dx, dx);
  });

  it.each(vectors.optimizers)(`$name, four steps: ${title}`, ({ hyper, w, gradients, weights }) => {
    const bench = start(),
      { kernels, scratch } = bench,
      zeros = new Float32Array(w.length);
    const at = {
      w: bench.floats(w),
      g: bench.floats(zeros),
      m: bench.floats(zeros),
      v: bench.floats(zeros),
      hyper: bench.floats(new Float32Array(8)),
      clip: bench.floats([1, 0]),
    };
    const { float } = bench.workspace.heap;
    gradients.forEach((gradient, step) => {
      float.set(gradient, at.g);
      if (hyper.kind === 'sgd') {
        float.set([hyper.rate, hyper.momentum!, hyper.weightDecay, hyper.nesterov!], at.hyper);
        kernels.sgdUpdate(scratch, at.w, at.g, at.v, w.length, at.hyper, at.clip);
      } else {
        const beta1 = hyper.beta1!,
          beta2 = hyper.beta2!;
        float.set(
          [
            hyper.rate,
            beta1,
            beta2,
            hyper.epsilon!,
            hyper.weightDecay,
            hyper.decoupled!,
            1 - beta1 ** (step + 1),
            1 - beta2 ** (step + 1),
          ],
          at.hyper,
        );
        kernels.adamUpdate(scratch, at.w, at.g, at.m, at.v, w.length, at.hyper, at.clip);
      }
      expectClose(bench, at.w, weights[step]);
    });
  });

  // PyTorch adds 1e-6 to the norm that it divides by.
  it.each(vectors.clipping)(
    'gradient clipping at $limit: norm and clipped gradient within 1e-5',
    ({ limit, gradient, norm, clipped }) => {
      const bench = start(),
        { kernels, scratch } = bench;
      const g = bench.floats(gradient),
        parts = bench.room(2),
        most = bench.floats([limit]),
        out = bench.room(2);
      kernels.sumSquares(scratch, g, 4, parts);
      kernels.sumSquares(scratch, g + 4, gradient.length - 4, parts + 1);
      kernels.clipScale(scratch, parts, 2, most, out);
      const [scale, found] = bench.read(out, 2);
      expect(Math.abs(found - norm)).toBeLessThan(1e-5);
      gradient.forEach((value, i) => expect(Math.abs(scale * value - clipped[i])).toBeLessThan(1e-5));
    },
  );
});
