import { existsSync, mkdtempSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { landmarks68Task, openFolder, preprocess, writeNpy } from '../../src/data/index.ts';
import type { Dataset, FolderOptions } from '../../src/data/index.ts';
import type { Preprocessing } from '../../src/graph/preprocessing.ts';
import { sizeOf } from '../../src/base/tensor.ts';
import type { Shape, TypedArray } from '../../src/base/tensor.ts';

const PREPROCESSING: Preprocessing = {
  width: 4,
  height: 3,
  channels: 1,
  filter: 'area',
  scale: 1 / 255,
  standardize: { kind: 'image', epsilon: 1e-3 },
};
const COUNT = 70; // more than one block
const root = mkdtempSync(join(tmpdir(), 'test-folder-'));
let folder = root;
afterAll(() => {
  rmSync(root, { recursive: true });
});
beforeEach(() => {
  folder = mkdtempSync(join(root, 'set-'));
});

function put(name: string, data: TypedArray, shape: Shape): void {
  const bytes = writeNpy({ data, shape });
  writeFileSync(join(folder, name), name.endsWith('.gz') ? gzipSync(bytes) : bytes);
}
const images = (count = COUNT): Uint8Array =>
  Uint8Array.from({ length: count * 6 * 5 }, (_, i) => Math.imul(i + 1, 2654435761) >>> 24);
const floats = (length: number): Float32Array => Float32Array.from({ length }, (_, i) => Math.sin(i));
const open = (options: FolderOptions = {}): Promise<Dataset> =>
  openFolder(folder, 'train', { preprocessing: PREPROCESSING, ...options });
/** Open files of this process, where the system tells (Linux); else always 0. */
const openFiles = (): number => (existsSync('/proc/self/fd') ? readdirSync('/proc/self/fd').length : 0);
/** Temporary files of this package that are there now, by name: other tests may run beside this one. */
const temporary = (): string[] =>
  readdirSync(tmpdir()).filter((name) => name.startsWith('espalier-') && name.endsWith('.npy'));

async function readAll(
  set: Dataset,
  order = Array.from({ length: set.count }, (_, i) => i),
): Promise<{ inputs: number[]; targets: number[] }> {
  const inputs = new Float32Array(order.length * sizeOf(set.inputShape)),
    targets = new Float32Array(order.length * sizeOf(set.targetShape ?? [0]));
  await set.read(order, inputs, set.targetShape && targets);
  return { inputs: Array.from(inputs), targets: Array.from(targets) };
}

describe('openFolder', () => {
  it('prepares images, lays landmarks out as x0, y0, x1, y1, ..., and knows the 68-point task', async () => {
    put('train-images.npy', images(2), [2, 6, 5]);
    put('train-landmarks.npy', floats(2 * 136), [2, 68, 2]);
    writeFileSync(join(folder, 'train-names.txt'), 'a.png\nb c.png\n');
    const set = await open();
    expect(set).toMatchObject({
      count: 2,
      inputShape: [1, 3, 4],
      targetShape: [136],
      partName: 'train',
      names: ['a.png', 'b c.png'],
      imageShape: [6, 5],
      inMemory: true,
      task: landmarks68Task(),
    });
    const { inputs, targets } = await readAll(set, [1, 0]);
    const expected = [1, 0].flatMap((i) =>
      Array.from(preprocess({ data: images(2).subarray(i * 30, i * 30 + 30), shape: [6, 5] }, PREPROCESSING)),
    );
    expect(inputs).toEqual(expected);
    expect(targets).toEqual([...floats(272).subarray(136), ...floats(272).subarray(0, 136)]);
    set.close();
  });

  it('gives the same bits in memory, from the disk, compressed in memory and compressed on the disk', async () => {
    put('train-landmarks.npy', floats(COUNT * 6), [COUNT, 3, 2]);
    const order = [3, 69, 0, 64, 3];
    const found: { inputs: number[]; targets: number[] }[] = [];
    for (const [name, memoryLimit, inMemory] of [
      ['train-images.npy', undefined, true],
      ['train-images.npy', 100, false],
      ['train-images.npy.gz', undefined, true],
      ['train-images.npy.gz', 2300, false],
      ['train-images.npy.gz', 100, false],
    ] as const) {
      rmSync(join(folder, 'train-images.npy'), { force: true });
      put(name, images(), [COUNT, 6, 5]);
      const set = await open({ memoryLimit });
      expect(set.inMemory).toBe(inMemory);
      found.push(await readAll(set, order));
      set.close();
    }
    for (const other of found) expect(other).toEqual(found[0]);
    expect(found[0].inputs.length).toBe(60);
  });

  it('reads inputs as they are, float64 and float16 too, also in Fortran order and from the disk', async () => {
    put('train-inputs.npy', Float64Array.from(floats(24)), [4, 2, 3]);
    put('train-targets.npy', floats(8), [4, 2]);
    for (const memoryLimit of [undefined, 0]) {
      const set = await openFolder(folder, 'train', { memoryLimit });
      expect(set).toMatchObject({
        count: 4,
        inputShape: [2, 3],
        targetShape: [2],
        task: { kind: 'regression' },
        inMemory: memoryLimit === undefined,
      });
      expect(set.imageShape).toBeUndefined();
      expect(await readAll(set)).toEqual({ inputs: Array.from(floats(24)), targets: Array.from(floats(8)) });
      set.close();
    }
    const text = Buffer.from(writeNpy({ data: Float32Array.of(1, 2, 3, 4, 5, 6), shape: [3, 2] }))
      .toString('latin1')
      .replace('False,', 'True, ');
    rmSync(join(folder, 'train-targets.npy'));
    writeFileSync(join(folder, 'train-inputs.npy'), Buffer.from(text, 'latin1'));
    const set = await openFolder(folder, 'train');
    expect(set.targetShape).toBeUndefined();
    expect((await readAll(set)).inputs).toEqual([1, 4, 2, 5, 3, 6]);
    await expect(openFolder(folder, 'train', { memoryLimit: 8 })).rejects.toMatchObject({ code: 'TOO_LARGE' });
    writeFileSync(join(folder, 'train-inputs.npy.gz'), gzipSync(Buffer.from(text, 'latin1')));
    rmSync(join(folder, 'train-inputs.npy'));
    await expect(openFolder(folder, 'train', { memoryLimit: 8 })).rejects.toMatchObject({ code: 'TOO_LARGE' });
    expect((await readAll(await openFolder(folder, 'train'))).inputs).toEqual([1, 4, 2, 5, 3, 6]);
  });

  it('reads labels as one number each, counts the classes, and checks them against the task', async () => {
    put('train-inputs.npy', floats(6), [3, 2]);
    put('train-labels.npy', Int32Array.of(0, 2, 1), [3]);
    const set = await open();
    expect(set.task).toEqual({ kind: 'classes', classes: 3 });
    expect((await readAll(set)).targets).toEqual([0, 2, 1]);
    await expect(open({ task: { kind: 'classes', classes: 2 } })).rejects.toThrow(/from 0 to 1, got 2 in sample 1/);
    for (const [labels, text] of [
      [Int32Array.of(0, 1, -1), /got -1 in sample 2/],
      [Float32Array.of(0, 1.5, 1), /got 1.5 in sample 1/],
      [Int32Array.of(0, 0, 0), /one class/],
    ] as const) {
      put('train-labels.npy', labels, [3]);
      await expect(open()).rejects.toThrow(text);
    }
    expect((await readAll(await open({ task: { kind: 'classes', classes: 2 } }))).targets).toEqual([0, 0, 0]);
  });

  it('leaves targets unread where that is asked for, broken ones too', async () => {
    put('train-inputs.npy', floats(COUNT * 2), [COUNT, 2]);
    writeFileSync(join(folder, 'train-landmarks.npy'), 'no array');
    const set = await open({ labels: 'none', task: 'landmarks' });
    expect([set.targetShape, set.task]).toEqual([undefined, undefined]);
    expect((await open({ labels: 'none', task: landmarks68Task() })).task).toEqual(landmarks68Task());
    await expect(open({ labels: 'auto' })).rejects.toThrow('train-landmarks.npy');
    await expect(open({ labels: 'some' as never })).rejects.toThrow('labels: expected');
  });

  it('leaves no temporary file behind: not while open, not after closing, not after an error', async () => {
    const before = new Set(temporary());
    put('train-images.npy.gz', images(), [COUNT, 6, 5]);
    const set = await open({ memoryLimit: 0 });
    expect(temporary().filter((name) => !before.has(name))).toEqual([]);
    expect((await readAll(set, [69])).inputs.length).toBe(12);
    set.close();
    const bytes = gzipSync(writeNpy({ data: images(), shape: [COUNT, 6, 5] }));
    writeFileSync(join(folder, 'train-images.npy.gz'), bytes.subarray(0, bytes.length - 9));
    await expect(open({ memoryLimit: 0 })).rejects.toMatchObject({ code: 'TRUNCATED' });
    expect(temporary().filter((name) => !before.has(name))).toEqual([]);
  });

  it('closes twice without harm, frees its file, and refuses to be read afterwards', async () => {
    put('train-images.npy', images(), [COUNT, 6, 5]);
    for (const memoryLimit of [0, undefined]) {
      const descriptors = openFiles();
      const set = await open({ memoryLimit });
      expect(openFiles()).toBe(descriptors + (memoryLimit === 0 && descriptors > 0 ? 1 : 0));
      set.close();
      set.close();
      expect(openFiles()).toBe(descriptors);
      await expect(readAll(set, [0])).rejects.toMatchObject({ code: 'DISPOSED' });
    }
  });

  it('names the files looked for and the parts there where a part is missing', async () => {
    put('test-images.npy', images(1), [1, 6, 5]);
    put('other-inputs.npy.gz', floats(2), [1, 2]);
    await expect(open()).rejects.toThrow(
      /"train" is not in .*train-images\.npy, train-images\.npy\.gz, train-inputs\.npy, train-inputs\.npy\.gz; parts there: other, test/,
    );
    await expect(openFolder(join(folder, 'nowhere'), 'train')).rejects.toMatchObject({ code: 'MISSING' });
    await expect(openFolder(join(folder, 'test-images.npy'), 'train')).rejects.toMatchObject({ code: 'IO' });
    await expect(openFolder(folder, 7 as never)).rejects.toThrow(TypeError);
  });

  it('asks for preprocessing and task by name', async () => {
    put('train-images.npy', images(2), [2, 6, 5]);
    await expect(openFolder(folder, 'train')).rejects.toThrow(/options\.preprocessing.*--preprocess/);
    await expect(open({ preprocessing: { ...PREPROCESSING, width: 0 } })).rejects.toThrow(/preprocessing\.width/);
    put('train-landmarks.npy', floats(4), [2, 1, 2]);
    await expect(open({ task: { kind: 'classes', classes: 2 } })).rejects.toThrow(
      /labels beside it for the task classes, got landmarks/,
    );
    await expect(open({ task: landmarks68Task() })).rejects.toThrow(/expected 68 points, as the task says, got 1/);
    put('train-labels.npy', Uint8Array.of(0, 1), [2]);
    await expect(open()).rejects.toThrow(/landmarks and labels beside it: expected task/);
    expect((await open({ task: { kind: 'classes', classes: 2 } })).targetShape).toEqual([1]);
    put('train-inputs.npy', floats(4), [2, 2]);
    await expect(open()).rejects.toThrow(/both images and inputs/);
  });

  const wrong: [string, () => void, RegExp][] = [
    [
      'an empty set',
      () => {
        put('train-images.npy', new Uint8Array(0), [0, 6, 5]);
      },
      /empty/,
    ],
    [
      'an empty set, compressed',
      () => {
        put('train-images.npy.gz', new Uint8Array(0), [0, 6, 5]);
      },
      /empty/,
    ],
    [
      'a single number',
      () => {
        put('train-images.npy', Uint8Array.of(1), []);
      },
      /rank 0/,
    ],
    [
      'images that are no bytes',
      () => {
        put('train-images.npy', floats(30), [1, 6, 5]);
      },
      /expected uint8 images .* got f4 of shape \[1, 6, 5\]/,
    ],
    [
      'images with channels first',
      () => {
        put('train-images.npy', images(1), [1, 1, 6, 5]);
      },
      /expected uint8 images/,
    ],
    [
      'flat images',
      () => {
        put('train-images.npy', images(1), [1, 30]);
      },
      /expected uint8 images/,
    ],
    [
      'inputs that are no floats',
      () => {
        put('train-inputs.npy', Int32Array.of(1, 2), [1, 2]);
      },
      /expected float inputs .* got i4/,
    ],
    [
      'inputs without a shape',
      () => {
        put('train-inputs.npy', floats(2), [2]);
      },
      /expected float inputs/,
    ],
    [
      'an input that is not finite',
      () => {
        put('train-inputs.npy', Float32Array.of(1, 2, 3, NaN), [2, 2]);
      },
      /got NaN in sample 1, element 1/,
    ],
    [
      'another number of landmarks than images',
      () => {
        put('train-images.npy', images(2), [2, 6, 5]);
        put('train-landmarks.npy', floats(6), [3, 1, 2]);
      },
      /expected 2 samples, as many as in .*, got 3/,
    ],
    [
      'landmarks that are not finite',
      () => {
        put('train-images.npy', images(2), [2, 6, 5]);
        put('train-landmarks.npy', Float32Array.of(0, 0, 0, Infinity), [2, 1, 2]);
      },
      /got Infinity in sample 1, element 1/,
    ],
    ...(['images', 'landmarks', 'labels', 'targets'] as const).map((kind): [string, () => void, RegExp] => [
      `${kind} both packed and not`,
      () => {
        put('train-images.npy', images(2), [2, 6, 5]);
        put(
          `train-${kind}.npy`,
          kind === 'images' ? images(2) : Float32Array.of(0, 1),
          kind === 'images' ? [2, 6, 5] : [2],
        );
        put(`train-${kind}.npy.gz`, Float32Array.of(1, 0), [2]);
      },
      new RegExp(`train-${kind}.npy: train-${kind}.npy.gz is there too`),
    ]),
    [
      'names that are no text',
      () => {
        put('train-images.npy', images(2), [2, 6, 5]);
        writeFileSync(join(folder, 'train-names.txt'), Buffer.from('\ufeffa\nb\n', 'utf16le'));
      },
      /expected text in UTF-8/,
    ],
    [
      'landmarks of another shape',
      () => {
        put('train-images.npy', images(1), [1, 6, 5]);
        put('train-landmarks.npy', floats(2), [1, 2]);
      },
      /expected \(n, points, 2\), got Float32Array of shape \[1, 2\]/,
    ],
    [
      'targets without numbers',
      () => {
        put('train-inputs.npy', floats(2), [1, 2]);
        put('train-targets.npy', floats(0), [1, 0]);
      },
      /without an empty side/,
    ],
    [
      'several labels a sample',
      () => {
        put('train-inputs.npy', floats(2), [1, 2]);
        put('train-labels.npy', Int32Array.of(0, 1), [1, 2]);
      },
      /expected integers \(n\)/,
    ],
    [
      'another number of names',
      () => {
        put('train-images.npy', images(2), [2, 6, 5]);
        writeFileSync(join(folder, 'train-names.txt'), 'a\n');
      },
      /expected 2 lines, one a sample, got 1/,
    ],
  ];
  it.each(wrong)(
    'refuses %s by a DATA error that names the file, and closes what it had opened',
    async (_name, prepare, text) => {
      prepare();
      const descriptors = openFiles();
      await expect(open()).rejects.toThrow(text);
      await expect(open()).rejects.toMatchObject({
        code: 'DATA',
        details: { name: expect.stringContaining(join(folder, 'train-')) as string },
      });
      expect(openFiles()).toBe(descriptors);
    },
  );

  it('takes targets of floats and of whole numbers of every width, and the kind of task alone', async () => {
    const widths = [
      Float64Array,
      Float32Array,
      Int8Array,
      Uint8Array,
      Int16Array,
      Uint16Array,
      Int32Array,
      Uint32Array,
    ];
    for (const Width of widths) {
      put('train-inputs.npy', floats(4), [2, 2]);
      put('train-landmarks.npy', Width.of(1, 2, 3, 4), [2, 1, 2]);
      put('train-labels.npy', Width.of(0, 2), [2]);
      put('train-targets.npy', Width.of(5, 6), [2]);
      const expected = { landmarks: [1, 2, 3, 4], classes: [0, 2], regression: [5, 6] };
      for (const kind of ['landmarks', 'classes', 'regression'] as const) {
        const set = await open({ task: kind });
        expect((await readAll(set)).targets).toEqual(expected[kind]);
        expect(set.task).toEqual(
          { landmarks: { kind, points: 1 }, classes: { kind, classes: 3 }, regression: { kind } }[kind],
        );
        set.close();
      }
    }
    rmSync(join(folder, 'train-labels.npy'));
    rmSync(join(folder, 'train-targets.npy'));
    await expect(open({ task: 'classes' })).rejects.toMatchObject({ code: 'MISSING' });
  });

  it('reads names with a mark of the byte order and with ends of lines as Windows writes them', async () => {
    put('train-inputs.npy', floats(4), [2, 2]);
    writeFileSync(join(folder, 'train-names.txt'), '\ufeffa.png\r\nb.png\r\n');
    const set = await open();
    expect(set.names).toEqual(['a.png', 'b.png']);
    set.close();
  });

  it('refuses numbers that float32 does not hold or tell apart, in memory and on the disk', async () => {
    const times = Float64Array.from({ length: 2 * COUNT }, (_, i) => (i % 2 ? 1.6e9 + i : Math.sin(i)));
    for (const memoryLimit of [0, 2 ** 20]) {
      put('train-inputs.npy', times, [COUNT, 2]);
      await expect(open({ memoryLimit })).rejects.toMatchObject({
        code: 'RANGE',
        message: expect.stringMatching(
          /train-inputs.npy: 16000\d+ would become 16000\d+ in float32.* column 1, 1600000001 to 1600000139/,
        ) as string,
      });
      put(
        'train-inputs.npy',
        times.map((value) => value - 1.6e9),
        [COUNT, 2],
      );
      await expect(open({ memoryLimit })).rejects.toThrow(/column 0/);
      put(
        'train-inputs.npy',
        times.map((value) => (value > 1 ? value - 1.6e9 : value)),
        [COUNT, 2],
      );
      (await open({ memoryLimit })).close();
      put('train-inputs.npy', Float64Array.of(1, 1e39), [2, 1]);
      await expect(open({ memoryLimit })).rejects.toThrow(/1e\+39.* beyond float32/);
    }
    put('train-inputs.npy', floats(2), [2, 1]);
    put('train-targets.npy', Float64Array.of(1.6e9, 1.6e9 + 7), [2]);
    await expect(open()).rejects.toMatchObject({ code: 'RANGE' });
    put('train-targets.npy', Uint32Array.of(0, 2 ** 24 + 1), [2]);
    await expect(open()).rejects.toThrow(/16777217 at element 1 is no float32/);
  });

  it('finds a value that is not finite when it is read from the disk', async () => {
    put('train-inputs.npy', Float32Array.of(1, 2, 3, NaN), [2, 2]);
    const set = await open({ memoryLimit: 0 });
    await expect(readAll(set, [0])).resolves.toBeDefined();
    await expect(readAll(set, [0, 1])).rejects.toThrow(/got NaN in sample 1, element 1/);
    set.close();
  });

  it('names a file that is too large to be read in one piece', async () => {
    for (const name of ['train-labels.npy', 'train-names.txt']) {
      put('train-images.npy', images(2), [2, 6, 5]);
      put('train-labels.npy', Int32Array.of(0, 1), [2]);
      writeFileSync(join(folder, name), '');
      truncateSync(join(folder, name), 2 ** 31);
      await expect(open()).rejects.toMatchObject({
        code: 'TOO_LARGE',
        message: expect.stringMatching(/train-(labels\.npy|names\.txt)".*cut it in several/) as string,
      });
    }
  });

  it('passes on what is wrong with a file: truncated, foreign, falsely declared, cut while open', async () => {
    const bytes = writeNpy({ data: images(2), shape: [2, 6, 5] });
    const write = (name: string, content: Uint8Array): void => {
      rmSync(join(folder, 'train-images.npy'), { force: true });
      writeFileSync(join(folder, name), content);
    };
    write('train-images.npy', bytes.subarray(0, bytes.length - 1));
    await expect(open()).rejects.toMatchObject({ code: 'TRUNCATED' });
    write('train-images.npy', new Uint8Array(50));
    await expect(open()).rejects.toThrow(/openFolder: .*train-images\.npy: readNpy: .*NUMPY/);
    write('train-images.npy', bytes);
    const set = await open({ memoryLimit: 0 });
    writeFileSync(join(folder, 'train-images.npy'), bytes.subarray(0, bytes.length - 1));
    await expect(readAll(set, [1])).rejects.toMatchObject({ code: 'TRUNCATED' });
    set.close();
    for (const [content, code] of [
      [bytes, 'BAD_MAGIC'],
      [gzipSync(bytes.subarray(0, bytes.length - 1)), 'TRUNCATED'],
      [gzipSync(Buffer.concat([bytes, Buffer.of(0)])), 'LAYOUT'],
    ] as const) {
      write('train-images.npy.gz', content);
      await expect(open()).rejects.toMatchObject({ code });
      await expect(open({ memoryLimit: 0 })).rejects.toMatchObject({ code });
    }
    const declared = Buffer.from(bytes.subarray(0, 128))
      .toString('latin1')
      .replace('(2, 6, 5)', '(9999999, 999, 99)')
      .replace('       ', '');
    write('train-images.npy.gz', gzipSync(Buffer.from(declared.padEnd(127, ' ').slice(0, 127) + '\n', 'latin1')));
    await expect(open()).rejects.toMatchObject({ code: 'TRUNCATED' });
    // Refused by what so few bytes can hold, before a terabyte is asked for (that would be MEMORY).
    await expect(open({ memoryLimit: 1e15 })).rejects.toMatchObject({ code: 'TRUNCATED' });
  });
});
