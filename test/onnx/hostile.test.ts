/** Models that are cut, flipped or lie about their data: every one is refused with a code, and a byte or a name. */
import { describe, expect, it } from 'vitest';
import type { ErrorCode } from '../../src/base/errors.ts';
import { bytesField, integerField, messageField, textField } from '../../src/onnx/encode.ts';
import type { Bytes } from '../../src/onnx/encode.ts';
import { readOnnx } from '../../src/onnx/index.ts';
import { readModel } from '../../src/onnx/model.ts';
import {
  bytesOf,
  floats,
  graphField,
  integers,
  joined,
  node,
  outside,
  outsideFields,
  simple,
  small,
  tensorFields,
  wideField,
} from './making.ts';
import { expectRefusal, refusal, relu, weighted } from './refusal.ts';

describe('damage', () => {
  it('cut at any byte, a model is refused or is the same but for what stood behind', () => {
    const bytes = small();
    const whole = readOnnx(bytes);
    for (let length = 0; length < bytes.length; length++) {
      const error = refusal(bytes.subarray(0, length));
      // Behind the graph come the operator sets, without which no model is read.
      expect(error, `${length}`).toBeDefined();
    }
    expect(whole.network.nodes.length).toBe(8);
  });

  it('with any bit flipped it is read or refused with a code and a place', () => {
    const bytes = small();
    const counts = { read: 0, refused: 0 };
    // Weights may be any number: bits of those in the middle of raw data tell nothing new.
    const weights = [...readModel(bytes).graph.initializers.values()].flatMap(({ raw }) => (raw ? [raw] : []));
    const isWeight = (at: number): boolean => weights.some(([start, end]) => at >= start + 8 && at < end - 8);
    for (let bit = 0; bit < 8 * bytes.length; bit++) {
      if (isWeight(bit >> 3)) continue;
      const flipped = bytes.slice();
      flipped[bit >> 3] ^= 1 << (bit & 7);
      counts[refusal(flipped) ? 'refused' : 'read']++;
    }
    expect(counts.refused).toBeGreaterThan(4000);
    expect(counts.read).toBeGreaterThan(1000);
  });

  it('is said of a page, a pointer, an archive: no model', () => {
    for (const text of [
      '<!doctype html><html>',
      'version https://git-lfs.github.com/spec/v1\n',
      '\u001f\b',
      '{"a": 1}',
      '',
    ])
      expect(refusal(new TextEncoder().encode(text))?.code).toMatch(/^(PROTO|GRAPH)$/);
  });
});

describe('wire format (B4, B5)', () => {
  const raw = (...bytes: number[]): Uint8Array => Uint8Array.from(bytes);
  it.each<[string, Uint8Array, number, RegExp]>([
    ['a varint of eleven bytes', raw(8, ...new Array<number>(10).fill(255), 1), 1, /more than 10 bytes/],
    ['a varint that does not end', raw(8, 255), 1, /past the end/],
    ['a length past the end', raw(0x3a, 5, 1), 0, /asks for 5 bytes where 1 are left/],
    ['a length of 2^63', raw(0x3a, ...new Array<number>(9).fill(255), 0x7f), 0, /asks for/],
    ['wire type 6', raw(14), 0, /wire type 6/],
    ['wire type 7', raw(15), 0, /wire type 7/],
    ['field 0', raw(0, 1), 0, /number 0/],
    ['a field beyond 2^29', raw(0xf8, 0xff, 0xff, 0xff, 0x7f, 1), 0, /number/],
    ['the end of a group that was not begun', raw(12), 0, /not begun/],
    ['the end of another group', raw(11, 20), 1, /not begun/],
    ['a group without end', raw(11), 1, /does not end/],
    ['four bytes that are three', raw(13, 1, 2, 3), 0, /asks for 4 bytes/],
    ['a graph that is a number', raw(0x38, 1), 0, /wire type 2, got 0/],
  ])('%s', (_, bytes, offset, text) => {
    expect(expectRefusal(bytes, 'PROTO', text).details.offset).toBe(offset);
  });

  it('groups within groups are passed over up to a hundred', () => {
    const groups = (depth: number): Bytes => [
      Uint8Array.from(
        [...new Array<number>(depth).fill(0xfb), ...new Array<number>(depth).fill(0xfc)].flatMap((tag) => [tag, 6]),
      ),
    ];
    expect(refusal(joined([simple([relu])].map((bytes) => [bytes, ...groups(100)])))).toBeUndefined();
    expectRefusal(joined([groups(101)]), 'DEPTH', /100 groups/);
    // 21 kB that would take as many frames.
    expectRefusal(joined([groups(10_000)]), 'DEPTH', /100 groups/);
  });

  it('packed numbers of a part of one', () => {
    const tensor = messageField(5, ...tensorFields('w', [1], 1), bytesField(4, Uint8Array.of(1, 2, 3)));
    expectRefusal(simple([relu], tensor), 'PROTO', /3 bytes are no whole number of values of 4 bytes/);
    expectRefusal(simple([relu], messageField(5, bytesField(7, Uint8Array.of(128)))), 'PROTO', /past the end/);
  });

  it('names that are no UTF-8', () => {
    expectRefusal(simple([messageField(1, bytesField(4, Uint8Array.of(0xc0, 0x80)))]), 'PROTO', /UTF-8/);
  });

  it('graphs within graphs, up to 32', () => {
    const nested = (depth: number): Bytes =>
      depth === 0
        ? relu
        : node('If', ['x'], ['y'], { attributes: { then_branch: { field: graphField(6, nested(depth - 1)) } } });
    expectRefusal(simple([nested(32)]), 'UNSUPPORTED', /control flow/);
    expectRefusal(simple([nested(33)]), 'DEPTH', /32 graphs/);
  });
});

