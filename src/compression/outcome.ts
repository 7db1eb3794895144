/** What the validation error of a report does not say: measures of the task, and faces to look at. */
import { classMetrics, landmarkMetrics } from '../data/metrics.ts';
import { own } from '../base/realm.ts';
import { sizeOf } from '../base/tensor.ts';
import type { Examples } from '../graph/examples.ts';
import type { Network } from '../graph/network.ts';
import type { Context } from '../graph/transform.ts';
import { predictAll } from '../training/evaluate.ts';
import type { ReportFace } from './faces.ts';
import { change } from './summary.ts';
import type { ReportMetric } from './summary.ts';

/** For `metrics` and `faces` of {@link reportHtml}. */
export interface Outcome {
  readonly metrics: readonly ReportMetric[];
  readonly faces: readonly ReportFace[];
}

/**
 * Both networks on the same samples: the accuracy of classes; of landmarks NME and failures, and `shown` faces, spread
 * over the set, with what either network finds, where the first input is a square image. Nothing for other tasks.
 *
 * Cost: two passes over the samples.
 * @param setName - what the rows call the set, such as 'validation'
 * @throws {EspalierError} whatever reading the samples throws; `context.signal.reason` when aborted
 */
export async function compareOutcomes(
  original: Network,
  compressed: Network,
  examples: Examples,
  { kernels, threads, signal }: Pick<Context, 'kernels' | 'threads' | 'signal'>,
  { setName = 'validation', shown = 6 }: { readonly setName?: string; readonly shown?: number } = {},
): Promise<Outcome> {
  const { task } = own(original);
  if (task?.kind !== 'classes' && task?.kind !== 'landmarks') return { metrics: [], faces: [] };
  const how = { kernels, threads, ...(signal && { signal }) };
  const before = await predictAll(original, examples, how);
  const after = await predictAll(compressed, examples, how);
  const { count, targetShape } = examples;
  const targets = targetShape && (await readTargets(examples));
  const row = (name: string, a: number, b: number): ReportMetric => ({
    name: `${name} on ${setName}`,
    before: `${(100 * a).toFixed(2)} %`,
    after: `${(100 * b).toFixed(2)} %`,
    change: change(a, b),
  });
  if (task.kind === 'classes') {
    if (!targets) return { metrics: [], faces: [] };
    const classes = before.length / count;
    const [was, is] = [before, after].map((values) => classMetrics(values, targets, classes).accuracy);
    return { metrics: [row('accuracy', was, is)], faces: [] };
  }
  const { points, normalizeBy } = own(task);
  const metrics: ReportMetric[] = [];
  if (targets && normalizeBy && targets.length === before.length) {
    const [was, is] = [before, after].map((values) => landmarkMetrics(values, targets, { points, normalizeBy }));
    metrics.push(row('NME', was.nme!, is.nme!), row('failures over 10 %', was.failureRate!, is.failureRate!));
  }
  const chosen = range(Math.min(shown, count)).map((i) => Math.floor((i * count) / Math.min(shown, count)));
  return { metrics, faces: await facesOf(examples, chosen, 2 * points, { before, after, truth: targets }) };
}

const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

/** All targets; inputs pass by, some at a time. */
async function readTargets(examples: Examples): Promise<Float32Array> {
  const width = sizeOf(examples.targetShape!);
  const all = new Float32Array(examples.count * width);
  for (let i = 0; i < examples.count; i += 64) {
    const indices = range(Math.min(64, examples.count - i)).map((k) => i + k);
    all.set((await readSamples(examples, indices)).targets!, i * width);
  }
  return all;
}

async function readSamples(
  examples: Examples,
  indices: readonly number[],
): Promise<{ inputs: Float32Array; targets: Float32Array | undefined }> {
  const { inputShape, targetShape } = examples;
  const inputs = new Float32Array(indices.length * sizeOf(inputShape));
  const targets = targetShape && new Float32Array(indices.length * sizeOf(targetShape));
  await examples.read(indices, inputs, targets);
  return { inputs, targets };
}

/** The first channel of inputs that are square images, each from its least value (black) to its largest (white). */
async function facesOf(
  examples: Examples,
  chosen: readonly number[],
  width: number,
  landmarks: Readonly<Record<'before' | 'after' | 'truth', Float32Array | undefined>>,
): Promise<ReportFace[]> {
  const [channels, side, columns] = examples.inputShape;
  if (examples.inputShape.length !== 3 || side !== columns || chosen.length === 0) return [];
  const { inputs } = await readSamples(examples, chosen);
  return chosen.map((sample, i): ReportFace => {
    const values = inputs.subarray(i * channels * side * side, (i * channels + 1) * side * side);
    const [least, most] = values.reduce(
      ([a, b], value) => [Math.min(a, value), Math.max(b, value)],
      [Infinity, -Infinity],
    );
    const pixels = Uint8Array.from(values, (value) => Math.round((255 * (value - least)) / (most - least || 1)));
    const found = Object.entries(landmarks).flatMap(([of, all]) =>
      all && all.length >= (sample + 1) * width ? [[of, all.subarray(sample * width, (sample + 1) * width)]] : [],
    );
    return { side, pixels, ...Object.fromEntries(found) } as ReportFace;
  });
}
