/** `espalier compress`: prune, quantize and retrain layer by layer. */
import { compareOutcomes, compress, reportHtml, saveFile, summaryTable } from '../../index.ts';
import type { CompressionReport, Outcome } from '../../index.ts';
import { createContext, defineCommand } from '../command.ts';
import type { Invocation, Result } from '../command.ts';
import { COMPRESS_OPTIONS, compressOptions } from '../compress-options.ts';
import { checkpointFolder, checkPlaces, openCheckpoint, removeCheckpoints, checkEnding } from '../files.ts';
import { fitted, openModel, openPart } from '../model.ts';
import { made } from '../made.ts';
import type { Fact } from '../made.ts';
import { augmented, howToGoOn, inCheckpoint, inUnit, onWriteError } from '../runs.ts';

type Compress = Invocation<typeof COMPRESS_OPTIONS>;

export const compressCommand = defineCommand({
  name: 'compress',
  summary: 'make a trained network small: prune, quantize, retrain',
  positionals: ['MODEL'],
  description:
    'MODEL is a file of espalier, or plain weights with --network. Steps are judged on the validation part. Started again after a stop or a crash with the same options, a run goes on from its last epoch and ends in the same bytes.',
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
  const folder = checkpointFolder(values.checkpoint, values.output);
  await checkPlaces({
    sources: { MODEL: path, '--options': values.options, '--layers': values.layers, '--preprocess': values.preprocess },
    data: values.data,
    outputs: { '--output': values.output, '--report': values.report },
    checkpoint: folder,
  });
  checkEnding('--output', values.output, '.safetensors');
  if (values.report !== undefined) checkEnding('--report', values.report, '.html');
  const place = await openCheckpoint(folder, 'compress', onWriteError(values.onCheckpointError));
  const model = await openModel(path, values, values.preprocess);
  const options = await compressOptions(values, model.network);

  const training = await openPart(values, values.part, model.network.preprocessing, model.network.task);
  const validation = await openPart(
    values,
    values.validation,
    model.network.preprocessing,
    model.network.task ?? training.task,
  );
  try {
    const network = await inUnit(values.unit, model, fitted(model, training), training);
    const context = {
      ...(await createContext(invocation, values)),
      training: augmented(values.augment, training, network.task),
      validation,
    };
    progress.expect({
      pruned: options.retrainPruned.epochs,
      quantized: options.retrainQuantized.epochs,
      final: options.final.epochs,
    });
    const {
      network: small,
      bytes,
      report,
    } = await inCheckpoint(place, () =>
      compress(network, context, {
        ...options,
        originalBytes: model.fileBytes,
        ...(place ? { checkpoint: place.checkpoint } : {}),
      }),
    );
    await saveFile(values.output, bytes);
    const outcome = await compareOutcomes(network, small, validation, context, { setName: values.validation });
    if (values.report !== undefined)
      await saveFile(
        values.report,
        html(path, values, report, outcome, [
          ...made('compress', [path], values, context),
          { name: 'settings', value: JSON.stringify(options) },
        ]),
      );
    await removeCheckpoints(place);
    return {
      json: { output: values.output, ...report },
      text: `${summaryTable(report, outcome.metrics)}\n\nwritten: ${[values.output, values.report].filter((file) => file !== undefined).join(', ')}`,
    };
  } finally {
    training.close();
    validation.close();
  }
}

function html(
  path: string,
  { data, part, validation }: Compress['values'],
  report: CompressionReport,
  { metrics, faces }: Outcome,
  facts: readonly Fact[],
): Uint8Array {
  return new TextEncoder().encode(
    reportHtml({
      title: `espalier: ${path}`,
      description: `${path}, compressed and retrained on part ${part} of ${data}; steps were judged on part ${validation}.`,
      report,
      metrics,
      faces,
      made: facts,
    }),
  );
}
