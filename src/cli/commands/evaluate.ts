/** `espalier evaluate`: the errors of a model on a part of an array folder. */
import {
  classMetrics,
  EspalierError,
  evaluate,
  inferShapes,
  landmarkMetrics,
  loadKernels,
  regressionMetrics,
  sizeOf,
} from '../../index.ts';
import type { Evaluation, Task } from '../../index.ts';
import { defineCommand, grouped, percent, table } from '../command.ts';
import type { Invocation, Result } from '../command.ts';
import { DATA_OPTIONS, fitted, openModel, openPart, PLAIN_OPTIONS, READ_OPTIONS, THREADS_OPTION } from '../model.ts';
import { integer, required, text, withDefault } from '../options.ts';
import { countedExamples } from '../progress.ts';

const OPTIONS = {
  ...DATA_OPTIONS,
  part: required(text('NAME', 'part to evaluate on: test, validation, ...')),
  ...PLAIN_OPTIONS,
  batch: withDefault(32, integer('N', 'samples per pass; results do not depend on it', 1)),
  ...THREADS_OPTION,
  ...READ_OPTIONS,
};

export const evaluateCommand = defineCommand({
  name: 'evaluate',
  summary: 'measure a model on a part of the data',
  positionals: ['MODEL'],
  description:
    'Landmarks: RMSE in units of the crop, NME by the outer eye corners (mean and median), failures above 10 %. Classes: accuracy. Numbers: RMSE.',
  example: 'espalier evaluate small.safetensors --data faces68 --part test --json',
  options: OPTIONS,
  run,
});

async function run({ values, positionals: [path], progress, signal }: Invocation<typeof OPTIONS>): Promise<Result> {
  const model = await openModel(path, values, { preprocess: values.preprocess, note: progress.note });
  const data = await openPart(values, values.part, { ...model.network, network: model.network, progress, signal });
  try {
    const network = fitted(model, data);
    if (!data.targetShape || !network.task)
      throw new EspalierError('DATA', `part ${values.part} of ${values.data} has no targets to compare with`, {
        name: values.part,
      });
    const [outputs, width] = [sizeOf(inferShapes(network).get(network.outputs[0]) ?? []), sizeOf(data.targetShape)];
    if (network.task.kind !== 'classes' && outputs !== width)
      throw new EspalierError(
        'DATA',
        `${path} yields ${outputs} numbers, the targets are ${width}; the data belong to another model`,
        { found: outputs },
      );
    const kernels = await loadKernels();
    const evaluation = await evaluate(network, countedExamples(data, progress, 'samples'), {
      kernels,
      threads: values.threads,
      batch: values.batch,
      signal,
    });
    const json = metricsOf(network.task, evaluation, outputs);
    return { json, text: table(Object.entries(json).map(([name, value]) => [name, written(name, value)])) };
  } finally {
    data.close();
  }
}

/** Plain numbers by name. */
function metricsOf(
  task: Task,
  { predictions, targets }: Evaluation,
  outputs: number,
): Readonly<Record<string, number>> {
  if (task.kind === 'classes') return classMetrics(predictions, targets, outputs);
  if (task.kind === 'regression') return regressionMetrics(predictions, targets, outputs);
  const { samples, rmse, nme, nmeMedian, failureRate } = landmarkMetrics(predictions, targets, {
    points: task.points,
    normalizeBy: task.normalizeBy,
  });
  return {
    samples,
    rmse,
    ...(nme === undefined || nmeMedian === undefined || failureRate === undefined
      ? {}
      : { nme, nmeMedian, failureRate }),
  };
}

function written(name: string, value: number): string {
  if (name === 'samples') return grouped(value);
  return name === 'rmse' ? value.toPrecision(4) : percent(value);
}
