/** Arithmetic on constants against plain loops, varints against bigints, and shapes that are computed under two sizes of the batch. */
import { describe, expect, it } from 'vitest';
import { below, stream } from '../../src/base/random.ts';
import type { Stream } from '../../src/base/random.ts';
import { createExecutor } from '../../src/execution/executor.ts';
import { portableKernels } from '../../src/kernels/index.ts';
import {
  axisFrom,
  broadcastShape,
  cast,
  combined,
  expanded,
  mapped,
  permuted,
  reduced,
  stridesOf,
} from '../../src/onnx/arrays.ts';
import { evaluateOnnx, readOnnx } from '../../src/onnx/index.ts';
import { elements } from '../../src/onnx/tensor.ts';
import type { ElementName, OnnxTensor } from '../../src/onnx/tensor.ts';
import { eachInteger, fieldsOf, signedVarint, unsignedVarint } from '../../src/onnx/wire.ts';
import { floats, input, integers, joined, model, node, output, wideField } from './making.ts';

const shapeOf = (random: Stream, rank: number): number[] => Array.from({ length: rank }, () => below(random, 4));
const sizeOf = (shape: readonly number[]): number => shape.reduce((product, side) => product * side, 1);

function drawn(random: Stream, type: ElementName, shape: readonly number[]): OnnxTensor {
  const data = elements(type, sizeOf(shape)) as unknown as (number | bigint)[];
  for (let i = 0; i < data.length; i++) {
    const value = below(random, 200) - 100;
    data[i] = typeof data[i] === 'bigint' ? BigInt(value) * 10n ** 15n : value;
  }
  return { type, shape, data: data as unknown as OnnxTensor['data'] };
}

/** Every index of a shape, in order. */
function indices(shape: readonly number[]): number[][] {
  return shape.reduce<number[][]>(
    (all, side) => all.flatMap((index) => Array.from({ length: side }, (_, i) => [...index, i])),
    [[]],
  );
}
const flat = (index: readonly number[], shape: readonly number[]): number => {
  const strides = stridesOf(shape);
  return index.reduce((sum, at, axis) => sum + at * strides[axis], 0);
};

