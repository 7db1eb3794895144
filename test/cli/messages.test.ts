/** Errors of the command line speak of flags, not of functions. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { runCli } from '../../src/cli/cli.ts';
import { inWords } from '../../src/cli/messages.ts';
import { dense, sequential, writeNetwork } from '../../src/index.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'espalier-messages-'));
  const bytes = writeNetwork(sequential({ input: [2] }, [dense(2)]));
  await writeFile(join(folder, 'm.safetensors'), bytes);
  bytes[bytes.length - 1] ^= 1;
  await writeFile(join(folder, 'damaged.safetensors'), bytes);
  await writeFile(join(folder, 'twice.json'), '{ "tolerance": 1, "tolerance": 2 }');
  await writeFile(join(folder, 'typo.json'), '{ "training": { "optimizer": { "kind": "sgd", "momentun": 0.5 } } }');
});
afterAll(() => rm(folder, { recursive: true }));

async function stderrOf(...args: string[]): Promise<string> {
  let text = '';
  const sink = { write: (more: string) => (text += more) };
  const signal = new AbortController().signal;
  const code = await runCli(
    args.map((arg) => arg.replace('@', `${folder}/`)),
    { stdout: { write: () => undefined }, stderr: sink, signal, env: {} },
  );
  expect(code).toBeGreaterThan(0);
  return text;
}

it('a damaged file: the flag that opens it all the same, and no function', async () => {
  const text = await stderrOf('inspect', '@damaged.safetensors');
  expect(text).toMatch(/damaged\.safetensors: the file says checksum .* or give --no-checksum to open it as it is/);
  expect(text).not.toMatch(/readNetwork|verify: false/);
});

it('a name that promises another format is refused before anything is read', async () => {
  for (const command of ['train', 'compress']) {
    const model = command === 'train' ? [] : ['@m.safetensors'];
    const text = await stderrOf(command, ...model, '--data', '@', '-o', '@x.keras');
    expect(text).toMatch(
      /--output: .* would be a Keras model, but a safetensors file is written; name it "x\.safetensors"/,
    );
  }
  expect(await stderrOf('run', '@m.safetensors', '-i', '@x.npy', '-o', '@y.json')).toMatch(/but an array is written/);
});

it.each([
  ['ENOENT', 'inspect', '@nowhere.safetensors', /there is nothing of this name/],
  ['ENOTDIR', 'inspect', '@m.safetensors/x', /is a file, no folder/],
  ['EISDIR', 'inspect', '@', /it is a folder: name a file in it/],
])('%s has a cure', async (code, command, path, cure) => {
  const text = await stderrOf(command, path);
  expect(text).toContain(code);
  expect(text).toMatch(cure);
});

it('a name that stands twice in a JSON file is refused', async () => {
  const text = await stderrOf(
    'compress',
    '@m.safetensors',
    '--data',
    '@',
    '-o',
    '@o.safetensors',
    '--options',
    '@twice.json',
  );
  expect(text).toMatch(/twice\.json: .*the key "tolerance" stands twice in one object/);
});

it.each([
  [
    'train: the loss is NaN at step 3; lower learningRate or clip, or lengthen the warm-up (lastGoodNetwork(error) has the last good weights)',
    'the loss is NaN at step 3; lower --learning-rate',
  ],
  [
    'train: context.training: expected targets; give targets, or a teacher with teacherWeight 1',
    '--part: expected targets; give targets, or --teacher-weight 1',
  ],
  ['compress: conv: expected an object, got 3', 'conv: expected an object, got 3'],
  ['faces: no such part', 'faces: no such part'],
])('%s', (message, said) => {
  expect(inWords(message)).toBe(said);
});