it('a varint of ten bytes is the largest', () => {
  expect(
    refusal(joined([wideField(1, -1n), integerField(30, 1), ...[simple([relu])].map((bytes) => [bytes])])),
  ).toBeUndefined();
});

describe('data in other files (B1, B2, B3)', () => {
  const paths = [
    '',
    '..',
    '../w',
    'a/../../w',
    '/etc/passwd',
    'C:w',
    'c:\\w',
    '\\\\host\\w',
    '..\\w',
    'a/./w',
    'a//w',
    'a/',
    '%2e%2e/w',
    'file:///w',
    'http://w/w',
    'w\u0000.bin',
    'w.',
    'w ',
    ' w',
    'a/..',
    '\u202ew',
    'CON:',
    '~user\\w',
    'a\nb',
  ];
  it.each(paths)('the path %j is refused', (path) => {
    expectRefusal(
      weighted(outside('w', [2, 3, 3, 3], { location: path })),
      'PATH',
      /expected the name of a file beside/,
    );
  });

  it('wherever a tensor hides: in attributes, in sparse tensors, in graphs of nodes', () => {
    const fields = outsideFields('w', [1], { location: '../w' });
    const hidden: Bytes[] = [
      node('Constant', [], ['c'], { attributes: { value: { field: messageField(5, ...fields) } } }),
      node('Constant', [], ['c'], {
        attributes: { sparse_value: { field: messageField(22, messageField(1, ...fields)) } },
      }),
      node('Constant', [], ['c'], {
        attributes: { sparse_value: { field: messageField(22, messageField(2, ...fields)) } },
      }),
      node('If', ['x'], ['c'], { attributes: { then_branch: { field: graphField(6, messageField(5, ...fields)) } } }),
      node('Odd', ['x'], ['c'], { attributes: { tensors: { field: messageField(10, ...fields) } } }),
      messageField(15, messageField(1, ...fields)),
    ];
    for (const field of hidden) expectRefusal(simple([relu, field]), 'PATH', /beside the model/);
  });

  const data = new Uint8Array(bytesOf(new Float32Array(54)));
  const files = { 'w.bin': data };
  it.each<[string, Record<string, string>, ErrorCode, RegExp]>([
    ['a negative offset', { offset: '-1' }, 'EXTERNAL', /offset .*whole number from 0/],
    ['an offset that is no number', { offset: '0x10' }, 'EXTERNAL', /offset/],
    ['a fraction', { length: '1.5' }, 'EXTERNAL', /length/],
    ['petabytes', { offset: '9007199254740991' }, 'EXTERNAL', /which has 216/],
    ['beyond 2^53', { offset: '99999999999999999999' }, 'EXTERNAL', /offset/],
    ['past the end', { offset: '4' }, 'EXTERNAL', /bytes 4 to 220/],
    ["a length that is not the shape's", { length: '8' }, 'TENSOR', /expected 216 bytes/],
    ['a file that was not given', { location: 'v.bin' }, 'MISSING', /given were "w.bin"/],
    ['the name of a method', { location: 'toString' }, 'MISSING', /given were/],
    ['another case', { location: 'W.bin' }, 'MISSING', /given were/],
  ])('%s', (_, entries, code, text) => {
    expectRefusal(weighted(outside('w', [2, 3, 3, 3], { location: 'w.bin', ...entries })), code, text, { files });
  });

  it('keys that are not known are passed over, and said', () => {
    const odd = { location: 'w.bin', __proto__x: '1', checksum: 'abc' };
    const { notes, network } = readOnnx(weighted(outside('w', [2, 3, 3, 3], odd)), { files });
    expect(network.parameters.has('w')).toBe(true);
    expect(notes).toEqual([expect.stringMatching(/tensor "w": .*"__proto__x"/)]);
  });

  it('a key that is said twice, of which two readers would take two', () => {
    const twice = messageField(
      5,
      ...outsideFields('w', [2, 3, 3, 3], { location: 'w.bin' }),
      messageField(13, textField(1, 'location'), textField(2, 'v.bin')),
    );
    expectRefusal(weighted(twice), 'DUPLICATE', /"location" of its outside data is said twice/, { files });
  });

  it('a map of files serves as an object does; what is no bytes is a wrong argument', () => {
    const bytes = weighted(outside('w', [2, 3, 3, 3], { location: 'w.bin' }));
    expect(refusal(bytes, { files: new Map([['w.bin', data]]) })).toBeUndefined();
    expect(() => readOnnx(bytes, { files: { 'w.bin': 'text' as unknown as Uint8Array } })).toThrow(
      /^readOnnx: files\["w.bin"\]: expected a Uint8Array/,
    );
  });
});

