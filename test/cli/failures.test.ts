import { existsSync, readdirSync, readFileSync, writeFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { plainWeights, vgg, writeNetwork, writeNpy } from '../../src/index.ts';
import { COMMANDS } from '../../src/cli/cli.ts';
import { COMMON } from '../../src/cli/command.ts';
import { flagName } from '../../src/cli/options.ts';
import { call, dataFolder, temporaryFolder, TINY } from './fixtures.ts';
import type { CallOptions, Outcome } from './fixtures.ts';

/** Files of all kinds, by name; {NAME} in arguments stands for the path. */
function files(): { folder: string; fill: (args: string) => string[] } {
  const folder = temporaryFolder();
  dataFolder(folder, ['landmarks']);
  const network = vgg({ side: 8, widths: [4], hidden: [8], task: { kind: 'landmarks', points: 68 } });
  const write = (name: string, content: Uint8Array | string): void => {
    writeFileSync(join(folder, name), content);
  };
  const preprocessing = {
    width: 8,
    height: 8,
    channels: 1,
    filter: 'area',
    scale: 1 / 255,
    standardize: { kind: 'none' },
  } as const;
  write('model', writeNetwork({ ...network, preprocessing }));
  write('five', writeNetwork(vgg({ side: 8, widths: [4], hidden: [8], outputs: 10, preprocessing })));
  write('plain', plainWeights(network));
  write('cut', writeNetwork(network).subarray(0, 300));
  write('page', '<html><body>404</body></html>');
  write('list.json', '[1]');
  write('bad.json', '{"width": ');
  write('wide.json', JSON.stringify({ ...preprocessing, width: 16 }));
  write('square.json', JSON.stringify(preprocessing));
  write('empty.json', '{}');
  write('settings.json', JSON.stringify({ settings: 0.5 }));
  write('layers.json', JSON.stringify({ dense1: 0.25 }));
  write('unknown-layer.json', JSON.stringify({ dense9: { keep: 0.25 } }));
  write('unknown-option.json', JSON.stringify({ kep: 0.25 }));
  write('unknown-training.json', JSON.stringify({ training: { batchsize: 4 } }));
  write('own.json', JSON.stringify({ checkpoint: {} }));
  write('x.npy', writeNpy({ data: new Float32Array(64), shape: [1, 1, 8, 8] }));
  write('file', '');
  mkdirSync(join(folder, 'unlabelled'));
  write('unlabelled/test-images.npy', readFileSync(join(folder, 'data', 'test-images.npy')));
  return {
    folder,
    fill: (args) =>
      args
        .split(' ')
        .filter((arg) => arg !== '')
        .map((arg) => arg.replace(/\{(.*)\}/, (_, name: string) => join(folder, name))),
  };
}

async function outcomeOf(args: string, options: CallOptions = {}): Promise<Outcome & { left: string[] }> {
  const { folder, fill } = files();
  const before = readdirSync(folder);
  const outcome = await call(fill(args), options);
  return { ...outcome, left: readdirSync(folder).filter((name) => !before.includes(name)) };
}

it.each([
  ['', /a command is missing/],
  ['trian --data {data}', /unknown command "trian"; did you mean train\?/],
  ['shrink {model}', /unknown command "shrink"/],
])('%j: exit code 2, and the commands listed on stderr', async (args, message) => {
  const { code, stdout, stderr } = await outcomeOf(args);
  expect([code, stdout]).toEqual([2, '']);
  expect(stderr).toMatch(message);
  expect(stderr).toContain('compress');
});

const WRONG = (
  [
    ['train', /--data DIR is missing/],
    ['train --data {data}', /--output MODEL is missing/],
    ['train --data {data} -o {m} extra', /unexpected argument "extra"/],
    ['train --data {data} -o {m} --epoch 3', /unknown option --epoch; did you mean --epochs\?/],
    ['train --data {data} -o {m} --epochs 0', /--epochs: expected a whole number of at least 1, got "0"/],
    ['train --data {data} -o {m} --network resnet', /--network: expected vgg, got "resnet"/],
    ['train --data {data} -o {m} --side 16 --preprocess {square.json}', /--side: the inputs have a side of 8, got 16/],
    ['train --data {data} -o {m} --side 9 --init {model}', /--side: .*model is a model that holds its network/],
    ['train --data {data} -o {model} --init {model}', /--output: .* is --init too/],
    ['train --data {data} -o {m} --init {model} --task classes', /--task: the model is for landmarks, got classes/],
    ['train --data {data} -o {m} --checkpoint {m}', /--checkpoint: .* is --output too/],
    ['train --data {data} -o {m} --init {model} --unit 0.1', /--unit: the model has a unit of its own/],
    ['compress {model} --data {data} -o {m} --unit none', /--unit: the model has a unit of its own/],
    ['compress --data {data} -o {m}', /MODEL is missing/],
    ['compress {model} --data {data} -o {model}', /--output: .* is MODEL too; name another file/],
    ['compress {model} --data {data} -o {m} --report {m}', /--report: .* is --output too/],
    ['compress {model} --data {data} -o {m} --keep 1.5', /--keep: expected a number above 0 and at most 1, got "1.5"/],
    ['compress {model} --data {data} -o {m} --codewords 1', /--codewords: expected a whole number from 2 to 65536/],
    ['compress {model} --data {data} -o {m} --criterion best', /--criterion: expected activationCorrelation or/],
    [
      'compress {model} --data {data} -o {m} --order dense9',
      /compress: order: expected names of layers that can be compressed .* got "dense9"/,
    ],
    ['compress {model} --data {data} -o {m} --layers {unknown-layer.json}', /compress: layers: .* got "dense9"/],
    ['compress {model} --data {data} -o {m} --options {unknown-option.json}', /compress: options: .* got "kep"/],
    ['compress {model} --network vgg --data {data} -o {m}', /--network: .* is a model that holds its network/],
    ['evaluate {model} --data {data}', /--part NAME is missing/],
    ['evaluate --data {data} --part test', /MODEL is missing/],
    ['evaluate {model} --data {data} --part test --json=1', /--json: takes no value/],
    ['inspect', /MODEL is missing/],
    ['inspect {model} {model}', /unexpected argument/],
    ['inspect {model} --data {data}', /unknown option --data/],
    ['run {model} --output {y}', /--input X.npy is missing/],
    ['run {model} --input {x.npy} --output {x.npy}', /--output: .* is --input too/],
  ] as const
).map(([args, message]) => ({ args, message, expected: 2 }));

const FAILED = (
  [
    ['train --data {nowhere} -o {m}', /there is no folder/],
    ['train --data {data} -o {m} --part tran', /part: "tran" is not in .*parts there: test, train, validation/],
    ['train --data {data} -o {nowhere/m}', /--output: .* there is no folder .*nowhere.*make it first/],
    ['train --data {data} -o {data}', /--output: .* is a folder; name a file in it/],
    ['train --data {data} -o /dev/null', /--output: .* cannot be replaced/],
    ['train --data {data} -o /proc/model', /--output: cannot write "\/proc\/model": ENOENT/],
    ['train --data {data} -o {m} --checkpoint {file}', /--checkpoint: .* is a file; name a folder/],
    ['train --data {data} -o {m} --preprocess {nowhere.json}', /cannot read .*nowhere\.json/],
    ['train --data {data} -o {m} --preprocess {bad.json}', /--preprocess: .*bad\.json: expected JSON/],
    ['train --data {data} -o {m} --preprocess {list.json}', /--preprocess: .*list\.json: expected a JSON object/],
    [
      'train --data {data} -o {m} --preprocess {empty.json}',
      /--preprocess: preprocessing\.width: expected .* in .*empty\.json/,
    ],
    [
      'train --data {data} -o {m} --preprocess {wide.json}',
      /--network vgg takes inputs of shape \[1 or 3, side, side\], got \[1, 8, 16\]/,
    ],
    ['train --data {data} -o {m} --side 8', /node "pool4" \(maxPool\): .* does not fit/],
    [
      'train --data {data} -o {m} --init {plain} --side 16 --widths 4 --hidden 8',
      /plain: .*"dense1\.weight" expected \[8, 256\], got \[8, 64\]/,
    ],
    [
      'train --data {data} -o {m} --init {plain} --side 8 --widths 4,8 --hidden 8',
      /plain: .*no tensor for "conv2_1\.weight"/,
    ],
    ['compress {nowhere} --data {data} -o {m}', /cannot read .*nowhere/],
    ['compress {plain} --data {data} -o {m}', /plain holds tensors and no network: .*--network vgg/],
    ['compress {model} --data {data} -o {m} --report {data}', /--report: .* is a folder/],
    ['compress {model} --data {data} -o {m} --options {settings.json}', /--options: .*settings: expected an object/],
    [
      'compress {model} --data {data} -o {m} --options {own.json}',
      /--options: .*checkpoint is set by the command line/,
    ],
    [
      'compress {model} --data {data} -o {m} --options {unknown-training.json}',
      /--options: .*training: expected batchSize, .* got "batchsize"/,
    ],
    [
      'compress {model} --data {data} -o {m} --layers {layers.json}',
      /--layers: .*dense1: expected an object .* got 0\.25/,
    ],
    ['evaluate {cut} --data {data} --part test', /cut: .*(ends|expected|header)/],
    ['evaluate {page} --data {data} --part test', /page: .*HTML/],
    ['evaluate {model} --data {unlabelled} --part test', /part test of .*unlabelled has no targets/],
    ['evaluate {model} --data {data} --part test --unlabelled', /part test of .* has no targets/],
    ['evaluate {five} --data {data} --part test', /five yields 10 numbers, the targets are 136/],
    ['inspect {page}', /page: .*HTML/],
    ['inspect {nowhere}', /cannot read .*nowhere/],
    ['run {model} --input {file} --output {y}', /file: expected at least 10 bytes/],
    ['run {model} --input {x.npy} --output {nowhere/y}', /--output: .* there is no folder/],
  ] as const
).map(([args, message]) => ({ args, message, expected: 1 }));

it.each([...WRONG, ...FAILED])(
  '$args: exit code $expected, one line on stderr, nothing on stdout, nothing written',
  async ({ args, message, expected }) => {
    const { code, stdout, stderr, left } = await outcomeOf(
      `${args} ${/^(train|compress)/.test(args) ? '--quiet' : ''}`,
    );
    expect({ code, stdout, left }).toEqual({ code: expected, stdout: '', left: [] });
    expect(stderr).toMatch(/^espalier \w+: [^\n]+\n$/);
    expect(stderr).toMatch(message);
  },
);

it('--verbose and ESPALIER_DEBUG show where an error came from, otherwise no stack', async () => {
  expect((await outcomeOf('inspect {page} --verbose')).stderr).toMatch(/\n +at /);
  expect((await outcomeOf('inspect {page}', { env: { ESPALIER_DEBUG: '1' } })).stderr).toMatch(
    /\n +at .*\ncaused by /s,
  );
  expect((await outcomeOf('inspect {page}')).stderr).not.toMatch(/\n +at /);
});

it('errors are red on a terminal, unless NO_COLOR says otherwise', async () => {
  expect((await outcomeOf('inspect {page}', { isTTY: true })).stderr).toContain('\x1b[31mespalier inspect:\x1b[39m');
  expect((await outcomeOf('inspect {page}', { isTTY: true, env: { NO_COLOR: '1' } })).stderr).not.toContain('\x1b[');
});

it('--help is answered on stdout with every option, whatever else is there; --version too', async () => {
  for (const command of ['train', 'compress', 'evaluate', 'inspect', 'run']) {
    const { code, stdout, stderr } = await call([command, '--nonsense', '--help']);
    expect([code, stderr]).toEqual([0, '']);
    for (const flag of ['--json', '--quiet', '--help', 'usage: espalier', 'example: espalier'])
      expect(stdout).toContain(flag);
    expect(
      Math.max(
        ...stdout
          .split('\n')
          .filter((line) => !line.startsWith('example') && !line.startsWith('usage'))
          .map((line) => line.length),
      ),
    ).toBeLessThanOrEqual(100);
    expect((await call(['help', command])).stdout).toBe(stdout);
  }
  expect((await call(['--help'])).stdout).toContain('usage: espalier COMMAND');
  expect((await call(['--version'])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
});

it('docs/command-line.md has a row for every option of every command, as its table has it', () => {
  const docs = readFileSync('docs/command-line.md', 'utf8').replaceAll('\\|', '|');
  for (const { name, options } of COMMANDS) {
    const section = docs.slice(docs.indexOf(`\n## ${name}\n`)).split('\n## ')[1];
    for (const [key, { value, help, shown = '', short, isRequired }] of Object.entries(options)) {
      const written = `| ${short === undefined ? '' : `\`-${short}\`, `}\`--${flagName(key)}${value === undefined ? '' : ` ${value}`}\` |`;
      expect(key in COMMON ? docs : section).toContain(
        key in COMMON ? `${written} ${help} |` : `${written} ${isRequired ? 'required' : shown} | ${help} |`,
      );
    }
  }
});

it('a training that diverges says so, with step and layer, and writes nothing', async () => {
  const { code, stderr, left } = await outcomeOf(
    `train --data {data} -o {m} --epochs 3 --learning-rate 1e30 --quiet --checkpoint none ${TINY.join(' ')}`,
  );
  expect({ code, left }).toEqual({ code: 1, left: [] });
  expect(stderr).toMatch(/^espalier train: .*step \d+.*\n$/);
});

it('a checkpoint of another run stops a run instead of being lost, and says where it is', async () => {
  const { folder, fill } = files();
  const controller = new AbortController();
  const train = (more: string, options: CallOptions = {}): Promise<Outcome> =>
    call(fill(`train --data {data} -o {m} ${TINY.join(' ')} ${more}`), options);
  // Stopped as soon as there is a checkpoint.
  const watch = setInterval(() => {
    if (existsSync(join(folder, 'm.checkpoint', 'train.a.safetensors'))) controller.abort('SIGTERM');
  }, 1);
  const stopped = await train('--epochs 5000', { signal: controller.signal });
  clearInterval(watch);
  expect(stopped).toMatchObject({
    code: 143,
    stdout: '',
    stderr: expect.stringMatching(
      /stopped by SIGTERM; run the same command again to go on from the last epoch, which is kept in .*m\.checkpoint\n$/,
    ),
  });
  const other = await train('--epochs 5');
  expect(other).toMatchObject({
    code: 1,
    stdout: '',
    stderr: expect.stringMatching(/a run that differs in its options.*checkpoints are in .*m\.checkpoint\n$/),
  });
  expect(readdirSync(folder)).not.toContain('m');
});

it('a run that is stopped before its first epoch says that there is nothing to go on from', async () => {
  const controller = new AbortController();
  controller.abort('SIGINT');
  const { code, stderr, left } = await outcomeOf(`train --data {data} -o {m} ${TINY.join(' ')}`, {
    signal: controller.signal,
  });
  expect({ code, left }).toEqual({ code: 130, left: [] });
  expect(stderr).toMatch(/stopped by SIGINT; the first epoch was not done/);
});
