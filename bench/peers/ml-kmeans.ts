/** ml-kmeans, plain JavaScript: Lloyd's iterations with bounds. */
import { readArray } from '../exchange.ts';
import { serve } from '../serve.ts';

/** What is used of the package; it is not installed where this is type-checked. */
interface MlKmeans {
  kmeans(
    data: number[][],
    k: number,
    options: { initialization: number[][]; maxIterations: number; tolerance: number },
  ): { readonly centroids: number[][] };
}

serve(async (job) => {
  if (job.kind !== 'kmeans') throw new Error(`ml-kmeans: no ${job.kind}`);
  const name = 'ml-kmeans';
  const { kmeans } = (await import(name)) as MlKmeans;
  const rows = (path: string, count: number): number[][] => {
    const values = readArray(path);
    return Array.from({ length: count }, (_, i) => [...values.subarray(i * job.d, (i + 1) * job.d)]);
  };
  const points = rows(job.points, job.n);
  const initialization = rows(job.init, job.k);
  let codewords: number[][] = [];
  return {
    run() {
      codewords = kmeans(points, job.k, { initialization, maxIterations: job.iterations, tolerance: 0 }).centroids;
    },
    output: () => Float32Array.from(codewords.flat()),
  };
});