describe('arrays', () => {
  const types: readonly ElementName[] = ['float', 'double', 'int8', 'uint8', 'int32', 'int64', 'uint64'];

  it('broadcasting, element by element, is what the loop says', () => {
    const random = stream(1, 'broadcast');
    for (let round = 0; round < 300; round++) {
      const shape = shapeOf(random, below(random, 4));
      const part = (): number[] =>
        shape.slice(below(random, shape.length + 1)).map((side) => (below(random, 3) === 0 ? 1 : side));
      const type = types[below(random, types.length)];
      const [a, b] = [drawn(random, type, part()), drawn(random, type, part())];
      const joint = broadcastShape(a.shape, b.shape) as number[];
      const sum = combined(a, b, { numbers: (x, y) => x + y, bigints: (x, y) => x + y });
      expect(sum.shape).toEqual(joint);
      const at = (tensor: OnnxTensor, index: readonly number[]): number | bigint => {
        const own = index
          .slice(index.length - tensor.shape.length)
          .map((i, axis) => (tensor.shape[axis] === 1 ? 0 : i));
        return tensor.data[flat(own, tensor.shape)];
      };
      const expected = elements(type, sizeOf(joint)) as unknown as (number | bigint)[];
      indices(joint).forEach(
        (index, i) => (expected[i] = ((at(a, index) as number) + (at(b, index) as number)) as number),
      );
      expect(sum.data).toEqual(expected);
      expect(expanded(a, joint).data).toEqual(
        combined(a, { ...b, data: elements(type, b.data.length) }, { numbers: (x) => x, bigints: (x) => x }).data,
      );
    }
  });

  it('shapes that do not fit', () => {
    expect(broadcastShape([2, 3], [2])).toBeUndefined();
    expect(broadcastShape([], [2, 0])).toEqual([2, 0]);
    expect(broadcastShape([1], [0])).toEqual([0]);
  });

  it('an order of axes and its inverse', () => {
    const random = stream(2, 'permute');
    for (let round = 0; round < 200; round++) {
      const shape = shapeOf(random, 1 + below(random, 4));
      const order = shape.map((_, axis) => axis).sort(() => below(random, 3) - 1);
      const tensor = drawn(random, 'int64', shape);
      const turned = permuted(tensor, order);
      expect(turned.shape).toEqual(order.map((axis) => shape[axis]));
      for (const index of indices(turned.shape)) {
        const back = shape.map((_, axis) => index[order.indexOf(axis)]);
        expect(turned.data[flat(index, turned.shape)]).toBe(tensor.data[flat(back, shape)]);
      }
      expect(
        permuted(
          turned,
          order.map((_, axis) => order.indexOf(axis)),
        ),
      ).toEqual(tensor);
    }
  });

  it('sums and means along any axes', () => {
    const random = stream(3, 'reduce');
    for (let round = 0; round < 200; round++) {
      const shape = shapeOf(random, 3).map((side) => side + 1);
      const axes = [0, 1, 2].filter(() => below(random, 2) === 0);
      const tensor = drawn(random, 'float', shape);
      const kept = shape.map((side, axis) => (axes.includes(axis) ? 1 : side));
      const sums = new Float64Array(sizeOf(kept));
      indices(shape).forEach((index, i) => {
        sums[
          flat(
            index.map((at, axis) => (axes.includes(axis) ? 0 : at)),
            kept,
          )
        ] += Number(tensor.data[i]);
      });
      const of = { start: 0, combine: (all: number, x: number) => all + x, finish: (all: number) => all };
      expect([...reduced(tensor, axes, true, of).data]).toEqual([...sums]);
      expect(reduced(tensor, axes, false, of).shape).toEqual(shape.filter((_, axis) => !axes.includes(axis)));
      const mean = reduced(tensor, axes, true, { ...of, finish: (all, count) => all / count });
      expect(mean.data).toEqual(Float32Array.from(sums, (sum) => sum / (sizeOf(shape) / sizeOf(kept))));
    }
  });

  it.each<[ElementName, number | bigint, ElementName, number | bigint]>([
    ['double', -1.9, 'int32', -1],
    ['double', 3e9, 'uint32', 3e9],
    ['double', NaN, 'int64', 0n],
    ['double', Infinity, 'int64', 0n],
    ['double', 2 ** 60, 'int64', 2n ** 60n],
    ['int64', 2n ** 60n + 1n, 'int64', 2n ** 60n + 1n],
    ['int64', -1n, 'uint64', 2n ** 64n - 1n],
    ['int64', 2n ** 32n + 5n, 'int32', 5],
    ['int64', -1n, 'uint8', 255],
    ['int32', 300, 'uint8', 44],
    ['float', -0.5, 'bool', 1],
    ['int64', 0n, 'bool', 0],
    ['bool', 1, 'int64', 1n],
  ])('%s %s as %s', (from, value, to, expected) => {
    const data = elements(from, 1) as unknown as (number | bigint)[];
    data[0] = value;
    expect(cast({ type: from, shape: [], data: data as unknown as OnnxTensor['data'] }, to).data[0]).toBe(expected);
  });

  it('whole numbers of 64 bits wrap around and keep every bit', () => {
    const of = (value: bigint): OnnxTensor => ({ type: 'int64', shape: [], data: BigInt64Array.of(value) });
    const largest = 2n ** 63n - 1n;
    expect(combined(of(largest), of(1n), { numbers: () => NaN, bigints: (a, b) => a + b }).data[0]).toBe(-(2n ** 63n));
    expect(mapped(of(5n), (x) => -x).data[0]).toBe(-5n);
  });

  it('an axis from either end', () => {
    expect([axisFrom(-1, 3), axisFrom(0, 3), axisFrom(2, 3)]).toEqual([2, 0, 2]);
    for (const axis of [3, -4, 0.5, NaN]) expect(() => axisFrom(axis, 3)).toThrow(/one of 3 axes/);
  });
});

