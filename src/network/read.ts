/**
 * A network from a file's bytes. The file is untrusted: everything is checked, sizes before anything is allocated by
 * them.
 */
import { CHECKSUM_KEY, verifyChecksum } from '../container/checksum.ts';
import { parseJson } from '../container/json.ts';
import type { Json } from '../container/json.ts';
import { readSafetensors, steadyBytes } from '../container/safetensors.ts';
import type { SafetensorsFile } from '../container/safetensors.ts';
import { readEncoding } from '../encodings/reading.ts';
import type { Encoding, EncodingHeader, StoredTensor } from '../encodings/types.ts';
import { EspalierError, show } from '../base/errors.ts';
import { ownOptions } from '../base/rules.ts';
import { inferShapes } from './shapes.ts';
import { sizeOf } from '../base/tensor.ts';
import { checkGraph } from './check.ts';
import { fail, list, NETWORK_KEY, object, readDescription, readShape, text, toPlain } from './description.ts';
import type { Network } from '../graph/network.ts';

export interface ReadOptions {
  /**
   * false: do not compare the checksum, for a file that another tool saved anew. Every other check stays. Default true.
   */
  verify?: boolean;
}

const WHO = 'readNetwork';
const STORED_DTYPES = ['F32', 'F16', 'U8', 'U16', 'I32'] as const satisfies readonly StoredTensor['dtype'][];
/** Decoded parameters may take this many bytes whatever the file's size ... */
const FREE_BYTES = 2 ** 26;
/** ... and beyond that this many times the file. Real files stay below a few hundred. */
const MAX_EXPANSION = 4096;

/**
 * The network that `writeNetwork` wrote, its values bit by bit.
 *
 * @throws {TypeError} if `input` is not bytes
 * @throws {EspalierError} CHECKSUM if the bytes are not those that were written; MISSING if it is a safetensors file of
 *   another program; UNSUPPORTED_VERSION, FIELD, GRAPH, ATTRIBUTE, SHAPE, PQ_PARAM, NONFINITE, BUDGET, UNSUPPORTED for
 *   what is wrong inside; and whatever `readSafetensors` throws
 */
export function readNetwork(input: Uint8Array | ArrayBuffer, options: ReadOptions = {}): Network {
  const { verify = true } = ownOptions(WHO, 'options', options, ['verify']);
  const bytes = steadyBytes(WHO, input);
  const file = readSafetensors(bytes);
  const description = file.metadata.get(NETWORK_KEY);
  if (description === undefined && !file.metadata.has(CHECKSUM_KEY)) {
    throw new EspalierError(
      'MISSING',
      `${WHO}: the file holds tensors and no network; read it with readPlain() and put the tensors into a network with withWeights()`,
      { name: NETWORK_KEY },
    );
  }
  if (verify) verifyChecksum(WHO, bytes);
  if (description === undefined)
    throw new EspalierError('MISSING', `${WHO}: the file describes no network`, { name: NETWORK_KEY });

  const json = parseJson(description, { who: WHO });
  const parts = readDescription(WHO, json);
  const stored = readStored(file, list(WHO, 'parameters', object(WHO, 'network', json).get('parameters')));
  checkBudget(stored, bytes.length);
  const parameters = new Map<string, Encoding>();
  for (const { name, header, tensors } of stored) {
    if (parameters.has(name))
      throw new EspalierError('GRAPH', `${WHO}: two parameters are called ${show(name)}`, { name });
    parameters.set(
      name,
      readEncoding(name, header, (suffix) => storedTensor(file, suffix, tensors.get(suffix) ?? name + suffix)),
    );
  }
  const network: Network = { ...parts, parameters };
  checkGraph(network, WHO);
  inferShapes(network);
  return network;
}

interface StoredParameter {
  readonly name: string;
  readonly header: EncodingHeader;
  /** Names of tensors by suffix, where they are not name + suffix. */
  readonly tensors: ReadonlyMap<string, string>;
}

function readStored(file: SafetensorsFile, parameters: readonly Json[]): StoredParameter[] {
  return parameters.map((entry) => {
    if (typeof entry === 'string') {
      const found = file.tensors.get(entry);
      if (found === undefined) throw missing(entry);
      return { name: entry, header: { kind: 'dense', shape: found.shape }, tensors: new Map() };
    }
    const fields = object(WHO, 'parameters', entry);
    const name = text(WHO, 'parameters: name', fields.get('name'));
    const header = object(WHO, `parameter ${show(name)}: header`, fields.get('header'));
    const renamed = object(WHO, `parameter ${show(name)}: tensors`, fields.get('tensors') ?? new Map());
    return {
      name,
      header: {
        ...toPlain(header),
        kind: text(WHO, `parameter ${show(name)}: kind`, header.get('kind')),
        shape: readShape(WHO, `parameter ${show(name)}: shape`, header.get('shape')),
      },
      tensors: new Map(
        [...renamed].map(([suffix, tensor]) => [suffix, text(WHO, `parameter ${show(name)}: tensors`, tensor)]),
      ),
    };
  });
}

/** A code may stand for many weights: a small file must not ask for memory without bound. */
function checkBudget(stored: readonly StoredParameter[], fileBytes: number): void {
  const limit = Math.max(FREE_BYTES, MAX_EXPANSION * fileBytes);
  let bytes = 0;
  for (const { name, header } of stored) {
    bytes += 4 * sizeOf(header.shape);
    if (bytes > limit) {
      throw new EspalierError(
        'BUDGET',
        `${WHO}: the parameters up to ${show(name)} decode to ${bytes} bytes; a file of ${fileBytes} bytes may decode to ${limit}`,
        { name, limit, found: bytes },
      );
    }
  }
}

function storedTensor(file: SafetensorsFile, suffix: string, name: string): StoredTensor {
  const found = file.tensors.get(name);
  if (found === undefined) throw missing(name);
  const dtype = STORED_DTYPES.find((known) => known === found.dtype);
  if (dtype === undefined)
    return fail(WHO, `tensor ${show(name)}: dtype`, `one of ${STORED_DTYPES.join(', ')}`, found.dtype);
  return { suffix, dtype, shape: found.shape, bytes: found.bytes };
}

function missing(name: string): EspalierError {
  return new EspalierError('MISSING', `${WHO}: the file has no tensor ${show(name)}, which its network needs`, {
    name,
  });
}
