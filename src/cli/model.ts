/**
 * Models and data as the command line names them: our own files, plain weights with `--network`, parts of array
 * folders.
 */
import { readdir } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import {
  EspalierError,
  holdsPictures,
  inferShapes,
  loadFile,
  NO_LIMITS,
  openFolder,
  openPictureFolder,
  PREPROCESSING_PRESETS,
  presetPreprocessing,
  preprocessedShape,
  readNetwork,
  readPlain,
  show,
  sizeOf,
  vgg,
  withWeights,
} from '../index.ts';
import type { Dataset, Network, Preprocessing, Shape, Task, Tensor, VggOptions } from '../index.ts';
import { decodePicture } from './decode.ts';
import { inFile, readPreprocessing } from './files.ts';
import { UsageError } from './io.ts';
import { isOnnxFile, readOnnxFile, shapesOption } from './onnx.ts';
import { choice, defaultShown, flag, integer, integers, required, text, withDefault } from './options.ts';
import type { Values } from './options.ts';
import type { Progress } from './progress.ts';
import { isTfjsFile, modelFile, readTfjsFile } from './tfjs.ts';

/** Of the recipe's network: height and width of its input. */
export const DEFAULT_SIDE = 64;
const TASKS = ['landmarks', 'classes', 'regression'] as const;

/** What a network is built as, where the model file does not say it. */
export const NETWORK_OPTIONS = {
  side: defaultShown(String(DEFAULT_SIDE), integer('PIXELS', 'height and width of the input', 1, 4096)),
  widths: defaultShown(
    '32,64,128,256',
    integers('N,N,...', 'filters of each stage: two 3x3 convolutions and a pooling', 1),
  ),
  hidden: defaultShown('1024', integers('N,N,...|none', 'units of the hidden dense layers', 1, 'none')),
};

/** The same beside a MODEL that may be plain weights. */
export const PLAIN_OPTIONS = {
  network: choice(['vgg'], 'the network that plain weights belong to'),
  ...NETWORK_OPTIONS,
};

export const READ_OPTIONS = {
  noChecksum: flag('open a file that another tool saved anew, without its checksum'),
  noLimits: flag('open a file whatever memory and work it asks for'),
  shape: shapesOption(),
};

export const DATA_FOLDER = text(
  'DIR',
  'folder of pictures (PNG, JPEG), or of arrays: <part>-images.npy[.gz] or -inputs.npy, and -landmarks, -labels or -targets',
);

export const PREPROCESS_OPTION = text(
  'FILE.json|PRESET',
  `how an image becomes the input: { width, height, channels, filter, scale, standardize }, or one of ${PREPROCESSING_PRESETS.join(', ')}; behind a preset ,BGR turns the colours`,
);

export const DATA_OPTIONS = {
  data: required(DATA_FOLDER),
  preprocess: PREPROCESS_OPTION,
  task: defaultShown('by the files', choice(TASKS, 'what the targets are, where the folder has several')),
  unlabelled: flag('leave labels unread: the original is what counts'),
  skipBad: flag('pictures: leave out those that cannot be read, and tell of them'),
};

export const THREADS_OPTION = {
  threads: withDefault(
    Math.min(4, availableParallelism()),
    integer('N', 'threads; results do not depend on it', 1, 64),
    'cores, at most 4',
  ),
};

export const SEED_OPTION = { seed: withDefault(1, integer('N', 'of everything random', 0, 2 ** 31)) };

/** The preprocessing of the recipe: grey, area filter, each image to mean 0 and deviation 1. */
export function recipePreprocessing(side = DEFAULT_SIDE, channels: 1 | 3 = 1): Preprocessing {
  return {
    width: side,
    height: side,
    channels,
    filter: 'area',
    scale: 1 / 255,
    standardize: { kind: 'image', epsilon: 1e-3 },
  };
}

export interface OpenedModel {
  /** With the preprocessing and the task that its file or the options say; see {@link fitted}. */
  readonly network: Network;
  /** Bytes of the file. */
  readonly fileBytes: number;
  /** Plain weights in a network that the options describe. */
  readonly isPlain: boolean;
  /** Of a model of another format: what its reading took to mean something. */
  readonly notes: readonly string[];
}

