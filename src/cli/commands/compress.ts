/** `espalier compress`: prune, quantize and retrain layer by layer. */
import { compress, CRITERION_NAMES, LAYER_DEFAULTS, lossFromOptions, reportHtml, saveFile, scheduleFromOptions, summaryTable, withOutputUnit } from '../../index.ts';
import type { CompressionReport, CompressOptions, LossOptions, ReportMetric, RetrainSetting, ScheduleOptions } from '../../index.ts';
import { createContext, defineCommand } from '../command.ts';
import type { Invocation, Result } from '../command.ts';
import { checkApart, checkpointFolder, checkWritable, openCheckpoint, readJsonFile, removeCheckpoints } from '../files.ts';
import { UsageError } from '../io.ts';
import { DATA_OPTIONS, fitted, openModel, openPart, PLAIN_OPTIONS, READ_OPTIONS, SEED_OPTION, THREADS_OPTION } from '../model.ts';
import { choice, defaultShown, flag, integer, number, orWord, required, text, withDefault } from '../options.ts';
import { AUGMENT_OPTION, augmented, CHECKPOINT_OPTION, howToGoOn, outputUnit, UNIT_OPTION } from '../runs.ts';

const RETRAIN = { retrainPruned: { epochs: 1, learningRate: 0.02 }, retrainQuantized: { epochs: 1, learningRate: 0.02 }, final: { epochs: 8, learningRate: 0.02 } } satisfies Partial<CompressOptions>;

const OPTIONS = {
  ...DATA_OPTIONS,
  output: required(text('OUT', 'safetensors file to write', 'o')),
  part: withDefault('train', text('NAME', 'part to retrain and to measure importance on')),
  validation: withDefault('validation', text('NAME', 'part to judge the steps on')),
  keep: defaultShown(String(LAYER_DEFAULTS.keep), number('FRACTION', 'of the neurons of each layer that stay', { from: 0, to: 1, exclusive: true })),
  subvectorLength: defaultShown(String(LAYER_DEFAULTS.subvectorLength), integer('N', 'weights per sub-vector', 1)),
  codewords: defaultShown(String(LAYER_DEFAULTS.codewordCount), integer('N', 'codewords per codebook', 2, 65536)),
  signs: defaultShown(LAYER_DEFAULTS.signs, choice(['apart', 'none'], 'quantize absolute values and keep a sign bit per weight, or signed values')),
  codebooks: defaultShown(LAYER_DEFAULTS.codebooks, choice(['layer', 'subspace'], 'one codebook per layer, or one per sub-space')),
  layers: text('FILE.json', 'settings of single layers: { "conv1_1": { "quantize": false }, "dense1": { "keep": 0.25 } }'),
  criterion: defaultShown('activationCorrelation', choice(CRITERION_NAMES, 'importance of a neuron')),
  noRepair: flag('no least-squares repair of the consumers of removed neurons'),
  order: defaultShown('lastToFirst', text('lastToFirst|firstToLast|NAME,NAME,...', 'order of the layers')),
  layersPerStep: defaultShown('1', orWord('all', Infinity, integer('N', 'layers that are treated at once', 1))),
  epochsPruned: defaultShown(String(RETRAIN.retrainPruned.epochs), integer('N', 'epochs after each pruning', 0)),
  epochsQuantized: defaultShown(String(RETRAIN.retrainQuantized.epochs), integer('N', 'epochs after each quantization', 0)),
  epochsFinal: defaultShown(String(RETRAIN.final.epochs), integer('N', 'epochs over everything at the end', 0)),
  learningRate: defaultShown('0.02', number('RATE', 'highest learning rate of all retraining', { from: 0, exclusive: true })),
  batch: defaultShown('32', integer('N', 'samples per step', 1)),
  ...AUGMENT_OPTION,
  tolerance: defaultShown('0.25', orWord('none', Infinity, number('FRACTION', 'a step that ends with a validation error above (1 + this) x the original\'s is tried again, milder', { from: 0 }))),
  retries: defaultShown('1', integer('N', 'how often a step is tried milder', 0, 8)),
  teacherWeight: defaultShown('0', number('WEIGHT', 'of the original network\'s outputs as targets; 1: no labels are needed', { from: 0, to: 1 })),
  halfCodewords: flag('store codewords in half precision'),
  options: text('FILE.json', 'any of the options of compress() as JSON; the options given here go before it'),
  ...PLAIN_OPTIONS,
  ...UNIT_OPTION,
  report: text('FILE.html', 'also write the report as one HTML file'),
  ...SEED_OPTION,
  ...THREADS_OPTION,
  checkpoint: defaultShown('OUT.checkpoint', CHECKPOINT_OPTION.checkpoint),
  ...READ_OPTIONS,
};
type Compress = Invocation<typeof OPTIONS>;

export const compressCommand = defineCommand({
  name: 'compress',
  summary: 'make a trained network small: prune, quantize, retrain',
  positionals: ['MODEL'],
  description: 'MODEL is a file of espalier, or plain weights with --network. Steps are judged on the validation part. Started again after a stop or a crash with the same options, a run goes on from its last epoch and ends in the same bytes.',
  example: 'espalier compress faces.safetensors --data faces68 -o small.safetensors --keep 0.75 --report report.html',
  options: OPTIONS,
  run,
  afterStop: howToGoOn,
});

