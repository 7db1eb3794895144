/**
 * A network from a file's bytes. The file is untrusted: everything is checked, sizes before anything is allocated by
 * them.
 */
import { CHECKSUM_KEY, verifyChecksum } from '../container/checksum.ts';
import { parseJson } from '../container/json.ts';
import { PACKED_KEY, PATCH_KEY, unpackSafetensors } from '../container/packed.ts';
import { readSafetensors, steadyBytes } from '../container/safetensors.ts';
import { EspalierError, withMemory } from '../base/errors.ts';
import { inferTypes } from './shapes.ts';
import { ownOptions } from '../base/rules.ts';
import { checkGraph } from './check.ts';
import { NETWORK_KEY, object, readDescription } from './description.ts';
import type { Network } from '../graph/network.ts';
import { activationBytes, budgetOf, decodedBytes, passWork } from './limits.ts';
import type { Budget, Limits } from './limits.ts';
import { readParameters } from './read-parameters.ts';

export interface ReadOptions {
  /**
   * false: do not compare the checksum, for a file that another tool saved anew. Every other check stays. Default true.
   */
  verify?: boolean;
  /** The most that the file may ask for. */
  limits?: Limits;
}

const WHO = 'readNetwork';
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
  const outer = readSafetensors(bytes);
  const isPacked = outer.metadata.has(PACKED_KEY);
  if (verify && isPacked) verifyChecksum(WHO, bytes);
  const file = unpackSafetensors(outer);
  const description = file.metadata.get(NETWORK_KEY);
  if (description === undefined && !file.metadata.has(CHECKSUM_KEY)) {
    throw new EspalierError(
      'MISSING',
      `${WHO}: the file holds tensors and no network; read it with readPlain() and put the tensors into a network with withWeights()`,
      { name: NETWORK_KEY },
    );
  }
  if (verify && !isPacked) verifyChecksum(WHO, bytes);
  if (description === undefined && file.metadata.has(PATCH_KEY))
    throw new EspalierError(
      'MISSING',
      `${WHO}: the file is a patch; applyPatch(base, patch), or espalier apply, makes of it and the file before it the one to read`,
      { name: PATCH_KEY },
    );
  if (description === undefined)
    throw new EspalierError(
      'MISSING',
      `${WHO}: the file describes no network; encodings by name are read with readEncodings()`,
      { name: NETWORK_KEY },
    );

  const json = parseJson(description, { who: WHO });
  const parts = readDescription(WHO, json);
  const entries = object(WHO, 'network', json).get('parameters');
  const parameters = readParameters(WHO, file, entries, (stored) => check('bytes', decodedBytes(stored, parts.nodes)));
  const network: Network = { ...parts, parameters };
  checkGraph(network, WHO);
  const types = inferTypes(network);
  check('activations', activationBytes(network, types));
  check('multiplyAdds', passWork(network, types));
  return network;
}
