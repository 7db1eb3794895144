/** Models that are cut, flipped, lying or made to hang: every one is refused with a code, and a byte or a name. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { EspalierError } from '../../src/base/errors.ts';
import type { ErrorCode } from '../../src/base/errors.ts';
import { below, stream } from '../../src/base/random.ts';
import { bytesField, integerField, messageField, textField } from '../../src/onnx/encode.ts';
import type { Bytes } from '../../src/onnx/encode.ts';
import { readOnnx } from '../../src/onnx/index.ts';
import type { OnnxOptions } from '../../src/onnx/index.ts';
import { realData } from '../real-data.ts';
import {
  attribute,
  bytesOf,
  floats,
  graphField,
  input,
  integers,
  joined,
  model,
  node,
  opset,
  output,
  outside,
  outsideFields,
  simple,
  small,
  tensorFields,
  wideField,
} from './making.ts';
import { modelOf, OPERATOR_CASES, titleOf } from './operator-models.ts';

/** The error of reading; an engine's own or one without a place is a failure of the test. */
function refusal(bytes: Uint8Array, options?: OnnxOptions): EspalierError | undefined {
  try {
    readOnnx(bytes, options);
    return undefined;
  } catch (error) {
    if (!(error instanceof EspalierError)) throw error;
    // What the engine says of a size is no answer.
    expect(error.code, error.message).not.toBe('MEMORY');
    expect(error.details.offset ?? error.details.name, `${error.code} ${error.message}`).toBeDefined();
    return error;
  }
}

function expectRefusal(bytes: Uint8Array, code: ErrorCode, text: RegExp, options?: OnnxOptions): EspalierError {
  const error = refusal(bytes, options);
  expect(error?.message).toMatch(text);
  expect(error?.code).toBe(code);
  return error as EspalierError;
}

const relu = node('Relu', ['x'], ['y']);
const weighted = (initializer: Bytes): Uint8Array =>
  simple([node('Conv', ['x', 'w'], ['y'], { name: 'first' })], initializer);

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
    for (let bit = 0; bit < 8 * bytes.length; bit++) {
      // Weights may be any number: bits of those in the middle of raw data tell nothing new.
      const flipped = bytes.slice();
      flipped[bit >> 3] ^= 1 << (bit & 7);
      counts[refusal(flipped) ? 'refused' : 'read']++;
    }
    expect(counts.refused).toBeGreaterThan(4000);
    expect(counts.read).toBeGreaterThan(4000);
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

describe('what is not supported (B8)', () => {
  it('every such node is in one error, by name and operator', () => {
    const error = expectRefusal(
      simple([
        node('NonZero', ['x'], ['a'], { name: 'first' }),
        node('Magic', ['x'], ['b'], { name: 'second', domain: 'my.domain' }),
        node('Relu', ['a'], ['c']),
        node('Loop', ['x'], ['d'], { name: 'third', attributes: { body: { field: graphField(6, relu) } } }),
        node('Relu', ['x'], ['e'], { name: 'fourth', attributes: { alpha: 1 } }),
        node('Sum', ['c', 'b', 'd', 'e'], ['y']),
      ]),
      'UNSUPPORTED',
      /4 nodes are not supported/,
    );
    for (const part of [
      /"first" \(NonZero\)/,
      /"second" \(my\.domain\.Magic\): .*"Magic" of "my\.domain"/,
      /"third" \(Loop\): control flow/,
      /"fourth" \(Relu\): attributes .*"alpha"/,
    ])
      expect(error.message).toMatch(part);
  });

  it.each([6, 0, 99])('operator set %i, with the ones that are read', (version) => {
    expectRefusal(
      model([input('x', ['n', 3]), output('y'), relu], [opset(version)]),
      'UNSUPPORTED',
      /expected 7 to \d+/,
    );
  });

  it('no operator set, two of them', () => {
    const graph = [input('x', ['n', 3]), output('y'), relu];
    expectRefusal(model(graph, []), 'GRAPH', /which operator set/);
    expectRefusal(model(graph, [opset(13), opset(17, 'ai.onnx')]), 'DUPLICATE', /two versions/);
    expect(refusal(model(graph, [opset(13), opset(13, 'ai.onnx')]))).toBeUndefined();
  });

  it('open sides, inputs of other types, inputs that are no tensors', () => {
    expectRefusal(
      model([input('x', ['n', 3, 'h', 6]), output('y'), relu]),
      'UNSUPPORTED',
      /dimension 2 is open \("h"\)/,
    );
    expectRefusal(model([input('x', undefined), output('y'), relu]), 'UNSUPPORTED', /shape is not said/);
    expectRefusal(model([input('x', ['n', 3], 7), output('y'), relu]), 'UNSUPPORTED', /int64/);
    const sequence = messageField(11, textField(1, 'x'), messageField(2, messageField(4)));
    expectRefusal(model([sequence, output('y'), relu]), 'UNSUPPORTED', /sequence values/);
  });

  it('sparse initializers and functions of the model itself', () => {
    const sparse = messageField(
      15,
      messageField(1, ...tensorFields('w', [1], 1, new Uint8Array(4))),
      messageField(2, ...tensorFields('i', [1], 7, new Uint8Array(8))),
    );
    expectRefusal(simple([node('Add', ['x', 'w'], ['y'])], sparse), 'UNSUPPORTED', /"w" is a sparse tensor/);
    expectRefusal(
      model([input('x', ['n', 3]), output('y'), relu], [opset(17), messageField(25, textField(1, 'F'))]),
      'UNSUPPORTED',
      /operators of its own/,
    );
  });
});