describe('varints', () => {
  it('are what was written, with and without a sign, alone and packed', () => {
    const random = stream(4, 'varint');
    const values = [
      0n,
      1n,
      127n,
      128n,
      -1n,
      2n ** 63n - 1n,
      -(2n ** 63n),
      ...Array.from({ length: 200 }, () =>
        BigInt.asIntN(64, BigInt(below(random, 2 ** 31)) << BigInt(below(random, 40))),
      ),
    ];
    for (const value of values) {
      const bytes = joined([wideField(3, value)]);
      const [field] = [...fieldsOf(bytes, 0, bytes.length)];
      expect(signedVarint(bytes, field.start, field.end)).toBe(value);
      expect(unsignedVarint(bytes, field.start, field.end)).toBe(BigInt.asUintN(64, value));
    }
    const packed = joined(values.map((value) => [joined([wideField(3, value)]).subarray(1)]));
    const found: bigint[] = [];
    eachInteger(packed, { number: 3, at: 0, wire: 2, start: 0, end: packed.length }, 'values', (start, end) =>
      found.push(signedVarint(packed, start, end)),
    );
    expect(found).toEqual(values);
  });
});

describe('shapes that are computed', () => {
  /** [n, 2, 3] flattened by arithmetic on its own shape, said in a roundabout way. */
  const roundabout = (): Uint8Array =>
    model([
      input('x', ['n', 2, 3]),
      output('y'),
      integers('zero', [0]),
      integers('one', [1]),
      integers('end', [3]),
      integers('two', [2]),
      node('Shape', ['x'], ['shape']),
      node('Slice', ['shape', 'one', 'end'], ['rest']),
      node('ReduceProd', ['rest'], ['count'], { attributes: { keepdims: 1 } }),
      node('Gather', ['shape', 'zero'], ['batch']),
      node('Mul', ['batch', 'two'], ['twice']),
      node('Div', ['twice', 'two'], ['once']),
      node('Concat', ['once', 'count'], ['sides'], { attributes: { axis: 0 } }),
      node('Reshape', ['x', 'sides'], ['flat']),
      node('Gemm', ['flat', 'w'], ['y']),
      floats('w', [6, 2]),
    ]);

  it.each([1, 5, 7])('give the same for a batch of %i', async (batch) => {
    const { network, batch: size } = readOnnx(roundabout());
    expect(size).toBe('any');
    expect(network.nodes.map(({ kind }) => kind)).toEqual(['flatten', 'dense']);
    const executor = await createExecutor(network, { kernels: portableKernels(), batch });
    executor.input().set(Array.from({ length: 6 * batch }, (_, i) => i));
    executor.forward();
    const weight = evaluateOnnx(model([output('w'), floats('w', [6, 2])]), {}).get('w')?.data as Float32Array;
    for (let n = 0; n < batch; n++)
      for (let o = 0; o < 2; o++) {
        let sum = 0;
        for (let i = 0; i < 6; i++) sum += (6 * n + i) * weight[2 * i + o];
        expect(executor.output('y')[2 * n + o]).toBeCloseTo(sum, 4);
      }
    executor.dispose();
  });

  it('that depend on the batch as no multiple of it are refused where they are needed', () => {
    const bytes = model([
      input('x', ['n', 2, 3]),
      output('y'),
      integers('zero', [0]),
      integers('one', [1]),
      node('Shape', ['x'], ['shape']),
      node('Gather', ['shape', 'zero'], ['batch']),
      node('Add', ['batch', 'one'], ['more']),
      node('Concat', ['more', 'one'], ['sides'], { attributes: { axis: 0 } }),
      node('Reshape', ['x', 'sides'], ['y'], { name: 'odd' }),
    ]);
    expect(() => readOnnx(bytes)).toThrow(/"odd" \(Reshape\).*multiple/s);
  });

  it('a first side of 1 that stands for the batch is said', () => {
    const { notes } = readOnnx(
      model([input('x', ['n', 2, 3]), output('y'), integers('s', [1, -1]), node('Reshape', ['x', 's'], ['y'])]),
    );
    expect(notes).toEqual([expect.stringMatching(/^node "y" \(Reshape\): it makes one sample .*taken as the batch/)]);
  });

  it('a model that works across its batch runs one sample at a time, which is said', () => {
    const { notes, batch } = readOnnx(
      model([input('x', [1, 2, 3]), output('y'), node('Transpose', ['x'], ['y'], { attributes: { perm: [1, 0, 2] } })]),
    );
    expect(batch).toBe('none');
    expect(notes[0]).toMatch(/^one sample at a time: node "y" \(Transpose\)/);
  });
});
