/** Error feedback: laws for every quantizer that has it, NumPy's factor, and what it does for a network. */
import { describe, expect, test } from 'vitest';
import { normal, stream } from '../../src/base/random.ts';
import type { Tensor } from '../../src/base/tensor.ts';
import { decode } from '../../src/encodings/index.ts';
import { measureMoments, openMoments } from '../../src/importance/index.ts';
import type { LayerMoments } from '../../src/importance/index.ts';
import { loadKernels } from '../../src/kernels/index.ts';
import { dense, sequential } from '../../src/network/index.ts';
import {
  QUANTIZER_NAMES,
  quantize,
  quantizeParameterAsync,
  quantizerOf,
  resolveQuantizer,
} from '../../src/quantization/index.ts';
import type { FitContext, QuantizerSettings } from '../../src/quantization/index.ts';
import { columnImportance, prepareFeedback } from '../../src/quantization/feedback.ts';
import vectors from '../vectors/least_squares.json' with { type: 'json' };
import {
  chain,
  contextOf,
  data,
  parallel,
  randomInputs,
  randomize,
  residual,
  run,
  separable,
} from '../pruning/networks.ts';

const context: FitContext = { kernels: await loadKernels(), threads: 1, seed: 5 };

/** Weights, and second moments of inputs that depend on each other. */
function drawn(rows: number, columns: number, seed: number): { matrix: Tensor; moments: Float64Array } {
  const draw = stream(seed, 'matrix');
  const mixed = Float64Array.from({ length: columns * columns }, () => normal(draw));
  const moments = new Float64Array(columns * columns);
  for (let i = 0; i < columns; i++)
    for (let j = 0; j < columns; j++)
      for (let k = 0; k < columns; k++) moments[i * columns + j] += mixed[i * columns + k] * mixed[j * columns + k];
  return {
    matrix: { data: Float32Array.from({ length: rows * columns }, () => normal(draw)), shape: [rows, columns] },
    moments,
  };
}

/** (w - q) H (w - q)^T of each row, with the damping that is stated. */
function errors(
  { data: weights, shape: [rows, columns] }: Tensor,
  decoded: Float32Array,
  moments: Float64Array,
): number[] {
  let trace = 0;
  for (let j = 0; j < columns; j++) trace += moments[j * columns + j];
  return Array.from({ length: rows }, (_, r) => {
    let sum = 0;
    for (let i = 0; i < columns; i++)
      for (let j = 0; j < columns; j++)
        sum +=
          (weights[r * columns + i] - decoded[r * columns + i]) *
          (moments[i * columns + j] + (i === j ? (0.01 * trace) / columns : 0)) *
          (weights[r * columns + j] - decoded[r * columns + j]);
    return sum;
  });
}

const settings: QuantizerSettings[] = [
  { subvectorLength: 4, codewordCount: 16 },
  { subvectorLength: 4, codewordCount: 16, signs: 'none' },
  // Columns that are left over, a codebook for each sub-space, single weights.
  { subvectorLength: 5, codewordCount: 8 },
  { subvectorLength: 3, codewordCount: 8, codebooks: 'subspace', signs: 'none' },
  { subvectorLength: 1, codewordCount: 4 },
  { quantizer: 'scalar', bits: 3 },
  { quantizer: 'scalar', bits: 2, zeroPoints: true },
  { quantizer: 'scalar', bits: 4, scales: 'layer' },
  { quantizer: 'binary' },
];

async function fitted(setting: QuantizerSettings, matrix: Tensor, more: Partial<FitContext>): Promise<Float32Array> {
  const { quantizer, options } = resolveQuantizer('test', 'options', setting);
  const { encoding, report } = await quantizer.fit(matrix, options, { ...context, ...more });
  const decoded = decode(encoding);
  // The report is of what came out.
  const squares = matrix.data.reduce((sum, value, i) => sum + (value - decoded[i]) ** 2, 0);
  expect(Math.abs(report.sumSquares - squares)).toBeLessThanOrEqual(1e-9 * squares);
  return decoded;
}

test('every quantizer that feeds errors back is among the settings', () => {
  // Connections that go leave nothing to be made good by levels: what is kept stays as it is.
  const feeding = QUANTIZER_NAMES.filter((name) => name !== 'connections');
  expect(new Set(settings.map(({ quantizer = 'product' }) => quantizer))).toEqual(new Set(feeding));
  for (const name of QUANTIZER_NAMES) expect(quantizerOf(name).kind).toBe(name);
});