describe('graphs (B9)', () => {
  it.each<[string, Uint8Array, ErrorCode, RegExp]>([
    [
      'two initializers of one name',
      simple([relu], floats('w', [1]), floats('w', [1])),
      'DUPLICATE',
      /two initializers are called "w"/,
    ],
    [
      'one of them sparse',
      simple(
        [relu],
        floats('w', [1]),
        messageField(15, messageField(1, ...tensorFields('w', [1], 1, new Uint8Array(4)))),
      ),
      'DUPLICATE',
      /sparse/,
    ],
    [
      'two attributes of one name',
      simple([
        messageField(
          1,
          textField(1, 'x'),
          textField(2, 'y'),
          textField(4, 'Relu'),
          attribute('a', 1),
          attribute('a', 2),
        ),
      ]),
      'DUPLICATE',
      /two attributes/,
    ],
    [
      "an initializer in an input's place, of another shape",
      simple([relu], floats('x', [2])),
      'GRAPH',
      /initializer "x" \(float \[2\]\).*another kind/,
    ],
    ['nodes out of order', simple([node('Relu', ['a'], ['y']), node('Relu', ['x'], ['a'])]), 'GRAPH', /behind it/],
    ['a node that reads itself', simple([node('Add', ['x', 'y'], ['y'])]), 'GRAPH', /by itself/],
    [
      'a cycle',
      simple([node('Add', ['x', 'b'], ['a']), node('Relu', ['a'], ['b']), node('Relu', ['b'], ['y'])]),
      'GRAPH',
      /without cycles/,
    ],
    ['an input that nothing makes', simple([node('Add', ['x', 'ghost'], ['y'])]), 'GRAPH', /"ghost"/],
    ['an output that nothing makes', simple([node('Relu', ['x'], ['z'])]), 'GRAPH', /nothing makes the output "y"/],
    ['a value made twice', simple([relu, node('Relu', ['x'], ['y'])]), 'GRAPH', /name of another value/],
    [
      "a value with an initializer's name",
      simple([relu, node('Relu', ['x'], ['w'])], floats('w', [1])),
      'GRAPH',
      /name of another value/,
    ],
    ['two inputs of one name', simple([relu], input('x', ['n', 3, 6, 6])), 'GRAPH', /two values are called "x"/],
    ['two outputs of one name', simple([relu], output('y')), 'GRAPH', /"y"/],
    ['no output', model([input('x', ['n', 3]), relu]), 'GRAPH', /./],
    ['two graphs', model([relu], [opset(17), graphField(7)]), 'PROTO', /second graph/],
    [
      'an output that depends on no input',
      simple([node('Identity', ['w'], ['y'])], floats('w', [1])),
      'GRAPH',
      /no input/,
    ],
  ])('%s', (_, bytes, code, text) => {
    expectRefusal(bytes, code, text);
  });

  it('an initializer that is an input, too, of the same shape is its default', () => {
    const bytes = simple([node('Conv', ['x', 'w'], ['y'])], floats('w', [2, 3, 3, 3]), input('w', [2, 3, 3, 3]));
    expect(readOnnx(bytes).network.inputs.map(({ name }) => name)).toEqual(['x']);
  });

  it('one array that serves in two roles is copied for each', () => {
    const bytes = simple(
      [node('Conv', ['x', 'w', 'zero'], ['c']), node('BatchNormalization', ['c', 'one', 'zero', 'zero', 'one'], ['y'])],
      floats('w', [2, 3, 3, 3]),
      floats('zero', [2], [0, 0]),
      floats('one', [2], [1, 1]),
    );
    expect([...readOnnx(bytes).network.parameters.keys()].sort()).toEqual([
      'one',
      'one.variance',
      'w',
      'zero',
      'zero.mean',
      'zero.shift',
    ]);
  });

  it('a file above 2 GiB', () => {
    const size = 2 ** 31;
    let bytes: Uint8Array;
    try {
      bytes = new Uint8Array(size);
    } catch {
      return;
    }
    expectRefusalOf(() => readOnnx(bytes), 'TOO_LARGE');
  });
});

