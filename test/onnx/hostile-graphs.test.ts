/** Graphs that are none, and what is not supported: named, all at once. Arguments that are wrong. */
import { describe, expect, it } from 'vitest';
import type { ErrorCode } from '../../src/base/errors.ts';
import { messageField, textField } from '../../src/onnx/encode.ts';
import { readOnnx } from '../../src/onnx/index.ts';
import type { OnnxOptions } from '../../src/onnx/index.ts';
import {
  attribute,
  floats,
  graphField,
  input,
  model,
  node,
  opset,
  output,
  simple,
  small,
  tensorFields,
} from './making.ts';
import { expectRefusal, expectRefusalOf, refusal, relu, weighted } from './refusal.ts';

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