describe.each(settings)('%o', (setting) => {
  test('equal moments of independent inputs: the same as without', async () => {
    for (const scale of [0, 1, 1e-6, 1e9]) {
      const { matrix } = drawn(13, 22, 3);
      const moments = new Float64Array(22 * 22);
      for (let j = 0; j < 22; j++) moments[j * 22 + j] = scale;
      expect(await fitted(setting, matrix, { moments })).toEqual(await fitted(setting, matrix, {}));
    }
  });

  test('no row has a larger error than without, in the moments, from the same codebooks; all together less', async () => {
    let [before, after] = [0, 0];
    for (let seed = 1; seed <= 25; seed++) {
      const { matrix, moments } = drawn(1 + (seed % 14), 22, seed);
      // The importance that columns have by themselves, so that codebooks and steps are the same.
      const { factor } = prepareFeedback(moments, 22);
      const largest = Math.max(...Array.from({ length: 22 }, (_, j) => factor[j * 22 + j]));
      const data = Float32Array.from({ length: 22 }, (_, j) => (factor[j * 22 + j] / largest) ** 2);
      const importance = { data, shape: [22] };
      const without = errors(matrix, await fitted(setting, matrix, { importance }), moments);
      const fed = errors(matrix, await fitted(setting, matrix, { moments }), moments);
      fed.forEach((error, r) => {
        expect(error).toBeLessThanOrEqual(without[r] * (1 + 1e-6) + 1e-12);
        after += error;
        before += without[r];
      });
    }
    expect(after).toBeLessThan(0.95 * before);
  });
});

test('the factor is NumPy’s (1e-10): T^T T is the matrix with 1 % of its mean diagonal added', () => {
  const { factor } = prepareFeedback(Float64Array.from(vectors.covariance), vectors.columns);
  factor.forEach((value, i) => expect(Math.abs(value - vectors.factor[i])).toBeLessThan(1e-10));
});

test('refused: moments of another size, with NaN, and what no inputs have', async () => {
  const { matrix, moments } = drawn(4, 8, 1);
  await expect(fitted(settings[0], matrix, { moments: moments.slice(1) })).rejects.toThrow(
    /expected 8 x 8 numbers.*got 63/,
  );
  for (const wrong of [NaN, Infinity, 1e6])
    await expect(
      fitted(settings[0], matrix, { moments: moments.map((value, i) => (i === 1 || i === 8 ? wrong : value)) }),
    ).rejects.toMatchObject({ code: 'NONFINITE' });
});

describe.each(Object.entries({ chain, residual, parallel }))('quantize, %s', (_name, make) => {
  const network = make();
  const layers = [...network.parameters.keys()].filter(
    (name) => name.endsWith('.weight') && network.parameters.get(name)!.shape.length > 1,
  );
  const given = contextOf(network, randomInputs(network, 200, 5));
  const probe = randomInputs(network, 32, 6);
  // Two bits: small layers too are smaller, whatever their codebook takes.
  const options = { quantizer: 'scalar', bits: 2, scales: 'layer' } as const;

  test('outputs are nearer to the original the more of the inputs is gone by', async () => {
    const before = await run(network, probe);
    const distance = async (feedback: 'none' | 'diagonal' | 'full'): Promise<number> => {
      const { network: small } = await quantize({ ...options, parameters: layers, feedback })(network, given);
      const after = await run(small, probe);
      return Math.sqrt(after.reduce((sum, value, i) => sum + (value - before[i]) ** 2, 0));
    };
    expect(await distance('full')).toBeLessThan(await distance('none'));
    expect(await distance('diagonal')).not.toBe(await distance('none'));
  });
});

test.each([
  { quantizer: 'scalar', bits: 3 },
  { subvectorLength: 3, codewordCount: 16, signs: 'none', codebooks: 'subspace' },
] as const)('groups of rows with moments of their own: as each by itself, %o', async (setting) => {
  const [rows, columns, groups] = [4, 9, 3];
  const parts = [5, 6, 7].map((seed) => drawn(rows, columns, seed));
  const join = <T extends Float32Array | Float64Array>(all: readonly T[], make: new (values: number[]) => T): T =>
    new make(all.flatMap((values) => [...values]));
  const matrix = {
    data: join(parts.map((part) => part.matrix.data) as Float32Array[], Float32Array),
    shape: [groups * rows, columns],
  };
  const moments = join(
    parts.map((part) => part.moments),
    Float64Array,
  );
  const decoded = await fitted(setting, matrix, { moments });
  // From the same codebooks and steps.
  const importance = columnImportance(prepareFeedback(moments, columns), groups * rows)!;
  const [before, after] = [await fitted(setting, matrix, { importance }), decoded].map((values) =>
    parts.reduce((sum, part, g) => {
      const own = values.subarray(g * rows * columns, (g + 1) * rows * columns);
      return errors(part.matrix, own, part.moments).reduce((total, error) => total + error, sum);
    }, 0),
  );
  expect(after).toBeLessThan(0.95 * before);
  // Scales are of rows, so what a group becomes does not depend on those beside it.
  if (!('quantizer' in setting)) return;
  for (const [g, part] of parts.entries())
    expect(decoded.subarray(g * rows * columns, (g + 1) * rows * columns)).toEqual(
      await fitted(setting, part.matrix, { moments: part.moments }),
    );
});

test('refused: moments of more groups than share the rows evenly', async () => {
  const { matrix, moments } = drawn(5, 4, 1);
  await expect(fitted(settings[5], matrix, { moments: Float64Array.from([...moments, ...moments]) })).rejects.toThrow(
    /groups that share 5 rows evenly, got 2/,
  );
});