function expectRefusalOf(run: () => unknown, code: ErrorCode): void {
  try {
    run();
  } catch (error) {
    expect((error as EspalierError).code).toBe(code);
    return;
  }
  throw new Error('nothing was refused');
}

describe('names', () => {
  it('are made visible in errors and notes, and kept as they are in details', () => {
    const name = 'a\u001b[2J\u202e\n\u0000';
    const error = expectRefusal(simple([node('Ev\nil', ['x'], ['y'], { name })]), 'UNSUPPORTED', /Ev\\nil/);
    expect(error.message.replaceAll('\n  ', '')).not.toMatch(/[\p{Cc}\p{Cf}]/u);
    const odd = expectRefusal(
      weighted(messageField(5, ...tensorFields('w', [1], 1, new Uint8Array(3)))),
      'TENSOR',
      /w/,
    );
    expect(odd.details.name).toBe('first');
  });

  it.each(['__proto__', 'constructor', 'toString', 'hasOwnProperty'])('%s is a name like any other', (name) => {
    const before = Object.getOwnPropertyNames(Object.prototype);
    const bytes = model(
      [
        input(name, ['n', 3, 6, 6]),
        output('y'),
        node('Conv', [name, `${name}w`], ['y'], { name }),
        floats(`${name}w`, [2, 3, 3, 3]),
      ],
      [opset(17), messageField(14, textField(1, name), textField(2, 'value'))],
    );
    const { network, metadata } = readOnnx(bytes);
    expect(network.inputs[0].name).toBe(name);
    expect(metadata.get(name)).toBe('value');
    expect(refusal(simple([node(name, ['x'], ['y'])]))?.code).toBe('UNSUPPORTED');
    expect(refusal(simple([node('Relu', ['x'], ['y'], { attributes: { [name]: 1 } })]))?.code).toBe('UNSUPPORTED');
    expect(Object.getOwnPropertyNames(Object.prototype)).toEqual(before);
  });
});