export interface OpenOptions {
  /** What `--preprocess` says. */
  readonly preprocess?: string | undefined;
  /** The network of plain weights where `--network` is left out; default: it is asked for. */
  readonly assumed?: 'vgg';
  /** Quantized weights of a model of another format are decoded, to be pruned and quantized anew. Default false. */
  readonly dense?: boolean;
  /** Is told what the reading of a model of another format took to mean something. */
  readonly note?: (text: string) => void;
}

/**
 * Opens MODEL: a file of `espalier train`, `compress` or `writeNetwork`, a model of ONNX or TensorFlow.js, or plain
 * weights by name with `--network`.
 * @throws {EspalierError} whatever is wrong with the file; MISSING for plain weights without `--network`
 */
export async function openModel(
  path: string,
  values: Values<typeof PLAIN_OPTIONS & typeof READ_OPTIONS>,
  { preprocess, assumed, dense, note = () => undefined }: OpenOptions = {},
): Promise<OpenedModel> {
  const { bytes, foreign } = await openFile(path, values, dense);
  for (const text of foreign?.notes ?? []) note(`${path}: ${text}`);
  const found = foreign?.network ?? holdsNetwork(path, bytes, values);
  if (found) {
    for (const key of ['network', 'side', 'widths', 'hidden'] as const) {
      if (values[key] !== undefined)
        throw new UsageError(`--${key}: ${path} is a model that holds its network; leave the option out`);
    }
    const preprocessing =
      preprocess === undefined ? undefined : await readPreprocessing(preprocess, found.inputs[0].shape);
    return {
      network: preprocessing ? { ...found, preprocessing } : found,
      fileBytes: foreign?.fileBytes ?? bytes.length,
      isPlain: false,
      notes: foreign?.notes ?? [],
    };
  }
  if ((values.network ?? assumed) === undefined) {
    throw new EspalierError(
      'MISSING',
      `${path} holds tensors and no network: say which they belong to with --network vgg (and --side, --widths, --hidden where they are not ${DEFAULT_SIDE}, 32,64,128,256 and 1024)`,
      { name: '--network' },
    );
  }
  const { tensors } = inFile(path, () => readPlain(bytes));
  const channels = tensors.get('conv1_1.weight')?.shape[1] === 3 ? 3 : 1;
  const side = values.side ?? DEFAULT_SIDE;
  const preprocessing =
    preprocess === undefined
      ? recipePreprocessing(side, channels)
      : await readPreprocessing(preprocess, [channels, side, side]);
  const network = networkFor(tensors, values, preprocessing);
  return {
    network: inFile(path, () => withWeights(network, tensors)),
    fileBytes: bytes.length,
    isPlain: true,
    notes: [],
  };
}

/** A model in a format of others. */
export interface ForeignModel {
  readonly network: Network;
  /** Which format, by whom, for how many samples at once. */
  readonly words: string;
  /** What of that a program may ask for. */
  readonly about: Readonly<Record<string, unknown>>;
  /** What its reading took to mean something. */
  readonly notes: readonly string[];
  readonly fileBytes: number;
}

/** The bytes of a file, and the model in them where it is one of ONNX or of TensorFlow.js. */
export async function openFile(
  path: string,
  values: Values<typeof READ_OPTIONS>,
  dense = false,
): Promise<{ bytes: Uint8Array; foreign: ForeignModel | undefined }> {
  const file = await modelFile(path);
  const bytes = await loadFile(file);
  const by = (producer: string): string => (producer === '' ? '' : `, by ${producer}`);
  if (isOnnxFile(file, bytes)) {
    const { network, opsets, producer, batch, notes } = readOnnxFile(file, bytes, { ...values, dense });
    const opset = opsets.get('');
    const words = `ONNX, operator set ${opset}${by(producer)}, batch ${batch}`;
    return { bytes, foreign: { network, words, about: { opset, producer, batch }, notes, fileBytes: bytes.length } };
  }
  if (isTfjsFile(file, bytes)) {
    const { network, format, producer, batch, notes, fileBytes } = readTfjsFile(file, bytes, values);
    const words = `TensorFlow.js, ${format === 'graph' ? 'graph' : 'layers'}${by(producer)}, batch ${batch}`;
    return { bytes, foreign: { network, words, about: { format, producer, batch }, notes, fileBytes } };
  }
  if (values.shape) throw new UsageError(`--shape: ${path} is no model of ONNX or TensorFlow.js; leave the option out`);
  return { bytes, foreign: undefined };
}

