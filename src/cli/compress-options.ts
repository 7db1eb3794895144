/** Options of `espalier compress`: those of the command line over those of its files. */
import {
  COMPRESS_DEFAULTS,
  CRITERIA,
  CRITERION_NAMES,
  DEFAULT_QUANTIZER,
  EspalierError,
  FEEDBACKS,
  LAYER_DEFAULTS,
  PRESET_NAMES,
  presetOptions,
  lossFromOptions,
  QUANTIZER_NAMES,
  QUANTIZERS,
  scheduleFromOptions,
  show,
  TOLERANCES,
} from '../index.ts';
import type {
  CompressOptions,
  LayerSetting,
  Network,
  LossOptions,
  PresetName,
  RetrainSetting,
  ScheduleOptions,
} from '../index.ts';
import { definedOptions } from './definitions.ts';
import { readJsonFile } from './files.ts';
import { DATA_FOLDER, DATA_OPTIONS, PLAIN_OPTIONS, READ_OPTIONS, SEED_OPTION, THREADS_OPTION } from './model.ts';
import { choice, defaultShown, flag, flagName, integer, number, orWord, required, text } from './options.ts';
import { UsageError } from './io.ts';
import type { Values } from './options.ts';
import { AUGMENT_OPTION, CHECKPOINT_ERROR_OPTION, CHECKPOINT_OPTION, UNIT_OPTION } from './runs.ts';

const RETRAININGS = ['retrainPruned', 'retrainQuantized', 'final'] as const;
type Retraining = (typeof RETRAININGS)[number];
const { retrainPruned, retrainQuantized, final } = COMPRESS_DEFAULTS;
const QUANTIZER_OPTIONS = definedOptions(QUANTIZERS);
const CRITERION_OPTIONS = definedOptions(CRITERIA);

export const COMPRESS_OPTIONS = {
  ...DATA_OPTIONS,
  data: defaultShown('none: quantized only, not judged', DATA_FOLDER),
  output: required(text('OUT', 'file to write, .safetensors, or .onnx for any runtime of ONNX', 'o')),
  part: defaultShown('train', text('NAME', 'part to retrain and to measure importance on')),
  validation: defaultShown(
    'validation',
    text('NAME|SHARE', 'part to judge the steps on; of pictures without parts the share that is held out, default 0.2'),
  ),
  preset: choice(PRESET_NAMES, 'settings that were measured (docs/results.md), under all other options'),
  quick: flag('as --preset quick: minutes, no labels, no epoch of training'),
  thorough: flag('as --preset size: retrained for long, the smallest file'),
  keep: defaultShown(
    String(LAYER_DEFAULTS.keep),
    number('FRACTION', 'of the neurons of each layer that stay', { from: 0, to: 1, exclusive: true }),
  ),
  quantizer: defaultShown(DEFAULT_QUANTIZER, choice(QUANTIZER_NAMES, 'how weights are quantized')),
  ...QUANTIZER_OPTIONS.table,
  layers: text(
    'FILE.json',
    'settings of single layers: { "conv1_1": { "quantize": false }, "dense1": { "keep": 0.25 } }',
  ),
  criterion: defaultShown(COMPRESS_DEFAULTS.criterion, {
    ...choice(CRITERION_NAMES, `importance of a neuron: ${CRITERION_NAMES.join(', ')}`),
    value: 'NAME',
  }),
  ...CRITERION_OPTIONS.table,
  noRepair: flag('no least-squares repair of the consumers of removed neurons, nor --refit'),
  refit: flag(
    'after a removal refit every layer that hears of it to what it answered before (least squares, no labels)',
  ),
  feedback: defaultShown(
    COMPRESS_DEFAULTS.feedback,
    choice(
      FEEDBACKS,
      "how much of its inputs a layer's quantization goes by; full: later columns make good the errors of earlier ones",
    ),
  ),
  order: defaultShown(COMPRESS_DEFAULTS.order, text('lastToFirst|firstToLast|NAME,NAME,...', 'order of the layers')),
  layersPerStep: defaultShown(
    String(COMPRESS_DEFAULTS.layersPerStep),
    orWord('all', Infinity, integer('N', 'layers that are treated at once', 1)),
  ),
  epochsPruned: defaultShown(String(retrainPruned.epochs), integer('N', 'epochs after each pruning', 0)),
  epochsQuantized: defaultShown(String(retrainQuantized.epochs), integer('N', 'epochs after each quantization', 0)),
  epochsFinal: defaultShown(String(final.epochs), integer('N', 'epochs over everything at the end', 0)),
  learningRate: defaultShown(
    String(final.learningRate),
    number('RATE', 'highest learning rate of all retraining', { from: 0, exclusive: true }),
  ),
  batch: defaultShown('32', integer('N', 'samples per step', 1)),
  ...AUGMENT_OPTION,
  tolerance: defaultShown(
    `${TOLERANCES.rmse}; of classes ${TOLERANCES.errorRate}, without labels ${TOLERANCES.outputError}`,
    orWord(
      'none',
      Infinity,
      number(
        'FRACTION',
        "what the whole may cost: a share of the original's error, of classes a share of the samples, without labels of the outputs; a step that goes beyond is tried again, milder",
        { from: 0 },
      ),
    ),
  ),
  retries: defaultShown(String(COMPRESS_DEFAULTS.retries), integer('N', 'how often a step is tried milder', 0, 8)),
  teacherWeight: defaultShown(
    String(COMPRESS_DEFAULTS.teacherWeight),
    number('WEIGHT', "of the original network's outputs as targets; 1: no labels are needed", { from: 0, to: 1 }),
  ),
  codewordPrecision: defaultShown(
    COMPRESS_DEFAULTS.codewords,
    choice(['float32', 'float16'], 'how codewords are stored, and what stays dense'),
  ),
  noPacking: flag('each tensor under its own name, for other readers of safetensors: a larger file'),
  options: text('FILE.json', 'any of the options of compress() as JSON; the options given here go before it'),
  ...PLAIN_OPTIONS,
  ...UNIT_OPTION,
  report: text('FILE.html', 'also write the report as one HTML file'),
  ...SEED_OPTION,
  ...THREADS_OPTION,
  checkpoint: defaultShown('OUT.checkpoint', CHECKPOINT_OPTION.checkpoint),
  ...CHECKPOINT_ERROR_OPTION,
  ...READ_OPTIONS,
};

