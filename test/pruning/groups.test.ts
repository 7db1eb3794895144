import { describe, expect, test } from 'vitest';
import { add, relu } from '../../src/network/functions.ts';
import { concat, conv, dense, flatten, globalAveragePool, softmax } from '../../src/network/layers.ts';
import { graph, sequential } from '../../src/network/build.ts';
import type { Network, Node } from '../../src/graph/network.ts';
import type { Encoding } from '../../src/encodings/types.ts';
import { findGroups } from '../../src/pruning/index.ts';
import type { ChannelGroup } from '../../src/pruning/index.ts';
import { chain, parallel, residual, separable } from './networks.ts';

const group = (network: Network, name: string): ChannelGroup => {
  const found = findGroups(network).find((candidate) => candidate.name === name);
  if (!found) throw new Error(`no group ${name}`);
  return found;
};
const names = (network: Network): string[] => findGroups(network).map(({ name }) => name);
const columns = (found: ChannelGroup): [string, number, number][] =>
  found.consumers.map(({ node, first, width }) => [node, first, width]);

describe('findGroups', () => {
  test('a chain: one group per conv and dense node, the last one an output', () => {
    const network = chain();
    expect(findGroups(network).map(({ name, channels, prunable }) => [name, channels, prunable])).toEqual([
      ['conv1', 6, true],
      ['conv2', 5, true],
      ['dense1', 7, true],
      ['dense2', 4, false],
    ]);
    expect(group(network, 'conv1').rows.map(({ parameter }) => parameter)).toEqual([
      'conv1.weight',
      'conv1.bias',
      'batchNorm1.scale',
      'batchNorm1.shift',
      'batchNorm1.mean',
      'batchNorm1.variance',
    ]);
    expect(group(network, 'dense2').reason).toContain('network output "affine1"');
  });

  test('8,000 skips joined one after another take no more than 24 times as long as 1,000', () => {
    const skips = (count: number): Network =>
      graph({}, (builder) => {
        const x = builder.input([2]);
        let sum = builder.node(dense(2), x);
        for (let i = 1; i < count; i++) sum = builder.node(add(), builder.node(dense(2), x), sum);
        return builder.node(dense(1), sum);
      });
    const milliseconds = (network: Network): number => {
      const start = performance.now();
      expect(findGroups(network)).toHaveLength(2);
      return performance.now() - start;
    };
    const [few, many] = [skips(1000), skips(8000)];
    const least = Math.min(milliseconds(few), milliseconds(few));
    expect(milliseconds(many) / least).toBeLessThan(24);
  });

  test('a flatten widens a channel to its H W columns', () => {
    expect(columns(group(chain(), 'conv2'))).toEqual([['dense1', 0, 4]]);
  });

  test('an add makes its producers one group, and what reads either side its consumer', () => {
    const network = residual();
    expect(names(network)).toEqual(['conv0', 'conv1', 'head']);
    const found = group(network, 'conv0');
    expect(found.producers).toEqual(['conv0', 'conv2']);
    expect(columns(found)).toEqual([
      ['conv1', 0, 1],
      ['head', 0, 1],
    ]);
    expect(found.rows.filter(({ parameter }) => parameter.startsWith('norm2'))).toHaveLength(4);
  });

  test('a concat gives its parts offsets, in vectors, filters and flattened columns', () => {
    const network = parallel();
    expect(columns(group(network, 'a'))).toEqual([
      ['c', 0, 1],
      ['head', 36, 9],
    ]);
    expect(columns(group(network, 'b'))).toEqual([
      ['c', 3, 1],
      ['head', 63, 9],
    ]);
    expect(columns(group(network, 'c'))).toEqual([['head', 0, 9]]);
    expect(group(network, 'b').rows.find(({ parameter }) => parameter === 'norm.mean')).toMatchObject({
      first: 3,
      width: 1,
    });
  });

  test('a depthwise convolution goes with its input and is no group of its own', () => {
    const network = separable();
    expect(names(network)).toEqual(['expand', 'project', 'head']);
    expect(group(network, 'expand')).toMatchObject({
      prunable: true,
      counts: [{ node: 'depthwise', attribute: 'groups' }],
      consumers: [{ node: 'project' }],
    });
  });

  test('a convolution from one channel to one channel is not taken for depthwise', () => {
    const network = sequential({ input: [1, 4, 4] }, [
      conv(1, 3, { name: 'one' }),
      relu(),
      conv(1, 3, { name: 'two' }),
      relu(),
      conv(2, 3, { name: 'three' }),
      flatten(),
      dense(2, { name: 'head' }),
    ]);
    expect(names(network)).toEqual(['one', 'two', 'three', 'head']);
    expect(group(network, 'one')).toMatchObject({ counts: [], consumers: [{ node: 'two' }] });
  });

  test('the same value twice in a concat is one group that a consumer reads twice', () => {
    const network = graph({}, (g) => {
      const x = g.node(conv(3, 1, { name: 'a' }), g.input([1, 2, 2]));
      return g.node(dense(2), g.node(flatten(), g.node(conv(2, 1, { name: 'b' }), g.node(concat(), x, x))));
    });
    expect(columns(group(network, 'a'))).toEqual([
      ['b', 0, 1],
      ['b', 3, 1],
    ]);
  });

  test.each<[string, () => Network, string, RegExp]>([
    [
      'network input joined by an add',
      () =>
        graph({}, (g) => {
          const x = g.input([3, 4, 4]);
          return g.node(dense(2), g.node(flatten(), g.node(add(), x, g.node(conv(3, 3, { name: 'a' }), x))));
        }),
      'a',
      /network input "input"/,
    ],
    [
      'grouped convolution, its input',
      () =>
        sequential({ input: [1, 4, 4] }, [
          conv(4, 1, { name: 'a' }),
          conv(6, 1, { name: 'b', groups: 2 }),
          flatten(),
          dense(2),
        ]),
      'a',
      /grouped convolution "b"/,
    ],
    [
      'grouped convolution, its output',
      () =>
        sequential({ input: [1, 4, 4] }, [
          conv(4, 1, { name: 'a' }),
          conv(6, 1, { name: 'b', groups: 2 }),
          flatten(),
          dense(2),
        ]),
      'b',
      /grouped convolution "b"/,
    ],
    [
      'softmax over channels',
      () => sequential({ input: [4] }, [dense(5, { name: 'a' }), softmax({ name: 's' }), dense(2)]),
      'a',
      /softmax "s"/,
    ],
    [
      'add of values grouped differently',
      () =>
        graph({}, (g) => {
          const x = g.input([2, 4, 4]);
          const both = g.node(concat(), g.node(conv(1, 1, { name: 'a' }), x), g.node(conv(3, 1, { name: 'b' }), x));
          return g.node(
            dense(2),
            g.node(globalAveragePool(), g.node(add({ name: 'sum' }), both, g.node(conv(4, 1, { name: 'c' }), x))),
          );
        }),
      'c',
      /add "sum"/,
    ],
    [
      'weights that two nodes share',
      () => {
        const network = sequential({ input: [3] }, [
          dense(3, { name: 'a' }),
          relu(),
          dense(3, { name: 'b' }),
          relu(),
          dense(2),
        ]);
        const nodes = network.nodes.map((node): Node =>
          node.name === 'b' ? ({ ...node, parameters: { ...node.parameters, weight: 'a.weight' } } as Node) : node,
        );
        return { ...network, nodes };
      },
      'a',
      /"a.weight" is shared by "a", "b"/,
    ],
    [
      'product-encoded weights of a consumer',
      () => {
        const network = sequential({ input: [3] }, [dense(4, { name: 'a' }), relu(), dense(2, { name: 'b' })]);
        const block = {
          first: 0,
          subspaceCount: 2,
          subvectorLength: 2,
          codewordCount: 2,
          codewords: new Float32Array(4),
          codes: new Uint16Array(4),
        };
        const encoded: Encoding = { kind: 'product', shape: [2, 4], blocks: [block], codewordPrecision: 'float32' };
        return { ...network, parameters: new Map(network.parameters).set('b.weight', encoded) };
      },
      'a',
      /"b.weight" is product-encoded.*prune before quantizing/,
    ],
    [
      'value that nobody reads',
      () =>
        graph({}, (g) => {
          const x = g.input([3]);
          g.node(dense(4, { name: 'a' }), x);
          return g.node(dense(2, { name: 'b' }), x);
        }),
      'a',
      /nothing reads/,
    ],
  ])('not prunable, with the reason: %s', (_what, build, name, reason) => {
    const found = group(build(), name);
    expect(found.prunable).toBe(false);
    expect(found.reason).toMatch(reason);
  });

  test('a softmax over the width of an image leaves its channels prunable', () => {
    const network = sequential({ input: [1, 4, 4] }, [conv(3, 3, { name: 'a' }), softmax(), flatten(), dense(2)]);
    expect(group(network, 'a').prunable).toBe(true);
  });
});
