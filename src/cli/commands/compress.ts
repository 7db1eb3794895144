/** `espalier compress`: prune, quantize and retrain layer by layer. */
import { compress, reportHtml, saveFile, summaryTable } from '../../index.ts';
import type { CompressionReport, ReportMetric } from '../../index.ts';
import { createContext, defineCommand } from '../command.ts';
import type { Invocation, Result } from '../command.ts';
import { COMPRESS_OPTIONS, compressOptions } from '../compress-options.ts';
import { checkpointFolder, checkPlaces, openCheckpoint, removeCheckpoints } from '../files.ts';
import { fitted, openModel, openPart } from '../model.ts';
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
  const place = await openCheckpoint(folder, 'compress', onWriteError(values.onCheckpointError));
  const options = await compressOptions(values);
  const model = await openModel(path, values, values.preprocess);

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
    const { bytes, report } = await inCheckpoint(place, () =>
      compress(network, context, {
        ...options,
        originalBytes: model.fileBytes,
        ...(place ? { checkpoint: place.checkpoint } : {}),
      }),
    );
    await saveFile(values.output, bytes);
    if (values.report !== undefined) await saveFile(values.report, html(path, values, report));
    await removeCheckpoints(place);
    return {
      json: { output: values.output, ...report },
      text: `${summaryTable(report, metricsOf(report))}\n\nwritten: ${[values.output, values.report].filter((file) => file !== undefined).join(', ')}`,
    };
  } finally {
    training.close();
    validation.close();
  }
}

function metricsOf({ validation: { before, after } }: CompressionReport): readonly ReportMetric[] {
  return [
    {
      name: 'validation error',
      before: before.toPrecision(4),
      after: `${after.toPrecision(4)} (${((after / before - 1) * 100).toFixed(1)} %)`,
    },
  ];
}

function html(path: string, { data, part, validation }: Compress['values'], report: CompressionReport): Uint8Array {
  return new TextEncoder().encode(
    reportHtml({
      title: `espalier: ${path}`,
      description: `${path}, compressed and retrained on part ${part} of ${data}; steps were judged on part ${validation}.`,
      report,
      metrics: metricsOf(report),
    }),
  );
}
