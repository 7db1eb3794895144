/**
 * A network as a file: safetensors whose tensors any reader lists, the graph, preprocessing, task and encodings as JSON
 * in its metadata under 'espalier', and a checksum.
 */
import { checkNetwork } from '../graph/check.ts';
import { CHECKSUM_KEY, writeChecked } from '../container/checksum.ts';
import { parseJson } from '../container/json.ts';
import { writePacked } from '../container/pack.ts';
import { metadataPairs } from '../container/safetensors.ts';
import type { Metadata } from '../container/safetensors.ts';
import { show } from '../base/errors.ts';
import { ownOptions } from '../base/rules.ts';
import { checkGraph } from './check.ts';
import { describe, NETWORK_KEY, readDescription } from './description.ts';
import type { Network } from '../graph/network.ts';
import { writeParameters } from './write-parameters.ts';

export interface WriteOptions {
  /** Further metadata to travel with the model, such as where it came from. Default none. */
  metadata?: Metadata;
  /**
   * true: as small as it becomes without loss, where that is smaller. `readNetwork` and `load` read it as they read any;
   * other readers of safetensors find one tensor of bytes. 'huffman': the same with whole numbers in
   * Huffman codes and floats as they are, which is larger and read faster. false: each tensor under its name. Default
   * false.
   */
  packed?: boolean | 'huffman';
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
  const { metadata = {}, packed = false } = ownOptions('writeNetwork', 'options', options, ['metadata', 'packed']);
  const further = metadataPairs(metadata);
  for (const [key] of further) {
    if (key === NETWORK_KEY || key === CHECKSUM_KEY)
      throw new RangeError(`writeNetwork: metadata: the key ${show(key)} is espalier's own; use another`);
  }
  checkNetwork('writeNetwork', 'network', network);
  checkGraph(network, 'writeNetwork');

  const { tensors, entries } = writeParameters('writeNetwork', network.parameters);
  const description = JSON.stringify({ ...describe(network), parameters: entries });
  // What could not be read again is refused while the network is still at hand.
  readDescription('writeNetwork', parseJson(description, { who: 'writeNetwork' }));
  const all = new Map([[NETWORK_KEY, description], ...further]);
  const plain = writeChecked(tensors, all);
  const small = packed ? writePacked(tensors, all, packed === 'huffman' ? packed : 'smallest') : undefined;
  return small && small.length < plain.length ? small : plain;
}
