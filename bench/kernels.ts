/**
 * Speed of the products, one thread: GFLOP/s per layer and weighted by work, beside the machine's rate of 128-bit multiply-adds.
 * Every result is first compared with the portable kernels at sampled outputs. Rounds of all kernels and of the peak loops are interleaved and the
 * best of each is kept, in processor time, so that a neighbour's load falls on both alike. Run: npx tsx bench/kernels.ts [rounds]
 */
import { cpus } from 'node:os';
import { createHeap, createPortableKernels, geometryWords, loadKernels, type Geometry, type KernelSet } from '../src/kernels/index.ts';
import { below, normal, stream } from '../src/random.ts';
import { cpuSeconds, peakLoops } from './peak.ts';

const BATCH = 32;
/** [channels in, channels out, side] of the convolutions 3 x 3 with padding 1. */
const LAYERS = [[1, 32, 64], [32, 32, 64], [32, 64, 32], [64, 64, 32], [64, 128, 16], [128, 128, 16], [128, 256, 8], [256, 256, 8]] as const;
const SAMPLED = 40;

interface Job {
  readonly group: string;
  readonly name: string;
  readonly operations: number;
  run(): void;
  /** Largest error at sampled outputs as a share of the bound. */
  verify(): number;
}

const rounds = Number(process.argv[2] ?? 7);
const set = await loadKernels();
if (set.name !== 'simd') throw new Error(set.reason);
const peaks = await peakLoops();
const jobs = [...LAYERS.flatMap((layer) => convolutionJobs(set, layer)), ...matmulJobs(set)];

for (const job of jobs) {
  job.run();
  const share = job.verify();
  if (!(share <= 1)) throw new Error(`${job.group} ${job.name}: error ${share} times the bound`);
}

const bestPeak = new Map(peaks.map(({ name }) => [name, 0])), seconds = new Map(jobs.map((job) => [job, Infinity]));
for (let round = 0; round < rounds; round++) {
  for (const loop of peaks) bestPeak.set(loop.name, Math.max(bestPeak.get(loop.name) ?? 0, loop.run()));
  for (const job of jobs) {
    const start = cpuSeconds();
    job.run();
    seconds.set(job, Math.min(seconds.get(job) ?? Infinity, cpuSeconds() - start));
  }
}

const peak = Math.max(...bestPeak.values());
console.log(`${cpus()[0].model}, Node ${process.version}, one thread, best of ${rounds} rounds`);
console.log(`peak loops, GFLOP/s: ${[...bestPeak].map(([name, rate]) => `${name} ${rate.toFixed(1)}`).join('  ')}`);
const line = (group: string, name: string, operations: number, time: number): void => {
  const rate = operations / time / 1e9;
  console.log(`${group.padEnd(18)}${name.padEnd(26)}${(time * 1e3).toFixed(2).padStart(9)} ms${rate.toFixed(1).padStart(8)} GFLOP/s${(100 * rate / peak).toFixed(0).padStart(5)} % of peak`);
};
for (const group of new Set(jobs.map((job) => job.group))) {
  const members = jobs.filter((job) => job.group === group);
  for (const job of members) line(group, job.name, job.operations, seconds.get(job) ?? Infinity);
  if (group !== 'matmul') line(group, 'weighted by work', members.reduce((sum, job) => sum + job.operations, 0), members.reduce((sum, job) => sum + (seconds.get(job) ?? Infinity), 0));
}

