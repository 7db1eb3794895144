/** Values of another realm, as Jest, frames and `node:vm` make them: as good as our own at every door. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runInNewContext } from 'node:vm';
import { gzipSync } from 'node:zlib';
import { beforeAll, describe, expect, it } from 'vitest';
import { arrayName, asBytes, asFloat32, hasField, isError, isMap } from '../../src/base/realm.ts';
import {
  constantInitializer,
  createExecutor,
  dense,
  denseEncoding,
  examplesFromArrays,
  gunzip,
  kmeans,
  loadKernels,
  preprocess,
  pullback,
  readNetwork,
  readNpy,
  readSafetensors,
  resizeImage,
  saveFile,
  score,
  sequential,
  writeNetwork,
  writeNpy,
} from '../../src/index.ts';
import { steadyBytes, writeSafetensors } from '../../src/container/index.ts';
import { load } from '../../src/runtime/index.ts';

/** The same value made by the constructors of a realm of its own. */
const foreign = {
  floats: (values: ArrayLike<number>) => inRealm('Float32Array.from(value)', values) as Float32Array,
  doubles: (values: ArrayLike<number>) => inRealm('Float64Array.from(value)', values) as Float64Array,
  bytes: (values: ArrayLike<number>) => inRealm('Uint8Array.from(value)', values) as Uint8Array,
  buffer: (values: ArrayLike<number>) => inRealm('Uint8Array.from(value).buffer', values) as ArrayBuffer,
  map: (entries: readonly (readonly [string, string])[]) => inRealm('new Map(value)', entries) as Map<string, string>,
};
function inRealm(code: string, value: unknown): unknown {
  return runInNewContext(code, { value });
}

describe('kinds of values', () => {
  it('are told of any realm and of subclasses, and not by a name alone', () => {
    class Mine extends Float32Array {}
    expect([new Float32Array(1), foreign.floats([1]), new Mine(1)].map(arrayName)).toEqual(
      new Array(3).fill('Float32Array'),
    );
    expect([Buffer.alloc(1), foreign.bytes([1])].map(arrayName)).toEqual(['Uint8Array', 'Uint8Array']);
    for (const other of [
      { [Symbol.toStringTag]: 'Float32Array', length: 1 },
      [1],
      null,
      1,
      new DataView(new ArrayBuffer(8)),
    ])
      expect([arrayName(other), asFloat32(other), asBytes(other)]).toEqual([undefined, undefined, undefined]);
    expect([new Map(), foreign.map([])].map(isMap)).toEqual([true, true]);
    expect([{}, new Set(), { [Symbol.toStringTag]: 'Map', size: 0 }, null].map(isMap)).toEqual([
      false,
      false,
      false,
      false,
    ]);
    expect([new TypeError('x'), inRealm('new RangeError("x")', 0)].map(isError)).toEqual([true, true]);
    expect([{ message: 'x' }, 'x', null].map(isError)).toEqual([false, false, false]);
  });

  it('come as views of the same memory, never of what lies beside it', () => {
    const floats = foreign.floats([1, 2, 3, 4]).subarray(1, 3);
    const own = asFloat32(floats)!;
    expect(own instanceof Float32Array).toBe(true);
    own[0] = 9;
    expect([...floats]).toEqual([9, 3]);
    const part = Buffer.from([1, 2, 3, 4]).subarray(1, 3);
    const bytes = asBytes(part)!;
    expect([Object.getPrototypeOf(bytes) === Uint8Array.prototype, [...bytes]]).toEqual([true, [2, 3]]);
    bytes.slice()[0] = 77;
    expect(part[0]).toBe(2);
    const gone = foreign.floats([1]);
    structuredClone(gone.buffer, { transfer: [gone.buffer] });
    expect(asFloat32(gone)).toHaveLength(0);
  });

  it('fields are own or of the class, and not of every object', () => {
    class WithGetter {
      get width(): number {
        return 3;
      }
    }
    expect(hasField({ width: 1 }, 'width')).toBe(true);
    expect(hasField(new WithGetter(), 'width')).toBe(true);
    expect(hasField({}, 'toString')).toBe(false);
    expect(hasField(inRealm('({})', 0) as object, 'toString')).toBe(false);
    expect(hasField(Object.assign(Object.create(null) as object, { width: 1 }), 'width')).toBe(true);
  });
});

