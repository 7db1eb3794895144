/** Files that are wrong on purpose: graphs that are none, sizes that are lies, text that is meant to take for ever. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { rawFile } from '../container/files.ts';
import { expectCode } from '../container/files.ts';
import { readSafetensors } from '../../src/container/safetensors.ts';
import type { ErrorCode } from '../../src/base/errors.ts';
import { sequential } from '../../src/network/build.ts';
import { relu } from '../../src/network/functions.ts';
import { dense } from '../../src/network/layers.ts';
import { readPlain } from '../../src/network/plain.ts';
import { readNetwork } from '../../src/network/read.ts';
import { writeNetwork } from '../../src/network/write.ts';
import { edited, smallNetwork } from './files.ts';
import type { FreeJson } from './files.ts';

const file = writeNetwork(sequential({ input: [2] }, [dense(2), relu()]));
const json = (value: unknown): FreeJson => value as FreeJson;
const nodesOf = (nodes: unknown[], outputs: string[] = [(nodes.at(-1) as { name: string }).name]): Uint8Array =>
  edited(file, (d) => {
    d.nodes = json(nodes);
    d.outputs = json(outputs);
    d.parameters = json([]);
  });
const node = (name: string, ...inputs: string[]): unknown => ({
  name,
  kind: inputs.length > 1 ? 'add' : 'relu',
  inputs,
});

describe('a graph from a file is GRAPH, naming the culprit, with', () => {
  it.each<[string, unknown[], string, string[]?]>([
    ['a cycle', [node('a', 'input', 'b'), node('b', 'a')], 'a'],
    ['a node that reads itself', [node('a', 'input', 'a')], 'a'],
    ['an input that is no value', [node('a', 'nobody')], 'a'],
    ['two nodes of one name', [node('a', 'input'), node('a', 'input')], 'a'],
    ['a node called like an input', [node('input', 'input')], 'input'],
    ['a node that nothing uses', [node('a', 'input'), node('b', 'input')], 'b', ['a']],
    ['an output that is no value', [node('a', 'input')], 'b', ['b']],
  ])('%s', (_what, nodes, name, outputs) => {
    expect(expectCode(() => readNetwork(nodesOf(nodes, outputs)), 'GRAPH').details.name).toBe(name);
  });

  it('a ring of 60,000 and a chain of 60,000 that hangs on it, without a stack overflow', () => {
    const ring = Array.from({ length: 30_000 }, (_, i) => node(`r${i}`, `r${(i + 29_999) % 30_000}`));
    const chain = Array.from({ length: 30_000 }, (_, i) => node(`c${i}`, i === 0 ? 'r7' : `c${i - 1}`));
    expect(expectCode(() => readNetwork(nodesOf([...ring, ...chain])), 'GRAPH').message).toContain('cycle');
  });

  it('a depth of 100,000, and a quarter of a million nodes', () => {
    const deep = Array.from({ length: 100_000 }, (_, i) => node(`c${i}`, i === 0 ? 'input' : `c${i - 1}`));
    expectCode(() => readNetwork(nodesOf(deep)), 'GRAPH');
    const wide = Array.from({ length: 250_000 }, (_, i) => ({ name: `c${i}`, kind: 'relu' }));
    expectCode(() => readNetwork(nodesOf(wide)), 'GRAPH');
  }, 60_000);
});

describe('time is linear in the text of a file', () => {
  const KEYS = 250_000;
  const hostile: [string, ErrorCode[], () => Uint8Array][] = [
    ['a name of 1 MB', ['GRAPH'], () => edited(file, (d) => void (d.nodes[0].name = json('\u202e'.repeat(350_000))))],
    ['a kind of 1 MB', ['UNSUPPORTED'], () => edited(file, (d) => void (d.nodes[0].kind = json(' '.repeat(1e6))))],
    [
      'an attribute called by 1 MB',
      ['ATTRIBUTE'],
      () => edited(file, (d) => void (d.nodes[0].attributes = json({ ['\n'.repeat(1e6)]: 1 }))),
    ],
    [
      'a role called by 1 MB',
      ['GRAPH'],
      () => edited(file, (d) => void (d.nodes[0].parameters['\\'.repeat(1e6)] = json('dense1.weight'))),
    ],
    ['a version of 1 MB', ['FIELD'], () => edited(file, (d) => void (d.version = json('"'.repeat(1e6))))],
    [
      'a quarter of a million attributes',
      ['ATTRIBUTE'],
      () =>
        edited(
          file,
          (d) =>
            void (d.nodes[0].attributes = json(
              Object.fromEntries(Array.from({ length: KEYS }, (_, i) => [`k${i}`, i])),
            )),
        ),
    ],
    [
      'a quarter of a million metadata',
      ['CHECKSUM', 'MISSING'],
      () => rawFile({ __metadata__: Object.fromEntries(Array.from({ length: KEYS }, (_, i) => [`k${i}`, ''])) }),
    ],
    [
      'a million tensors',
      ['TOO_LARGE'],
      // More values than any text may have.
      () => rawFile(Object.fromEntries(Array.from({ length: 4 * KEYS }, (_, i) => [`k${i}`, 0]))),
    ],
    [
      'a number of 1 MB',
      ['HEADER', 'FIELD'],
      () => edited(file, (d) => JSON.stringify(d).replace('"version":1', `"version":1${'0'.repeat(1e6)}`)),
    ],
    ['a million backslashes that end in none', ['HEADER'], () => edited(file, () => `"${'\\\\'.repeat(5e5)}\\`)],
  ];

  it.each(hostile)(
    '%s',
    (_what, codes, make) => {
      const bytes = make();
      // Well under a second on a quiet machine; a quadratic step over 250,000 would take minutes.
      const { message } = expectCode(() => readNetwork(bytes), ...codes);
      expect(message.length).toBeLessThanOrEqual(4000);
    },
    30_000,
  );
});

describe('counts that are lies', () => {
  it('cost less than 1 MB: 2^32 - 1 and 2^63 in 40 bytes, a name of 2^31', () => {
    const before = process.memoryUsage();
    const lengths = [2n ** 31n, 2n ** 32n - 1n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n];
    for (const length of lengths) {
      const forty = new Uint8Array(40).fill(0x20);
      new DataView(forty.buffer).setBigUint64(0, length, true);
      forty[8] = 0x7b;
      expectCode(() => readSafetensors(forty), 'RANGE', 'TOO_LARGE', 'TRUNCATED');
      expectCode(() => readNetwork(forty), 'RANGE', 'TOO_LARGE', 'TRUNCATED');
    }
    for (const shape of [[4294967295], [2 ** 53], [2 ** 31, 2 ** 31]])
      expectCode(() => readPlain(rawFile({ a: { dtype: 'F32', shape, data_offsets: [0, 4] } }, 4)), 'SHAPE');
    const after = process.memoryUsage();
    expect(after.arrayBuffers - before.arrayBuffers).toBeLessThan(2 ** 20);
  });
});

describe('memory that the engine refuses', () => {
  afterEach(() => {
    vi.unstubAllGlobals();
  });

  /** As if there were no room for a typed array of more than `most` elements. */
  function starve(name: 'Float32Array' | 'Uint16Array' | 'Uint8Array', most: number): void {
    vi.stubGlobal(
      name,
      new Proxy(globalThis[name], {
        construct(target, [first, ...rest]: [unknown, ...unknown[]], newTarget) {
          const length = typeof first === 'number' ? first : ((first as { length?: number }).length ?? 0);
          if (length > most) throw new RangeError('Array buffer allocation failed');
          return Reflect.construct(target, [first, ...rest], newTarget) as object;
        },
      }),
    );
  }

  it('is MEMORY, and the same file is read where there is room again', () => {
    const small = writeNetwork(smallNetwork());
    for (const name of ['Uint16Array', 'Uint8Array'] as const) {
      starve(name, 2);
      const { details } = expectCode(() => readNetwork(small, { verify: false }), 'MEMORY');
      expect(details.cause).toBeInstanceOf(RangeError);
      vi.unstubAllGlobals();
    }
    expect(readNetwork(small)).toEqual(smallNetwork());
  });
});
