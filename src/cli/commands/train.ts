/** `espalier train`: a network from scratch, or further from weights, on an array folder. */
import { EspalierError, parameterCount, saveFile, sizeOf, train, trainingHtml, vgg } from '../../index.ts';
import type { AdamChoice, Dataset, Network, SgdChoice, TrainResult } from '../../index.ts';
import { createContext, defineCommand, grouped, table } from '../command.ts';
import type { Invocation, Result } from '../command.ts';
import {
  checkEnding,
  checkpointFolder,
  checkPlaces,
  openCheckpoint,
  readPreprocessing,
  removeCheckpoints,
} from '../files.ts';
import { made } from '../made.ts';
import type { Fact } from '../made.ts';
import { modelBytes } from '../onnx.ts';
import {
  DATA_OPTIONS,
  DEFAULT_SIDE,
  fitted,
  heldOutShare,
  NETWORK_OPTIONS,
  openModel,
  openPart,
  READ_OPTIONS,
  recipePreprocessing,
  SEED_OPTION,
  THREADS_OPTION,
  vggSize,
} from '../model.ts';
import { choice, defaultShown, integer, number, required, text, withDefault } from '../options.ts';
import {
  AUGMENT_OPTION,
  augmented,
  CHECKPOINT_ERROR_OPTION,
  CHECKPOINT_OPTION,
  howToGoOn,
  inCheckpoint,
  inUnit,
  onWriteError,
  outputUnit,
  UNIT_OPTION,
} from '../runs.ts';

const OPTIONS = {
  ...DATA_OPTIONS,
  output: required(text('MODEL', 'file to write, .safetensors, or .onnx for any runtime of ONNX', 'o')),
  part: withDefault('train', text('NAME', 'part to train on')),
  validation: withDefault(
    'validation',
    text(
      'NAME|SHARE|none',
      'part to choose the best epoch on; of pictures without parts the share that is held out, default 0.2',
    ),
  ),
  network: defaultShown('vgg', choice(['vgg'], 'the network that is built')),
  ...NETWORK_OPTIONS,
  init: text('FILE', 'start from plain weights of this network, or from a model (which brings its network)'),
  ...UNIT_OPTION,
  epochs: withDefault(20, integer('N', 'passes over the training part', 1)),
  batch: withDefault(32, integer('N', 'samples per step', 1)),
  optimizer: withDefault('sgd', choice(['sgd', 'adam'], 'SGD with momentum 0.9, or AdamW')),
  learningRate: defaultShown(
    '0.05, adam 0.001',
    number('RATE', 'highest learning rate: warm-up of 100 steps, then cosine to 0', { from: 0, exclusive: true }),
  ),
  weightDecay: withDefault(1e-4, number('DECAY', 'weight decay', { from: 0 }), '0.0001'),
  ...AUGMENT_OPTION,
  ...SEED_OPTION,
  ...THREADS_OPTION,
  checkpoint: defaultShown('MODEL.checkpoint', CHECKPOINT_OPTION.checkpoint),
  report: text('FILE.html', 'also write the curves as one HTML file'),
  ...CHECKPOINT_ERROR_OPTION,
  ...READ_OPTIONS,
};
type Train = Invocation<typeof OPTIONS>;

export const trainCommand = defineCommand({
  name: 'train',
  summary: 'train a network on a folder of arrays or pictures',
  positionals: [],
  description:
    'The defaults are the recipe for faces with 68 landmarks. Started again after a stop or a crash with the same options, a run goes on from its last epoch and ends in the same bytes.',
  example: 'espalier train --data faces68 -o faces.safetensors --epochs 20',
  options: OPTIONS,
  run,
  afterStop: howToGoOn,
});

