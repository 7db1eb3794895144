/** The program as a child process: killed at random moments, stopped by signals, and gone on with. */
import { execFileSync } from 'node:child_process';
import { closeSync, constants, existsSync, openSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { verifyChecksum } from '../../src/container/index.ts';
import { vgg, writeNetwork } from '../../src/index.ts';
import { bundled, call, dataFolder, parsed, start, temporaryFolder, TINY } from './fixtures.ts';

const program = bundled();

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(5);
}

interface Job {
  readonly args: (output: string) => string[];
  readonly folder: string;
}

function trainJob(): Job {
  const folder = temporaryFolder();
  const data = dataFolder(folder, ['landmarks']);
  return { folder, args: (output) => ['train', '--data', data, '-o', output, '--epochs', '80', '--quiet', ...TINY] };
}

function compressJob(): Job {
  const folder = temporaryFolder();
  const data = dataFolder(folder, ['labels']);
  const model = join(folder, 'model.safetensors');
  const preprocessing = {
    width: 8,
    height: 8,
    channels: 1,
    filter: 'area',
    scale: 1 / 255,
    standardize: { kind: 'image', epsilon: 1e-3 },
  } as const;
  writeFileSync(
    model,
    writeNetwork(
      vgg({ side: 8, widths: [4], hidden: [8], outputs: 4, task: { kind: 'classes', classes: 4 }, preprocessing }),
    ),
  );
  return {
    folder,
    args: (output) => [
      'compress',
      model,
      '--data',
      data,
      '-o',
      output,
      '--codewords',
      '4',
      '--epochs-pruned',
      '5',
      '--epochs-quantized',
      '5',
      '--epochs-final',
      '30',
      '--quiet',
      '--threads',
      '1',
    ],
  };
}

/** Starts the program, waits for its first checkpoint and then for up to a tenth of a second. */
async function startAndWait(args: string[], output: string): Promise<ReturnType<typeof start>> {
  const child = start(program(), args);
  await until(
    () =>
      child.exitCode !== null ||
      (existsSync(`${output}.checkpoint`) &&
        readdirSync(`${output}.checkpoint`).some((name) => name.endsWith('.safetensors'))),
  );
  await sleep(100 * Math.random());
  return child;
}

it.each([
  ['train', trainJob],
  ['compress', compressJob],
])(
  '%s: killed at two random moments and started again, it ends in the bytes of a run that was left alone',
  async (_, makeJob) => {
    const { folder, args } = makeJob();
    const [alone, killed] = [join(folder, 'alone'), join(folder, 'killed')];
    parsed(await call([...args(alone), '--json']));
    const first = await startAndWait(args(killed), killed);
    first.kill('SIGKILL');
    expect((await first.ended).signal).toBe('SIGKILL');
    // The second time at any moment: while it starts, reads its checkpoint, or goes on.
    const second = start(program(), args(killed));
    await sleep(500 + 700 * Math.random());
    second.kill('SIGKILL');
    await second.ended;
    parsed(await call([...args(killed), '--json']));
    expect(readFileSync(killed)).toEqual(readFileSync(alone));
    expect(readdirSync(folder).filter((name) => name.endsWith('.checkpoint'))).toEqual([]);
  },
);

it('SIGINT once: stops at the next batch with exit code 130, says how to go on, and the run goes on to the same bytes', async () => {
  const { folder, args } = trainJob();
  const output = join(folder, 'model');
  const child = await startAndWait(args(output), output);
  child.kill('SIGINT');
  expect(await child.ended).toMatchObject({
    code: 130,
    stdout: '',
    stderr: `espalier train: stopped by SIGINT; run the same command again to go on from the last epoch, which is kept in ${output}.checkpoint\n`,
  });
  expect(existsSync(output)).toBe(false);
  parsed(await call([...args(output), '--json']));
  parsed(await call([...args(join(folder, 'alone')), '--json']));
  expect(readFileSync(output)).toEqual(readFileSync(join(folder, 'alone')));
});

it('SIGTERM once: exit code 143, the checkpoint whole', async () => {
  const { folder, args } = compressJob();
  const output = join(folder, 'small');
  const child = await startAndWait(args(output), output);
  child.kill('SIGTERM');
  expect(await child.ended).toMatchObject({
    code: 143,
    stdout: '',
    stderr: expect.stringContaining('stopped by SIGTERM; run the same command again'),
  });
  for (const name of readdirSync(`${output}.checkpoint`)) {
    expect(name).toMatch(/^compress(-stage\d+)?\.[ab]\.safetensors$/);
    expect(() => {
      verifyChecksum('test', readFileSync(join(`${output}.checkpoint`, name)));
    }).not.toThrow();
  }
});

it('SIGINT twice: ends at once, whatever it waits for', async () => {
  const { folder, args } = compressJob();
  const [model, pipe] = [args('')[1], join(folder, 'pipe')];
  execFileSync('mkfifo', [pipe]);
  const child = start(program(), ['run', model, '--input', pipe, '--output', join(dirname(model), 'y.npy')]);
  // Opens only once the program reads; it then waits for ever.
  let writer: number | undefined;
  await until(() => {
    try {
      writer = openSync(pipe, constants.O_WRONLY | constants.O_NONBLOCK);
    } catch {
      /* nobody reads yet */
    }
    return writer !== undefined || child.exitCode !== null;
  });
  child.kill('SIGINT');
  await sleep(150);
  expect([child.exitCode, child.signalCode]).toEqual([null, null]);
  child.kill('SIGINT');
  const { code, signal } = await child.ended;
  closeSync(writer!);
  expect(signal === 'SIGINT' || code === 130).toBe(true);
});
