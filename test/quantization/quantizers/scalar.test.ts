import { describe, expect, test } from 'vitest';
import { normal, stream } from '../../../src/base/random.ts';
import type { Tensor } from '../../../src/base/tensor.ts';
import { examplesFromArrays } from '../../../src/data/index.ts';
import { decode, type ScalarEncoding } from '../../../src/encodings/index.ts';
import { encodeLevels, nearestLevel } from '../../../src/encodings/kinds/scalar.ts';
import type { Examples } from '../../../src/graph/examples.ts';
import type { Context } from '../../../src/graph/transform.ts';
import { loadKernels, portableKernels } from '../../../src/kernels/index.ts';
import { conv, dense, flatten, readNetwork, relu, sequential, writeNetwork } from '../../../src/network/index.ts';
import { quantize, QUANTIZERS, type ParameterReport } from '../../../src/quantization/index.ts';
import { prepareFeedback } from '../../../src/quantization/feedback.ts';
import { load } from '../../../src/runtime/index.ts';
import { evaluate, l2, predictAll, train } from '../../../src/training/index.ts';

const kernels = await loadKernels();
const { scalar } = QUANTIZERS;
const context = { kernels, threads: 1, seed: 0 };
const random = (rows: number, columns: number, seed = 1): Tensor => {
  const draw = stream(seed, 'matrix');
  return { data: Float32Array.from({ length: rows * columns }, () => normal(draw)), shape: [rows, columns] };
};
const fit = (
  matrix: Tensor,
  options: Partial<typeof scalar.defaults> = {},
  importance?: Tensor,
): ReturnType<typeof scalar.fit> =>
  scalar.fit(matrix, { ...scalar.defaults, ...options }, { ...context, ...(importance && { importance }) });