describe('work and memory that the bytes do not explain', () => {
  const within = (milliseconds: number, run: () => void): void => {
    const started = performance.now();
    run();
    expect(performance.now() - started).toBeLessThan(milliseconds);
  };
  const copies = (count: number, of: (i: number) => Bytes): Bytes[] => Array.from({ length: count }, (_, i) => of(i));
  const chain = (count: number, of: (from: string, to: string) => Bytes): Bytes[] =>
    copies(count, (i) => of(i === 0 ? 'x' : `v${i}`, i === count - 1 ? 'y' : `v${i + 1}`));

  it.each<[string, Uint8Array]>([
    [
      'a product of a column and a row',
      simple(
        [node('Mul', ['a', 'b'], ['c']), node('Add', ['x', 'c'], ['y'])],
        floats('a', [20000, 1]),
        floats('b', [1, 20000]),
      ),
    ],
    [
      'an axis of 2^40 beside one of 0',
      simple(
        [node('Expand', ['a', 's'], ['c']), node('Add', ['x', 'c'], ['y'])],
        floats('a', [1, 0]),
        integers('s', [2n ** 40n, 0]),
      ),
    ],
    [
      'a constant of 2^40',
      simple([node('ConstantOfShape', ['s'], ['c']), node('Add', ['x', 'c'], ['y'])], integers('s', [2n ** 40n])),
    ],
    [
      'a range of 2^40',
      simple(
        [node('Range', ['a', 'b', 'd'], ['c']), node('Add', ['x', 'c'], ['y'])],
        integers('a', [0], []),
        integers('b', [2n ** 40n], []),
        integers('d', [1], []),
      ),
    ],
    [
      'rows taken a million times',
      simple(
        [node('Gather', ['a', 'i'], ['c']), node('Add', ['x', 'c'], ['y'])],
        floats('a', [1, 20000]),
        integers('i', new Array<number>(20000).fill(0)),
      ),
    ],
    [
      'padding by 2^40',
      simple(
        [node('Pad', ['a', 'p'], ['c']), node('Add', ['x', 'c'], ['y'])],
        floats('a', [0]),
        integers('p', [2n ** 40n, 0]),
      ),
    ],
    [
      'repeats of 2^40',
      simple(
        [node('Tile', ['a', 'p'], ['c']), node('Add', ['x', 'c'], ['y'])],
        floats('a', [1]),
        integers('p', [2n ** 40n]),
      ),
    ],
    ['a value repeated 2^40 times', simple([node('Tile', ['x', 'p'], ['y'])], integers('p', [1, 2n ** 40n, 1, 1]))],
    [
      'a window of 65535 x 65535 over a constant',
      simple(
        [
          node('MaxPool', ['a'], ['c'], {
            attributes: { kernel_shape: [65535, 65535], pads: [65534, 65534, 65534, 65534] },
          }),
          node('Add', ['x', 'c'], ['y']),
        ],
        floats('a', [1, 1, 2, 2]),
      ),
    ],
    [
      'slopes of 2^40 channels',
      model([
        input('x', ['n', 2n ** 40n]),
        output('y'),
        node('LeakyRelu', ['x'], ['y'], { attributes: { alpha: { float: -1 } } }),
      ]),
    ],
    [
      'one array of 400 kB turned for each of 2000 nodes',
      model([
        input('x', ['n', 1, 100]),
        output('y'),
        floats('w', [100, 1000]),
        ...copies(2000, (i) => node('MatMul', ['x', 'w'], [`v${i}`])),
        node(
          'Sum',
          Array.from({ length: 2000 }, (_, i) => `v${i}`),
          ['y'],
        ),
      ]),
    ],
    [
      'an array that doubles',
      simple(
        [
          ...copies(40, (i) => node('Concat', [`a${i}`, `a${i}`], [`a${i + 1}`], { attributes: { axis: 0 } })),
          node('Add', ['x', 'a40'], ['y']),
        ],
        floats('a0', [1000]),
      ),
    ],
  ])('%s', (_, bytes) => {
    within(10_000, () => expect(refusal(bytes)?.code).toBe('BUDGET'));
  });

  it('a million axes', () => {
    const axes = integers(
      'a',
      Array.from({ length: 200_000 }, (_, i) => i),
    );
    expectRefusal(simple([node('Unsqueeze', ['x', 'a'], ['y'])], axes), 'UNSUPPORTED', /at most 32/);
    const sides = integers('s', new Array<number>(200_000).fill(1));
    expect(
      refusal(simple([node('Reshape', ['w', 's'], ['c']), node('Add', ['x', 'c'], ['y'])], sides, floats('w', [1])))
        ?.code,
    ).toBe('UNSUPPORTED');
  });

  it('millions of nodes and numbers of two bytes each', () => {
    const empty = new Uint8Array(2 ** 20);
    for (let i = 0; i < empty.length; i += 2) empty[i] = 0x0a;
    expectRefusal(model([[empty]]), 'TOO_LARGE', /more nodes, attributes and numbers/);
    const ints = messageField(
      1,
      textField(4, 'Constant'),
      messageField(5, textField(1, 'a'), bytesField(8, new Uint8Array(2 ** 22))),
    );
    expectRefusal(model([ints]), 'TOO_LARGE', /raw data/);
  });

  // Each took seconds to hours by a step that grew with the square.
  it.each<[string, () => Uint8Array]>([
    ['nodes of one name', () => simple(chain(20_000, (from, to) => node('Relu', [from], [to], { name: 'same' })))],
    [
      'sums with constants in a row',
      () =>
        simple(
          [
            node('Conv', ['x', 'w'], ['v0']),
            ...copies(3000, (i) => node('Add', [`v${i}`, `b${i}`], [i === 2999 ? 'y' : `v${i + 1}`])),
          ],
          floats('w', [4, 3, 3, 3]),
          ...copies(3000, (i) => floats(`b${i}`, [4, 1, 1])),
        ),
    ],
    [
      'products with constants in a row',
      () =>
        simple(
          chain(10_000, (from, to) => node('Mul', [from, 'b'], [to])),
          floats('b', [1], [1]),
        ),
    ],
    [
      'permutes in a row',
      () =>
        simple(chain(10_000, (from, to) => node('Transpose', [from], [to], { attributes: { perm: [0, 2, 3, 1] } }))),
    ],
    [
      'reshapes in a row',
      () =>
        simple(
          chain(10_000, (from, to) => node('Reshape', [from, 's'], [to])),
          integers('s', [-1, 6, 3, 6]),
        ),
    ],
    ['inputs of one node', () => simple([node('Sum', new Array<string>(20_000).fill('x'), ['y'])])],
  ])(
    'many %s',
    (_, make) => {
      within(30_000, () => void refusal(make()));
    },
    60_000,
  );
});

