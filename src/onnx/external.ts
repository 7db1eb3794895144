/** Data of tensors that lie in files beside the model: the caller supplies them, nothing is opened here. */
import { EspalierError, show, showAll } from '../base/errors.ts';
import { asBytes, isMap } from '../base/realm.ts';

/** Where a tensor's data lie outside the file. */
export interface ExternalPlace {
  readonly location: string;
  readonly offset: number;
  /** Absent: what the tensor needs. */
  readonly length?: number;
  /** What else is said of them, which nothing here knows. */
  readonly unknown: readonly string[];
}

/** Files beside the model by the path that the model names them by ('model.onnx.data'). */
export type SideFiles = ReadonlyMap<string, Uint8Array> | Readonly<Record<string, Uint8Array>>;

/**
 * Only a plain relative path of forward slashes may name a file: no way up, no root, drive or share, no address, nothing
 * that something else might decode into one.
 * @throws {EspalierError} PATH
 */
export function checkExternalPath(tensor: string, path: string): void {
  const plain =
    path.length > 0 &&
    path.length <= 1024 &&
    // Letters, digits, marks of names: no backslash, colon, per cent, control character or end of a string in C.
    /^[\p{L}\p{M}\p{N} ._+=@#$&()[\]{},;'~^!-]+(?:\/[\p{L}\p{M}\p{N} ._+=@#$&()[\]{},;'~^!-]+)*$/u.test(path) &&
    path.split('/').every((part) => part !== '.' && part !== '..' && part.trim() === part && !part.endsWith('.'));
  if (plain) return;
  throw new EspalierError(
    'PATH',
    `readOnnx: tensor ${show(tensor)}: its data are said to lie in ${show(path)}; expected the name of a file beside the model, without "..", root, drive, backslash, per cent sign or address`,
    { name: tensor, found: path },
  );
}

/**
 * Bytes of a tensor in the files that the caller gave.
 * @throws {EspalierError} MISSING, with the names that were given; EXTERNAL for a range that the file has not
 */
export function externalBytes(
  files: SideFiles | undefined,
  tensor: string,
  place: ExternalPlace,
  needed: number,
): Uint8Array {
  const { location, offset, length = needed } = place;
  const names = files === undefined ? [] : isMap(files) ? [...files.keys()].map(String) : Object.keys(files);
  const given: unknown = isMap(files)
    ? files.get(location)
    : files && Object.hasOwn(files, location)
      ? (files as Readonly<Record<string, Uint8Array>>)[location]
      : undefined;
  const bytes = asBytes(given);
  if (!bytes && given !== undefined)
    throw new TypeError(`readOnnx: files[${show(location)}]: expected a Uint8Array, got ${show(given)}`);
  if (!bytes) {
    const known = names.length > 0 ? `given were ${showAll(names)}` : 'none was given';
    throw new EspalierError(
      'MISSING',
      `readOnnx: tensor ${show(tensor)}: its data lie in the file ${show(location)} beside the model, and ${known}; pass it as { files: { ${show(location)}: bytes } }`,
      { name: location },
    );
  }
  if (offset + length > bytes.length) {
    throw new EspalierError(
      'EXTERNAL',
      `readOnnx: tensor ${show(tensor)}: bytes ${offset} to ${offset + length} of ${show(location)}, which has ${bytes.length}; is it the file of this model?`,
      { name: tensor, found: bytes.length },
    );
  }
  return bytes.subarray(offset, offset + length);
}