/** @throws {UsageError} for more than one of --preset, --quick and --thorough */
function presetOf({ preset, quick, thorough }: Values<typeof COMPRESS_OPTIONS>): PresetName | undefined {
  const asked = Object.entries({ preset: preset !== undefined, quick, thorough }).filter(([, given]) => given);
  if (asked.length > 1)
    throw new UsageError(`--${asked[1][0]}: --${asked[0][0]} is given too; leave one of the two out`);
  return quick ? 'quick' : thorough ? 'size' : preset;
}

/** What is of no use without data, with the value that says that it is not wanted. */
const OF_DATA = {
  preset: undefined,
  quick: false,
  thorough: false,
  task: undefined,
  unlabelled: false,
  skipBad: false,
  part: undefined,
  validation: undefined,
  epochsPruned: 0,
  epochsQuantized: 0,
  epochsFinal: 0,
  learningRate: undefined,
  batch: undefined,
  augment: 'none',
  tolerance: Infinity,
  retries: 0,
  teacherWeight: 0,
  unit: null,
  checkpoint: 'none',
} as const satisfies Partial<Record<keyof typeof COMPRESS_OPTIONS, unknown>>;

/** @throws {UsageError} for an option that needs data where there are none */
export function checkDataGiven(values: Values<typeof COMPRESS_OPTIONS>): void {
  if (values.data !== undefined) return;
  for (const [key, unwanted] of Object.entries(OF_DATA)) {
    const value = values[key as keyof typeof OF_DATA];
    if (value !== undefined && value !== unwanted)
      throw new UsageError(
        `--${flagName(key)}: needs data to retrain on and to judge by; give --data DIR, or leave the option out`,
      );
  }
  if (values.onCheckpointError !== 'stop')
    throw new UsageError('--on-checkpoint-error: without --data no state is kept; leave the option out');
}

type Json = Readonly<Record<string, unknown>>;
/** What a file of options may say: losses and schedules stand in it as plain data. */
type FileOptions = Omit<CompressOptions, 'training'> & { readonly training?: Json };

/** Options, and whether it was the caller who said how much the teacher counts: a preset speaks of labelled sets. */
type ChosenOptions = CompressOptions & Record<Retraining, RetrainSetting> & { readonly weighsTeacher: boolean };

/**
 * Options of `compress()`. @throws {EspalierError} IO, FIELD for what is wrong with a file; names and ranges of single
 * settings are checked by `compress()`
 */