describe('attributes and inputs of every operator (B7)', () => {
  const NUMBERS = [0n, -1n, 2n ** 31n, 2n ** 62n, -(2n ** 63n)];
  it.each(OPERATOR_CASES.map((one) => [titleOf(one), one] as const))('%s', (_, one) => {
    expect(refusal(modelOf(one)), 'as it is it is right').toBeUndefined();
    const { attributes = {}, inputs, initializers = [] } = one;
    for (const [name, right] of Object.entries(attributes)) {
      const list = Array.isArray(right) ? (right as readonly (number | bigint)[]) : undefined;
      const wrong = [
        ...NUMBERS.map((number) => (list ? list.map(() => number) : number)),
        ...(list ? NUMBERS.map((number) => [...list.slice(1), number]) : []),
        [],
        [1],
        new Array<number>(100).fill(1),
        'text',
        { float: NaN },
        { float: Infinity },
        { float: -1e38 },
        { field: [] },
        { field: graphField(6, relu) },
      ];
      for (const value of wrong) refusal(modelOf({ ...one, attributes: { ...attributes, [name]: value } }));
      const { [name]: _left, ...rest } = attributes;
      refusal(modelOf({ ...one, attributes: rest }));
    }
    expect(refusal(modelOf({ ...one, attributes: { ...attributes, odd: 1 } }))?.message).toMatch(/"odd"/);
    for (let i = 0; i <= inputs.length; i++) {
      for (const other of ['', 'x', 'odd', 'many', 'empty', 'doubles']) {
        const changed = [...inputs];
        changed[i] = other;
        const odd = [
          floats('odd', [1, 7, 1, 1, 2]),
          integers('many', [2n ** 62n, -5n, 3n]),
          floats('empty', [0]),
          messageField(5, ...tensorFields('doubles', [2], 11, new Uint8Array(16))),
        ];
        refusal(modelOf({ ...one, inputs: changed, initializers: [...initializers, ...odd] }));
      }
      refusal(modelOf({ ...one, inputs: inputs.slice(0, i) }));
    }
    for (const sides of [
      [],
      ['n'],
      ['n', 4],
      ['n', 0, 6, 6],
      ['n', 4, 6],
      ['n', 4, 6, 6, 6],
      [1, 4, 6, 6],
      [2, 4, 6, 6],
      ['n', 5, 7, 1],
      ['n', 2 ** 40, 2, 2],
    ])
      refusal(modelOf({ ...one, sides }));
    for (const outputs of [[], ['y', 'z'], ['y', 'z', 'u', 'v'], ['']]) refusal(modelOf({ ...one, outputs }));
  });

  it.each<[string, Bytes, Bytes[], RegExp]>([
    [
      'a stride of 0',
      node('Conv', ['x', 'w'], ['y'], { name: 'n', attributes: { strides: [0, 1] } }),
      [floats('w', [2, 3, 3, 3])],
      /"n" \(Conv\): strides: expected numbers from 1, got 0/,
    ],
    [
      'a group that does not divide',
      node('Conv', ['x', 'w'], ['y'], { name: 'n', attributes: { group: 2 } }),
      [floats('w', [2, 3, 3, 3])],
      /"n" \(Conv\): group: 2 groups of 3 channels/,
    ],
    [
      'no group',
      node('ConvTranspose', ['x', 'w'], ['y'], { name: 'n', attributes: { group: 0 } }),
      [floats('w', [3, 2, 3, 3])],
      /"n" \(ConvTranspose\).*group/,
    ],
    [
      'a kernel of another size',
      node('Conv', ['x', 'w'], ['y'], { name: 'n', attributes: { kernel_shape: [5, 5] } }),
      [floats('w', [2, 3, 3, 3])],
      /kernel_shape.*weight/,
    ],
    [
      'a window that does not fit',
      node('MaxPool', ['x'], ['y'], { name: 'n', attributes: { kernel_shape: [9, 9] } }),
      [],
      /does not fit/,
    ],
    [
      'pads below 0',
      node('MaxPool', ['x'], ['y'], { name: 'n', attributes: { kernel_shape: [2, 2], pads: [-1, 0, 0, 0] } }),
      [],
      /pads/,
    ],
    ['blocks of 0', node('DepthToSpace', ['x'], ['y'], { name: 'n', attributes: { blocksize: 0 } }), [], /blocksize/],
    ['no permutation', node('Transpose', ['x'], ['y'], { name: 'n', attributes: { perm: [0, 1, 1, 3] } }), [], /perm/],
    ['an axis out of range', node('Concat', ['x', 'x'], ['y'], { name: 'n', attributes: { axis: 4 } }), [], /axis/],
    [
      'an axis of a resize out of range',
      node('Resize', ['x', '', '', 's'], ['y'], { name: 'n', attributes: { axes: [-9] } }),
      [integers('s', [3])],
      /axis/,
    ],
  ])('%s', (_, one, initializers, text) => {
    const error = expectRefusal(
      model([input('x', ['n', 3, 6, 6]), output('y'), one, ...initializers], [opset(18)]),
      'ATTRIBUTE',
      text,
    );
    expect(error.details.name).toBe('n');
  });
});