async function run(invocation: Train): Promise<Result> {
  const { values, progress } = invocation;
  const folder = checkpointFolder(values.checkpoint, values.output);
  await checkPlaces({
    sources: { '--init': values.init, '--preprocess': values.preprocess },
    data: values.data,
    outputs: { '--output': values.output, '--report': values.report },
    checkpoint: folder,
  });
  checkEnding('--output', values.output, '.safetensors');
  if (values.report !== undefined) checkEnding('--report', values.report, '.html');
  const place = await openCheckpoint(folder, 'train', onWriteError(values.onCheckpointError));

  const { start, training, validation } = await prepare(invocation);
  const context = {
    ...(await createContext(invocation, values)),
    training: augmented(values.augment, training, start.task),
    ...(validation ? { validation } : {}),
  };
  const { weightDecay, learningRate } = values;
  const optimizer: SgdChoice | AdamChoice = { kind: values.optimizer, weightDecay };
  try {
    const result = await inCheckpoint(place, () =>
      train(start, context, {
        epochs: values.epochs,
        batchSize: values.batch,
        optimizer,
        ...(learningRate === undefined ? {} : { learningRate }),
        ...(place ? { checkpoint: place.checkpoint } : {}),
      }),
    );
    const bytes = modelBytes(values.output, result.network);
    await saveFile(values.output, bytes);
    if (values.report !== undefined)
      await saveFile(values.report, html(values, result, made('train', [], values, context)));
    await removeCheckpoints(place);
    if (result.status === 'noImprovement')
      progress.note('no epoch was better on validation than the network at the start, which is what was written');
    return describe(result, [values.output, ...(values.report === undefined ? [] : [values.report])], bytes.length);
  } finally {
    training.close();
    validation?.close();
  }
}

function html(values: Train['values'], result: TrainResult, facts: readonly Fact[]): Uint8Array {
  const judged = values.validation === 'none' ? '' : `; epochs were judged on part ${values.validation}`;
  return new TextEncoder().encode(
    trainingHtml({
      title: `espalier: ${values.output}`,
      description: `Trained on part ${values.part} of ${values.data}${judged}.`,
      result,
      made: facts,
    }),
  );
}

interface Prepared {
  readonly start: Network;
  readonly training: Dataset;
  readonly validation: Dataset | undefined;
}

/** The network to start from, and the data as it takes them. */
async function prepare({ values, progress, signal }: Train): Promise<Prepared> {
  // A model brings its network; plain weights are put into the one that the options describe.
  const model =
    values.init === undefined
      ? undefined
      : await openModel(values.init, values, { preprocess: values.preprocess, assumed: 'vgg', note: progress.note });
  const preprocessing = model
    ? model.network.preprocessing
    : values.preprocess === undefined
      ? recipePreprocessing(values.side)
      : await readPreprocessing(values.preprocess, [3, values.side ?? DEFAULT_SIDE, values.side ?? DEFAULT_SIDE]);
  // Where no part is held out, all pictures are trained on.
  const share = values.validation === 'none' ? 0 : heldOutShare(values.validation);
  const choices = { progress, signal, share, preprocessing, ...(model && { network: model.network }) };
  const training = await openPart(values, values.part, { ...choices, task: model?.network.task });
  const { task, inputShape, imageShape, targetShape } = training;
  if (!task || !targetShape) {
    throw new EspalierError(
      'DATA',
      `part ${values.part} of ${values.data} has no targets: expected ${values.part}-landmarks.npy, -labels.npy or -targets.npy`,
      { name: values.part },
    );
  }
  const validation =
    values.validation === 'none' ? undefined : await openPart(values, values.validation, { ...choices, task });
  if (model)
    return { start: await inUnit(values.unit, model, fitted(model, training), training), training, validation };
  const unit = await outputUnit(values.unit, training, task);
  const start = vgg({
    ...vggSize(inputShape, values),
    task,
    seed: values.seed,
    outputs: task.kind === 'classes' ? task.classes : sizeOf(targetShape),
    ...(imageShape ? { preprocessing } : {}),
    ...(unit ? { unit } : {}),
  });
  return { start, training, validation };
}

function describe(
  { network, status, history, before, kept, steps }: TrainResult,
  [output, ...others]: readonly string[],
  bytes: number,
): Result {
  const parameters = parameterCount(network);
  const last = history.at(-1);
  const rows = [
    ['written', [output, ...others].join(', ')],
    ['bytes', grouped(bytes)],
    ['parameters', grouped(parameters)],
    ['epochs', `${history.length} (${grouped(steps)} steps)`],
    ['loss, last epoch', last?.loss.toPrecision(4) ?? ''],
    ...(before === undefined ? [] : [['validation, start', before.toPrecision(4)]]),
    ...(kept.validation === undefined
      ? []
      : [['validation, kept', `${kept.validation.toPrecision(4)} (epoch ${kept.epoch + 1})`]]),
  ];
  return {
    json: { output, bytes, parameters, status, steps, ...(before === undefined ? {} : { before }), kept, history },
    text: table(rows, [1]),
  };
}
