/** `espalier compress`: prune, quantize and retrain layer by layer. */
import {
  compareNetworks,
  compareOutcomes,
  compress,
  inferShapes,
  parameterCount,
  reportHtml,
  saveFile,
  splitBytes,
  summaryTable,
} from '../../index.ts';
import type { CompressionReport, Dataset, Difference, Network, Outcome } from '../../index.ts';
import { createContext, defineCommand, grouped, percent, table } from '../command.ts';
import type { Invocation, Result } from '../command.ts';
import { checkDataGiven, COMPRESS_OPTIONS, compressOptions } from '../compress-options.ts';
import { checkpointFolder, checkPlaces, openCheckpoint, removeCheckpoints, checkEnding } from '../files.ts';
import { fitted, heldOutShare, openModel, openPart, unfitted } from '../model.ts';
import { endsInOnnx, modelBytes } from '../onnx.ts';
import { made } from '../made.ts';
import type { Fact } from '../made.ts';
import { augmented, howToGoOn, inCheckpoint, inUnit, onWriteError } from '../runs.ts';

type Compress = Invocation<typeof COMPRESS_OPTIONS>;

export const compressCommand = defineCommand({
  name: 'compress',
  summary: 'make a trained network small: prune, quantize, retrain',
  positionals: ['MODEL'],
  description:
    'MODEL is a file of espalier, a model of ONNX or TensorFlow.js (model.json), or plain weights with --network. Steps are judged on the validation part. Without --data its weights are quantized, and no more: nothing is retrained or judged. Where the data have no labels, the original is the teacher, and what counts is how far the outputs move. Started again after a stop or a crash with the same options, a run goes on from its last epoch and ends in the same bytes.',
  example: 'espalier compress faces.safetensors --data faces68 -o small.safetensors --keep 0.75 --report report.html',
  options: COMPRESS_OPTIONS,
  run,
  afterStop: howToGoOn,
});

async function run(invocation: Compress): Promise<Result> {
  const {
    values,
    positionals: [path],
    progress,
  } = invocation;
  checkDataGiven(values);
  const folder = values.data === undefined ? undefined : checkpointFolder(values.checkpoint, values.output);
  await checkPlaces({
    sources: { MODEL: path, '--options': values.options, '--layers': values.layers, '--preprocess': values.preprocess },
    data: values.data,
    outputs: { '--output': values.output, '--report': values.report },
    checkpoint: folder,
  });
  checkEnding('--output', values.output, '.safetensors');
  if (values.report !== undefined) checkEnding('--report', values.report, '.html');
  const { data } = values;
  const place = await openCheckpoint(folder, 'compress', onWriteError(values.onCheckpointError));
  const model = await openModel(path, values, { preprocess: values.preprocess, dense: true, note: progress.note });
  const { weighsTeacher, ...chosen } = await compressOptions(values, model.network);

  const sets = data === undefined ? undefined : await openSets({ ...values, data }, model.network, invocation);
  try {
    const network = sets
      ? await inUnit(values.unit, model, fitted(model, sets.training), sets.training)
      : unfitted(model, values.preprocess);
    const context = {
      ...(await createContext(invocation, values)),
      ...(sets && { training: augmented(values.augment, sets.training, network.task), validation: sets.validation }),
    };
    // Where nothing says what is right, the original does.
    const options = sets && !sets.training.targetShape && !weighsTeacher ? { ...chosen, teacherWeight: 1 } : chosen;
    progress.expect({
      pruned: options.retrainPruned.epochs,
      quantized: options.retrainQuantized.epochs,
      final: options.final.epochs,
    });
    const {
      network: small,
      bytes,
      report: own,
    } = await inCheckpoint(place, () =>
      compress(network, context, {
        ...options,
        originalBytes: model.fileBytes,
        ...(place ? { checkpoint: place.checkpoint } : {}),
      }),
    );
    const isOnnx = endsInOnnx(values.output);
    const file = isOnnx ? modelBytes(values.output, small) : bytes;
    await saveFile(values.output, file);
    const report = isOnnx ? { ...own, bytes: file.length, split: splitBytes(small, file.length) } : own;
    const apart = sets && (await movedBy(network, small, sets.validation, context));
    const outcome = await outcomeOf(network, small, report, sets?.validation, context, values);
    if (values.report !== undefined)
      await saveFile(
        values.report,
        html(path, values, report, outcome, [
          ...made('compress', [path], values, context),
          { name: 'settings', value: JSON.stringify(options) },
        ]),
      );
    await removeCheckpoints(place);
    const written = `written: ${[values.output, values.report].filter((file) => file !== undefined).join(', ')}`;
    return {
      json: { output: values.output, ...report, ...(apart && { outputs: apart.outputs }) },
      text: [
        describeModel(path, network),
        summaryTable(report, outcome.metrics),
        ...(apart ? [movedText(apart)] : []),
        `${sets ? '' : `${BLIND}\n`}${written}`,
      ].join('\n\n'),
    };
  } finally {
    sets?.training.close();
    sets?.validation.close();
  }
}

