/** Pictures of any sizes as a set: decoded by the caller's decoder, prepared for the network, a batch at a time. */
import { checkInteger, checkNumber, EspalierError, show } from '../base/errors.ts';
import { createRunControl } from '../base/control.ts';
import { stream } from '../base/random.ts';
import { isError } from '../base/realm.ts';
import { ownOptions } from '../base/rules.ts';
import { sameShape, sizeOf } from '../base/tensor.ts';
import type { Shape } from '../base/tensor.ts';
import type { Preprocessing, Task } from '../graph/preprocessing.ts';
import { checkPreprocessing, preprocessedShape, preprocessor } from '../preprocess/preprocess.ts';
import type { Preprocessor } from '../preprocess/preprocess.ts';
import { checkRead, checkSamplesFinite, copyRows } from './arrays.ts';
import type { SetShape } from './arrays.ts';
import { FOLDER_DEFAULTS } from './folder.ts';
import type { Dataset } from './folder.ts';

/** Pixels of a picture, row-major, 0 ... 255: (height, width) or (height, width, channels) with 1 (grey), 3 (RGB) or 4 (RGBA) channels. */
export interface Picture {
  readonly data: Uint8Array | Uint8ClampedArray;
  readonly shape: Shape;
}

/** What is to be found in each picture. */
export interface PictureTargets {
  readonly task: Task;
  /** Numbers a picture; of labels 1. */
  readonly size: number;
  /** Of a picture of this size in pixels. Points are in units of the picture's sides: x over its width, y over its height. */
  of(index: number, size: { readonly width: number; readonly height: number }): ArrayLike<number>;
}

export interface PicturesOptions {
  /** How a picture becomes an input. */
  preprocessing: Preprocessing;
  /** Default: unlabelled. */
  targets?: PictureTargets | undefined;
  /** Leave out pictures that cannot be read, and go on. Default false: an error that names them. */
  skipBad?: boolean | undefined;
  /** Bytes of inputs that may be held in memory; a larger set is decoded again at each read. Default 512 MiB. */
  memoryLimit?: number | undefined;
  /** For the set's `partName`. Default 'all'. */
  partName?: string | undefined;
  signal?: AbortSignal | undefined;
  /** Is told how many pictures were looked at. */
  onProgress?: ((done: number, count: number) => void) | undefined;
}

/** A set of pictures. */
export interface PictureSet extends Dataset {
  readonly names: readonly string[];
  /** Pictures that were left out (`skipBad`), each with what is wrong with it. */
  readonly skipped: readonly { readonly name: string; readonly problem: string }[];
}

const NAMES = ['preprocessing', 'targets', 'skipBad', 'memoryLimit', 'partName', 'signal', 'onProgress'] as const;

/**
 * A set of pictures from a decoder of the caller's: a canvas in a page, sharp or any other package in Node.
 *
 * Every picture is decoded once now, so that a broken one is found before hours of work and not after. Inputs that take at most
 * `memoryLimit` bytes are kept; of a larger set nothing is, and each read decodes its pictures again: the numbers are the same.
 * Targets are held always. Cost: a decoding and a resizing for each picture.
 *
 * @param names - one a picture, of which errors speak
 * @param read - gives the pixels of a picture by its index; what it throws is told with the picture's name
 * @throws {TypeError | RangeError} for wrong arguments
 * @throws {EspalierError} DATA where there is no picture, or pictures that cannot be read, all by name; `signal.reason` when aborted
 * @example
 * import { openPictures } from 'espalier/data';
 * const set = await openPictures(files, async (i) => decode(await readFile(files[i])), { preprocessing });
 */
