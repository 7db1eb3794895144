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
import { EspalierError, show, withMemory } from '../base/errors.ts';
import type { Shape } from '../base/tensor.ts';
import { inferTypes } from './shapes.ts';
import { ownOptions } from '../base/rules.ts';
import { checkGraph } from './check.ts';
import { fail, list, NETWORK_KEY, object, readDescription, readShape, text, toPlain } from './description.ts';
import type { Network } from '../graph/network.ts';
import { activationBytes, budgetOf, decodedBytes, passWork } from './limits.ts';
import type { Budget, Limits } from './limits.ts';

export interface ReadOptions {
  /**
   * false: do not compare the checksum, for a file that another tool saved anew. Every other check stays. Default true.
   */
  verify?: boolean;
  /** The most that the file may ask for. */
  limits?: Limits;
}

const WHO = 'readNetwork';
const STORED_DTYPES = ['F32', 'F16', 'U8', 'U16', 'I32'] as const satisfies readonly StoredTensor['dtype'][];
/**
 * The network that `writeNetwork` wrote, its values bit by bit.
 *
 * @throws {TypeError} if `input` is not bytes
 * @throws {EspalierError} CHECKSUM if the bytes are not those that were written; BUDGET if the network takes more than
 *   {@link ReadOptions.limits}; LAYOUT if a stored tensor serves twice; MISSING if it is a safetensors file of
 *   another program; UNSUPPORTED_VERSION, FIELD, GRAPH, ATTRIBUTE, SHAPE, PQ_PARAM, NONFINITE, UNSUPPORTED for
 *   what is wrong inside; MEMORY; and whatever `readSafetensors` throws
 */
export function readNetwork(input: Uint8Array | ArrayBuffer, options: ReadOptions = {}): Network {
  const { verify = true, limits } = ownOptions(WHO, 'options', options, ['verify', 'limits']);
  const bytes = steadyBytes(WHO, input);
  const check = budgetOf(WHO, bytes.length, limits);
  return withMemory(WHO, () => readChecked(bytes, verify, check));
}

function readChecked(bytes: Uint8Array, verify: boolean, check: Budget): Network {
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
  check('bytes', decodedBytes(stored, parts.nodes));
  const tensorOf = storedTensors(file);
  const parameters = new Map<string, Encoding>();
  for (const { name, header, tensors } of stored) {
    if (parameters.has(name))
      throw new EspalierError('GRAPH', `${WHO}: two parameters are called ${show(name)}`, { name });
    parameters.set(
      name,
      readEncoding(name, header, (suffix) => tensorOf(name, suffix, tensors.get(suffix) ?? name + suffix)),
    );
  }
  const network: Network = { ...parts, parameters };
  checkGraph(network, WHO);
  const types = inferTypes(network);
  check('activations', activationBytes(network, types));
  check('multiplyAdds', passWork(network, types));
  return network;
}

interface StoredParameter {
  readonly name: string;
  readonly shape: Shape;
  readonly header: EncodingHeader;
  /** Names of tensors by suffix, where they are not name + suffix. */
  readonly tensors: ReadonlyMap<string, string>;
}

function readStored(file: SafetensorsFile, parameters: readonly Json[]): StoredParameter[] {
  return parameters.map((entry) => {
    if (typeof entry === 'string') {
      const found = file.tensors.get(entry);
      if (found === undefined) throw missing(entry);
      return { name: entry, shape: found.shape, header: { kind: 'dense', shape: found.shape }, tensors: new Map() };
    }
    const fields = object(WHO, 'parameters', entry);
    const name = text(WHO, 'parameters: name', fields.get('name'));
    const header = object(WHO, `parameter ${show(name)}: header`, fields.get('header'));
    const renamed = object(WHO, `parameter ${show(name)}: tensors`, fields.get('tensors') ?? new Map());
    const shape = readShape(WHO, `parameter ${show(name)}: shape`, header.get('shape'));
    return {
      name,
      shape,
      header: { ...toPlain(header), kind: text(WHO, `parameter ${show(name)}: kind`, header.get('kind')), shape },
      tensors: new Map(
        [...renamed].map(([suffix, tensor]) => [suffix, text(WHO, `parameter ${show(name)}: tensors`, tensor)]),
      ),
    };
  });
}

/**
 * The tensors of a file as parameters ask for them, each one once: one tensor under many names would be many times the
 * file. Nodes that share weights name one parameter.
 */
function storedTensors(file: SafetensorsFile): (parameter: string, suffix: string, name: string) => StoredTensor {
  const owners = new Map<string, string>();
  return (parameter, suffix, name) => {
    const found = file.tensors.get(name);
    if (found === undefined) throw missing(name);
    const owner = owners.get(name);
    if (owner !== undefined)
      throw new EspalierError(
        'LAYOUT',
        `${WHO}: the tensor ${show(name)} is stored for the parameter ${show(owner)} and asked for by ${show(parameter)} too; give each its own, or let the nodes share one parameter`,
        { name, found: parameter },
      );
    owners.set(name, parameter);
    const dtype = STORED_DTYPES.find((known) => known === found.dtype);
    if (dtype === undefined)
      return fail(WHO, `tensor ${show(name)}: dtype`, `one of ${STORED_DTYPES.join(', ')}`, found.dtype);
    return { suffix, dtype, shape: found.shape, bytes: found.bytes };
  };
}

function missing(name: string): EspalierError {
  return new EspalierError('MISSING', `${WHO}: the file has no tensor ${show(name)}, which its network needs`, {
    name,
  });
}
