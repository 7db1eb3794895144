import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ErrorCode } from '../../src/base/errors.ts';
import { checkAttributes } from '../../src/network/shapes.ts';
import { checkGraph } from '../../src/network/check.ts';
import type { Network, Node } from '../../src/graph/network.ts';
import { OPERATORS } from '../../src/operators/table.ts';
import { expectCode } from '../container/files.ts';
import { everyOperator, networks } from './files.ts';

const relu = (name: string, input: string): Node => ({
  name,
  kind: 'relu',
  inputs: [input],
  parameters: {},
  attributes: {},
});
const sum = (name: string, a: string, b: string): Node => ({
  name,
  kind: 'add',
  inputs: [a, b],
  parameters: {},
  attributes: {},
});
const graph = (nodes: readonly Node[], outputs: readonly string[]): Network => ({
  name: 'test',
  inputs: [{ name: 'x', shape: [2] }],
  nodes,
  outputs,
  parameters: new Map(),
});

/** A random graph of relu and add; all that nothing uses is an output. */
const dags = fc.array(fc.tuple(fc.nat(), fc.nat(), fc.boolean()), { minLength: 1, maxLength: 12 }).map((choices) => {
  const values = ['x'];
  const nodes = choices.map(([a, b, two], i) => {
    // The first node uses the input, so that it is not unused.
    const [first, second] = i === 0 ? ['x', 'x'] : [values[a % values.length], values[b % values.length]];
    values.push(`n${i}`);
    return two ? sum(`n${i}`, first, second) : relu(`n${i}`, first);
  });
  const used = new Set(nodes.flatMap((node) => node.inputs));
  return graph(
    nodes,
    nodes.map(({ name }) => name).filter((name) => !used.has(name)),
  );
});