describe('another realm', () => {
  let kernels: Awaited<ReturnType<typeof loadKernels>>;
  const network = sequential({ input: [3], seed: 5 }, [dense(2)]);
  const file = writeNetwork(network);
  const input = [0.5, -1, 2];
  beforeAll(async () => {
    kernels = await loadKernels();
  });

  it('gives files: networks, safetensors, npy, gzip', async () => {
    expect(readNetwork(foreign.bytes(file))).toEqual(network);
    expect(readNetwork(foreign.buffer(file))).toEqual(network);
    const array = writeNpy({ data: Float32Array.of(1, 2), shape: [2] });
    expect(readNpy(foreign.bytes(array))).toEqual(readNpy(array));
    expect(await gunzip(foreign.bytes(gzipSync(array)))).toEqual(array);
    expect(writeNpy({ data: foreign.floats([1, 2]), shape: [2] })).toEqual(array);
  });

  it('gives what is written: bytes of tensors, metadata in a Map', () => {
    const made = writeSafetensors(
      [{ name: 'w', dtype: 'U8', shape: [2], bytes: foreign.bytes([7, 8]) }],
      foreign.map([['a', 'b']]),
    );
    const { tensors, metadata } = readSafetensors(made);
    expect([...metadata]).toEqual([['a', 'b']]);
    expect([...tensors.get('w')!.bytes]).toEqual([7, 8]);
    const network = sequential({ input: [1] }, [dense(1)]);
    expect(
      readSafetensors(writeNetwork(network, { metadata: foreign.map([['from', 'there']]) })).metadata.get('from'),
    ).toBe('there');
  });

  it('gives inputs, points, weights, samples, pixels and scores', async () => {
    const executor = await createExecutor(network, { kernels });
    const expected = executor.predict(Float32Array.from(input), 1);
    expect(executor.predict(foreign.floats(input), 1)).toEqual(expected);
    executor.dispose();
    const model = await load(foreign.bytes(file), { kernels });
    expect(model.predict(foreign.floats(input)).data).toEqual(expected);
    expect(model.predict({ data: foreign.doubles(input), shape: [3] }).data).toEqual(expected);
    model.dispose();

    const points = { data: foreign.floats([0, 1, 10, 11]), shape: [4, 1] };
    expect([...kmeans(points, { codewordCount: 2, kernels }).codewords.data].sort((a, b) => a - b)).toEqual([
      0.5, 10.5,
    ]);
    const { data } = denseEncoding(points);
    expect([data instanceof Float32Array, ...data]).toEqual([true, 0, 1, 10, 11]);
    const encoding = denseEncoding({ data: Float32Array.of(1, 2), shape: [2] });
    expect(arrayName(pullback(encoding, foreign.doubles([1, 2])).gradient)).toBe('Float64Array');

    const set = examplesFromArrays({ inputs: foreign.floats(input), inputShape: [3] });
    const read = new Float32Array(3);
    await set.read([0], read, undefined);
    expect([...read]).toEqual(input);
    const pixels = { data: foreign.bytes([0, 255, 255, 0]), shape: [2, 2] };
    expect([...resizeImage(pixels, 1, 1, 'area').data]).toEqual([127.5]);
    expect([
      ...preprocess(pixels, {
        width: 1,
        height: 1,
        channels: 1,
        filter: 'area',
        scale: 1,
        standardize: { kind: 'none' },
      }),
    ]).toEqual([127.5]);
    expect(
      sequential({ input: [1] }, [dense(1, { initializer: () => foreign.floats([4]) })]).parameters.get(
        'dense1.weight',
      ),
    ).toMatchObject({ data: Float32Array.of(4) });
    expect(constantInitializer(2)([1], 0, '')).toEqual(Float32Array.of(2));
    const group = { name: 'g', channels: 2, producers: [], consumers: [] } as never;
    expect([...score(() => foreign.doubles([1, 2]), network, group)]).toEqual([1, 2]);
  });

  it('gives bytes to save', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'espalier-realm-'));
    try {
      await saveFile(join(folder, 'x.bin'), foreign.bytes([1, 2, 3]));
      expect([...readFileSync(join(folder, 'x.bin'))]).toEqual([1, 2, 3]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('is refused for a wrong kind as our own is', () => {
    for (const wrong of [foreign.floats([1]), inRealm('new DataView(new ArrayBuffer(8))', 0), inRealm('({})', 0)])
      expect(() => steadyBytes('test', wrong as never)).toThrow(TypeError);
  });
});

describe('the source', () => {
  it('asks no value for its constructor but where the value is our own', () => {
    const root = join(import.meta.dirname, '../../src');
    const found = readdirSync(root, { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith('.ts') && !path.startsWith('cli'))
      .flatMap((path) =>
        readFileSync(join(root, path), 'utf8')
          .split('\n')
          .filter((line) => /instanceof (\w*Array|\w*Buffer|DataView|\w*Error|AbortSignal|Promise)\b/.test(line))
          .filter((line) => !/instanceof EspalierError/.test(line))
          .map((line) => `${path}: ${line.trim()}`),
      );
    expect(found.sort()).toEqual([
      "base/realm.ts: return value instanceof Error || Object.prototype.toString.call(value) === '[object Error]';",
      // The heap is ours.
      'execution/executor.ts: if (!(found instanceof Int32Array))',
      'execution/executor.ts: if (found instanceof Int32Array)',
    ]);
  });
});
