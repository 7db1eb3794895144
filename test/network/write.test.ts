import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readSafetensors } from '../../src/container/safetensors.ts';
import type { DenseEncoding } from '../../src/encodings/types.ts';
import { dense } from '../../src/network/layers.ts';
import { sequential } from '../../src/network/build.ts';
import { readNetwork } from '../../src/network/read.ts';
import type { Network } from '../../src/graph/network.ts';
import { vgg } from '../../src/network/vgg.ts';
import { writeNetwork } from '../../src/network/write.ts';
import { stream } from '../../src/base/random.ts';
import { expectCode } from '../container/files.ts';
import { encoded, everyOperator, networks, smallNetwork } from './files.ts';

describe('writeNetwork and readNetwork', () => {
  it('give back the whole network: graph, preprocessing, task, order, every encoding bit by bit', () => {
    fc.assert(
      fc.property(networks, (network) => {
        const read = readNetwork(writeNetwork(network));
        expect(read).toEqual(network);
        expect([...read.parameters.keys()]).toEqual([...network.parameters.keys()]);
      }),
      { numRuns: 60 },
    );
  });

  it('give the same bytes for the same network, and for the network read back', () => {
    fc.assert(
      fc.property(networks, (network) => {
        const file = writeNetwork(network);
        expect(Buffer.compare(writeNetwork(network), file)).toBe(0);
        expect(Buffer.compare(writeNetwork(readNetwork(file)), file)).toBe(0);
      }),
      { numRuns: 30 },
    );
  });

  it('give back the whole network packed as well, in no more bytes, the same for the same network', () => {
    fc.assert(
      fc.property(networks, (network) => {
        const file = writeNetwork(network, { packed: true, metadata: { from: 'a test' } });
        const read = readNetwork(file);
        expect(read).toEqual(network);
        expect([...read.parameters.keys()]).toEqual([...network.parameters.keys()]);
        const plain = writeNetwork(network, { metadata: { from: 'a test' } });
        expect(file.length).toBeLessThan(plain.length);
        expect(Buffer.compare(writeNetwork(read, { metadata: { from: 'a test' } }), plain)).toBe(0);
      }),
      { numRuns: 25 },
    );
  });

  it('keep -0, the smallest subnormal and the largest float bit by bit', () => {
    const network = sequential({ input: [2] }, [dense(2)]);
    const [weight, bias] = [...network.parameters.keys()];
    const values = Float32Array.of(-0, 2 ** -149, -(2 ** -149), 3.4028234663852886e38);
    const odd: Network = {
      ...network,
      parameters: new Map([
        [weight, { kind: 'dense', shape: [2, 2], data: values }],
        [bias, { kind: 'dense', shape: [2], data: Float32Array.of(0, -0) }],
      ]),
    };
    const read = readNetwork(writeNetwork(odd)).parameters.get(weight) as DenseEncoding;
    expect([...new Uint32Array(read.data.buffer)]).toEqual([...new Uint32Array(values.buffer)]);
  });

  it('keep parameters whose names collide with the parts of others, with metadata, or with Object.prototype', () => {
    const network = encoded(sequential({ input: [4] }, [dense(3), dense(2)]), stream(3, 'x'), 1);
    const [weight1, bias1, weight2, bias2] = [...network.parameters.keys()];
    const renames = new Map([
      [weight1, 'w'],
      [bias1, 'w.codes'],
      [weight2, '__metadata__'],
      [bias2, '__proto__'],
    ]);
    const renamed: Network = {
      ...network,
      nodes: network.nodes.map((node) => ({
        ...node,
        parameters: Object.fromEntries(
          Object.entries(node.parameters).map(([role, name]) => [role, renames.get(name!) ?? name]),
        ),
      })) as unknown as Network['nodes'],
      parameters: new Map([...network.parameters].map(([name, encoding]) => [renames.get(name) ?? name, encoding])),
    };
    expect(readNetwork(writeNetwork(renamed))).toEqual(renamed);
    expect(Object.keys(Object.prototype)).toEqual([]);
  });

  it('name dense tensors by their parameter and parts of encoded ones by a suffix', () => {
    const network = smallNetwork();
    const [first, bias1, second, bias2] = [...network.parameters.keys()];
    expect(new Set(readSafetensors(writeNetwork(network)).tensors.keys())).toEqual(
      new Set([`${first}.codes`, `${first}.signs`, `${first}.codewords`, bias1, second, bias2]),
    );
  });

  it('let further metadata travel, and keep the own keys to themselves', () => {
    const file = writeNetwork(smallNetwork(), { metadata: { source: 'a "test"' } });
    expect(readSafetensors(file).metadata.get('source')).toBe('a "test"');
    expect(readNetwork(file)).toEqual(smallNetwork());
    for (const key of ['espalier', 'espalier.checksum'])
      expect(() => writeNetwork(smallNetwork(), { metadata: { [key]: 'x' } })).toThrow(RangeError);
  });

  it('take at most 6,000 bytes beside the values for the 20 parameters and 26 nodes of VGG', () => {
    const network = vgg({ widths: [2, 2, 2, 2], hidden: [4] });
    const values = [...network.parameters.values()].reduce(
      (sum, encoding) => sum + 4 * (encoding as DenseEncoding).data.length,
      0,
    );
    expect(writeNetwork(network).length - values).toBeLessThan(6000);
  });

  it('refuse to write what could not be read: NaN, a graph that does not hold, a task that means nothing', () => {
    const network = everyOperator(1);
    const [name, encoding] = [...network.parameters][0];
    for (const value of [NaN, Infinity, -Infinity]) {
      const data = (encoding as DenseEncoding).data.slice();
      data[1] = value;
      expectCode(
        () =>
          writeNetwork({
            ...network,
            parameters: new Map([...network.parameters, [name, { ...encoding, data } as DenseEncoding]]),
          }),
        'NONFINITE',
      );
    }
    expectCode(() => writeNetwork({ ...network, nodes: network.nodes.slice(1) }), 'GRAPH');
    expectCode(() => writeNetwork({ ...network, outputs: [] }), 'GRAPH');
    expectCode(() => writeNetwork({ ...network, task: { kind: 'landmarks', points: 0 } }), 'FIELD');
  });
});