describe('checkGraph', () => {
  it('accepts every graph that is in order, and every network that the builders make', () => {
    fc.assert(
      fc.property(dags, (network) => {
        checkGraph(network);
      }),
    );
    fc.assert(
      fc.property(networks, (network) => {
        checkGraph(network);
      }),
      { numRuns: 30 },
    );
  });

  it('refuses every other order of the nodes in which one stands before its input, without calling it a cycle', () => {
    fc.assert(
      fc.property(dags, fc.infiniteStream(fc.nat()), (network, random) => {
        const nodes = network.nodes
          .map((node) => ({ node, key: random.next().value as number }))
          .sort((a, b) => a.key - b.key)
          .map(({ node }) => node);
        const seen = new Set(['x']);
        const inOrder = nodes.every((node) => {
          const ready = node.inputs.every((name) => seen.has(name));
          seen.add(node.name);
          return ready;
        });
        if (inOrder) checkGraph({ ...network, nodes });
        else
          expect(
            expectCode(() => {
              checkGraph({ ...network, nodes });
            }, 'GRAPH').message,
          ).toContain('topological order');
      }),
    );
  });

  it('names a node that lies on the cycle, wherever an edge back closes one and whatever else waits for it', () => {
    fc.assert(
      fc.property(dags, fc.nat(), fc.nat(), (network, from, to) => {
        const early = network.nodes[Math.min(from % network.nodes.length, to % network.nodes.length)];
        const late = network.nodes[Math.max(from % network.nodes.length, to % network.nodes.length)];
        const nodes = network.nodes.map((node) => (node === early ? sum(node.name, node.inputs[0], late.name) : node));
        const byName = new Map(nodes.map((node) => [node.name, node]));
        /** Values that `name` depends on. */
        const behind = (name: string, seen = new Set<string>()): Set<string> => {
          for (const input of byName.get(name)?.inputs ?? []) if (!seen.has(input)) behind(input, seen.add(input));
          return seen;
        };
        const cyclic = behind(early.name).has(early.name);
        const error = expectCode(() => {
          checkGraph({ ...network, nodes });
        }, 'GRAPH');
        if (cyclic) {
          expect(error.message).toContain('cycle');
          expect(behind(error.details.name ?? '').has(error.details.name ?? '')).toBe(true);
        } else expect(error.message).not.toContain('cycle');
      }),
    );
  });

  it.each<[string, ErrorCode, Network]>([
    ['no input', 'GRAPH', { ...graph([relu('a', 'x')], ['a']), inputs: [] }],
    ['no output', 'GRAPH', graph([relu('a', 'x')], [])],
    ['a dangling input', 'GRAPH', graph([relu('a', 'y')], ['a'])],
    ['a dangling output', 'GRAPH', graph([relu('a', 'x')], ['b'])],
    ['an output twice', 'GRAPH', graph([relu('a', 'x')], ['a', 'a'])],
    ['a name twice', 'GRAPH', graph([relu('a', 'x'), relu('a', 'x')], ['a'])],
    ['a node called as an input', 'GRAPH', graph([relu('x', 'x')], ['x'])],
    ['an unused node', 'GRAPH', graph([relu('a', 'x'), relu('b', 'x')], ['a'])],
    ['an empty name', 'GRAPH', graph([relu('', 'x')], [''])],
    [
      'a missing parameter',
      'GRAPH',
      graph([{ name: 'a', kind: 'dense', inputs: ['x'], parameters: { weight: 'w' }, attributes: {} }], ['a']),
    ],
    [
      'a missing role',
      'GRAPH',
      graph([{ name: 'a', kind: 'dense', inputs: ['x'], parameters: {}, attributes: {} }], ['a']),
    ],
    ['one input of add', 'GRAPH', graph([{ ...relu('a', 'x'), kind: 'add' } as Node], ['a'])],
    [
      'an unused parameter',
      'GRAPH',
      {
        ...graph([relu('a', 'x')], ['a']),
        parameters: new Map([['w', { kind: 'dense', shape: [1], data: new Float32Array(1) }]]),
      },
    ],
    ['an unknown operator', 'UNSUPPORTED', graph([{ ...relu('a', 'x'), kind: 'hasOwnProperty' as 'relu' }], ['a'])],
    ['an attribute too many', 'ATTRIBUTE', graph([{ ...relu('a', 'x'), attributes: { slope: 1 } } as Node], ['a'])],
  ])('refuses %s with %s', (_, code, network) => {
    expectCode(() => {
      checkGraph(network);
    }, code);
  });

  it('lets one parameter serve several nodes in one role, not in two', () => {
    const dense = (name: string, input: string, parameters: Node['parameters']): Node => ({
      name,
      kind: 'dense',
      inputs: [input],
      parameters,
      attributes: {},
    });
    const parameters: Network['parameters'] = new Map([
      ['w', { kind: 'dense', shape: [2, 2], data: new Float32Array(4) }],
    ]);
    checkGraph({ ...graph([dense('a', 'x', { weight: 'w' }), dense('b', 'a', { weight: 'w' })], ['b']), parameters });
    expectCode(() => {
      checkGraph({ ...graph([dense('a', 'x', { weight: 'w', bias: 'w' })], ['a']), parameters });
    }, 'GRAPH');
  });

  it('takes 60,000 nodes in a row and in a ring without a stack overflow', () => {
    const nodes = Array.from({ length: 60_000 }, (_, i) => relu(`n${i}`, i === 0 ? 'x' : `n${i - 1}`));
    checkGraph(graph(nodes, ['n59999']));
    nodes[0] = sum('n0', 'x', 'n59999');
    expect(
      expectCode(() => {
        checkGraph(graph(nodes, ['n59999']));
      }, 'GRAPH').message,
    ).toContain('cycle');
  });
});

describe('checkAttributes', () => {
  const leakyRelu = (attributes: unknown): Node => ({ ...relu('a', 'x'), kind: 'leakyRelu', attributes }) as Node;

  it('knows the operators that can be run, and no other', () => {
    expect(everyOperator(1).nodes.every(({ kind }) => Object.hasOwn(OPERATORS, kind))).toBe(true);
    expectCode(() => checkAttributes({ ...relu('a', 'x'), kind: 'toString' }), 'UNSUPPORTED');
  });

  it('refuses an attribute that is missing, and one that is only inherited', () => {
    expectCode(() => checkAttributes(leakyRelu({})), 'ATTRIBUTE');
    expectCode(() => checkAttributes(leakyRelu(Object.create({ slope: 0.1 }))), 'ATTRIBUTE');
    expectCode(() => checkAttributes(leakyRelu(null)), 'ATTRIBUTE');
    checkAttributes(leakyRelu({ slope: 0.1 }));
  });
});