test('the channels of a depthwise convolution are quantized by what each reads', async () => {
  const network = separable();
  const options = { quantizer: 'scalar', bits: 2, parameters: ['depthwise.weight'] } as const;
  const given = contextOf(network, randomInputs(network, 50, 5));
  const probe = randomInputs(network, 32, 6);
  const before = await run(network, probe, 'norm');
  const distance = async (feedback: 'none' | 'diagonal' | 'full'): Promise<number> => {
    const { network: small } = await quantize({ ...options, feedback })(network, given);
    const after = await run(small, probe, 'norm');
    return after.reduce((sum, value, i) => sum + (value - before[i]) ** 2, 0);
  };
  expect(await distance('full')).toBeLessThan(0.9 * (await distance('none')));
  expect(await distance('diagonal')).not.toBe(await distance('none'));
});

describe('quantizeParameterAsync with moments', () => {
  const network = chain();
  const given = contextOf(network, randomInputs(network, 200, 5));

  test('the bias takes the mean of the error, so that mean responses stay (1e-5); others are not touched', async () => {
    const moments = (await measureMoments(network, ['conv2'], given)).get('conv2')!;
    const { network: small } = await quantizeParameterAsync(network, 'conv2.weight', {
      subvectorLength: 2,
      codewordCount: 4,
      moments,
    });
    const [before, after] = [network, small].map((one) => decode(one.parameters.get('conv2.weight')!));
    const bias = data(small, 'conv2.bias');
    for (let o = 0; o < moments.outputs; o++) {
      let difference = bias[o];
      for (let j = 0; j < moments.columns; j++)
        difference += (after[o * moments.columns + j] - before[o * moments.columns + j]) * moments.mean[j];
      expect(Math.abs(difference)).toBeLessThan(1e-5);
    }
    for (const [name, encoding] of network.parameters)
      if (!name.startsWith('conv2')) expect(small.parameters.get(name)).toBe(encoding);
  });

  test('with responses of a reference, what layers before have lost is made good as far as it can be', async () => {
    const two = { quantizer: 'scalar', bits: 2 } as const;
    const { network: lossy } = await quantizeParameterAsync(network, 'conv1.weight', two);
    const meter = await openMoments('test', network, given);
    const rows = [...Array(5).keys()];
    const moments = (await meter.measure(lossy, [{ node: 'conv2', rows }])).get('conv2')!;
    const { responses: _none, ...alone } = moments;
    const probe = randomInputs(network, 64, 6);
    const before = await run(network, probe, 'conv2');
    const distance = async (known: LayerMoments): Promise<number> => {
      const options = { quantizer: 'scalar', bits: 5, moments: known } as const;
      const { network: small } = await quantizeParameterAsync(lossy, 'conv2.weight', options);
      const after = await run(small, probe, 'conv2');
      return after.reduce((sum, value, i) => sum + (value - before[i]) ** 2, 0);
    };
    expect(await distance(moments)).toBeLessThan(0.9 * (await distance(alone)));
    // Mean responses are the reference's.
    const { network: small } = await quantizeParameterAsync(lossy, 'conv2.weight', { ...two, moments });
    const { mean, columns, responses } = moments;
    const [after, bias] = [decode(small.parameters.get('conv2.weight')!), data(small, 'conv2.bias')];
    for (let o = 0; o < 5; o++) {
      let response = bias[o];
      for (let j = 0; j < columns; j++) response += after[o * columns + j] * mean[j];
      expect(Math.abs(response - responses!.mean[o])).toBeLessThan(1e-5);
    }
  });

  test('a bias that layers share stays', async () => {
    const twin = sequential({ input: [40] }, [dense(40), dense(40)]);
    const one = randomize(
      {
        ...twin,
        nodes: twin.nodes.map((node) => ({ ...node, parameters: { ...node.parameters, bias: 'dense1.bias' } })),
        parameters: new Map([...twin.parameters].filter(([name]) => name !== 'dense2.bias')),
      },
      3,
    );
    const inputs = contextOf(one, randomInputs(one, 50, 2));
    const moments = (await measureMoments(one, ['dense2'], inputs)).get('dense2')!;
    const { network: small, report } = await quantizeParameterAsync(one, 'dense2.weight', {
      quantizer: 'scalar',
      bits: 2,
      moments,
    });
    expect(report.status).toBe('quantized');
    expect(small.parameters.get('dense1.bias')).toBe(one.parameters.get('dense1.bias'));
  });

  test('refused: feedback without moments, an unknown kind, no data', async () => {
    const options = { subvectorLength: 2, codewordCount: 4 };
    await expect(quantizeParameterAsync(network, 'conv2.weight', { ...options, feedback: 'full' })).rejects.toThrow(
      /moments: expected what the layer reads/,
    );
    expect(() => quantize({ ...options, feedback: 'some' as never })).toThrow(
      /feedback: expected one of none, diagonal, full/,
    );
    const { training: _none, ...without } = given;
    await expect(quantize({ ...options, feedback: 'full' })(network, without)).rejects.toMatchObject({ code: 'DATA' });
  });
});