/**
 * How far each output moved, where that is what counts: without labels, or where a network has several. Else undefined, since
 * the report has the error itself.
 */
async function movedBy(
  network: Network,
  small: Network,
  validation: Dataset,
  { kernels, threads, signal }: Parameters<typeof compareOutcomes>[3],
): Promise<Difference | undefined> {
  if (validation.targetShape && network.outputs.length === 1) return undefined;
  return compareNetworks(network, small, validation, { kernels, threads, worst: 1, ...(signal && { signal }) });
}

function movedText({ samples, outputs }: Difference): string {
  return table([
    ['output', `error on ${grouped(samples)} samples`, 'of the spread', 'cosine', 'largest'],
    ...outputs.map(({ name, relativeError, spreadError, cosine, largest }) => [
      name,
      percent(relativeError),
      percent(spreadError),
      cosine.toFixed(6),
      largest.toPrecision(3),
    ]),
  ]);
}

function describeModel(path: string, network: Network): string {
  const shapes = inferShapes(network);
  const value = (name: string): string => `${name} ${(shapes.get(name) ?? []).join('x')}`;
  const names = { input: network.inputs.map(({ name }) => value(name)), output: network.outputs.map(value) };
  return `${path}: ${grouped(network.nodes.length)} nodes, ${grouped(parameterCount(network))} parameters, from ${names.input.join(', ')} to ${names.output.join(', ')}`;
}

const BLIND = 'The error is unknown: there was no --data to measure it on.';
const PARTS = { part: 'train', validation: 'validation' };

async function openSets(
  values: Compress['values'] & { readonly data: string },
  network: Network,
  { progress, signal }: Compress,
): Promise<{ training: Dataset; validation: Dataset }> {
  const share = heldOutShare(values.validation);
  const choices = { network, progress, signal, share };
  const { preprocessing, task } = network;
  const training = await openPart(values, values.part ?? PARTS.part, { ...choices, preprocessing, task });
  try {
    const part = values.validation ?? PARTS.validation;
    return {
      training,
      validation: await openPart(values, part, {
        ...choices,
        preprocessing: preprocessing ?? training.preprocessing,
        task: task ?? training.task,
      }),
    };
  } catch (error) {
    training.close();
    throw error;
  }
}

/**
 * Measures and faces beside the report. Of classes the report has the accuracy already: there the two passes over the
 * validation part would tell nothing new.
 */
async function outcomeOf(
  network: Network,
  small: Network,
  { validation: { yardstick } }: CompressionReport,
  validation: Dataset | undefined,
  context: Parameters<typeof compareOutcomes>[3],
  { validation: setName = PARTS.validation }: Compress['values'],
): Promise<Outcome> {
  if (!validation || yardstick === 'errorRate') return { metrics: [], faces: [] };
  return compareOutcomes(network, small, validation, context, { setName });
}

function html(
  path: string,
  { data, part = PARTS.part, validation = PARTS.validation }: Compress['values'],
  report: CompressionReport,
  { metrics, faces }: Outcome,
  facts: readonly Fact[],
): Uint8Array {
  return new TextEncoder().encode(
    reportHtml({
      title: `espalier: ${path}`,
      description:
        data === undefined
          ? `${path}, compressed without data. ${BLIND}`
          : `${path}, compressed and retrained on part ${part} of ${data}; steps were judged on part ${validation}.`,
      report,
      metrics,
      faces,
      made: facts,
    }),
  );
}
