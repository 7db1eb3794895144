/**
 * What the quickstart and the reproduction share: progress on stderr, the report's files, errors of landmark networks.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  evaluate,
  examplesFromArrays,
  landmarkMetrics,
  millisecondsPerSample,
  OUTER_EYES_68,
  preprocess,
  reportHtml,
  saveFile,
  summaryTable,
} from 'espalier';
import type {
  CompressResult,
  Context,
  Examples,
  LandmarkMetrics,
  Network,
  Preprocessing,
  ReportFace,
  ReportMetric,
  RunEvent,
} from 'espalier';

/** One line per epoch and per stage, with the time since the start. */
export function progressLines(start = Date.now()): (event: RunEvent) => void {
  return (event) => {
    const seconds = `${((Date.now() - start) / 1000).toFixed(0).padStart(5)} s`;
    if (event.kind === 'epoch') {
      const validation = event.validation === undefined ? '' : `  validation ${event.validation.toFixed(5)}`;
      console.error(
        `${seconds}  epoch ${event.epoch + 1}/${event.epochs}  loss ${event.loss.toFixed(4)}${validation}  (${event.seconds.toFixed(1)} s)`,
      );
    } else if (event.kind === 'stage') {
      console.error(`${seconds}  stage ${event.index + 1}/${event.count}: ${event.name} ${event.detail}`);
    } else if (event.kind === 'note' || event.kind === 'warning') console.error(`${seconds}  ${event.text}`);
  };
}

/** Pictures (count, side, side) with landmarks (count, 68, 2) as examples for a network with this preprocessing. */
export function facesAsExamples(
  images: Uint8Array,
  landmarks: Float32Array,
  side: number,
  preprocessing: Preprocessing,
): Examples {
  const count = landmarks.length / 136;
  const { width, height } = preprocessing;
  const inputs = new Float32Array(count * width * height);
  for (let i = 0; i < count; i++)
    inputs.set(
      preprocess({ data: images.subarray(i * side * side, (i + 1) * side * side), shape: [side, side] }, preprocessing),
      i * width * height,
    );
  return examplesFromArrays({ inputs, inputShape: [1, height, width], targets: landmarks, targetShape: [136] });
}

/** Errors of a landmark network on a labelled set. */
export async function landmarkErrors(
  network: Network,
  examples: Examples,
  { kernels, threads }: Context,
): Promise<LandmarkMetrics & { predictions: Float32Array }> {
  const { predictions, targets } = await evaluate(network, examples, { kernels, threads });
  return { ...landmarkMetrics(predictions, targets, { points: 68, normalizeBy: OUTER_EYES_68 }), predictions };
}

export interface OutcomeInput {
  readonly title: string;
  readonly description: string;
  readonly folder: string;
  readonly original: Network;
  readonly result: CompressResult;
  /** The set that is reported on, and its pictures if faces are to be drawn. */
  readonly examples: Examples;
  readonly setName: string;
  readonly pictures?: {
    readonly side: number;
    readonly pixels: Uint8Array;
    readonly landmarks: Float32Array;
    readonly shown: readonly number[];
  };
  readonly baseline?: readonly { readonly loss: number; readonly validation?: number }[];
  readonly context: Context;
}

/** Measures both networks, prints the table, writes compressed.safetensors, report.html and report.json. */
export async function writeOutcome(input: OutcomeInput): Promise<{ before: LandmarkMetrics; after: LandmarkMetrics }> {
  const { title, description, folder, original, result, examples, setName, pictures, baseline, context } = input;
  const before = await landmarkErrors(original, examples, context);
  const after = await landmarkErrors(result.network, examples, context);
  const times = [
    await millisecondsPerSample(original, context.kernels),
    await millisecondsPerSample(result.network, context.kernels),
  ];
  const percent = (value: number | undefined): string => `${(100 * (value ?? NaN)).toFixed(2)} %`;
  const metrics: ReportMetric[] = [
    { name: 'time per face, one thread', before: `${times[0].toFixed(2)} ms`, after: `${times[1].toFixed(2)} ms` },
    {
      name: `RMSE on ${setName}`,
      before: before.rmse.toFixed(5),
      after: `${after.rmse.toFixed(5)} (${((after.rmse / before.rmse - 1) * 100).toFixed(1)} %)`,
    },
    { name: `NME on ${setName}`, before: percent(before.nme), after: percent(after.nme) },
    {
      name: `failures over 10 % on ${setName}`,
      before: percent(before.failureRate),
      after: percent(after.failureRate),
    },
  ];
  const faces = pictures?.shown.map((i): ReportFace => {
    const [area, points] = [pictures.side ** 2, 136];
    return {
      side: pictures.side,
      pixels: pictures.pixels.subarray(i * area, (i + 1) * area),
      truth: pictures.landmarks.subarray(i * points, (i + 1) * points),
      before: before.predictions.subarray(i * points, (i + 1) * points),
      after: after.predictions.subarray(i * points, (i + 1) * points),
    };
  });
  await saveFile(join(folder, 'compressed.safetensors'), result.bytes);
  await writeFile(
    join(folder, 'report.html'),
    reportHtml({
      title,
      description,
      report: result.report,
      metrics,
      ...(baseline ? { baseline } : {}),
      ...(faces ? { faces } : {}),
    }),
  );
  const numbers = ({ samples, rmse, nme, nmeMedian, failureRate }: LandmarkMetrics): object => ({
    samples,
    rmse,
    nme,
    nmeMedian,
    failureRate,
  });
  await writeFile(
    join(folder, 'report.json'),
    JSON.stringify(
      {
        title,
        description,
        [setName]: { before: numbers(before), after: numbers(after) },
        milliseconds: times,
        ...result.report,
      },
      null,
      1,
    ),
  );
  console.log(
    `\n${summaryTable(result.report, metrics)}\n\nwritten: ${['compressed.safetensors', 'report.html', 'report.json'].map((name) => join(folder, name)).join(', ')}`,
  );
  return { before, after };
}