describe('arguments', () => {
  const bytes = small();
  it.each<[string, () => unknown, RegExp]>([
    ['no bytes', () => readOnnx('model.onnx' as unknown as Uint8Array), /^readOnnx: bytes: expected a Uint8Array/],
    [
      'shapes that are no object',
      () => readOnnx(bytes, { shapes: null as unknown as object as never }),
      /^readOnnx: shapes: expected an object/,
    ],
    [
      'a shape that is a number',
      () => readOnnx(bytes, { shapes: { x: 3 as unknown as number[] } }),
      /^readOnnx: shapes\["x"\]: expected an array/,
    ],
    [
      'a side below 1',
      () => readOnnx(bytes, { shapes: { x: [undefined, 0] } }),
      /^readOnnx: shapes\["x"\]: expected whole numbers from 1, got 0/,
    ],
    [
      'a side that is text',
      () => readOnnx(bytes, { shapes: { x: ['a' as unknown as number] } }),
      /^readOnnx: shapes\["x"\]: expected whole numbers/,
    ],
    ['an input that is none', () => readOnnx(bytes, { shapes: { ghost: [1] } }), /"ghost" is no input.*"x"/],
    [
      'files that are no object',
      () => readOnnx(bytes, { files: 5 as unknown as Map<string, Uint8Array> }),
      /^readOnnx: files: expected an object/,
    ],
    [
      'a constant of no type',
      () => readOnnx(bytes, { constants: { x: { type: 'half' as 'float', shape: [], data: new Float32Array(1) } } }),
      /constants\["x"\]\.type/,
    ],
    [
      'a constant of another array',
      () => readOnnx(bytes, { constants: { x: { type: 'int64', shape: [1], data: new Float32Array(1) } } }),
      /expected a BigInt64Array/,
    ],
    [
      'a constant of another size',
      () => readOnnx(bytes, { constants: { x: { type: 'float', shape: [2], data: new Float32Array(1) } } }),
      /expected 2 elements/,
    ],
    [
      'an option that is none',
      () => readOnnx(bytes, { shape: {} } as unknown as OnnxOptions),
      /expected files, shapes/,
    ],
  ])('%s', (_, run, text) => {
    expect(run).toThrow(text);
    try {
      run();
    } catch (error) {
      expect(error instanceof TypeError || error instanceof RangeError).toBe(true);
    }
  });

  it('bytes within a larger buffer, shared ones, a detached one', () => {
    const shifted = new Uint8Array(bytes.length + 3);
    shifted.set(bytes, 3);
    expect(readOnnx(shifted.subarray(3)).network.nodes.length).toBe(8);
    const shared = new Uint8Array(new SharedArrayBuffer(bytes.length));
    shared.set(bytes);
    expect(readOnnx(shared).network.nodes.length).toBe(8);
    const gone = bytes.slice();
    structuredClone(gone.buffer, { transfer: [gone.buffer] });
    expectRefusalOf(() => readOnnx(gone), 'INPUT');
  });
});

