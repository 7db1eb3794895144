/** Where the program reads and writes: no source is lost, nothing is found out too late, no reader is needed. */
import { spawn } from 'node:child_process';
import {
  closeSync,
  existsSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { steadyOutput } from '../../src/cli/io.ts';
import type { OutputStream } from '../../src/cli/io.ts';
import { vgg, writeNetwork, writeNpy } from '../../src/index.ts';
import { bundled, call, dataFolder, parsed, start, temporaryFolder, TINY } from './fixtures.ts';

const program = bundled();

const preprocessing = {
  width: 8,
  height: 8,
  channels: 1,
  filter: 'area',
  scale: 1 / 255,
  standardize: { kind: 'image', epsilon: 1e-3 },
} as const;

/** A folder with a model, data, inputs and files of options. */
function files(): { folder: string; fill: (args: string) => string[] } {
  const folder = temporaryFolder();
  dataFolder(folder, ['labels']);
  const model = vgg({
    side: 8,
    widths: [4],
    hidden: [8],
    outputs: 4,
    task: { kind: 'classes', classes: 4 },
    preprocessing,
  });
  writeFileSync(join(folder, 'model'), writeNetwork(model));
  writeFileSync(join(folder, 'x.npy'), writeNpy({ data: new Float32Array(128), shape: [2, 1, 8, 8] }));
  writeFileSync(join(folder, 'options.json'), '{}');
  writeFileSync(join(folder, 'layers.json'), '{}');
  writeFileSync(join(folder, 'preprocess.json'), JSON.stringify(preprocessing));
  return {
    folder,
    fill: (args) => args.split(' ').map((arg) => arg.replace(/\{(.*?)\}/, (_, name: string) => join(folder, name))),
  };
}

const COMPRESS =
  'compress {model} --data {data} --options {options.json} --layers {layers.json} --preprocess {preprocess.json}';
const TRAIN = `train --data {data} --init {model} --preprocess {preprocess.json}`;

describe('no source is overwritten', () => {
  const cases: [args: string, output: string, source: string, named: RegExp][] = [
    [COMPRESS, '--output', 'model', /MODEL/],
    [COMPRESS, '--output', 'options.json', /--options/],
    [COMPRESS, '--output', 'layers.json', /--layers/],
    [COMPRESS, '--output', 'preprocess.json', /--preprocess/],
    [COMPRESS, '--output', 'data/train-images.npy', /train-images\.npy of --data/],
    [`${COMPRESS} --output {out}`, '--report', 'options.json', /--options/],
    [`${COMPRESS} --output {out}`, '--report', 'data/validation-labels.npy', /validation-labels\.npy of --data/],
    [TRAIN, '--output', 'model', /--init/],
    [TRAIN, '--output', 'preprocess.json', /--preprocess/],
    [TRAIN, '--output', 'data/test-labels.npy', /test-labels\.npy of --data/],
    ['run {model} --input {x.npy}', '--output', 'model', /MODEL/],
    ['run {model} --input {x.npy}', '--output', 'x.npy', /--input/],
  ];
  const names: [string, (folder: string, source: string) => string][] = [
    ['its name', (folder, source) => join(folder, source)],
    ['another spelling', (folder, source) => join(folder, 'data', '..', source).replace('/data/../', '/data/..//./')],
    [
      'a link',
      (folder, source) => {
        symlinkSync(join(folder, source), join(folder, 'link'));
        return join(folder, 'link');
      },
    ],
    [
      'a second name',
      (folder, source) => {
        linkSync(join(folder, source), join(folder, 'second'));
        return join(folder, 'second');
      },
    ],
    [
      'a linked folder',
      (folder, source) => {
        symlinkSync(folder, join(folder, 'itself'));
        return join(folder, 'itself', source);
      },
    ],
  ];
  it.each(cases.flatMap((one) => names.map((name) => [...one, ...name] as const)))(
    '%s %s %s: refused by %s, under %s',
    async (args, output, source, named, _, nameOf) => {
      const { folder, fill } = files();
      const before = readFileSync(join(folder, source));
      const { code, stderr } = await call([...fill(args), output, nameOf(folder, source), '--quiet']);
      expect(code).toBe(2);
      expect(stderr).toMatch(new RegExp(`${output}: .* is ${named.source} too; name another file`));
      expect(readFileSync(join(folder, source))).toEqual(before);
      expect(existsSync(join(folder, 'out'))).toBe(false);
    },
  );

  it('nor one output by another: the same file, the same name in other case, a file of the checkpoint', async () => {
    const { folder, fill } = files();
    mkdirSync(join(folder, 'kept'));
    writeFileSync(join(folder, 'kept', 'compress.a.safetensors'), 'state');
    for (const places of [
      '--output {out} --report {out}',
      '--output {out} --report {OUT}',
      '--output {out} --report {data/../out}',
      '--output {out} --checkpoint {out}',
      '--output {kept/compress.a.safetensors} --checkpoint {kept}',
    ]) {
      const { code, stderr } = await call(fill(`${COMPRESS} ${places}`));
      expect([code, stderr]).toEqual([2, expect.stringMatching(/: .* is --(output|report) too; name another file/)]);
    }
    expect(readFileSync(join(folder, 'kept', 'compress.a.safetensors'), 'utf8')).toBe('state');
    expect(readdirSync(folder)).not.toContain('out');
  });
});

describe('what cannot be written is found before anything is read', () => {
  it.each([
    ['train --data {nowhere} --output'],
    ['compress {nowhere} --data {nowhere} --output'],
    ['compress {nowhere} --data {nowhere} --output {out} --report'],
    ['run {nowhere} --input {nowhere} --output'],
  ])('%s', async (args) => {
    const { folder, fill } = files();
    symlinkSync('none/model', join(folder, 'into'));
    symlinkSync('b', join(folder, 'a'));
    symlinkSync('a', join(folder, 'b'));
    writeFileSync(join(folder, 'fixed'), 'old', { mode: 0o444 });
    const flag = args.split(' ').at(-1)!;
    for (const [path, problem] of [
      ['data', /is a folder/],
      ['none/model', /there is no folder/],
      ['into', /is a link to .*there is no folder/],
      ['a', /more than 40 symbolic links/],
      ['model/x', /ENOTDIR/],
      ['fixed', /is read-only/],
    ] as const) {
      const { code, stderr } = await call([...fill(args), join(folder, path), '--quiet']);
      expect([code, stderr]).toEqual([1, expect.stringMatching(problem)]);
      expect(stderr).toContain(`${flag}: `);
    }
    expect(readFileSync(join(folder, 'fixed'), 'utf8')).toBe('old');
  });

  it.each(['none/deep', 'dangling', 'a', 'model', 'model/x'])('--checkpoint %s', async (path) => {
    const { folder, fill } = files();
    symlinkSync('none', join(folder, 'dangling'));
    symlinkSync('b', join(folder, 'a'));
    symlinkSync('a', join(folder, 'b'));
    const before = readdirSync(folder);
    const { code, stderr } = await call([
      ...fill('train --data {nowhere} --output {out} --checkpoint'),
      join(folder, path),
    ]);
    expect([code, stderr]).toEqual([1, expect.stringContaining('--checkpoint: ')]);
    expect(readdirSync(folder)).toEqual(before);
  });
});

/** The program, its two streams as given: 'gone' is a pipe that nobody holds the other end of, 'full' a full disk. */
async function withStreams(
  args: readonly string[],
  stdout: 'gone' | 'full' | 'kept',
  stderr: 'gone' | 'full' | 'kept',
): Promise<{ code: number | null; out: string; err: string }> {
  const full = openSync('/dev/full', 'w');
  const child = spawn(process.execPath, [program(), ...args], {
    stdio: ['ignore', stdout === 'full' ? full : 'pipe', stderr === 'full' ? full : 'pipe'],
  });
  let [out, err] = ['', ''];
  if (stdout === 'gone') child.stdout?.destroy();
  else child.stdout?.on('data', (text: Buffer) => (out += text.toString()));
  if (stderr === 'gone') child.stderr?.destroy();
  else child.stderr?.on('data', (text: Buffer) => (err += text.toString()));
  const code = await new Promise<number | null>((done) => child.on('close', done));
  closeSync(full);
  return { code, out, err };
}

describe('streams that fail', () => {
  it.each([
    ['kept', 'gone', 0, ''],
    ['kept', 'full', 0, ''],
    ['gone', 'gone', 0, ''],
    ['gone', 'kept', 0, ''],
    ['full', 'kept', 1, 'espalier: cannot write the result to stdout: ENOSPC'],
    ['full', 'full', 1, ''],
  ] as const)('stdout %s, stderr %s: the job is done, exit code %i', async (stdout, stderr, code, said) => {
    const folder = temporaryFolder();
    const data = dataFolder(folder, ['landmarks']);
    const output = join(folder, 'model');
    const args = (path: string): string[] => ['train', '--data', data, '-o', path, '--epochs', '3', ...TINY];
    const ended = await withStreams([...args(output), '--verbose'], stdout, stderr);
    expect(ended.code, ended.err).toBe(code);
    expect(ended.err).toContain(said);
    if (stdout === 'kept') expect(ended.out).toContain('written');
    parsed(await call([...args(join(folder, 'alone')), '--json']));
    expect(readFileSync(output)).toEqual(readFileSync(join(folder, 'alone')));
    expect(readdirSync(folder).sort()).toEqual(['alone', 'data', 'model']);
  });

  it('an error on a stderr that fails keeps its exit code', async () => {
    expect((await withStreams(['inspect', '/nowhere'], 'kept', 'gone')).code).toBe(1);
    expect((await withStreams(['inspect', '/nowhere'], 'kept', 'full')).code).toBe(1);
    expect((await withStreams(['nonsense'], 'kept', 'full')).code).toBe(2);
  });

  it('steadyOutput: what throws and what is told later are both survived, the first is kept, and writing goes on', async () => {
    const [written, listeners]: [string[], ((error: NodeJS.ErrnoException) => void)[]] = [[], []];
    let fault: 'throw' | 'emit' | undefined;
    const stream: OutputStream = {
      on: (_, listener) => listeners.push(listener),
      write(text, done) {
        const error = Object.assign(new Error('EAGAIN: write'), { code: 'EAGAIN' });
        if (fault === 'throw') throw error;
        if (fault === 'emit') for (const tell of listeners) tell(error);
        else written.push(text);
        done?.();
      },
    };
    const output = steadyOutput(stream);
    for (const next of ['throw', 'emit', undefined] as const) {
      fault = next;
      output.write(String(next));
    }
    expect(written).toEqual(['undefined']);
    expect(await output.lost()).toMatchObject({ code: 'EAGAIN' });
    expect(await steadyOutput({ ...stream, on: () => undefined }).lost()).toBeUndefined();
  });
});

it('two runs on one checkpoint: the second is LOCKED with exit code 1, the first ends in its bytes; after kill -9 the lock is taken over', async () => {
  const folder = temporaryFolder();
  const data = dataFolder(folder, ['landmarks']);
  const args = (path: string): string[] => [
    'train',
    '--data',
    data,
    '-o',
    join(folder, path),
    '--epochs',
    '400',
    '--quiet',
    ...TINY,
  ];
  const first = start(program(), args('model'));
  const holds = (): boolean =>
    existsSync(join(folder, 'model.checkpoint')) &&
    readdirSync(join(folder, 'model.checkpoint')).some((name) => name.endsWith('.safetensors'));
  while (!holds() && first.exitCode === null) await new Promise((done) => setTimeout(done, 5));
  const second = await call(args('model'));
  expect(second).toMatchObject({
    code: 1,
    stdout: '',
    stderr: expect.stringMatching(/another run uses "train" in .*\.lock\n$/),
  });
  first.kill('SIGKILL');
  await first.ended;
  expect(readdirSync(join(folder, 'model.checkpoint')).filter((name) => name.endsWith('.lock'))).toHaveLength(1);
  expect((await call(args('model'))).code).toBe(0);
  expect((await call(args('alone'))).code).toBe(0);
  expect(readFileSync(join(folder, 'model'))).toEqual(readFileSync(join(folder, 'alone')));
  expect(readdirSync(folder).sort()).toEqual(['alone', 'data', 'model']);
});

it('a damaged checkpoint is told of though --quiet', async () => {
  const folder = temporaryFolder();
  const data = dataFolder(folder, ['landmarks']);
  const [output, kept] = [join(folder, 'model'), join(folder, 'kept')];
  const args = ['train', '--data', data, '-o', output, '--checkpoint', kept, '--epochs', '400', '--quiet', ...TINY];
  const controller = new AbortController();
  const slots = ['a', 'b'].map((slot) => join(kept, `train.${slot}.safetensors`));
  const watch = setInterval(() => {
    if (slots.every((slot) => existsSync(slot))) controller.abort('SIGTERM');
  }, 1);
  expect((await call(args, { signal: controller.signal })).code).toBe(143);
  clearInterval(watch);
  const bytes = readFileSync(slots[0]);
  bytes[bytes.length - 1] ^= 1;
  writeFileSync(slots[0], bytes);
  const { code, stderr } = await call(args);
  expect(code).toBe(0);
  expect(stderr).toMatch(/^warning: train: a damaged checkpoint was passed over: train\.a\.safetensors: .*\n$/);
});
