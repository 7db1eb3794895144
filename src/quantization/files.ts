/**
 * Encodings by themselves as a file: what was fitted to somebody's own matrix, without a network around it. The same
 * container, checks and description of parameters as a network's; see docs/method.md.
 */
import { verifyChecksum, writeChecked } from '../container/checksum.ts';
import { parseJson } from '../container/json.ts';
import { readSafetensors, steadyBytes } from '../container/safetensors.ts';
import { EspalierError, show, withMemory } from '../base/errors.ts';
import { isMap } from '../base/realm.ts';
import { ownOptions } from '../base/rules.ts';
import { checkLengths, readEncoding, writeEncoding } from '../encodings/index.ts';
import type { Encoding } from '../encodings/types.ts';
import { MAX_NAME } from '../network/check.ts';
import { checkVersion, fail, FORMAT_VERSION, NETWORK_KEY, object } from '../network/description.ts';
import { budgetOf, decodedBytes } from '../network/limits.ts';
import type { Limits } from '../network/limits.ts';
import { readParameters } from '../network/read-parameters.ts';
import { writeParameters } from '../network/write-parameters.ts';

export interface ReadEncodingsOptions {
  /**
   * false: do not compare the checksum, for a file that another tool saved anew. Every other check stays. Default true.
   */
  verify?: boolean;
  /** The most that the file may ask for: `bytes`, of all encodings decoded. Default: 64 MiB, or 256 times the file. */
  limits?: Pick<Limits, 'bytes'>;
}

/** Key of the description in the file's metadata. */
const ENCODINGS_KEY = 'espalier.encodings';

/**
 * Encodings by name as bytes, for {@link readEncodings}: safetensors whose tensors any reader lists, with a checksum.
 * The same encodings give the same bytes. Cost: linear; each is read back as a check.
 *
 * @throws {TypeError | RangeError} if it is no Map of names and encodings
 * @throws {EspalierError} NONFINITE for a value that is not finite, SHAPE for arrays that do not fit the shape, PQ_PARAM or
 *   FIELD for what could not be read again; each naming the encoding
 * @example
 * import { nearestRows, quantizeMatrix, readEncodings, writeEncodings } from 'espalier/quantization';
 * const { encoding } = quantizeMatrix(vectors, { subvectorLength: 4, codewordCount: 256, signs: 'none', kernels });
 * const bytes = writeEncodings(new Map([['vectors', encoding]]));
 * nearestRows(readEncodings(bytes).get('vectors'), queries, { count: 10 });
 */
export function writeEncodings(encodings: ReadonlyMap<string, Encoding>): Uint8Array {
  const who = 'writeEncodings';
  if (!isMap(encodings))
    throw new TypeError(
      `${who}: encodings: expected a Map of encodings by name, such as new Map([['vectors', encoding]]), got ${show(encodings)}`,
    );
  const checked = new Map([...encodings].map(([name, encoding]) => [checkName(name), checkEncoding(name, encoding)]));
  const { tensors, entries } = writeParameters(who, checked);
  const description = JSON.stringify({ version: FORMAT_VERSION, parameters: entries });
  return writeChecked(tensors, new Map([[ENCODINGS_KEY, description]]));
}

function checkName(name: unknown): string {
  if (typeof name !== 'string')
    throw new TypeError(`writeEncodings: expected names that are strings, got ${show(name)}`);
  if (name === '' || name.length > MAX_NAME)
    throw new RangeError(
      `writeEncodings: expected names of 1 to ${MAX_NAME} characters, got one of ${name.length}: ${show(name)}`,
    );
  return name;
}

/** What could not be read again is refused while it is still at hand. */
function checkEncoding(name: string, encoding: Encoding): Encoding {
  const { kind, encoding: inner } = Object(encoding) as Record<string, unknown>;
  if (typeof kind !== 'string') {
    const cure = typeof inner === 'object' ? '; its field `encoding` is one' : '';
    throw new TypeError(`writeEncodings: ${show(name)}: expected an encoding, got ${show(encoding)}${cure}`);
  }
  checkLengths(name, encoding);
  const { header, tensors } = writeEncoding(encoding);
  readEncoding(name, header, (suffix) => {
    const found = tensors.find((tensor) => tensor.suffix === suffix);
    return found ?? fail('writeEncodings', show(name), `a part ${show(suffix)}`, undefined);
  });
  return encoding;
}

/**
 * The encodings that {@link writeEncodings} wrote, in their order, bit by bit. The bytes are untrusted: everything is
 * checked, sizes before anything is allocated by them.
 *
 * @throws {TypeError} if `input` is not bytes
 * @throws {EspalierError} CHECKSUM if the bytes are not those that were written; BUDGET if the encodings decode to more
 *   than {@link ReadEncodingsOptions.limits}; LAYOUT if a stored tensor serves twice; MISSING if it is a file of something
 *   else; UNSUPPORTED_VERSION, FIELD, GRAPH, SHAPE, PQ_PARAM, NONFINITE for what is wrong inside; MEMORY; and whatever
 *   `readSafetensors` throws
 */
export function readEncodings(
  input: Uint8Array | ArrayBuffer,
  options: ReadEncodingsOptions = {},
): Map<string, Encoding> {
  const who = 'readEncodings';
  const { verify = true, limits } = ownOptions(who, 'options', options, ['verify', 'limits']);
  return withMemory(who, () => {
    const bytes = steadyBytes(who, input);
    const check = budgetOf(who, bytes.length, limits);
    const file = readSafetensors(bytes);
    const description = file.metadata.get(ENCODINGS_KEY);
    if (description === undefined)
      throw new EspalierError(
        'MISSING',
        `${who}: the file holds no encodings that writeEncodings() wrote${file.metadata.has(NETWORK_KEY) ? '; it holds a network: readNetwork(bytes).parameters has its encodings' : ''}`,
        { name: ENCODINGS_KEY },
      );
    if (verify) verifyChecksum(who, bytes);
    const fields = object(who, 'encodings', parseJson(description, { who }));
    checkVersion(who, fields);
    const encodings = readParameters(who, file, fields.get('parameters'), (stored) =>
      check('bytes', decodedBytes(stored, [])),
    );
    for (const name of encodings.keys()) {
      if (name === '' || name.length > MAX_NAME)
        fail(who, 'parameters: name', `1 to ${MAX_NAME} characters`, name.slice(0, 60));
    }
    return encodings;
  });
}
