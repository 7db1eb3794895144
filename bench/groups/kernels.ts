/**
 * The products, one thread: convolutions of all kinds, forward and both gradients, and matrix products, beside the
 * machine's rate of 128-bit multiply-adds.
 */
import { callKernel, createHeap, createPortableKernels, loadKernels, portableKernels } from 'espalier/kernels';
import type { KernelSet } from 'espalier/kernels';
import { below, stream } from 'espalier';
import { normals } from '../exchange.ts';
import { openLayer } from '../layers.ts';
import type { LayerKernel, LayerShape } from '../layers.ts';
import { repeatsOf, takeTurns, timed, verify } from '../measure.ts';
import { peakLoops } from '../peak.ts';
import { PROJECT_VERSION, timeRow } from './group.ts';
import type { Group } from './group.ts';

const BATCH = 16;
/**
 * Results may differ from the portable kernels' by this share of the largest one: the sums of thousands of terms, and
 * Winograd's rounding.
 */
const BOUND = 1e-4;
const WHAT: Readonly<Record<LayerKernel, string>> = {
  forward: 'forward',
  toInput: 'gradient of the input',
  toWeights: 'gradient of the weights',
};

const LAYERS: readonly (readonly [name: string, shape: LayerShape])[] = [
  // The VGG's, from the first to the last.
  ...(
    [
      [1, 32, 96],
      [32, 32, 96],
      [32, 64, 48],
      [64, 64, 48],
      [64, 128, 24],
      [128, 128, 24],
      [128, 256, 12],
      [256, 256, 12],
    ] as const
  ).map(
    ([channelsIn, channelsOut, side]) =>
      [`3x3, ${channelsIn} to ${channelsOut}, ${side} x ${side}`, { channelsIn, channelsOut, side }] as const,
  ),
  ['3x3, 3 to 32, 96 x 96', { channelsIn: 3, channelsOut: 32, side: 96 }],
  ['3x3 stride 2, 3 to 32, 96 x 96', { channelsIn: 3, channelsOut: 32, side: 96, stride: 2 }],
  ['7x7 stride 2, 3 to 64, 96 x 96', { channelsIn: 3, channelsOut: 64, side: 96, size: 7, stride: 2 }],
  ['3x3 stride 2, 96 to 160, 24 x 24', { channelsIn: 96, channelsOut: 160, side: 24, stride: 2 }],
  ['1x1, 128 to 128, 24 x 24', { channelsIn: 128, channelsOut: 128, side: 24, size: 1 }],
  ['1x1, 512 to 512, 6 x 6', { channelsIn: 512, channelsOut: 512, side: 6, size: 1 }],
  ['depthwise 3x3, 128, 24 x 24', { channelsIn: 128, channelsOut: 128, side: 24, groups: 128 }],
  ['depthwise 3x3 stride 2, 128, 24 x 24', { channelsIn: 128, channelsOut: 128, side: 24, stride: 2, groups: 128 }],
  ['depthwise 3x3, 512, 6 x 6', { channelsIn: 512, channelsOut: 512, side: 6, groups: 512 }],
];

/**
 * Name, m, n, k, row and column strides of a, of b. Dense layers: x [batch, 9216], W [1024, 9216], dy [batch, 1024].
 */
const PRODUCTS: readonly (readonly [string, number, number, number, number, number, number, number])[] = [
  ['matmul 512', 512, 512, 512, 512, 1, 512, 1],
  ['matmul 1024', 1024, 1024, 1024, 1024, 1, 1024, 1],
  ['matmul 512, a transposed', 512, 512, 512, 1, 512, 512, 1],
  ['matmul 512, b transposed', 512, 512, 512, 512, 1, 1, 512],
  ['dense 9216 to 1024, batch 16, forward', 16, 1024, 9216, 9216, 1, 1, 9216],
  ['dense 9216 to 1024, batch 16, to input', 16, 9216, 1024, 1024, 1, 9216, 1],
  ['dense 9216 to 1024, batch 16, to weights', 1024, 9216, 16, 1, 1024, 9216, 1],
  ['dense 9216 to 1024, batch 1, forward', 1, 1024, 9216, 9216, 1, 1, 9216],
];

/** Something that is timed: the labels of its row, its operations, and one call. */
interface Job {
  readonly case: string;
  readonly what: string;
  readonly who: string;
  readonly operations: number;
  run(): void;
}

