/**
 * Array folders (Node): sets as NumPy files, `<part>-images.npy[.gz]` or `<part>-inputs.npy[.gz]` beside
 * `<part>-landmarks.npy`, `<part>-labels.npy` or `<part>-targets.npy` (each also `.gz`), and `<part>-names.txt`.
 */
import { checkNumber, checkOneOf, EspalierError, show } from '../base/errors.ts';
import { ownOptions } from '../base/rules.ts';
import type { Examples } from '../graph/examples.ts';
import type { Preprocessing, Task } from '../graph/preprocessing.ts';
import { checkFloat32, columnRanges, flattened, flattenedError, toFloat32 } from '../base/float32.ts';
import { requireNode } from '../base/platform.ts';
import { arrayName } from '../base/realm.ts';
import { sizeOf } from '../base/tensor.ts';
import type { Shape } from '../base/tensor.ts';
import { checkRead, checkSamplesFinite, copyRows } from './arrays.ts';
import type { SetShape } from './arrays.ts';
import { landmarks68Task } from './landmarks.ts';
import { checkPreprocessing, preprocessedShape, preprocessor } from '../preprocess/preprocess.ts';
import { allocateBytes, inFile, openRows, readArrayFile } from './rows.ts';
import type { RowReader } from './rows.ts';

export interface FolderOptions {
  /** How images become inputs; needed where the part has images. */
  preprocessing?: Preprocessing | undefined;
  /**
   * What the targets mean, or only of which kind they are: then the files say the rest. Default: by the files there
   * (landmarks, labels or targets).
   */
  task?: Task | Task['kind'] | undefined;
  /** 'none': targets are left unread, whatever is there. Default 'auto'. */
  labels?: 'auto' | 'none' | undefined;
  /**
   * Bytes of inputs that may be held in memory; a larger set is read from the disk, batch by batch. Default 512 MiB.
   */
  memoryLimit?: number | undefined;
}

/** Defaults of {@link FolderOptions}; the others depend on the files. */
export const FOLDER_DEFAULTS = { memoryLimit: 2 ** 29 } as const;

/** A part of an array folder. Close it when done: it may hold a file open. */
export interface Dataset extends Examples {
  readonly partName: string;
  /** One a sample, from `<part>-names.txt`. */
  readonly names?: readonly string[];
  /** As given, or by the files there; absent: unlabelled. */
  readonly task?: Task;
  /** Of the stored images: (height, width) or (height, width, channels). Absent where the part has inputs. */
  readonly imageShape?: Shape;
  /** How pictures became the inputs; absent where the set has inputs. */
  readonly preprocessing?: Preprocessing;
  /** Prepared once and held in memory, or prepared at each read. */
  readonly inMemory: boolean;
  /** Twice does no harm; reading afterwards is a DISPOSED error. */
  close(): void;
}

/**
 * Opens a part of an array folder.
 *
 * images: uint8, (n, height, width) or (n, height, width, 1 | 3 | 4), sent through `preprocessing`. inputs: float, (n,
 * ...), used as they are. landmarks: (n, points, 2), in units of the crop's side: targets x0, y0, x1, y1, .... labels:
 * whole numbers, (n): one target each. targets: (n, ...). All three of floats or integers of any width. Without any of
 * these the set is unlabelled. Targets are held in memory always. A file there both as `.npy` and as `.npy.gz` is refused.
 *
 * Everything becomes float32: a number beyond it is refused, and numbers that would all become one, such as times in
 * seconds since 1970 (for which inputs of doubles are read through once, also where they stay on the disk).
 *
 * Inputs that take at most `memoryLimit` bytes as float32 are prepared once and kept. Else they are read by range and
 * prepared at each read; of a `.npy.gz` that is itself larger than the limit, a temporary file is inflated in the
 * system's folder for these (it has no name any more once it is open, and goes away with `close` or the process).
 *
 * @param part - 'train', 'validation', 'test', ...
 * @throws {EspalierError} MISSING (no such folder, part or preprocessing), DATA (empty, other counts, types or shapes,
 *   a value that is not finite, a label out of range, a file twice), RANGE (numbers that float32 does not hold or does
 *   not tell apart), IO, and what {@link readNpy} and {@link gunzip} throw; file and
 *   sample are named
 * @example
 * import { openFolder } from 'espalier/data';
 * const train = await openFolder('faces68', 'train', { preprocessing });
 */
