/** Pictures as a set, with a decoder of the test's own: a file is its height, its width, and pixels that follow from its name. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import {
  holdsPictures,
  isHeldOut,
  openPictureFolder,
  openPictures,
  preprocess,
  presetPreprocessing,
  sizeOf,
  stream,
} from '../../src/index.ts';
import type { Examples, Picture, PictureFolderOptions, PictureSet, Preprocessing, Tensor } from '../../src/index.ts';

const preprocessing: Preprocessing = presetPreprocessing('0..1', [3, 4, 5]);

function drawn(name: string, height: number, width: number): Picture {
  const random = stream(1, name);
  return { data: Uint8Array.from({ length: height * width * 3 }, () => 256 * random()), shape: [height, width, 3] };
}

const decode = (bytes: Uint8Array, name: string): Picture => {
  if (bytes.length !== 2) throw new Error('no picture of ours');
  return drawn(name, bytes[0], bytes[1]);
};

function folder(files: Readonly<Record<string, string | readonly number[]>>): string {
  const place = mkdtempSync(join(tmpdir(), 'espalier-pictures-'));
  onTestFinished(() => rmSync(place, { recursive: true, force: true }));
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(place, name)), { recursive: true });
    writeFileSync(join(place, name), typeof content === 'string' ? content : Uint8Array.from(content));
  }
  return place;
}

const open = (place: string, options: Partial<PictureFolderOptions> = {}): Promise<PictureSet> =>
  openPictureFolder(place, { preprocessing, decode, ...options });

async function contents(set: Examples): Promise<{ inputs: number[]; targets: number[] }> {
  const inputs = new Float32Array(set.count * sizeOf(set.inputShape));
  const targets = set.targetShape && new Float32Array(set.count * sizeOf(set.targetShape));
  await set.read(
    Int32Array.from({ length: set.count }, (_, i) => i),
    inputs,
    targets,
  );
  return { inputs: [...inputs], targets: [...(targets ?? [])] };
}

const many = (count: number): Record<string, number[]> =>
  Object.fromEntries(Array.from({ length: count }, (_, i) => [`p${String(i).padStart(3, '0')}.png`, [3 + (i % 3), 7]]));

describe('openPictures', () => {
  it('gives what preprocess gives, picture by picture, in any order', async () => {
    const names = ['a', 'b', 'c'];
    const set = await openPictures(names, (i) => drawn(names[i], 6 + i, 9), { preprocessing });
    expect(set).toMatchObject({ count: 3, inputShape: [3, 4, 5], inMemory: true, names, skipped: [] });
    const out = new Float32Array(2 * 60);
    await set.read([2, 0], out, undefined);
    expect([...out]).toEqual([2, 0].flatMap((i) => [...preprocess(drawn(names[i], 6 + i, 9) as Tensor<Uint8Array>, preprocessing)]));
  });

  it('law: a set that is streamed is the set that is held, and says which it is', async () => {
    const place = folder({
      ...many(12),
      'points.csv': Object.keys(many(12))
        .map((name, i) => `${name},${i},1,2,3`)
        .join('\n'),
    });
    const held = await open(place);
    const streamed = await open(place, { memoryLimit: 0 });
    expect([held.inMemory, streamed.inMemory]).toEqual([true, false]);
    expect(await contents(streamed)).toEqual(await contents(held));
  });

  it('tells of every broken picture in one error, or leaves them out, their targets too', async () => {
    const place = folder({
      'a.png': [3, 3],
      'b.png': [1],
      'c.png': [3, 3],
      'd.png': [],
      'labels.csv': 'a.png,0\nb.png,1\nc.png,2\nd.png,3',
    });
    await expect(open(place)).rejects.toThrow(
      /2 of 4 pictures cannot be read: "b.png" \(no picture of ours\), "d.png" .*skipBad/,
    );
    const set = await open(place, { skipBad: true });
    expect(set.names).toEqual(['a.png', 'c.png']);
    expect(set.skipped.map(({ name }) => name)).toEqual(['b.png', 'd.png']);
    expect((await contents(set)).targets).toEqual([0, 2]);
    await expect(open(folder({ 'a.png': [] }), { skipBad: true })).rejects.toThrow(/1 of 1 pictures cannot be read/);
  });

  it('a picture that breaks after the opening is named; a closed set is an error; an abort goes by its reason', async () => {
    let reads = 0;
    const failing = (): Picture => {
      if (++reads > 1) throw new Error('gone');
      return drawn('a', 2, 2);
    };
    const set = await openPictures(['a.png'], failing, { preprocessing, memoryLimit: 0 });
    await expect(contents(set)).rejects.toThrow(/"a.png" \(gone\)/);
    set.close();
    await expect(contents(set)).rejects.toMatchObject({ code: 'DISPOSED' });
    const reason = new Error('enough');
    await expect(
      openPictures(['a'], () => drawn('a', 2, 2), { preprocessing, skipBad: true, signal: AbortSignal.abort(reason) }),
    ).rejects.toBe(reason);
  });

  it.each([
    ['too few bytes', { data: new Uint8Array(3), shape: [2, 2] }, /expected 4 bytes for shape \[2, 2\], got 3/],
    ['two channels', { data: new Uint8Array(8), shape: [2, 2, 2] }, /1, 3 or 4 channels/],
    ['floats', { data: new Float32Array(4), shape: [2, 2] }, /expected \{ data: Uint8Array, shape \}/],
  ])('refuses what a decoder gave: %s', async (_name, picture, message) => {
    await expect(openPictures(['a'], () => picture as Picture, { preprocessing })).rejects.toThrow(message);
  });

  it('refuses none at all', async () => {
    await expect(openPictures([], () => drawn('a', 1, 1), { preprocessing })).rejects.toThrow(/there is no picture/);
  });
});

describe('parts', () => {
  it('splits by the name alone: the same whatever else is there, larger shares hold out more', async () => {
    const place = folder(many(60));
    const [train, validation] = [await open(place, { part: 'train' }), await open(place, { part: 'validation' })];
    expect([...train.names, ...validation.names].sort()).toEqual(Object.keys(many(60)));
    // 60 draws at 0.2: 12 on average, deviation 3.1.
    expect(validation.count).toBeGreaterThan(3);
    expect(validation.count).toBeLessThan(22);
    const fewer = await open(folder(Object.fromEntries(Object.entries(many(60)).slice(20))), { part: 'validation' });
    expect(fewer.names).toEqual(validation.names.filter((name) => name >= 'p020'));
    expect(validation.names.every((name) => isHeldOut(name, 0.5))).toBe(true);
    expect((await open(place, { part: 'train', validation: 0 })).count).toBe(60);
  });

  it('takes sub-folders called train, validation and test as they are, and says which there are', async () => {
    const place = folder({ 'train/a.png': [2, 2], 'train/b.png': [2, 2], 'test/c.png': [2, 2] });
    expect((await open(place, { part: 'train' })).names).toEqual(['a.png', 'b.png']);
    expect((await open(place, { part: 'test' })).names).toEqual(['c.png']);
    expect((await open(place, { part: 'all', labels: 'none' })).count).toBe(3);
    await expect(open(place, { part: 'tset' })).rejects.toThrow(
      /"tset" is not in .*: expected (train or test|test or train), or all/,
    );
    await expect(open(folder(many(3)), { part: 'test' })).rejects.toThrow(
      /expected train or validation, which pictures are split into/,
    );
  });

  it('refuses to hold out nothing', async () => {
    await expect(open(folder({ 'a.png': [2, 2] }), { part: 'validation', validation: 0 })).rejects.toThrow(
      /too few to hold out/,
    );
  });
});

describe('labels', () => {
  it('sub-folders are classes, numbered alike in all parts, at any depth; hidden files do not count', async () => {
    const place = folder({
      'dog/a.png': [2, 2],
      'cat/deep/b.JPG': [2, 2],
      'cat/c.jpeg': [2, 2],
      '.hidden/d.png': [2, 2],
      'cat/notes.txt': 'x',
    });
    const set = await open(place);
    expect(set.names).toEqual(['cat/c.jpeg', 'cat/deep/b.JPG', 'dog/a.png']);
    expect(set.task).toEqual({ kind: 'classes', classes: 2, labels: ['cat', 'dog'] });
    expect((await contents(set)).targets).toEqual([0, 0, 1]);
    expect((await open(place, { labels: 'none' })).targetShape).toBeUndefined();
    // The model's own numbering goes before the alphabet.
    const task = { kind: 'classes', classes: 3, labels: ['dog', 'bird', 'cat'] } as const;
    expect((await contents(await open(place, { task }))).targets).toEqual([2, 2, 0]);
    await expect(open(place, { task: { ...task, labels: ['dog', 'bird', 'cow'] } })).rejects.toThrow(
      /class "cat" is none of the model's 3/,
    );
    await expect(open(folder({ 'x/a.png': [2, 2], 'y/b.png': [2, 2], 'c.png': [2, 2] }))).rejects.toThrow(
      /beside them; move "c.png"/,
    );
  });

  it('labels.csv: classes by word or number, numbers as they are; headings, quotes, a byte order mark', async () => {
    const pictures = { 'a.png': [2, 2], 'b, c.png': [2, 2] };
    const targetsOf = async (csv: string, options: Partial<PictureFolderOptions> = {}): Promise<unknown> => {
      const set = await open(folder({ ...pictures, 'labels.csv': csv }), options);
      return [set.task, (await contents(set)).targets];
    };
    expect(await targetsOf('\ufeffFile,label\r\na.png,"say ""hi"""\r\n"b, c.png",bye\r\n')).toEqual([
      { kind: 'classes', classes: 2, labels: ['bye', 'say "hi"'] },
      [1, 0],
    ]);
    expect(await targetsOf('a.png,2\n"b, c.png",0\n')).toEqual([{ kind: 'classes', classes: 3 }, [2, 0]]);
    expect(await targetsOf('a.png,2.5,-1\n"b, c.png",0,3e2\n')).toEqual([{ kind: 'regression' }, [2.5, -1, 0, 300]]);
    expect(await targetsOf('a.png,2\n"b, c.png",0\n', { task: 'regression' })).toEqual([
      { kind: 'regression' },
      [2, 0],
    ]);
  });

  it.each([
    [
      'a name that is not there',
      'a.png,0\nb.png,1\nzebra.png,1',
      /labels.csv: a row names a picture that is not in the folder: "zebra.png"; names are paths within it, such as "a.png"/,
    ],
    ['a picture twice', 'a.png,0\nb.png,1\na.png,1', /labels.csv: line 3: "a.png" stands in line 1 already/],
    ['a picture without a row', 'a.png,0', /1 of 2 pictures have no row: "b.png"; add them/],
    ['no label', 'a.png\nb.png', /line 1: expected a picture, a comma/],
    ['a quote without an end', '"a.png,1\nb.png,2', /line 1: a quote has no end/],
    ['two classes', 'a.png,x,y\nb.png,x', /"a.png": expected one class, got "x, y"/],
    ['one class in all', 'a.png,x\nb.png,x', /one class cannot be learnt/],
    ['ragged numbers', 'a.png,1.5,2\nb.png,1.5', /"b.png": expected 2 numbers, as the first has/],
  ])('labels.csv with %s is refused by name', async (_name, csv, message) => {
    await expect(open(folder({ 'a.png': [2, 2], 'b.png': [2, 2], 'labels.csv': csv }))).rejects.toThrow(message);
  });

  it('points in pixels become shares of the sides, the same from CSV, JSON and .pts', async () => {
    const pictures = { 'a.png': [10, 20], 'b.png': [5, 4] };
    const pts = (x: number, y: number): string => `version: 1\nn_points: 2\n{\n${x} ${y}\n1 2\n}\n`;
    const wanted = [5 / 20, 4 / 10, 1 / 20, 2 / 10, 1 / 4, 2.5 / 5, 1 / 4, 2 / 5];
    for (const files of [
      { 'points.csv': 'name,x0,y0,x1,y1\na.png,5,4,1,2\nb.png,1,2.5,1,2' },
      { 'points.json': '{ "a.png": [[5, 4], [1, 2]], "b.png": [1, 2.5, 1, 2] }' },
      { 'a.pts': pts(5, 4), 'b.pts': pts(1, 2.5) },
    ]) {
      const set = await open(folder({ ...pictures, ...(files as unknown as Record<string, string>) }));
      expect(set.task).toEqual({ kind: 'landmarks', points: 2 });
      const { targets } = await contents(set);
      targets.forEach((value, i) => expect(value).toBeCloseTo(wanted[i], 6));
    }
    await expect(open(folder({ ...pictures, 'a.pts': pts(1, 2) }))).rejects.toThrow(
      /1 of 2 pictures have no .pts file beside them: "b.pts"/,
    );
    await expect(open(folder({ ...pictures, 'points.json': '[1]' }))).rejects.toThrow(
      /points.json: expected an object/,
    );
    await expect(open(folder({ ...pictures, 'points.csv': 'a.png,1\nb.png,1' }))).rejects.toThrow(
      /"a.png": expected points x, y/,
    );
    await expect(open(folder(pictures), { task: 'landmarks' })).rejects.toThrow(/holds nothing that says landmarks/);
  });
});

it('a folder that is not there, or holds no picture', async () => {
  await expect(open('/nowhere/at/all')).rejects.toMatchObject({ code: 'MISSING' });
  const empty = folder({ 'notes.txt': 'x' });
  await expect(open(empty)).rejects.toThrow(/holds no picture: expected files that end in .png, .jpg or .jpeg/);
  expect([
    await holdsPictures(empty),
    await holdsPictures('/nowhere'),
    await holdsPictures(folder({ 'x/a.PNG': [1] })),
  ]).toEqual([false, false, true]);
});