async function run(invocation: Compress): Promise<Result> {
  const { values, positionals: [path], progress } = invocation;
  await checkWritable('--output', values.output);
  if (values.report !== undefined) await checkWritable('--report', values.report);
  await checkApart({ MODEL: path, '--output': values.output, '--report': values.report });
  const place = await openCheckpoint(checkpointFolder(values.checkpoint, values.output), 'compress');
  const options = await compressOptions(values);
  const model = await openModel(path, values, values.preprocess);

  const training = await openPart(values, values.part, model.network.preprocessing, model.network.task);
  const validation = await openPart(values, values.validation, model.network.preprocessing, model.network.task ?? training.task);
  try {
    const named = fitted(model, training);
    // A model has its unit already.
    const unit = model.isPlain ? await outputUnit(values.unit, training, named.task) : undefined;
    const context = { ...await createContext(invocation, values), training: augmented(values.augment, training, named.task), validation };
    progress.expect({ pruned: options.retrainPruned.epochs, quantized: options.retrainQuantized.epochs, final: options.final.epochs });
    const { bytes, report } = await compress(unit ? withOutputUnit(named, unit) : named, context, { ...options, originalBytes: model.fileBytes, ...(place ? { checkpoint: place } : {}) });
    await saveFile(values.output, bytes);
    if (values.report !== undefined) await saveFile(values.report, html(path, values, report));
    await removeCheckpoints(place);
    return { json: { output: values.output, ...report }, text: `${summaryTable(report, metricsOf(report))}\n\nwritten: ${[values.output, values.report].filter((file) => file !== undefined).join(', ')}` };
  } finally {
    training.close();
    validation.close();
  }
}

type FileOptions = Omit<CompressOptions, 'training'> & { readonly training?: Record<string, unknown> };

/** Options of `compress()`: those of the file, and over them those of the command line. */
async function compressOptions(values: Compress['values']): Promise<CompressOptions & Record<keyof typeof RETRAIN, RetrainSetting>> {
  const file = values.options === undefined ? {} : await readOptions(values.options);
  const layers = values.layers === undefined ? undefined : await readJsonFile('--layers', values.layers) as NonNullable<CompressOptions['layers']>;
  const { learningRate, criterion, order, layersPerStep, tolerance, retries, teacherWeight, batch } = values;
  const retrain = (key: keyof typeof RETRAIN, epochs: number | undefined): RetrainSetting => ({ ...RETRAIN[key], ...file[key], ...given({ epochs, learningRate }) });
  return {
    ...file,
    ...given({ criterion, layersPerStep, tolerance, retries, teacherWeight }),
    ...(order === undefined ? {} : { order: order === 'lastToFirst' || order === 'firstToLast' ? order : order.split(',') }),
    ...(values.noRepair ? { repair: false } : {}),
    ...(values.halfCodewords ? { codewords: 'float16' } : {}),
    settings: { ...file.settings, ...given({ keep: values.keep, subvectorLength: values.subvectorLength, codewordCount: values.codewords, codebooks: values.codebooks, signs: values.signs }) },
    layers: { ...file.layers, ...layers },
    training: { ...file.training, ...given({ batchSize: batch }) },
    retrainPruned: retrain('retrainPruned', values.epochsPruned),
    retrainQuantized: retrain('retrainQuantized', values.epochsQuantized),
    final: retrain('final', values.epochsFinal),
  };
}

/** The file of `--options`: losses and schedules stand in it as plain data. */
async function readOptions(path: string): Promise<CompressOptions> {
  const { training, ...options } = await readJsonFile('--options', path) as FileOptions;
  for (const name of ['checkpoint', 'originalBytes'] as const) {
    if (name in options) throw new UsageError(`--options: ${path}: ${name} is the command line's own; leave it out`);
  }
  if (training === undefined) return options;
  const { loss, schedule, ...rest } = training;
  return {
    ...options,
    training: {
      ...rest,
      ...(loss === undefined ? {} : { loss: lossFromOptions(loss as LossOptions) }),
      ...(schedule === undefined ? {} : { schedule: scheduleFromOptions(schedule as ScheduleOptions) }),
    },
  };
}

/** Without what was not given. */
function given<T extends object>(values: T): { [K in keyof T]?: NonNullable<T[K]> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as { [K in keyof T]?: NonNullable<T[K]> };
}

function metricsOf({ validation: { before, after } }: CompressionReport): readonly ReportMetric[] {
  return [{ name: 'validation error', before: before.toPrecision(4), after: `${after.toPrecision(4)} (${((after / before - 1) * 100).toFixed(1)} %)` }];
}

function html(path: string, { data, part, validation }: Compress['values'], report: CompressionReport): Uint8Array {
  return new TextEncoder().encode(reportHtml({
    title: `espalier: ${path}`,
    description: `${path}, compressed and retrained on part ${part} of ${data}; steps were judged on part ${validation}.`,
    report, metrics: metricsOf(report),
  }));
}