describe('tensors (B6)', () => {
  const conv = (...fields: readonly Bytes[]): Uint8Array => weighted(messageField(5, ...fields));
  const raw = new Uint8Array(216);
  it.each<[string, Uint8Array, RegExp]>([
    [
      'fewer bytes than the shape has',
      conv(...tensorFields('w', [2, 3, 3, 3], 1, raw.subarray(4))),
      /expected 216 bytes.*got 212/,
    ],
    ['more', conv(...tensorFields('w', [1, 3, 3, 3], 1, raw)), /expected 108 bytes/],
    ['no data', conv(...tensorFields('w', [2, 3, 3, 3], 1)), /expected 54 elements, got 0/],
    ['data in two forms', conv(...tensorFields('w', [2, 3, 3, 3], 1, raw, bytesField(4, raw))), /in two forms/],
    [
      'data of another field',
      conv(...tensorFields('w', [2, 3, 3, 3], 1, undefined, bytesField(7, raw))),
      /lie in int64_data/,
    ],
    ['a negative side', conv(...tensorFields('w', [-2, 3, 3, 3], 1, raw)), /numbers from 0/],
    ['a product beyond 2^53', conv(...tensorFields('w', [2n ** 40n, 2n ** 40n], 1, raw)), /below 2\^53/],
    ['a product that is 0 in 64 bits', conv(...tensorFields('w', [2n ** 32n, 2n ** 32n], 1, raw)), /below 2\^53/],
    ['a huge side beside one of 0', conv(...tensorFields('w', [0, 2n ** 60n], 1, new Uint8Array(0))), /below 2\^53/],
    ['more than 32 axes', conv(...tensorFields('w', new Array<number>(33).fill(1), 1, raw)), /more than 32 axes/],
  ])('%s', (_, bytes, text) => {
    expectRefusal(bytes, 'TENSOR', text);
  });

  it('a terabyte that is not there is refused before anything is set aside for it', () => {
    expectRefusal(
      conv(...tensorFields('w', [2 ** 20, 2 ** 20], 1)),
      'TENSOR',
      /expected 1099511627776 elements, got 0/,
    );
    expectRefusal(conv(...tensorFields('w', [2 ** 20, 2 ** 20], 10, raw)), 'TENSOR', /expected 2199023255552 bytes/);
  });

  it('numbers of 64 bits beyond 2^53 where a size is wanted', () => {
    const nodes = [node('Reshape', ['x', 's'], ['y'], { name: 'shape it' })];
    expectRefusal(simple(nodes, integers('s', [0, 2n ** 60n])), 'TENSOR', /"shape it".*below 2\^53/);
  });

  it('NaN and infinities, by name and element', () => {
    for (const value of [NaN, Infinity, -Infinity]) {
      const values = Array.from({ length: 54 }, (_, i) => (i === 7 ? value : 0));
      const text = new RegExp(`"first" .*"w".*${value} at element 7`);
      expectRefusal(weighted(floats('w', [2, 3, 3, 3], values)), 'NONFINITE', text);
    }
  });

  it.each([8, 14, 17, 22, 23, 99])('element type %i is refused by its name', (type) => {
    expectRefusal(conv(...tensorFields('w', [2, 3, 3, 3], type, raw)), 'UNSUPPORTED', /elements of type/);
  });
});