/** The three kernels and the packing of one layer. */
function convolutionJobs(kernelSet: KernelSet, [channelsIn, channelsOut, side]: readonly [number, number, number]): Job[] {
  const geometry: Geometry = {
    channelsIn, heightIn: side, widthIn: side, channelsOut, heightOut: side, widthOut: side, kernelHeight: 3, kernelWidth: 3,
    strideY: 1, strideX: 1, paddingTop: 1, paddingLeft: 1, dilationY: 1, dilationX: 1, groups: 1,
  };
  const positions = side * side, input = BATCH * channelsIn * positions, output = BATCH * channelsOut * positions, taps = channelsIn * 9;
  let total = 0;
  const add = (count: number): number => (total += count) - count;
  const shape = add(16), weights = add(channelsOut * taps), x = add(input), y = add(output), dx = add(input), dw = add(channelsOut * taps);
  const packed = add(kernelSet.packedWords(geometry, 'forward')), packedBack = add(kernelSet.packedWords(geometry, 'backward'));
  const scratchWords = Math.max(...(['convolutionPack', 'convolutionForward', 'convolutionBackwardInput', 'convolutionBackwardWeights'] as const).map((kernel) => kernelSet.scratchWords(kernel, geometry)));
  const { heap: { float, int }, kernels, scratch } = kernelSet.openSync({ words: total, scratchWords });
  int.set(geometryWords(geometry), shape);
  fill(float, weights, channelsOut * taps, 1);
  fill(float, x, input, 2);
  const pack = (): void => {
    kernels.convolutionPack(scratch, shape, weights, packed, 0);
    kernels.convolutionPack(scratch, shape, weights, packedBack, 1);
  };
  pack();
  const random = stream(1, 'sampled');
  const sample = (count: number, at: (i: number) => { terms: number; actual: number; value: (magnitude: boolean) => number }): number =>
    Math.max(...Array.from({ length: SAMPLED }, () => {
      const { terms, actual, value } = at(below(random, count));
      return Math.abs(actual - value(false)) / (2 * terms * 2 ** -24 * value(true));
    }));
  /** x or dy at a position that may lie outside. */
  const read = (base: number, plane: number, iy: number, ix: number): number => (iy < 0 || ix < 0 || iy >= side || ix >= side ? 0 : float[base + plane * positions + iy * side + ix]);
  const product = (a: number, b: number, magnitude: boolean): number => (magnitude ? Math.abs(a * b) : a * b);
  const each = (outer: number, inner: number, of: (i: number, tap: number) => number): number => {
    let sum = 0;
    for (let i = 0; i < outer; i++) for (let tap = 0; tap < inner; tap++) sum += of(i, tap);
    return sum;
  };
  const name = `${channelsIn} -> ${channelsOut}, ${side} x ${side}`, operations = 2 * BATCH * positions * channelsOut * taps;
  return [
    {
      group: 'forward', name, operations,
      run: () => kernels.convolutionForward(scratch, shape, x, packed, -1, y, 0, BATCH, 0, positions, 0, 0),
      verify: () => sample(output, (i) => {
        const n = Math.floor(i / positions / channelsOut), o = Math.floor(i / positions) % channelsOut, oy = Math.floor(i % positions / side), ox = i % side;
        return { terms: taps, actual: float[y + i], value: (magnitude) => each(channelsIn, 9, (c, tap) => product(float[weights + o * taps + c * 9 + tap], read(x, n * channelsIn + c, oy + Math.floor(tap / 3) - 1, ox + tap % 3 - 1), magnitude)) };
      }),
    },
    {
      group: 'to input', name, operations,
      run: () => kernels.convolutionBackwardInput(scratch, shape, y, packedBack, dx, 0, BATCH),
      verify: () => sample(input, (i) => {
        const n = Math.floor(i / positions / channelsIn), c = Math.floor(i / positions) % channelsIn, iy = Math.floor(i % positions / side), ix = i % side;
        return { terms: channelsOut * 9, actual: float[dx + i], value: (magnitude) => each(channelsOut, 9, (o, tap) => product(float[weights + o * taps + c * 9 + tap], read(y, n * channelsOut + o, iy - Math.floor(tap / 3) + 1, ix - tap % 3 + 1), magnitude)) };
      }),
    },
    {
      group: 'to weights', name, operations,
      run: () => kernels.convolutionBackwardWeights(scratch, shape, x, y, dw, 0, BATCH, 0),
      verify: () => sample(channelsOut * taps, (i) => {
        const o = Math.floor(i / taps), c = Math.floor(i % taps / 9), ky = Math.floor(i % 9 / 3) - 1, kx = i % 3 - 1;
        return { terms: BATCH * positions, actual: float[dw + i], value: (magnitude) => each(BATCH, positions, (n, p) => product(float[y + (n * channelsOut + o) * positions + p], read(x, n * channelsIn + c, Math.floor(p / side) + ky, p % side + kx), magnitude)) };
      }),
    },
  ];
}

