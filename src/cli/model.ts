/**
 * Models and data as the command line names them: our own files, plain weights with `--network`, parts of array
 * folders.
 */
import { availableParallelism } from 'node:os';
import {
  EspalierError,
  loadFile,
  NO_LIMITS,
  openFolder,
  preprocessedShape,
  readNetwork,
  readPlain,
  vgg,
  withWeights,
} from '../index.ts';
import type { Dataset, Network, Preprocessing, Shape, Task, Tensor, VggOptions } from '../index.ts';
import { readPreprocessing } from './files.ts';
import { UsageError } from './io.ts';
import { choice, defaultShown, flag, integer, integers, required, text, withDefault } from './options.ts';
import type { Values } from './options.ts';

const DEFAULT_SIDE = 64;
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
};

export const DATA_FOLDER = text(
  'DIR',
  'folder with <part>-images.npy[.gz] or -inputs.npy, and -landmarks, -labels or -targets',
);

export const DATA_OPTIONS = {
  data: required(DATA_FOLDER),
  preprocess: text(
    'FILE.json',
    'how an image becomes the input: { width, height, channels, filter, scale, standardize }',
  ),
  task: defaultShown('by the files', choice(TASKS, 'what the targets are, where the folder has several')),
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
}

/**
 * Opens MODEL: a file of `espalier train`, `compress` or `writeNetwork`, or plain weights by name with `--network`.
 * @param assumed - the network of plain weights where `--network` is left out; default: it is asked for
 * @throws {EspalierError} whatever is wrong with the file; MISSING for plain weights without `--network`
 */
export async function openModel(
  path: string,
  values: Values<typeof PLAIN_OPTIONS & typeof READ_OPTIONS>,
  preprocess?: string,
  assumed?: 'vgg',
): Promise<OpenedModel> {
  const bytes = await loadFile(path);
  const preprocessing = preprocess === undefined ? undefined : await readPreprocessing(preprocess);
  const found = holdsNetwork(path, bytes, values);
  if (found) {
    for (const key of ['network', 'side', 'widths', 'hidden'] as const) {
      if (values[key] !== undefined)
        throw new UsageError(`--${key}: ${path} is a model that holds its network; leave the option out`);
    }
    return { network: preprocessing ? { ...found, preprocessing } : found, fileBytes: bytes.length, isPlain: false };
  }
  if ((values.network ?? assumed) === undefined) {
    throw new EspalierError(
      'MISSING',
      `${path} holds tensors and no network: say which they belong to with --network vgg (and --side, --widths, --hidden where they are not ${DEFAULT_SIDE}, 32,64,128,256 and 1024)`,
      { name: '--network' },
    );
  }
  const { tensors } = inFile(path, () => readPlain(bytes));
  const network = networkFor(tensors, values, preprocessing);
  return { network: inFile(path, () => withWeights(network, tensors)), fileBytes: bytes.length, isPlain: true };
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
  given: Preprocessing | undefined,
): Network {
  const preprocessing =
    given ?? recipePreprocessing(values.side, tensors.get('conv1_1.weight')?.shape[1] === 3 ? 3 : 1);
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
  { network: { preprocessing, ...network }, isPlain }: OpenedModel,
  { imageShape, task }: Dataset,
): Network {
  return {
    ...(task ? { task } : {}),
    ...network,
    ...(preprocessing && (imageShape || !isPlain) ? { preprocessing } : {}),
  };
}

/** The same without data: of plain weights it is not known how images become inputs, unless the options say it. */
export function unfitted(
  { network: { preprocessing, ...network }, isPlain }: OpenedModel,
  given: string | undefined,
): Network {
  return { ...network, ...(preprocessing && (given !== undefined || !isPlain) ? { preprocessing } : {}) };
}

/** Errors of `work` say which file they are about. */
export function inFile<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof EspalierError)) throw error;
    throw new EspalierError(error.code, `${path}: ${error.message}`, { ...error.details, cause: error });
  }
}

/**
 * Opens a part of the data for a network: prepared as the network says, with the targets of its task.
 * @throws {EspalierError} MISSING, asking for --preprocess or --task by name; DATA
 */
export async function openPart(
  values: Values<typeof DATA_OPTIONS>,
  part: string,
  preprocessing: Preprocessing | undefined,
  task?: Task,
): Promise<Dataset> {
  if (task && values.task !== undefined && values.task !== task.kind)
    throw new UsageError(`--task: the model is for ${task.kind}, got ${values.task}`);
  try {
    return await openFolder(values.data, part, { preprocessing, task: task ?? values.task });
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