export async function openFolder(directory: string, part: string, given: FolderOptions = {}): Promise<Dataset> {
  const who = 'openFolder';
  const options = ownOptions(who, 'options', given, ['preprocessing', 'task', 'labels', 'memoryLimit']);
  for (const [name, value] of [
    ['directory', directory],
    ['part', part],
  ])
    if (typeof value !== 'string') throw new TypeError(`${who}: ${name}: expected a string, got ${show(value)}`);
  const memoryLimit = checkNumber(who, 'memoryLimit', options.memoryLimit ?? FOLDER_DEFAULTS.memoryLimit, 0);
  if (options.preprocessing !== undefined) checkPreprocessing(who, options.preprocessing);
  const labels = checkOneOf(who, 'labels', options.labels ?? 'auto', ['auto', 'none']);
  const files = await findFiles(who, directory, part);
  if (files.inputKind === 'images' && !options.preprocessing) {
    throw new EspalierError(
      'MISSING',
      `${who}: ${files.inputPath} holds images: expected preprocessing (options.preprocessing, on the command line --preprocess file.json), got none`,
      { name: 'preprocessing' },
    );
  }
  const rows = await openRows(who, files.inputPath, memoryLimit);
  try {
    const count = rows.header.shape[0];
    const source = prepared(who, files, rows, options.preprocessing, memoryLimit);
    const targets = labels === 'none' ? undefined : await readTargets(who, files, options.task, count);
    const names = await readNames(who, files.namesPath, count);
    const task =
      targets?.task ??
      (options.task === 'regression'
        ? ({ kind: 'regression' } as const)
        : typeof options.task === 'string'
          ? undefined
          : options.task);
    const { inputShape, imageShape, inMemory } = source;
    const inputSize = sizeOf(inputShape);
    let isOpen = true;
    const set: SetShape = { count, inputShape, ...(targets && { targetShape: targets.shape }) };
    return {
      ...set,
      period: 1,
      partName: part,
      inMemory,
      ...(imageShape && { imageShape }),
      ...(imageShape && options.preprocessing && { preprocessing: options.preprocessing }),
      ...(task && { task }),
      ...(names && { names }),
      read(indices, inputsOut, targetsOut) {
        if (!isOpen)
          throw new EspalierError('DISPOSED', `${who}: part ${show(part)} is closed; open it again`, { name: part });
        checkRead(who, set, indices, inputsOut, targetsOut);
        for (let i = 0; i < indices.length; i++) source.write(indices[i], inputsOut, i * inputSize);
        if (targets && targetsOut) copyRows(targets.data, indices, sizeOf(targets.shape), targetsOut);
      },
      close() {
        isOpen = false;
        source.close();
      },
    };
  } catch (error) {
    rows.close();
    throw error;
  }
}

const INPUT_KINDS = ['images', 'inputs'] as const;
/** Which file holds the targets of a task. */
const TARGET_KINDS = { landmarks: 'landmarks', classes: 'labels', regression: 'targets' } as const;
type TargetKind = (typeof TARGET_KINDS)[keyof typeof TARGET_KINDS];

interface PartFiles {
  readonly inputKind: (typeof INPUT_KINDS)[number];
  readonly inputPath: string;
  readonly targetPaths: ReadonlyMap<TargetKind, string>;
  readonly namesPath?: string;
}

async function findFiles(who: string, directory: string, part: string): Promise<PartFiles> {
  const fs = requireNode(who, 'node:fs');
  const { join } = requireNode(who, 'node:path');
  const there = new Set(
    await inFile(who, directory, () => fs.promises.readdir(directory)).catch((error: unknown) => {
      throw fs.existsSync(directory)
        ? error
        : new EspalierError('MISSING', `${who}: directory: there is no folder ${show(directory)}`, {
            name: directory,
            cause: error,
          });
    }),
  );
  const find = (kind: string): string | undefined => {
    const [name, other] = [`${part}-${kind}.npy`, `${part}-${kind}.npy.gz`].filter((name) => there.has(name));
    if (other !== undefined)
      throw new EspalierError(
        'DATA',
        `${who}: ${join(directory, name)}: ${other} is there too, and nothing says which is meant; remove one of them`,
        { name: join(directory, name) },
      );
    return name;
  };
  const found = INPUT_KINDS.filter((kind) => find(kind) !== undefined);
  const inputKind = found[0];
  if (inputKind === undefined) {
    const parts = [...there].flatMap((name) =>
      INPUT_KINDS.flatMap((kind) =>
        [`-${kind}.npy`, `-${kind}.npy.gz`]
          .filter((end) => name.endsWith(end))
          .map((end) => name.slice(0, -end.length)),
      ),
    );
    const looked = INPUT_KINDS.flatMap((kind) => [`${part}-${kind}.npy`, `${part}-${kind}.npy.gz`]);
    throw new EspalierError(
      'MISSING',
      `${who}: part: ${show(part)} is not in ${directory}: looked for ${looked.join(', ')}; parts there: ${[...new Set(parts)].sort().join(', ') || 'none'}`,
      { name: part },
    );
  }
  if (found.length > 1)
    throw new EspalierError(
      'DATA',
      `${who}: ${directory}: part ${show(part)} has both images and inputs; keep one of them`,
      { name: part },
    );
  const path = (kind: string): string | undefined => {
    const name = find(kind);
    return name && join(directory, name);
  };
  const targetPaths = new Map<TargetKind, string>();
  for (const kind of Object.values(TARGET_KINDS)) {
    const found = path(kind);
    if (found) targetPaths.set(kind, found);
  }
  return {
    inputKind,
    inputPath: path(inputKind) ?? '',
    targetPaths,
    ...(there.has(`${part}-names.txt`) && { namesPath: join(directory, `${part}-names.txt`) }),
  };
}