function matmulJobs(kernelSet: KernelSet): Job[] {
  const { heap: { float }, kernels, scratch } = kernelSet.openSync({ words: 3 * 4096 * 1024, scratchWords: kernelSet.scratchWords('matmul', undefined, [1024, 4096, 4096]) });
  const a = 0, b = 4096 * 1024, c = 2 * 4096 * 1024;
  fill(float, a, 2 * 4096 * 1024, 3);
  // [name, m, n, k, row and column strides of a, of b]; x [32, 4096], W [1024, 4096], dy [32, 1024].
  const cases: [string, number, number, number, number, number, number, number][] = [
    ['512', 512, 512, 512, 512, 1, 512, 1], ['1024', 1024, 1024, 1024, 1024, 1, 1024, 1], ['512, b transposed', 512, 512, 512, 512, 1, 1, 512], ['512, a transposed', 512, 512, 512, 1, 512, 512, 1],
    ['y = x W^T', 32, 1024, 4096, 4096, 1, 1, 4096], ['dx = dy W', 32, 4096, 1024, 1024, 1, 4096, 1], ['dW = dy^T x', 1024, 4096, 32, 1, 1024, 4096, 1],
    ['y = x W^T, batch 1', 1, 1024, 4096, 4096, 1, 1, 4096], ['dx = dy W, batch 1', 1, 4096, 1024, 1024, 1, 4096, 1],
  ];
  return cases.map(([name, m, n, k, aRow, aColumn, bRow, bColumn]) => ({
    group: 'matmul', name, operations: 2 * m * n * k,
    run: () => kernels.matmul(scratch, m, n, k, a, aRow, aColumn, b, bRow, bColumn, c, n, 0, 0, 0, 0),
    verify: () => verifyMatmul(float, { m, n, k, a, aRow, aColumn, b, bRow, bColumn, c }),
  }));
}

/** Sampled elements of c against the portable kernel, which takes the row and the column alone. */
function verifyMatmul(float: ArrayLike<number>, { m, n, k, a, aRow, aColumn, b, bRow, bColumn, c }: Record<'m' | 'n' | 'k' | 'a' | 'aRow' | 'aColumn' | 'b' | 'bRow' | 'bColumn' | 'c', number>): number {
  const heap = createHeap(2 * k + 1, 'float64'), portable = createPortableKernels(heap), random = stream(2, 'sampled');
  let worst = 0;
  for (let s = 0; s < SAMPLED; s++) {
    const i = below(random, m), j = below(random, n);
    const value = (of: (x: number) => number): number => {
      for (let l = 0; l < k; l++) {
        heap.float[l] = of(float[a + i * aRow + l * aColumn]);
        heap.float[k + l] = of(float[b + l * bRow + j * bColumn]);
      }
      portable.matmul(0, 1, 1, k, 0, 1, 1, k, 1, 1, 2 * k, 1, 0, 0, 0, 0);
      return heap.float[2 * k];
    };
    worst = Math.max(worst, Math.abs(float[c + i * n + j] - value((x) => x)) / (2 * k * 2 ** -24 * value(Math.abs)));
  }
  return worst;
}

function fill(float: { [index: number]: number }, at: number, count: number, seed: number): void {
  const random = stream(seed, 'bench');
  for (let i = 0; i < count; i++) float[at + i] = normal(random);
}
