/** `espalier compare`: how far two models' outputs are apart, and what either takes. */
import { compareNetworks, loadKernels, millisecondsPerSample } from '../../index.ts';
import type { Dataset } from '../../index.ts';
import { defineCommand, grouped, percent, table } from '../command.ts';
import type { Invocation, Result } from '../command.ts';
import { UsageError } from '../io.ts';
import {
  DATA_FOLDER,
  DATA_OPTIONS,
  fitted,
  openModel,
  openPart,
  PLAIN_OPTIONS,
  READ_OPTIONS,
  SEED_OPTION,
  THREADS_OPTION,
} from '../model.ts';
import { defaultShown, integer, text, withDefault } from '../options.ts';

const OPTIONS = {
  ...DATA_OPTIONS,
  data: DATA_FOLDER,
  part: defaultShown('validation', text('NAME', 'part to compare on')),
  random: integer('N', 'without data: so many random inputs, uniform in -1 ... 1; they say little of real ones', 1),
  worst: withDefault(3, integer('N', 'samples to name that are furthest apart', 0)),
  batch: withDefault(16, integer('N', 'samples per pass; results do not depend on it', 1)),
  ...PLAIN_OPTIONS,
  ...SEED_OPTION,
  ...THREADS_OPTION,
  ...READ_OPTIONS,
};

export const compareCommand = defineCommand({
  name: 'compare',
  summary: "how far two models' outputs are apart",
  positionals: ['A', 'B'],
  description:
    "Runs both on the same samples, prepared as A says. Error: |B - A| over |A|; of the spread: over |A - A's mean|, where 100 % is as far off as answering always the same. Time: milliseconds a sample, one at a time, one thread.",
  example: 'espalier compare model.onnx small.onnx --data pictures --preprocess imagenet',
  options: OPTIONS,
  run,
});

async function run({
  values,
  positionals: [left, right],
  progress,
  signal,
}: Invocation<typeof OPTIONS>): Promise<Result> {
  const { data, random, part = 'validation' } = values;
  if ((data === undefined) === (random === undefined))
    throw new UsageError(
      data === undefined
        ? '--data DIR is missing: samples to compare on; or --random N for random inputs, which say less'
        : '--random: there are samples in --data; leave one of the two out',
    );
  const a = await openModel(left, values, { preprocess: values.preprocess, note: progress.note });
  const b = await openModel(right, values, { preprocess: values.preprocess, note: progress.note });
  const set =
    data === undefined
      ? undefined
      : await openPart({ ...values, data }, part, { ...a.network, network: a.network, progress, signal });
  try {
    const [x, y] = [a, b].map((model) => (set ? fitted(model, set) : model.network));
    const kernels = await loadKernels();
    const total = set?.count ?? random!;
    const { samples, outputs } = await compareNetworks(x, y, set ?? total, {
      kernels,
      threads: values.threads,
      batch: values.batch,
      worst: values.worst,
      seed: values.seed,
      signal,
      onProgress: (done) => progress.count('samples', done, total),
    });
    const models = await Promise.all(
      [
        { path: left, bytes: a.fileBytes, network: x },
        { path: right, bytes: b.fileBytes, network: y },
      ].map(async ({ network, ...model }) => ({
        ...model,
        milliseconds: await millisecondsPerSample(network, kernels),
      })),
    );
    return {
      json: {
        samples,
        inputs: set ? 'data' : 'random',
        outputs: outputs.map(({ worst, ...output }) => ({
          ...output,
          worst: worst.map((one) => ({ ...one, ...(set?.names && { name: set.names[one.sample] }) })),
        })),
        models,
      },
      text: [
        table(
          [
            ['output', 'error', 'of the spread', 'cosine', 'largest', 'worst samples'],
            ...outputs.map(({ name, relativeError, spreadError, cosine, largest, worst }) => [
              name,
              percent(relativeError),
              percent(spreadError),
              cosine.toFixed(6),
              largest.toPrecision(3),
              worst.map(({ sample, error }) => `${nameOf(set, sample)} ${percent(error)}`).join(', '),
            ]),
          ],
          [5],
        ),
        table([
          ['model', 'bytes', 'ms a sample'],
          ...models.map(({ path, bytes, milliseconds }) => [path, grouped(bytes), milliseconds.toPrecision(3)]),
        ]),
        set
          ? `${grouped(samples)} samples of ${data}`
          : `${grouped(samples)} random inputs, which are no pictures: on real ones the error may be another`,
      ].join('\n\n'),
    };
  } finally {
    set?.close();
  }
}

const nameOf = (set: Dataset | undefined, sample: number): string => set?.names?.[sample] ?? String(sample);
