/** What is computed while a model is read, constants where values are expected, and infinities. */
import { describe, expect, it } from 'vitest';
import { createExecutor } from '../../src/execution/executor.ts';
import { portableKernels } from '../../src/kernels/index.ts';
import { messageField } from '../../src/onnx/encode.ts';
import type { Bytes } from '../../src/onnx/encode.ts';
import { evaluateOnnx, readOnnx } from '../../src/onnx/index.ts';
import { input, integers, model, node, opset, output, tensorFields } from './making.ts';
import { expectRefusal } from './refusal.ts';

const numbers = (name: string, values: readonly number[], dims: readonly number[] = [values.length]): Bytes =>
  messageField(5, ...tensorFields(name, dims, 1, new Uint8Array(Float32Array.from(values).buffer)));

async function outputOf(bytes: Uint8Array, x: readonly number[]): Promise<number[]> {
  const { network } = readOnnx(bytes);
  const executor = await createExecutor(network, { kernels: portableKernels(), batch: 1 });
  executor.input().set(x);
  executor.forward();
  const y = Array.from(executor.output('y'));
  executor.dispose();
  return y;
}

describe('functions of constants', () => {
  const x = [-2, -0.5, 0.25, 1.5];
  // Digits of PyTorch 1.13, float64.
  it.each<[string, Parameters<typeof node>[3], number[]]>([
    ['Exp', {}, [0.1353352832366127, 0.6065306597126334, 1.2840254166877414, 4.4816890703380645]],
    ['Tanh', {}, [-0.9640275800758169, -0.46211715726000974, 0.24491866240370913, 0.9051482536448664]],
    ['Sigmoid', {}, [0.11920292202211755, 0.3775406687981454, 0.5621765008857981, 0.8175744761936437]],
    ['Erf', {}, [-0.9953222650189527, -0.5204998778130465, 0.27632639016823696, 0.9661051464753108]],
    ['Softplus', {}, [0.1269280110429725, 0.4740769841801067, 0.8259394198788436, 1.7014132779827524]],
    ['Gelu', {}, [-0.04550026389635842, -0.15426876936299344, 0.14967658142073093, 1.399789198096713]],
    ['Elu', { attributes: { alpha: { float: 2 } } }, [-1.7293294335267746, -0.7869386805747332, 0.25, 1.5]],
    ['LeakyRelu', { attributes: { alpha: { float: 0.5 } } }, [-1, -0.25, 0.25, 1.5]],
    ['HardSigmoid', { attributes: { alpha: { float: 0.25 } } }, [0, 0.375, 0.5625, 0.875]],
    ['HardSwish', {}, [-1 / 3, -0.5 * (2.5 / 6), 0.25 * (3.25 / 6), 1.5 * (4.5 / 6)]],
  ])('%s', (operator, attributes, expected) => {
    const bytes = model([output('y'), numbers('c', x), node(operator, ['c'], ['y'], attributes)], [opset(20)]);
    const found = evaluateOnnx(bytes, {}).get('y')?.data ?? [];
    expect(found.length).toBe(4);
    expected.forEach((value, i) =>
      expect(Math.abs(Number(found[i]) - value)).toBeLessThan(2e-7 * Math.max(1, Math.abs(value))),
    );
  });

  it('Log, Sqrt, Reciprocal and Pow, of whole numbers exactly', () => {
    const of = (nodes: readonly Bytes[]): unknown[] => {
      const { data } = evaluateOnnx(model([output('y'), ...nodes]), {}).get('y') ?? { data: [] };
      return [...(data as ArrayLike<number | bigint> & Iterable<number | bigint>)];
    };
    expect(of([numbers('c', [4, 0.25]), node('Sqrt', ['c'], ['y'])])).toEqual([2, 0.5]);
    expect(of([numbers('c', [4, 0.25]), node('Reciprocal', ['c'], ['y'])])).toEqual([0.25, 4]);
    expect(of([numbers('c', [1, Math.E]), node('Log', ['c'], ['y'])])).toEqual([
      0,
      Math.fround(Math.log(Math.fround(Math.E))),
    ]);
    expect(of([numbers('c', [3, 4]), numbers('p', [2, 0.5]), node('Pow', ['c', 'p'], ['y'])])).toEqual([9, 2]);
    expect(of([integers('c', [3, -2]), integers('p', [39, 3]), node('Pow', ['c', 'p'], ['y'])])).toEqual([
      3n ** 39n,
      -8n,
    ]);
  });
});

