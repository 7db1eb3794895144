/** Walks over graphs: who yields and who reads each value, and that a member of a cycle is one. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Encoding } from '../../src/encodings/types.ts';
import type { Node } from '../../src/graph/network.ts';
import {
  constantInputsOf,
  consumersOf,
  cycleMember,
  outputsOf,
  parametersOf,
  parameterUsers,
  producersOf,
} from '../../src/graph/walk.ts';

const node = (name: string, inputs: readonly string[], more: Partial<Node> = {}): Node => ({
  name,
  kind: 'any',
  inputs,
  parameters: {},
  attributes: {},
  ...more,
});

/** Edges [from, to] between `count` nodes; some of the nodes yield two values, of which either is read. */
const edges = fc
  .tuple(fc.integer({ min: 1, max: 8 }), fc.array(fc.tuple(fc.nat(99), fc.nat(99), fc.boolean()), { maxLength: 14 }))
  .map(([count, pairs]) => ({ count, pairs: pairs.map(([a, b, second]) => [a % count, b % count, second] as const) }));

function nodesOf({ count, pairs }: { count: number; pairs: readonly (readonly [number, number, boolean])[] }): Node[] {
  return Array.from({ length: count }, (_, i) =>
    node(
      `n${i}`,
      pairs
        .filter(([, to]) => to === i)
        .map(([from, , second]) => (from % 2 === 1 && second ? `n${from}b` : `n${from}`)),
      i % 2 === 1 ? { outputs: [`n${i}`, `n${i}b`] } : {},
    ),
  );
}

/** Whether `to` can be reached from `from` over at least one edge: the plain closure. */
function reaches(pairs: readonly (readonly [number, number, boolean])[], from: number, to: number): boolean {
  const seen = new Set<number>();
  const next = [from];
  while (next.length > 0) {
    const at = next.pop();
    for (const [a, b] of pairs) {
      if (a !== at || seen.has(b)) continue;
      seen.add(b);
      next.push(b);
    }
  }
  return seen.has(to);
}

describe('walks', () => {
  it('cycleMember names a node that waits for itself, if there is one, and none in a graph without cycles', () => {
    fc.assert(
      fc.property(edges, (graph) => {
        const inCycle = Array.from({ length: graph.count }, (_, i) => i).filter((i) => reaches(graph.pairs, i, i));
        const found = cycleMember(nodesOf(graph));
        if (inCycle.length === 0) expect(found).toBeUndefined();
        else expect(inCycle.map((i) => `n${i}`)).toContain(found?.name);
      }),
      { numRuns: 500 },
    );
  });

  it('cycleMember takes a chain of 65536 nodes in any order, and the cycle at its end', () => {
    const count = 65536;
    const chain = Array.from({ length: count }, (_, i) => node(`n${i}`, i === 0 ? ['input'] : [`n${i - 1}`]));
    expect(cycleMember(chain.toReversed())).toBeUndefined();
    const closed = [...chain.slice(0, -2), node(`n${count - 2}`, [`n${count - 3}`, `n${count - 1}`]), chain[count - 1]];
    expect([`n${count - 2}`, `n${count - 1}`]).toContain(cycleMember(closed)?.name);
  });

  it('producersOf and consumersOf tell of each value who yields it, and who reads it how often', () => {
    fc.assert(
      fc.property(edges, (graph) => {
        const nodes = nodesOf(graph);
        const producers = producersOf({ inputs: [{ name: 'input', shape: [1] }], nodes });
        const consumers = consumersOf({ nodes });
        expect(producers.get('input')).toBe(-1);
        expect(producers.size).toBe(1 + nodes.reduce((sum, one) => sum + outputsOf(one).length, 0));
        nodes.forEach((one, i) => {
          for (const value of outputsOf(one)) expect(producers.get(value)).toBe(i);
          for (const name of one.inputs) {
            const times = one.inputs.filter((input) => input === name).length;
            expect(consumers.get(name)!.filter((user) => user === i)).toHaveLength(times);
          }
        });
        for (const users of consumers.values()) expect(users).toEqual(users.toSorted((a, b) => a - b));
        expect([...consumers.values()].flat()).toHaveLength(nodes.flatMap(({ inputs }) => inputs).length);
      }),
    );
  });

  it('a parameter that nodes read as an input is a constant, but not where a value has its name', () => {
    const encoding: Encoding = { kind: 'dense', shape: [1], data: Float32Array.of(1) };
    const parameters = new Map(['w', 'c', 'x', 'unused'].map((name) => [name, encoding]));
    const nodes = [
      node('a', ['x', 'c'], { parameters: { weight: 'w', bias: undefined } }),
      node('b', ['a', 'c', 'c'], { parameters: { weight: 'w', scale: 'w' } }),
    ];
    const network = { inputs: [{ name: 'x', shape: [1] }], nodes, parameters };
    expect(constantInputsOf(network)).toEqual(new Set(['c']));
    expect(parametersOf(nodes[0])).toEqual(['w']);
    expect(parametersOf(nodes[1])).toEqual(['w', 'w']);
    expect(parameterUsers(network)).toEqual(
      new Map([
        ['w', ['a', 'b']],
        ['c', ['a', 'b']],
        ['x', ['a']],
        ['unused', []],
      ]),
    );
  });
});
