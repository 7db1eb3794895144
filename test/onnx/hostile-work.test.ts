/** Models that ask for work or memory that their bytes do not explain, wrong attributes and inputs of every operator, mutations. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { below, stream } from '../../src/base/random.ts';
import { bytesField, messageField, textField } from '../../src/onnx/encode.ts';
import type { Bytes } from '../../src/onnx/encode.ts';
import { realData } from '../real-data.ts';
import {
  floats,
  graphField,
  input,
  integers,
  model,
  node,
  opset,
  output,
  simple,
  small,
  tensorFields,
} from './making.ts';
import { modelOf, OPERATOR_CASES, titleOf } from './operator-models.ts';
import { expectRefusal, refusal, relu } from './refusal.ts';

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