interface InputSource {
  readonly inputShape: Shape;
  readonly imageShape?: Shape;
  readonly inMemory: boolean;
  /** Writes the input of a sample into `out` from `offset` on. */
  write(index: number, out: Float32Array, offset: number): void;
  close(): void;
}

/** Inputs in memory if they fit, else prepared from the rows at each read. Takes the rows over. */
function prepared(
  who: string,
  { inputKind, inputPath }: PartFiles,
  rows: RowReader,
  preprocessing: Preprocessing | undefined,
  memoryLimit: number,
): InputSource {
  const { shape, type } = rows.header;
  const bad = (expected: string): EspalierError =>
    new EspalierError(
      'DATA',
      `${who}: ${inputPath}: expected ${expected}, got ${type} of shape [${shape.join(', ')}]`,
      { name: inputPath, found: type },
    );
  const rowShape = shape.slice(1);
  const rowSize = sizeOf(rowShape);
  const count = shape[0];
  let inputShape: Shape;
  /** Prepares samples first ... first + n - 1. */
  let prepare: (first: number, n: number, out: Float32Array, offset: number) => void;
  if (inputKind === 'images' && preprocessing) {
    if (
      type !== 'u1' ||
      (rowShape.length !== 2 && rowShape.length !== 3) ||
      ![1, 3, 4].includes(rowShape[2] ?? 1) ||
      rowSize === 0
    )
      throw bad('uint8 images (n, height, width) or (n, height, width, 1 | 3 | 4)');
    inputShape = preprocessedShape(preprocessing);
    const convert = preprocessor(who, rowShape, preprocessing);
    const inputSize = sizeOf(inputShape);
    prepare = (first, n, out, offset) => {
      const images = rows.read(first, n);
      for (let i = 0; i < n; i++) convert(images.subarray(i * rowSize, (i + 1) * rowSize), out, offset + i * inputSize);
    };
  } else {
    if (!type.startsWith('f') || rowShape.length === 0 || rowSize === 0) throw bad('float inputs (n, ...)');
    inputShape = rowShape;
    if (type === 'f8') checkRowsApart(who, inputPath, rows, count, rowSize);
    prepare = (first, n, out, offset) => {
      const values = rows.read(first, n);
      checkSamplesFinite(who, inputPath, values, rowSize, (row) => first + row);
      out.set(values, offset);
    };
  }
  const images = inputKind === 'images' && { imageShape: rowShape };
  const inputSize = sizeOf(inputShape);
  const bytes = count * inputSize * 4;
  if (bytes > memoryLimit)
    return {
      inputShape,
      ...images,
      inMemory: false,
      write: (index, out, offset) => prepare(index, 1, out, offset),
      close: rows.close,
    };

  let kept = new Float32Array(allocateBytes(bytes).buffer);
  for (let first = 0; first < count; first += BLOCK)
    prepare(first, Math.min(BLOCK, count - first), kept, first * inputSize);
  rows.close();
  return {
    inputShape,
    ...images,
    inMemory: true,
    write: (index, out, offset) => out.set(kept.subarray(index * inputSize, (index + 1) * inputSize), offset),
    close: () => {
      kept = new Float32Array(0);
    },
  };
}

/** Samples that are read at once when a whole set is prepared. */
const BLOCK = 64;

/** What {@link toFloat32} checks, of doubles that are not all in memory at once. */
function checkRowsApart(who: string, path: string, rows: RowReader, count: number, rowSize: number): void {
  const ranges = columnRanges(rowSize);
  for (let first = 0; first < count; first += BLOCK) {
    const values = rows.read(first, Math.min(BLOCK, count - first));
    checkSamplesFinite(who, path, values, rowSize, (row) => first + row);
    for (let i = 0; i < values.length; i++) checkFloat32(who, path, values[i]);
    ranges.add(values);
  }
  const [worst] = flattened(ranges);
  if (worst) throw flattenedError(who, path, worst);
}