export async function compressOptions(
  values: Values<typeof COMPRESS_OPTIONS>,
  network: Network,
): Promise<ChosenOptions> {
  const preset = presetOf(values);
  const told = values.options === undefined ? {} : await readOptions(values.options);
  const file: CompressOptions = { ...(preset === undefined ? {} : presetOptions(preset, network)), ...told };
  const layers =
    values.layers === undefined
      ? {}
      : readLayers('--layers', values.layers, await readJsonFile('--layers', values.layers));
  const { learningRate, criterion, order, layersPerStep, tolerance, retries, teacherWeight, feedback, batch } = values;
  const retrain = (key: Retraining, epochs: number | undefined): RetrainSetting => ({
    ...COMPRESS_DEFAULTS[key],
    ...(values.data === undefined ? { epochs: 0 } : {}),
    ...file[key],
    ...given({ epochs, learningRate }),
  });
  return {
    weighsTeacher: (teacherWeight ?? told.teacherWeight) !== undefined,
    ...file,
    ...given({ criterion, layersPerStep, tolerance, retries, teacherWeight, feedback }),
    ...(order === undefined
      ? {}
      : { order: order === 'lastToFirst' || order === 'firstToLast' ? order : order.split(',') }),
    ...(values.refit ? { refit: true } : {}),
    ...(values.noRepair ? { repair: false, refit: false } : {}),
    ...given({ codewords: values.codewordPrecision }),
    ...(values.noPacking ? { packed: false } : {}),
    scoring: { ...criterionOfFile(file, criterion), ...CRITERION_OPTIONS.given(values) },
    settings: {
      ...settingsOfFile(file, values.quantizer),
      ...given({ keep: values.keep, quantizer: values.quantizer }),
      ...QUANTIZER_OPTIONS.given(values),
    } as LayerSetting,
    layers: { ...file.layers, ...layers },
    training: { ...file.training, ...given({ batchSize: batch }) },
    retrainPruned: retrain('retrainPruned', values.epochsPruned),
    retrainQuantized: retrain('retrainQuantized', values.epochsQuantized),
    final: retrain('final', values.epochsFinal),
  };
}

/** What a file says of a criterion's options, where the command line does not choose another criterion. */
function criterionOfFile(file: CompressOptions, chosen: string | undefined): CompressOptions['scoring'] {
  return chosen === undefined || chosen === (file.criterion ?? COMPRESS_DEFAULTS.criterion) ? file.scoring : undefined;
}

/** The same of the settings: options of a quantizer are of no use to another. */
function settingsOfFile({ settings = {} }: CompressOptions, chosen: string | undefined): LayerSetting {
  if (chosen === undefined || chosen === (settings.quantizer ?? DEFAULT_QUANTIZER)) return settings;
  return given({ keep: settings.keep, quantize: settings.quantize });
}

async function readOptions(path: string): Promise<CompressOptions> {
  const options: FileOptions = await readJsonFile('--options', path);
  for (const name of ['checkpoint', 'originalBytes'] as const) {
    if (name in options)
      throw new EspalierError('FIELD', `--options: ${path}: ${name} is set by the command line itself; leave it out`, {
        name,
      });
  }
  for (const name of ['settings', 'scoring'] as const)
    if (options[name] !== undefined) checkObject('--options', path, name, options[name]);
  if (options.layers !== undefined)
    readLayers('--options', path, checkObject('--options', path, 'layers', options.layers));
  for (const name of RETRAININGS) {
    if (options[name] !== undefined) checkObject('--options', path, name, options[name], ['epochs', 'learningRate']);
  }
  const { training, ...rest } = options;
  if (training === undefined) return rest;
  const { loss, schedule, ...others } = checkObject('--options', path, 'training', training, [
    'batchSize',
    'loss',
    'codebookRate',
    'levels',
    'rateWeight',
    'average',
    'optimizer',
    'schedule',
    'clip',
    'responses',
  ]);
  return {
    ...rest,
    training: {
      ...others,
      ...(loss === undefined ? {} : { loss: lossFromOptions(loss as LossOptions) }),
      ...(schedule === undefined ? {} : { schedule: scheduleFromOptions(schedule as ScheduleOptions) }),
    },
  };
}

/** Settings by layer. */
function readLayers(flag: string, path: string, layers: Json): Readonly<Record<string, LayerSetting>> {
  for (const [name, setting] of Object.entries(layers)) checkObject(flag, path, name, setting);
  return layers as Readonly<Record<string, LayerSetting>>;
}

/** @throws {EspalierError} FIELD for anything but an object, and for a field that is not `allowed` */
function checkObject(flag: string, path: string, name: string, value: unknown, allowed?: readonly string[]): Json {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new EspalierError('FIELD', `${flag}: ${path}: ${name}: expected an object { ... }, got ${show(value)}`, {
      name,
    });
  const unknown = allowed && Object.keys(value).find((key) => !allowed.includes(key));
  if (unknown !== undefined)
    throw new EspalierError(
      'FIELD',
      `${flag}: ${path}: ${name}: expected ${allowed?.join(', ')}, got ${show(unknown)}`,
      { name: unknown },
    );
  return value as Json;
}

/** Without what was not given. */
function given<T extends object>(values: T): { [K in keyof T]?: NonNullable<T[K]> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: NonNullable<T[K]>;
  };
}