describe('the step', () => {
  test.each([2, 3, 4, 8])('of %d bits: weights on a grid that they fill come back exactly', async (bits) => {
    for (const zeroPoints of [false, true]) {
      const levels = 2 ** bits;
      const zero = zeroPoints ? 1 : levels / 2;
      const data = Float32Array.from({ length: 3 * levels }, (_, i) => ((i % levels) - zero) * 2 ** -7);
      const { encoding, report } = await fit({ data, shape: [3, levels] }, { bits, zeroPoints });
      expect(decode(encoding)).toEqual(data);
      expect(report).toMatchObject({ sumSquares: 0, relativeError: 0, clipping: 1, levelBits: bits, scales: 3 });
      expect([...(encoding.zeros ?? [zero, zero, zero])]).toEqual([zero, zero, zero]);
    }
  });

  test('is never worse than that of the whole range, and with few bits much better', async () => {
    for (const bits of [2, 4, 8]) {
      const matrix = random(6, 200, bits);
      const { report } = await fit(matrix, { bits });
      const scales = Float32Array.from({ length: 6 }, (_, r) => {
        const row = matrix.data.subarray(200 * r, 200 * (r + 1));
        return Math.max(Math.max(...row) / (2 ** (bits - 1) - 1), -Math.min(...row) / 2 ** (bits - 1));
      });
      const whole = decode(encodeLevels(matrix.data, matrix.shape, { bits, scales }));
      const lost = matrix.data.reduce((sum, value, i) => sum + (value - whole[i]) ** 2, 0);
      expect(report.sumSquares).toBeLessThanOrEqual(lost);
      if (bits === 2) {
        expect(report.sumSquares).toBeLessThan(lost / 2);
        expect(report.clipping).toBeLessThan(0.7);
      }
    }
  });

  test('of normal weights loses what the best uniform quantizer does: within 12 %, of 4 levels 35 %, as one must be 0', async () => {
    // Max, "Quantizing for minimum distortion", 1960, table II: mean squared error of 4, 8 and 16 equidistant levels.
    for (const [bits, expected] of [
      [2, 0.1188],
      [3, 0.03744],
      [4, 0.01154],
    ]) {
      const matrix = random(1, 40000);
      const { report } = await fit(matrix, { bits, zeroPoints: true });
      expect(report.sumSquares / 40000).toBeGreaterThan(expected * 0.95);
      expect(report.sumSquares / 40000).toBeLessThan(expected * (bits === 2 ? 1.35 : 1.12));
    }
  });

  test('a scale per channel loses less than one for the layer; a zero point less where weights lie on one side', async () => {
    const matrix = random(8, 32);
    matrix.data.forEach((value, i) => (matrix.data[i] = value * 2 ** -(i >> 5)));
    const layer = await fit(matrix, { bits: 4, scales: 'layer' });
    expect(layer.encoding.scales).toHaveLength(1);
    expect((await fit(matrix, { bits: 4 })).report.sumSquares).toBeLessThan(layer.report.sumSquares);
    const positive = { ...matrix, data: matrix.data.map(Math.abs) };
    const [without, beside] = [await fit(positive, { bits: 4 }), await fit(positive, { bits: 4, zeroPoints: true })];
    expect(beside.report.sumSquares).toBeLessThan(without.report.sumSquares / 2);
    expect([without.encoding.zeros, beside.encoding.zeros?.length]).toEqual([undefined, 8]);
  });

  test('heeds the importance of columns and of weights', async () => {
    const matrix = random(4, 64);
    const columns = Float32Array.from({ length: 64 }, (_, c) => (Math.abs(matrix.data[c]) < 0.5 ? 1 : 1e-6));
    const spread = Float32Array.from({ length: 256 }, (_, i) => columns[i % 64]);
    const lost = ({ encoding }: { encoding: ScalarEncoding }): number =>
      decode(encoding).reduce((sum, value, i) => sum + spread[i] * (value - matrix.data[i]) ** 2, 0);
    const weighted = await fit(matrix, { bits: 3 }, { data: columns, shape: [64] });
    expect(lost(weighted)).toBeLessThan(lost(await fit(matrix, { bits: 3 })));
    expect(await fit(matrix, { bits: 3 }, { data: spread, shape: [4, 64] })).toEqual(weighted);
  });

  test('is clipped to 100, 97.5, ... or 10 % of the range, whichever fits, and to no less', async () => {
    // Weights on a grid, and one that counts for nothing and is beyond it: the range is that much larger.
    const clipped = async (share: number): Promise<number> => {
      const data = Float32Array.from([-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7, 7 / share]);
      const importance = { data: Float32Array.from(data, (_, i) => (i < 16 ? 1 : 0)), shape: [17] };
      return (await fit({ data, shape: [1, 17] }, { bits: 4 }, importance)).report.clipping;
    };
    for (let percent = 100; percent >= 10; percent -= 2.5)
      expect(await clipped(percent / 100)).toBeCloseTo(percent / 100, 12);
    expect(await clipped(0.075)).toBeGreaterThan(0.0999);
    // The mean over rows.
    const rows = Float32Array.from([0, 1, 2, 3, 0, 1, 2, 6]);
    const importance = { data: Float32Array.from([1, 1, 1, 1, 1, 1, 1, 0]), shape: [2, 4] };
    const { report } = await fit({ data: rows, shape: [2, 4] }, { bits: 3 }, importance);
    expect(report).toMatchObject({ clipping: 0.75, sumSquares: 9 });
  });

  test('of zeros alone, and where the largest weights are beyond all scales', async () => {
    const zeros = await fit({ data: new Float32Array(6), shape: [2, 3] });
    expect([...decode(zeros.encoding)]).toEqual([0, 0, 0, 0, 0, 0]);
    const most = (2 - 2 ** -23) * 2 ** 127;
    for (const zeroPoints of [false, true])
      for (const bits of [2, 8]) {
        const matrix = { data: Float32Array.of(most, -most, most / 3), shape: [1, 3] };
        expect(decode((await fit(matrix, { bits, zeroPoints })).encoding).every(Number.isFinite)).toBe(true);
      }
    // The range ends where the least level would be infinite, not before: -8 steps are -most, 7 reach 0.875 of it.
    const uneven = Float32Array.of(0.9 * most, -most);
    const found = decode((await fit({ data: uneven, shape: [1, 2] }, { bits: 4 })).encoding);
    expect([found[0] / most, found[1] / most]).toEqual([expect.closeTo(0.875, 6), expect.closeTo(-1, 6)]);
  });
});