interface Targets {
  readonly data: Float32Array;
  readonly shape: Shape;
  readonly task: Task;
}

async function readTargets(
  who: string,
  { inputPath, targetPaths }: PartFiles,
  wanted: FolderOptions['task'],
  count: number,
): Promise<Targets | undefined> {
  const taskKind = typeof wanted === 'string' ? wanted : wanted?.kind;
  const task = typeof wanted === 'string' ? undefined : wanted;
  const kinds = [...targetPaths.keys()];
  if (kinds.length === 0 && (wanted === 'landmarks' || wanted === 'classes'))
    throw new EspalierError(
      'MISSING',
      `${who}: ${inputPath}: expected a file of ${TARGET_KINDS[wanted]} beside it, which says more of the task, got none`,
      { name: TARGET_KINDS[wanted] },
    );
  if (kinds.length === 0) return undefined;
  if (!taskKind && kinds.length > 1)
    throw new EspalierError(
      'MISSING',
      `${who}: ${inputPath}: there are ${kinds.join(' and ')} beside it: expected task (options.task, on the command line --task) to say which, got none`,
      { name: 'task' },
    );
  const kind = taskKind ? TARGET_KINDS[taskKind] : kinds[0];
  const path = targetPaths.get(kind);
  if (path === undefined)
    throw new EspalierError(
      'MISSING',
      `${who}: ${inputPath}: expected a file of ${kind} beside it for the task ${taskKind}, got ${kinds.join(', ')}`,
      { name: kind },
    );
  const { data, shape } = await readArrayFile(who, path);
  const bad = (what: string, sample?: number): EspalierError =>
    new EspalierError('DATA', `${who}: ${path}: ${what}`, {
      name: path,
      ...(sample !== undefined && { offset: sample }),
    });
  const found = `${arrayName(data)} of shape [${shape.join(', ')}]`;
  if (shape[0] !== count)
    throw bad(`expected ${count} samples, as many as in ${inputPath}, got ${shape[0] ?? 'a single number'}`);
  const width = sizeOf(shape.slice(1));

  if (kind === 'labels') {
    if (width !== 1) throw bad(`expected integers (n), got ${found}`);
    const classes = task?.kind === 'classes' ? task.classes : Infinity;
    let most = 0;
    data.forEach((label: number, sample: number) => {
      if (!Number.isInteger(label) || label < 0 || label >= classes)
        throw bad(
          `expected whole numbers ${classes === Infinity ? 'from 0' : `from 0 to ${classes - 1}`}, got ${label} in sample ${sample}`,
          sample,
        );
      most = Math.max(most, label);
    });
    if (!wanted && most === 0)
      throw bad(
        'every label is 0: one class cannot be learnt; give the task if this part is no more than one class of several',
      );
    return { data: toFloat32(who, path, data), shape: [1], task: task ?? { kind: 'classes', classes: most + 1 } };
  }
  checkSamplesFinite(who, path, data, width);
  if (kind === 'landmarks') {
    if (shape.length !== 3 || shape[2] !== 2 || shape[1] === 0) throw bad(`expected (n, points, 2), got ${found}`);
    const points = shape[1];
    if (task?.kind === 'landmarks' && task.points !== points)
      throw bad(`expected ${task.points} points, as the task says, got ${points}`);
    return {
      data: toFloat32(who, path, data, width),
      shape: [2 * points],
      task: task ?? (points === 68 ? landmarks68Task() : { kind: 'landmarks', points }),
    };
  }
  if (width === 0) throw bad(`expected (n, ...) without an empty side, got ${found}`);
  return {
    data: toFloat32(who, path, data, width),
    shape: shape.length === 1 ? [1] : shape.slice(1),
    task: task ?? { kind: 'regression' },
  };
}

async function readNames(who: string, path: string | undefined, count: number): Promise<readonly string[] | undefined> {
  if (path === undefined) return undefined;
  const bytes = await inFile(who, path, () => requireNode(who, 'node:fs').promises.readFile(path));
  let text: string;
  try {
    // Without the mark that some editors put in front.
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new EspalierError('DATA', `${who}: ${path}: expected text in UTF-8; save it so`, { name: path, cause });
  }
  const names = text.split('\n').map((line) => line.trimEnd());
  if (names.at(-1) === '') names.pop();
  if (names.length !== count)
    throw new EspalierError('DATA', `${who}: ${path}: expected ${count} lines, one a sample, got ${names.length}`, {
      name: path,
    });
  return names;
}