/** The network that a file holds; undefined: it is a safetensors file without one. */
export function holdsNetwork(
  path: string,
  bytes: Uint8Array,
  { noChecksum, noLimits }: Values<typeof READ_OPTIONS>,
): Network | undefined {
  try {
    return inFile(path, () => readNetwork(bytes, { verify: !noChecksum, ...(noLimits && { limits: NO_LIMITS }) }));
  } catch (error) {
    if (error instanceof EspalierError && error.code === 'MISSING' && error.details.name === 'espalier')
      return undefined;
    throw error;
  }
}

/** The network that the options describe, with the inputs and outputs that the weights have. */
function networkFor(
  tensors: ReadonlyMap<string, Tensor>,
  values: Values<typeof NETWORK_OPTIONS>,
  preprocessing: Preprocessing,
): Network {
  const size = vggSize(preprocessedShape(preprocessing), values);
  const outputs = tensors.get(`dense${(size.hidden?.length ?? 1) + 1}.bias`)?.shape[0];
  return vgg({ ...size, preprocessing, ...(outputs ? { outputs } : {}) });
}

/**
 * What the options say of {@link vgg} for inputs of this shape. @throws {UsageError | EspalierError} if it does not
 * take such inputs
 */
export function vggSize(
  inputShape: Shape,
  { side, widths, hidden }: Values<typeof NETWORK_OPTIONS>,
): Pick<VggOptions, 'side' | 'channels' | 'widths' | 'hidden'> {
  const [channels, height, width] = inputShape;
  if (inputShape.length !== 3 || (channels !== 1 && channels !== 3) || height !== width) {
    throw new EspalierError(
      'DATA',
      `--network vgg takes inputs of shape [1 or 3, side, side], got [${inputShape.join(', ')}]`,
      { name: '--network', found: inputShape },
    );
  }
  if (side !== undefined && side !== width)
    throw new UsageError(`--side: the inputs have a side of ${width}, got ${side}; leave the option out`);
  return { side: width, channels, ...(widths ? { widths } : {}), ...(hidden ? { hidden } : {}) };
}

/**
 * The network with what the data say of it: the task, and no assumed preprocessing where inputs are used as they are.
 */
export function fitted(
  { network: { preprocessing: own, ...network }, isPlain }: OpenedModel,
  { preprocessing = isPlain ? undefined : own, task }: Dataset,
): Network {
  return { ...(task ? { task } : {}), ...network, ...(preprocessing ? { preprocessing } : {}) };
}

/** The same without data: of plain weights it is not known how images become inputs, unless the options say it. */
export function unfitted(
  { network: { preprocessing, ...network }, isPlain }: OpenedModel,
  given: string | undefined,
): Network {
  return { ...network, ...(preprocessing && (given !== undefined || !isPlain) ? { preprocessing } : {}) };
}