describe('feedback', () => {
  test('is each weight in turn to the level nearest what the errors before it ask for, of rows that gain by it', async () => {
    const columns = 6;
    const mixed = random(columns, columns, 7).data;
    const moments = Float64Array.from({ length: columns * columns }, (_, at) => {
      const [i, j] = [Math.floor(at / columns), at % columns];
      return mixed
        .subarray(0, columns)
        .reduce((sum, _value, k) => sum + mixed[i * columns + k] * mixed[j * columns + k], 0);
    });
    const { factor } = prepareFeedback(moments, columns);
    let fed = 0;
    for (const options of [{ bits: 3 }, { bits: 2, zeroPoints: true }, { bits: 4, scales: 'layer' }] as const) {
      const matrix = random(9, columns, 3);
      const { encoding } = await scalar.fit(matrix, { ...scalar.defaults, ...options }, { ...context, moments });
      const found = decode(encoding);
      for (let row = 0; row < 9; row++) {
        const weights = [...matrix.data.subarray(row * columns, (row + 1) * columns)];
        const group = encoding.scales.length === 1 ? 0 : row;
        const [scale, zero] = [encoding.scales[group], encoding.zeros?.[group] ?? 2 ** (options.bits - 1)];
        const rounded = (value: number): number =>
          Math.fround((nearestLevel(value, scale, zero, options.bits) - zero) * scale);
        const asked = (errors: readonly number[], j: number): number =>
          errors.reduce((sum, error, i) => (i < j ? sum + factor[j * columns + i] * error : sum), 0);
        const errors: number[] = [];
        const turned = weights.map((weight, j) => {
          const chosen = rounded(weight + asked(errors, j) / factor[j * columns + j]);
          errors.push(weight - chosen);
          return chosen;
        });
        const plain = weights.map(rounded);
        const cost = (chosen: readonly number[]): number => {
          const lost = weights.map((weight, j) => weight - chosen[j]);
          return lost.reduce((sum, error, j) => sum + (asked(lost, j) + factor[j * columns + j] * error) ** 2, 0);
        };
        const isBetter = cost(turned) < cost(plain) * (1 - 1e-6);
        if (isBetter) fed++;
        expect([...found.subarray(row * columns, (row + 1) * columns)]).toEqual(isBetter ? turned : plain);
      }
    }
    expect(fed).toBeGreaterThan(5);
    expect(fed).toBeLessThan(27);
  });
});

describe('a network', () => {
  const examples = (count: number, seed: number): Examples => {
    const draw = stream(seed, 'examples');
    const inputs = Float32Array.from({ length: count * 36 }, () => normal(draw));
    const targets = Float32Array.from({ length: count * 2 }, (_, i) => Math.abs(inputs[18 * i]) + inputs[18 * i + 5]);
    return examplesFromArrays({ inputs, inputShape: [1, 6, 6], targets, targetShape: [2] });
  };
  const whole: Context = { ...context, training: examples(128, 1), validation: examples(64, 2) };
  const raw = sequential({ input: [1, 6, 6], seed: 1 }, [conv(8, 3), relu(), flatten(), dense(16), relu(), dense(2)]);

  test.each(['sgd', 'adam'] as const)(
    'quantized, retrained with %s, written, read and run: scales move and the loss falls, levels stay',
    async (kind) => {
      const trained = await train(raw, whole, { epochs: 8, learningRate: 0.01, loss: l2() });
      const { network: coarse, report } = await quantize({ quantizer: 'scalar', bits: 3 })(trained.network, whole);
      expect((report.parameters as ParameterReport[]).map(({ quantizer, status }) => [quantizer, status])).toEqual([
        ['scalar', 'quantized'],
        ['scalar', 'quantized'],
        ['scalar', 'dense'],
      ]);
      const { network: tuned } = await train(coarse, whole, {
        epochs: 4,
        learningRate: kind === 'sgd' ? 0.01 : 0.002,
        loss: l2(),
        optimizer: { kind },
      });
      const loss = async (network: typeof raw): Promise<number> =>
        (await evaluate(network, whole.training!, { kernels, loss: l2() })).loss!;
      expect(await loss(tuned)).toBeLessThan(await loss(coarse));
      const [before, after] = [coarse, tuned].map(
        ({ parameters }) => parameters.get('dense1.weight') as ScalarEncoding,
      );
      expect(after.levels).toEqual(before.levels);
      expect(after.scales).not.toEqual(before.scales);

      const bytes = writeNetwork(tuned);
      expect(bytes.length).toBeLessThan(writeNetwork(raw).length / 2);
      expect(readNetwork(bytes)).toEqual(tuned);
      const inputs = Float32Array.from({ length: 36 }, (_, i) => Math.sin(i));
      const one = examplesFromArrays({ inputs, inputShape: [1, 6, 6] });
      const wanted = await predictAll(tuned, one, { kernels });
      const loaded = await load(bytes);
      expect(await predictAll(readNetwork(bytes), one, { kernels })).toEqual(wanted);
      expect([...(await predictAll(tuned, one, { kernels: portableKernels() }))]).toEqual(
        [...wanted].map((value) => expect.closeTo(value, 5) as unknown),
      );
      expect([...loaded.predict(inputs).data]).toEqual([...wanted].map((value) => expect.closeTo(value, 5) as unknown));
      loaded.dispose();
    },
  );

  test('each layer may have a quantizer of its own', async () => {
    const { network } = await quantize({
      quantizer: 'scalar',
      bits: 4,
      overrides: { 'dense1.weight': { quantizer: 'product', codewordCount: 16 } },
    })(raw, whole);
    expect(network.parameters.get('conv1.weight')!.kind).toBe('scalar');
    expect(network.parameters.get('dense1.weight')!.kind).toBe('product');
  });
});

