/**
 * A network as a file: safetensors whose tensors any reader lists, the graph, preprocessing, task and encodings as JSON
 * in its metadata under 'espalier', and a checksum. A dense parameter is the tensor of its name; the parts of an
 * encoded one are its name with a suffix.
 */
import { checkNetwork } from '../graph/check.ts';
import { CHECKSUM_KEY, writeChecked } from '../container/checksum.ts';
import { parseJson } from '../container/json.ts';
import { metadataPairs } from '../container/safetensors.ts';
import type { Metadata, NamedArray } from '../container/safetensors.ts';
import { isDense, trainedValues, writeEncoding } from '../encodings/index.ts';
import { checkFinite, show } from '../base/errors.ts';
import { ownOptions } from '../base/rules.ts';
import { checkGraph } from './check.ts';
import { describe, NETWORK_KEY, readDescription } from './description.ts';
import type { Network } from '../graph/network.ts';

export interface WriteOptions {
  /** Further metadata to travel with the model, such as where it came from. Default none. */
  metadata?: Metadata;
}

/**
 * The file's bytes, self-contained: the same network gives the same bytes. Values come back bit by bit from
 * `readNetwork`.
 *
 * @throws {EspalierError} GRAPH, ATTRIBUTE, UNSUPPORTED, FIELD for a network that could not be read again, NONFINITE
 *   for a value that is not finite
 * @throws {RangeError} if `metadata` uses a key of espalier's own
 */
export function writeNetwork(network: Network, options: WriteOptions = {}): Uint8Array {
  const { metadata = {} } = ownOptions('writeNetwork', 'options', options, ['metadata']);
  const further = metadataPairs(metadata);
  for (const [key] of further) {
    if (key === NETWORK_KEY || key === CHECKSUM_KEY)
      throw new RangeError(`writeNetwork: metadata: the key ${show(key)} is espalier's own; use another`);
  }
  checkNetwork('writeNetwork', 'network', network);
  checkGraph(network, 'writeNetwork');

  const taken = new Set(['__metadata__']);
  const tensors: NamedArray[] = [];
  const parameters = [...network.parameters].map(([name, encoding]) => {
    checkFinite('writeNetwork', name, trainedValues(encoding));
    const { header, tensors: parts } = writeEncoding(encoding);
    const renamed: Record<string, string> = {};
    for (const { suffix, dtype, shape, bytes } of parts) {
      let stored = name + suffix;
      while (taken.has(stored)) stored += '~';
      taken.add(stored);
      if (stored !== name + suffix) renamed[suffix] = stored;
      tensors.push({ name: stored, dtype, shape, bytes });
    }
    const isRenamed = Object.keys(renamed).length > 0;
    // The shape of a plain dense parameter stands with its tensor: its name says everything.
    const isPlain = isDense(encoding) && Object.keys(header).length === 2 && parts.length === 1 && !isRenamed;
    return isPlain ? name : { name, header, ...(isRenamed && { tensors: renamed }) };
  });
  const description = JSON.stringify({ ...describe(network), parameters });
  // What could not be read again is refused while the network is still at hand.
  readDescription('writeNetwork', parseJson(description, { who: 'writeNetwork' }));
  return writeChecked(tensors, new Map([[NETWORK_KEY, description], ...further]));
}