/** What opening data is told beside the options. */
export interface PartChoices {
  /** Of the model, where it says it. */
  readonly preprocessing?: Preprocessing | undefined;
  readonly task?: Task | undefined;
  /** The model itself, where there is one: pictures are prepared for its input, and labels have to suit its output. */
  readonly network?: Network;
  /** Share of pictures that is held out. Default that of the library. */
  readonly share?: number | undefined;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

/** What `--validation` or `--part` says of pictures: a number is the share that is held out. */
export function heldOutShare(given: string | undefined): number | undefined {
  return given !== undefined && /^(0?\.\d+|0|1)$/.test(given) ? Number(given) : undefined;
}

/**
 * Opens a part of the data for a network: prepared as the network says, with the targets of its task.
 * @throws {EspalierError} MISSING, asking for --preprocess or --task by name; DATA
 */
export async function openPart(
  values: Values<typeof DATA_OPTIONS>,
  part: string,
  { preprocessing, task, ...choices }: PartChoices,
): Promise<Dataset> {
  if (task && values.task !== undefined && values.task !== task.kind)
    throw new UsageError(`--task: the model is for ${task.kind}, got ${values.task}`);
  if (!(await holdsArrays(values.data))) return openPicturePart(values, part, { preprocessing, task, ...choices });
  if (values.skipBad)
    throw new UsageError(`--skip-bad: is for folders of pictures, ${values.data} holds arrays; leave it out`);
  try {
    return await openFolder(values.data, part, {
      ...{ preprocessing, task: task ?? values.task, labels: values.unlabelled ? 'none' : 'auto' },
    });
  } catch (error) {
    if (error instanceof EspalierError && error.code === 'MISSING' && error.details.name === 'preprocessing') {
      throw new EspalierError(
        'MISSING',
        `--preprocess FILE.json is missing: ${values.data} holds images, and the model does not say how they become its input. The file holds, for example: ${JSON.stringify(recipePreprocessing())}`,
        { name: '--preprocess', cause: error },
      );
    }
    throw error;
  }
}

/** What {@link assumedPreprocessing} takes models to want that do not say it. */
const ASSUMED = { 1: '0..1', 3: 'imagenet' } as const;

async function openPicturePart(
  values: Values<typeof DATA_OPTIONS>,
  given: string,
  { preprocessing, task, network, share = heldOutShare(given), progress, signal }: PartChoices,
): Promise<Dataset> {
  const part = heldOutShare(given) === undefined ? given : 'validation';
  const prepared = preprocessing ?? (network && assumedPreprocessing(network, progress));
  if (!prepared)
    throw new EspalierError(
      'MISSING',
      `--preprocess is missing: ${values.data} holds pictures; expected a file, or one of ${PREPROCESSING_PRESETS.join(', ')}`,
      { name: '--preprocess' },
    );
  const set = await openPictureFolder(values.data, {
    part,
    preprocessing: prepared,
    decode: decodePicture,
    validation: share,
    labels: values.unlabelled ? 'none' : 'auto',
    task: task ?? values.task,
    skipBad: values.skipBad,
    signal,
    onProgress: (done, count) => progress.count(`pictures of ${part}`, done, count),
  });
  for (const { name, problem } of set.skipped)
    progress.onEvent({ kind: 'warning', text: `left out ${show(name)}: ${problem}` });
  if (network && set.task && set.task !== task) checkSuits(values.data, network, set.task);
  return set;
}

/** Of a model that does not say how a picture becomes its input: a guess that is told of, whatever is quiet. */
function assumedPreprocessing({ inputs: [{ shape }] }: Network, progress: Progress): Preprocessing {
  const preset = ASSUMED[shape[0] === 1 || (shape[0] !== 3 && shape[2] === 1) ? 1 : 3];
  const found = presetPreprocessing(preset, shape);
  progress.onEvent({
    kind: 'warning',
    text: `the model does not say how a picture becomes its input: ${preset}, RGB, is assumed; if it was trained on others give --preprocess ${PREPROCESSING_PRESETS.filter((name) => name !== preset).join(', ')} or a file, or what follows means little`,
  });
  return found;
}

/** @throws {EspalierError} DATA for labels that belong to another model */
function checkSuits(folder: string, network: Network, task: Task): void {
  const outputs = sizeOf(inferShapes(network).get(network.outputs[0]) ?? []);
  const expected = task.kind === 'classes' ? task.classes : task.kind === 'landmarks' ? 2 * task.points : outputs;
  if (outputs === expected) return;
  throw new EspalierError(
    'DATA',
    `--data: ${folder} has labels of ${expected} ${task.kind === 'classes' ? 'classes' : 'coordinates'}, the model's first output is ${outputs} numbers; give labels of this model, or --unlabelled, and the original is the teacher`,
    { name: '--data', found: expected },
  );
}

/** @throws {EspalierError} MISSING for a folder of neither arrays nor pictures */
async function holdsArrays(folder: string): Promise<boolean> {
  const names = await readdir(folder).catch(() => undefined);
  // What is wrong with the folder itself is said by whoever opens it.
  if (!names || names.some((name) => /-(images|inputs)\.npy(\.gz)?$/.test(name))) return true;
  if (await holdsPictures(folder)) return false;
  throw new EspalierError(
    'MISSING',
    `--data: ${folder} holds neither pictures (.png, .jpg, .jpeg) nor arrays (PART-images.npy or PART-inputs.npy)`,
    { name: '--data' },
  );
}