describe('the price of a bit', () => {
  /** Bits a weight by how often each level stands, and mean squared error in squared steps. */
  const measured = ({ levels, scales }: ScalarEncoding, { data }: Tensor): { bits: number; error: number } => {
    const counts = new Map<number, number>();
    for (const level of levels) counts.set(level, (counts.get(level) ?? 0) + 1);
    let bits = 0;
    for (const count of counts.values()) bits -= (count / levels.length) * Math.log2(count / levels.length);
    const error = data.reduce((sum, value, i) => sum + ((value - (levels[i] - 128) * scales[0]) / scales[0]) ** 2, 0);
    return { bits, error: error / levels.length };
  };
  const WIDE = { bits: 8, scales: 'layer' } as const;

  test.each([
    [0.4, 0.1],
    [1, 0.15],
    [1.5, 0.3],
  ])('step %d, rate %d: error and bits together are less than those of the nearest levels', async (step, rate) => {
    const matrix = random(1, 20000);
    const [nearest, cheap] = await Promise.all(
      [0, rate].map(async (one) => measured((await fit(matrix, { ...WIDE, step, rate: one })).encoding, matrix)),
    );
    expect(cheap.bits).toBeLessThan(nearest.bits);
    expect(cheap.error + rate * cheap.bits).toBeLessThan(nearest.error + rate * nearest.bits);
  });

  test('at one bit a weight normal weights are nearer to what any code can reach than by a wider step', async () => {
    const matrix = random(1, 100000);
    // Variance 1: at R bits the least error is 2^-2R (Shannon, 1959).
    const lost = async (step: number, rate: number): Promise<{ bits: number; lost: number }> => {
      const { bits, error } = measured((await fit(matrix, { ...WIDE, step, rate })).encoding, matrix);
      return { bits, lost: bits - Math.log2(1 / (error * step * step)) / 2 };
    };
    const [priced, wide] = [await lost(1.6, 0.2), await lost(2.4, 0)];
    expect(priced.bits).toBeCloseTo(1, 1);
    expect(wide.bits).toBeCloseTo(1, 1);
    expect(priced.lost).toBeLessThan(wide.lost - 0.15);
    expect(priced.lost).toBeGreaterThan(0);
  });

  test('weighs the importance of a column: what counts for little becomes 0 first', async () => {
    const matrix = random(40, 64);
    const columns = Float32Array.from({ length: 64 }, (_, c) => (c < 32 ? 1 : 0.1));
    const { encoding } = await fit(matrix, { ...WIDE, step: 1, rate: 0.1 }, { data: columns, shape: [64] });
    const zeros = [0, 0];
    encoding.levels.forEach((level, i) => (zeros[i % 64 < 32 ? 0 : 1] += level === 128 ? 1 : 0));
    expect(zeros[1]).toBeGreaterThan(1.3 * zeros[0]);
  });

  test('with feedback: less error where inputs go together, at no more bits', async () => {
    const [rows, columns] = [24, 32];
    const matrix = random(rows, columns);
    // Inputs with much in common.
    const moments = Float64Array.from({ length: columns * columns }, (_, i) =>
      i % columns === Math.floor(i / columns) ? 1 : 0.8,
    );
    const options = { ...scalar.defaults, ...WIDE, step: 0.8, rate: 0.15 };
    const heard = (encoding: ScalarEncoding): number => {
      const found = decode(encoding);
      let sum = 0;
      for (let r = 0; r < rows; r++)
        for (let i = 0; i < columns; i++)
          for (let j = 0; j < columns; j++) {
            const [a, b] = [r * columns + i, r * columns + j];
            sum += (matrix.data[a] - found[a]) * moments[i * columns + j] * (matrix.data[b] - found[b]);
          }
      return sum;
    };
    const [plain, fed] = [
      await scalar.fit(matrix, options, context),
      await scalar.fit(matrix, options, { ...context, moments }),
    ];
    expect(heard(fed.encoding)).toBeLessThan(0.7 * heard(plain.encoding));
    const nearest = await scalar.fit(matrix, { ...options, rate: 0 }, { ...context, moments });
    expect(measured(fed.encoding, matrix).bits).toBeLessThan(0.97 * measured(nearest.encoding, matrix).bits);
  });
});
