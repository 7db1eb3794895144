/** `espalier compress`: prune, quantize and retrain layer by layer. */
import { compareOutcomes, compress, reportHtml, saveFile, splitBytes, summaryTable } from '../../index.ts';
import type { CompressionReport, Dataset, Network, Outcome } from '../../index.ts';
import { createContext, defineCommand } from '../command.ts';
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
    'MODEL is a file of espalier, or plain weights with --network. Steps are judged on the validation part. Without --data its weights are quantized, and no more: nothing is retrained or judged. Started again after a stop or a crash with the same options, a run goes on from its last epoch and ends in the same bytes.',
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
  const model = await openModel(path, values, { preprocess: values.preprocess, note: progress.note });
  const options = await compressOptions(values, model.network);

  const sets = data === undefined ? undefined : await openSets({ ...values, data }, model.network, invocation);
  try {
    const network = sets
      ? await inUnit(values.unit, model, fitted(model, sets.training), sets.training)
      : unfitted(model, values.preprocess);
    const context = {
      ...(await createContext(invocation, values)),
      ...(sets && { training: augmented(values.augment, sets.training, network.task), validation: sets.validation }),
    };
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
    const file = endsInOnnx(values.output) ? modelBytes(values.output, small) : bytes;
    await saveFile(values.output, file);
    const report = { ...own, bytes: file.length, split: splitBytes(small, file.length) };
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
      json: { output: values.output, ...report },
      text: `${summaryTable(report, outcome.metrics)}\n\n${sets ? '' : `${BLIND}\n`}${written}`,
    };
  } finally {
    sets?.training.close();
    sets?.validation.close();
  }
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
