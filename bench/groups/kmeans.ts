/**
 * k-means on the same points from the same first codewords, one thread (and two of ours), against faiss, scikit-learn
 * and ml-kmeans.
 */
import { join } from 'node:path';
import { loadKernels, portableKernels } from 'espalier/kernels';
import { kmeans as cluster } from 'espalier/quantization';
import { espalierCommand, SCRATCH, startContender, withContenders } from '../children.ts';
import { normals, writeArray } from '../exchange.ts';
import { summarize, takeTurns } from '../measure.ts';
import { kmeansPeers } from '../peers.ts';
import type { KmeansJob } from '../serve.ts';
import { PROJECT_VERSION, timeRow, valueRow } from './group.ts';
import type { Group } from './group.ts';

const [N, D, K, ITERATIONS] = [131_072, 8, 256, 25];
/**
 * Objectives of peers may be off by this share: they treat empty clusters each in its own way, and compute in other
 * orders.
 */
const BOUND = 0.005;
/** Seconds; a contender that needs more is timed once. */
const PATIENCE = 5;

export const kmeans: Group = {
  name: 'kmeans',
  about: `${N} points of ${D} coordinates, ${K} codewords, ${ITERATIONS} iterations, against faiss, scikit-learn, ml-kmeans`,
  async measure({ rounds }) {
    const points = normals(N * D, 'points');
    const init = points.slice(0, K * D);
    const title = `${N} x ${D}, K ${K}, ${ITERATIONS} iterations`;
    await verifyCodes(points, init);
    const job: KmeansJob = {
      kind: 'kmeans',
      points: writeArray(join(SCRATCH, 'points.f32'), points),
      init: writeArray(join(SCRATCH, 'init.f32'), init),
      n: N,
      d: D,
      k: K,
      iterations: ITERATIONS,
      threads: 1,
    };
    const own = { who: 'espalier', version: PROJECT_VERSION, command: await espalierCommand(), variant: 'simd' };
    const all = [
      { ...own, threads: 1 },
      { ...own, threads: 2 },
      ...kmeansPeers().map((peer) => ({ ...peer, threads: 1 })),
    ];
    return withContenders(async (add) => {
      const contenders = await Promise.all(
        all.map(({ who, command, variant, threads }) =>
          add(startContender(threads > 1 ? `${who}, threads ${threads}` : who, command, { ...job, threads }, variant)),
        ),
      );
      const codewords: Float32Array[] = [];
      const objectives: number[] = [];
      const firstRuns: number[] = [];
      for (const contender of contenders) {
        firstRuns.push(await contender.run());
        const found = await contender.output();
        const objective = objectiveOf(points, found);
        codewords.push(found);
        objectives.push(objective);
        if (!(Math.abs(objective / objectives[0] - 1) <= BOUND))
          throw new Error(`${contender.who}: objective ${objective}, espalier's ${objectives[0]}`);
        console.log(
          `verified: ${contender.who.padEnd(20)} objective ${(objective / objectives[0]).toFixed(5)} of espalier's`,
        );
      }
      if (!same(codewords[0], codewords[1])) throw new Error('kmeans: two threads give other codewords than one');
      // What takes long is timed once, in the run that was verified.
      const patient = contenders.map((contender, i) => ({
        run: contender.run,
        rounds: firstRuns[i] > PATIENCE ? 0 : rounds,
      }));
      const timings = (await takeTurns(patient, rounds)).map((timing, i) =>
        timing.rounds === 0 ? summarize([firstRuns[i]]) : timing,
      );
      return all.flatMap(({ who, version, threads }, i) => [
        timeRow('kmeans', { case: title, what: 'time', who, version, threads }, timings[i]),
        valueRow(
          'kmeans',
          { case: title, what: 'objective', who, version, threads },
          'objective',
          summarize([objectives[i]]),
        ),
      ]);
    });
  },
};

/**
 * The SIMD kernels give the codes and codewords of the portable ones, bit by bit: shown on two iterations, as the
 * portable ones take a second each.
 */
async function verifyCodes(points: Float32Array, init: Float32Array): Promise<void> {
  const [fast, specification] = [await loadKernels(), portableKernels()].map((kernels) =>
    cluster(
      { data: points, shape: [N, D] },
      { codewordCount: K, kernels, init: { data: init, shape: [K, D] }, iterations: 2 },
    ),
  );
  if (!same(fast.codes, specification.codes) || !same(fast.codewords.data, specification.codewords.data))
    throw new Error('kmeans: the SIMD kernels give other codes than the portable ones');
}

function same(a: Float32Array | Int32Array, b: Float32Array | Int32Array): boolean {
  return a.length === b.length && a.every((value, i) => value === b[i]);
}

/** Sum of squared distances to the nearest codeword, in double. */
function objectiveOf(points: Float32Array, codewords: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < N * D; i += D) {
    let least = Infinity;
    for (let k = 0; k < codewords.length; k += D) {
      let distance = 0;
      for (let j = 0; j < D; j++) distance += (points[i + j] - codewords[k + j]) ** 2;
      least = Math.min(least, distance);
    }
    sum += least;
  }
  return sum;
}