export async function openPictures(
  names: readonly string[],
  read: (index: number) => Picture | Promise<Picture>,
  given: PicturesOptions,
): Promise<PictureSet> {
  const who = 'openPictures';
  const options = ownOptions(who, 'options', given, NAMES);
  const { preprocessing, targets, skipBad = false, partName = 'all', signal, onProgress } = options;
  if (!Array.isArray(names) || names.some((name) => typeof name !== 'string'))
    throw new TypeError(`${who}: names: expected an array of strings, got ${show(names)}`);
  if (typeof read !== 'function') throw new TypeError(`${who}: read: expected a function, got ${show(read)}`);
  if (typeof skipBad !== 'boolean')
    throw new TypeError(`${who}: skipBad: expected true or false, got ${show(skipBad)}`);
  checkPreprocessing(who, preprocessing);
  const memoryLimit = checkNumber(who, 'memoryLimit', options.memoryLimit ?? FOLDER_DEFAULTS.memoryLimit, 0);
  if (names.length === 0)
    throw new EspalierError('DATA', `${who}: names: there is no picture; give at least one`, { name: 'names' });
  const control = createRunControl(signal ? { signal } : {});
  control.check();

  const inputShape = preprocessedShape(preprocessing);
  const inputSize = sizeOf(inputShape);
  const prepare = createPreparing(who, preprocessing);
  const inMemory = names.length * inputSize * 4 <= memoryLimit;
  const inputs = inMemory ? new Float32Array(names.length * inputSize) : undefined;
  const one = new Float32Array(inputSize);
  const found = new Float32Array(names.length * (targets ? checkInteger(who, 'targets.size', targets.size, 1) : 0));
  const kept: number[] = [];
  const skipped: { name: string; problem: string }[] = [];
  for (let i = 0; i < names.length; i++) {
    try {
      const picture = await control.wait(read(i));
      const size = prepare(picture, inputs ?? one, inputs ? kept.length * inputSize : 0);
      if (targets) found.set(targetOf(who, targets, i, size), kept.length * targets.size);
      kept.push(i);
    } catch (error) {
      control.check(); // an abort goes by its own reason
      skipped.push({ name: names[i], problem: isError(error) ? error.message : show(error) });
    }
    onProgress?.(i + 1, names.length);
    await control.pause();
  }
  if (skipped.length > 0 && (!skipBad || kept.length === 0)) throw badPictures(who, skipped, names.length);
  const labels = targets && found.subarray(0, kept.length * targets.size);
  if (labels) checkSamplesFinite(who, 'targets', labels, targets.size, (row) => kept[row]);

  const set: SetShape = { count: kept.length, inputShape, ...(targets && { targetShape: [targets.size] }) };
  let isOpen = true;
  return {
    ...set,
    period: 1,
    partName,
    inMemory,
    preprocessing,
    names: kept.map((i) => names[i]),
    skipped,
    ...(targets && { task: targets.task }),
    async read(indices, inputsOut, targetsOut) {
      if (!isOpen) throw new EspalierError('DISPOSED', `${who}: the set is closed; open it again`, { name: partName });
      checkRead(who, set, indices, inputsOut, targetsOut);
      if (inputs) copyRows(inputs, indices, inputSize, inputsOut);
      else {
        for (let i = 0; i < indices.length; i++) {
          const name = names[kept[indices[i]]];
          try {
            prepare(await read(kept[indices[i]]), inputsOut, i * inputSize);
          } catch (error) {
            throw badPictures(who, [{ name, problem: isError(error) ? error.message : show(error) }], names.length);
          }
        }
      }
      if (labels && targetsOut) copyRows(labels, indices, targets.size, targetsOut);
    },
    close() {
      isOpen = false;
    },
  };
}

/**
 * Whether a picture belongs to the share that is held out for validation, told by its name alone: the same in every run and on
 * every machine, whatever other pictures come or go. A larger share holds out all that a smaller one does.
 * @param share - from 0 to 1
 */
export function isHeldOut(name: string, share: number): boolean {
  return stream(0, 'held out', name)() < share;
}

/** Writes a picture's input; gives its size. The last preprocessor is kept: most folders are of few sizes. */
function createPreparing(
  who: string,
  preprocessing: Preprocessing,
): (picture: Picture, out: Float32Array, offset: number) => { width: number; height: number } {
  let last: { readonly shape: Shape; readonly convert: Preprocessor } | undefined;
  return (picture, out, offset) => {
    const { data, shape } = checkedPicture(who, picture);
    if (!last || !sameShape(last.shape, shape))
      last = { shape: [...shape], convert: preprocessor(who, shape, preprocessing) };
    last.convert(data, out, offset);
    return { height: shape[0], width: shape[1] };
  };
}

function checkedPicture(who: string, picture: unknown): Picture {
  const { data, shape } = (typeof picture === 'object' && picture !== null ? picture : {}) as Partial<Picture>;
  const isBytes = ArrayBuffer.isView(data) && data.BYTES_PER_ELEMENT === 1;
  if (!isBytes || !Array.isArray(shape))
    throw new TypeError(`${who}: read: expected { data: Uint8Array, shape }, got ${show(picture)}`);
  if (data.length !== sizeOf(shape))
    throw new RangeError(
      `${who}: read: expected ${sizeOf(shape)} bytes for shape [${shape.join(', ')}], got ${data.length}`,
    );
  return { data, shape };
}

function targetOf(
  who: string,
  targets: PictureTargets,
  index: number,
  size: { width: number; height: number },
): ArrayLike<number> {
  const values = targets.of(index, size);
  if (values.length !== targets.size)
    throw new RangeError(`${who}: targets: expected ${targets.size} numbers a picture, got ${values.length}`);
  return values;
}

/** One error for all that is wrong. */
function badPictures(who: string, bad: PictureSet['skipped'], count: number): EspalierError {
  const shown = bad.slice(0, 5).map(({ name, problem }) => `${show(name)} (${problem})`);
  const rest = bad.length > shown.length ? ` and ${bad.length - shown.length} more` : '';
  return new EspalierError(
    'DATA',
    `${who}: ${bad.length} of ${count} pictures cannot be read: ${shown.join(', ')}${rest}; mend or remove them${bad.length < count ? ', or leave them out with { skipBad: true }' : ''}`,
    { name: bad[0].name },
  );
}