export const kernels: Group = {
  name: 'kernels',
  about: 'convolutions and matrix products against the peak of multiply-add loops, one thread',
  async measure({ rounds }) {
    const set = await loadKernels();
    if (set.name !== 'simd') throw new Error(set.reason);
    const peaks = (await peakLoops()).map(({ name, operations, run }): Job => ({
      case: 'peak',
      what: name,
      who: 'processor',
      operations,
      run,
    }));
    const jobs = [...peaks, ...LAYERS.flatMap(([name, shape]) => layerJobs(set, name, shape)), ...productJobs(set)];
    const repeats = jobs.map(({ run }) => repeatsOf(run));
    const timings = await takeTurns(
      jobs.map(({ run }, i) => ({ run: () => timed(run, repeats[i]) })),
      rounds,
    );
    return jobs.map(({ case: name, what, who, operations }, i) =>
      timeRow(
        'kernels',
        { case: name, what, who, version: who === 'espalier' ? PROJECT_VERSION : '', work: operations / 1e9 },
        timings[i],
      ),
    );
  },
};

/** The three kernels of a layer, each compared with the portable one on the last two samples. */
function layerJobs(set: KernelSet, name: string, shape: LayerShape): Job[] {
  const layer = openLayer(set, shape, BATCH);
  const specification = openLayer(portableKernels(), shape, 2);
  specification.take(layer, BATCH - 2, 2);
  return (['forward', 'toInput', 'toWeights'] as const).map((kernel) => {
    layer.run[kernel](BATCH - 2, 2);
    specification.run[kernel](0, 2);
    verify(`${name}, ${WHAT[kernel]}`, layer.result(kernel, BATCH - 2, 2), specification.result(kernel, 0, 2), BOUND);
    return {
      case: name,
      what: WHAT[kernel],
      who: 'espalier',
      operations: layer.operations,
      run: () => layer.run[kernel](0, BATCH),
    };
  });
}

function productJobs(set: KernelSet): Job[] {
  const largest = 1024 * 9216;
  const [a, b, c] = [0, largest, 2 * largest];
  const {
    heap: { float },
    kernels: { matmul },
    scratch,
  } = set.openSync({
    words: 3 * largest,
    scratchWords: set.sizes.scratchWords('matmul', undefined, [1024, 9216, 9216]),
  });
  float.set(normals(2 * largest, 'factors'), a);
  return PRODUCTS.map(([name, m, n, k, aRow, aColumn, bRow, bColumn]) => {
    const run = (): void =>
      callKernel({ matmul }, 'matmul', scratch, {
        m,
        n,
        k,
        a,
        aRow,
        aColumn,
        b,
        bRow,
        bColumn,
        c,
        cRow: n,
        flags: 0,
        bias: 0,
        activation: 0,
        parameters: 0,
      });
    run();
    verifyProduct(name, float, { m, n, k, a, aRow, aColumn, b, bRow, bColumn, c });
    return { case: name, what: 'product', who: 'espalier', operations: 2 * m * n * k, run };
  });
}

/** Sampled elements of c against the portable kernel, which takes the row and the column alone. */
function verifyProduct(
  name: string,
  float: ArrayLike<number>,
  {
    m,
    n,
    k,
    a,
    aRow,
    aColumn,
    b,
    bRow,
    bColumn,
    c,
  }: Record<'m' | 'n' | 'k' | 'a' | 'aRow' | 'aColumn' | 'b' | 'bRow' | 'bColumn' | 'c', number>,
): void {
  const heap = createHeap(2 * k + 1, 'float64');
  const portable = createPortableKernels(heap);
  const random = stream(2, 'sampled');
  const samples = Array.from({ length: 40 }, () => ({ i: below(random, m), j: below(random, n) }));
  const expected = samples.map(({ i, j }) => {
    for (let l = 0; l < k; l++) {
      heap.float[l] = float[a + i * aRow + l * aColumn];
      heap.float[k + l] = float[b + l * bRow + j * bColumn];
    }
    callKernel(portable, 'matmul', 0, {
      m: 1,
      n: 1,
      k,
      a: 0,
      aRow: 1,
      aColumn: 1,
      b: k,
      bRow: 1,
      bColumn: 1,
      c: 2 * k,
      cRow: 1,
      flags: 0,
      bias: 0,
      activation: 0,
      parameters: 0,
    });
    return heap.float[2 * k];
  });
  verify(
    name,
    samples.map(({ i, j }) => float[c + i * n + j]),
    expected,
    BOUND,
  );
}
