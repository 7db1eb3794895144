/** Models of TensorFlow.js as the command line names them: `model.json` with its shards beside it, or the folder of both. */
import { stat } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { NO_LIMITS, readTfjs } from '../index.ts';
import type { TfjsModel } from '../index.ts';
import { inFile } from './files.ts';
import { filesBeside, shapeAsked } from './onnx.ts';
import type { OnnxChoices } from './onnx.ts';

/** The file that MODEL means: of a folder its model.json. */
export async function modelFile(path: string): Promise<string> {
  const [folder, file] = [stat(path), stat(join(path, 'model.json'))].map((found) => found.catch(() => undefined));
  return (await folder)?.isDirectory() && (await file) ? join(path, 'model.json') : path;
}

/** By what it holds: text of an object or a list; by its name where that is JSON. */
export function isTfjsFile(path: string, bytes: Uint8Array): boolean {
  const first = bytes[0] === 0xef ? 3 : 0;
  // A safetensors file begins with the length of its header, whose high bytes are 0.
  const isText = (bytes[first] === 0x7b || bytes[first] === 0x5b) && bytes.length > 8 && bytes[7] !== 0;
  return isText || extname(path).toLowerCase() === '.json';
}

/** A model with the bytes of its files. */
export interface TfjsFile extends TfjsModel {
  readonly fileBytes: number;
}

/**
 * Reads the model in the file `path`, whose bytes are given, with the shards of its own folder, which are opened when they
 * are asked for.
 * @throws {UsageError} for a shape that the model has no use for
 * @throws {EspalierError} whatever `readTfjs` throws, naming the file
 */
export function readTfjsFile(path: string, bytes: Uint8Array, { shape, noLimits }: OnnxChoices): TfjsFile {
  let fileBytes = bytes.length;
  const beside = filesBeside(path);
  const shards: Record<string, Uint8Array> = {};
  for (const name of Object.keys(beside)) {
    const get = (): Uint8Array => {
      fileBytes += beside[name].length;
      return beside[name];
    };
    Object.defineProperty(shards, name, { enumerable: true, get });
  }
  const options = { ...(shape && { shapes: shape }), ...(noLimits && { limits: NO_LIMITS }) };
  const model = shapeAsked(shape, () => inFile(path, () => readTfjs(bytes, shards, options)));
  return { ...model, fileBytes };
}