/** Bytes changed, put in, cut out, and wide numbers written over lengths. */
function mutated(bytes: Uint8Array, random: ReturnType<typeof stream>): Uint8Array {
  const copy = bytes.slice();
  for (let times = 1 + below(random, 4); times > 0; times--) {
    const at = below(random, copy.length);
    const how = below(random, 5);
    if (how === 0) copy[at] ^= 1 << below(random, 8);
    else if (how === 1) copy[at] = below(random, 256);
    else if (how === 2) copy.copyWithin(at, below(random, copy.length), at + below(random, 64));
    else if (how === 3) copy.fill([0, 0x7f, 0x80, 0xff][below(random, 4)], at, at + 1 + below(random, 9));
    else return copy.subarray(0, at);
  }
  return copy;
}

describe('mutations', () => {
  it('of small models: 3000, each read or refused with a code', () => {
    const random = stream(1, 'onnx');
    const seeds = [small(), ...OPERATOR_CASES.map(modelOf)];
    for (let i = 0; i < 3000; i++) refusal(mutated(seeds[below(random, seeds.length)], random));
  });

  it.skipIf(realData === undefined)(
    'of models by others: 200 each',
    () => {
      const random = stream(2, 'onnx');
      for (const name of ['yunet-n-320', 'ultraface-slim-320-simplified']) {
        const bytes = new Uint8Array(readFileSync(join(realData ?? '', 'models', `${name}.onnx`)));
        for (let i = 0; i < 200; i++) refusal(mutated(bytes, random));
      }
    },
    300_000,
  );
});

it('a varint of ten bytes is the largest', () => {
  expect(
    refusal(joined([wideField(1, -1n), integerField(30, 1), ...[simple([relu])].map((bytes) => [bytes])])),
  ).toBeUndefined();
});
