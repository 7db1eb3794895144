/** ONNX models as the command line names them: the file, and what lies beside it. */
import { readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, extname, join } from 'node:path';
import { EspalierError, isOnnx, NO_LIMITS, readOnnx, show, writeNetwork, writeOnnx } from '../index.ts';
import type { Network, OnnxModel } from '../index.ts';
import { inFile } from './files.ts';
import { UsageError } from './io.ts';
import { text } from './options.ts';
import type { Option } from './options.ts';

/** By what it holds, whatever it is called; by its name where what it holds is nothing known. */
export const isOnnxFile = (path: string, bytes: Uint8Array): boolean => isOnnx(bytes) || endsInOnnx(path);

export const endsInOnnx = (path: string): boolean => extname(path).toLowerCase() === '.onnx';

/** Sides by input; undefined: the batch, which stays open. */
export type Shapes = Readonly<Record<string, readonly (number | undefined)[]>>;

/** Sides of a model's inputs: `image=batch,3,224,224`, with `;` between several. */
export function shapesOption(): Option<Shapes | undefined> {
  const inner = text(
    'INPUT=SIDE,...',
    'sides of an input that a model of ONNX or TensorFlow.js leaves open: image=batch,3,224,224',
  );
  return {
    ...inner,
    parse(given, flag) {
      const found = inner.parse(given, flag);
      if (found === undefined) return undefined;
      const entries = found.split(';').map((one): [string, (number | undefined)[]] => {
        const end = one.lastIndexOf('=');
        const sides = one
          .slice(end + 1)
          .split(',')
          .map((side) => side.trim());
        const isGood = sides.every((side, i) => (i === 0 && side === 'batch') || /^[1-9]\d{0,8}$/.test(side));
        if (end < 1 || !isGood)
          throw new UsageError(
            `${flag}: expected INPUT=SIDE,SIDE,... of whole numbers from 1, the first of them may be the word batch, got ${show(one)}`,
          );
        return [one.slice(0, end).trim(), sides.map((side) => (side === 'batch' ? undefined : Number(side)))];
      });
      const names = entries.map(([name]) => name);
      const twice = names.find((name, i) => names.indexOf(name) !== i);
      if (twice !== undefined) throw new UsageError(`${flag}: the input ${show(twice)} stands twice`);
      return Object.fromEntries(entries);
    },
  };
}

/** As the option is given. */
export const shapesText = (shapes: Shapes): string =>
  Object.entries(shapes)
    .map(([name, sides]) => `${name}=${sides.map((side) => side ?? 'batch').join(',')}`)
    .join(';');

export interface OnnxChoices {
  readonly shape: Shapes | undefined;
  readonly noLimits: boolean;
  /** Quantized weights are decoded. Default false. */
  readonly dense?: boolean;
}

/**
 * Reads the model in the file `path`, whose bytes are given. Weights outside it are read from files in its own folder, each
 * when it is asked for.
 * @throws {UsageError} for a shape that the model has no use for
 * @throws {EspalierError} whatever `readOnnx` throws, naming the file
 */
export function readOnnxFile(path: string, bytes: Uint8Array, { shape, noLimits, dense }: OnnxChoices): OnnxModel {
  const options = {
    files: filesBeside(path),
    ...(shape && { shapes: shape }),
    ...(noLimits && { limits: NO_LIMITS }),
    ...(dense && { dense }),
  };
  return shapeAsked(shape, () => inFile(path, () => readOnnx(bytes, options)));
}

/** Runs what reads a model. @throws {UsageError} where it has no use for the shapes of --shape */
export function shapeAsked<T>(shape: OnnxChoices['shape'], read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof RangeError && shape) throw new UsageError(`--shape: ${error.message.replace(/^\w+: /, '')}`);
    throw error;
  }
}

/**
 * The files of the model's folder by their names, each read when it is looked at. No path is ever made of what the model
 * says: a name that is none of these is not there. A link counts if it ends in the folder itself.
 */
export function filesBeside(path: string): Readonly<Record<string, Uint8Array>> {
  const folder = dirname(path);
  const files: Record<string, Uint8Array> = {};
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const place = join(folder, entry.name);
    if (entry.name === basename(path) || !(entry.isFile() || (entry.isSymbolicLink() && staysIn(folder, place))))
      continue;
    let bytes: Uint8Array | undefined;
    Object.defineProperty(files, entry.name, { enumerable: true, get: () => (bytes ??= readBeside(place)) });
  }
  return files;
}

function staysIn(folder: string, link: string): boolean {
  try {
    return dirname(realpathSync(link)) === realpathSync(folder) && statSync(link).isFile();
  } catch {
    return false; // into nowhere
  }
}

function readBeside(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new EspalierError('IO', `cannot read ${show(path)}: ${(cause as Error).message}`, { name: path, cause });
  }
}

/** A model as the ending of its file says: `.onnx`, or the library's own format. */
export function modelBytes(path: string, network: Network, { dense = false } = {}): Uint8Array {
  return endsInOnnx(path) ? writeOnnx(network, { dense }) : writeNetwork(network);
}