describe('constants where values are', () => {
  it('are joined with values', async () => {
    const bytes = model([
      ...[input('x', ['n', 2, 2]), output('y'), numbers('token', [7, 8], [1, 1, 2])],
      node('Concat', ['token', 'x', 'token'], ['y'], { attributes: { axis: 1 } }),
    ]);
    expect(await outputOf(bytes, [1, 2, 3, -Infinity])).toEqual([7, 8, 1, 2, 3, -Infinity, 7, 8]);
  });

  it('are looked up by values: refused with the cure', () => {
    const bytes = model([
      ...[input('x', ['n', 2]), output('y'), numbers('table', [1, 2, 3, 4], [2, 2])],
      node('Gather', ['table', 'x'], ['y'], { name: 'lookup' }),
    ]);
    expectRefusal(bytes, 'UNSUPPORTED', /"lookup" \(Gather\).*embedding.*export/s);
  });
});

describe('infinities in constants', () => {
  const masked = (operator: string, values: readonly number[], behind: Bytes[] = []): Uint8Array =>
    model([
      ...[input('x', ['n', 3]), output('y'), numbers('mask', values, [1, 3])],
      node(operator, ['x', 'mask'], [behind.length > 0 ? 's' : 'y']),
      ...behind,
    ]);

  it('are numbers that a softmax makes 0, and a note', async () => {
    const bytes = masked('Add', [0, -Infinity, 0], [node('Softmax', ['s'], ['y'], { attributes: { axis: -1 } })]);
    const [a, b, c] = await outputOf(bytes, [1, -1e30, 1]);
    expect([a, b, c]).toEqual([0.5, 0, 0.5]);
    expect(readOnnx(bytes).notes.join()).toMatch(/"mask" holds infinities/);
  });

  it('are bounds that bind nothing', async () => {
    expect(await outputOf(masked('Max', [-Infinity, 0, -Infinity]), [-1e38, -1, 2])).toEqual([
      Math.fround(-1e38),
      0,
      2,
    ]);
    expect(await outputOf(masked('Min', [Infinity, 0, Infinity]), [1e38, 1, 2])).toEqual([Math.fround(1e38), 0, 2]);
  });

  it('are padding in front of a maximum', async () => {
    const bytes = model([
      ...[input('x', ['n', 1, 1, 2]), output('y'), numbers('least', [-Infinity], [])],
      integers('pads', [0, 0, 0, 1, 0, 0, 0, 1]),
      node('Pad', ['x', 'pads', 'least'], ['p']),
      node('MaxPool', ['p'], ['y'], { attributes: { kernel_shape: [1, 2] } }),
    ]);
    expect(await outputOf(bytes, [-1e38, -2])).toEqual([Math.fround(-1e38), -2, -2]);
  });

  it('are refused by name where they would be computed with', () => {
    expectRefusal(masked('Mul', [1, -Infinity, 1]), 'NONFINITE', /"mask".*finite/);
  });
});

describe('inputs that are not supported', () => {
  it('are named all at once, with nodes', () => {
    const bytes = model([
      ...[input('ids', ['n', 2], 7), input('x', ['n', 'h']), input('z', ['n', 2]), output('y')],
      node('Unknown', ['z'], ['u'], { name: 'odd' }),
      node('Sum', ['ids', 'x', 'u'], ['y']),
    ]);
    const error = expectRefusal(bytes, 'UNSUPPORTED', /3 inputs and nodes are not supported/);
    for (const text of [/input "ids": elements of type int64/, /input "x": dimension 1 is open/, /"odd" \(Unknown\)/])
      expect(error.message).toMatch(text);
  });
});
