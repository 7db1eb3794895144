/** The program as a child process: killed at random moments, stopped by signals, and gone on with. */
import { execFileSync } from 'node:child_process';
import { closeSync, constants, existsSync, openSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { vgg, writeNetwork } from '../../src/index.ts';
import { call, dataFolder, parsed, start, temporaryFolder, TINY } from './fixtures.ts';

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
  return { folder, args: (output) => ['train', '--data', data, '-o', output, '--epochs', '150', '--quiet', ...TINY] };
}

function compressJob(): Job {
  const folder = temporaryFolder();
  const data = dataFolder(folder, ['labels']);
  const model = join(folder, 'model.safetensors');
  const preprocessing = { width: 8, height: 8, channels: 1, filter: 'area', scale: 1 / 255, standardize: { kind: 'image', epsilon: 1e-3 } } as const;
  writeFileSync(model, writeNetwork(vgg({ side: 8, widths: [4], hidden: [8], outputs: 4, task: { kind: 'classes', classes: 4 }, preprocessing })));
  return { folder, args: (output) => ['compress', model, '--data', data, '-o', output, '--codewords', '4', '--epochs-pruned', '10', '--epochs-quantized', '10', '--epochs-final', '40', '--quiet', '--threads', '1'] };
}

it.each([['train', trainJob], ['compress', compressJob]])('%s: killed at two random moments and started again, it ends in the bytes of a run that was left alone', async (_, makeJob) => {
  const { folder, args } = makeJob();
  const [alone, killed] = [join(folder, 'alone'), join(folder, 'killed')];
  parsed(await call([...args(alone), '--json']));
  for (let time = 0; time < 2; time++) {
    const child = start(args(killed));
    const known = existsSync(`${killed}.checkpoint`) ? readdirSync(`${killed}.checkpoint`).length : 0;
    await until(() => child.exitCode !== null || (existsSync(`${killed}.checkpoint`) && (known > 0 || readdirSync(`${killed}.checkpoint`).length > 0)));
    await sleep((time > 0 ? 700 : 0) + 300 * Math.random());
    child.kill('SIGKILL');
    await child.ended;
  }
  parsed(await call([...args(killed), '--json']));
  expect(readFileSync(killed)).toEqual(readFileSync(alone));
  expect(readdirSync(folder).filter((name) => name.endsWith('.checkpoint'))).toEqual([]);
});

it.each([['SIGINT', 130], ['SIGTERM', 143]] as const)('%s once: stops at the next batch with exit code %d, says how to go on, and the run goes on to the same bytes', async (signal, code) => {
  const { folder, args } = trainJob();
  const output = join(folder, 'model');
  const child = start(args(output));
  await until(() => child.exitCode !== null || existsSync(`${output}.checkpoint`));
  child.kill(signal);
  const ended = await child.ended;
  expect(ended).toMatchObject({ code, stdout: '', stderr: `espalier train: stopped by ${signal}; run the same command again to go on from the last epoch, which is kept in ${output}.checkpoint\n` });
  expect(existsSync(output)).toBe(false);
  const epochs = readdirSync(`${output}.checkpoint`);
  expect(epochs.some((name) => /^train\.[ab]\.safetensors$/.test(name))).toBe(true);
  parsed(await call([...args(output), '--json']));
  parsed(await call([...args(join(folder, 'alone')), '--json']));
  expect(readFileSync(output)).toEqual(readFileSync(join(folder, 'alone')));
});

it('SIGINT twice: ends at once, whatever it waits for', async () => {
  const { folder, args } = compressJob();
  const [model, pipe] = [args('')[1], join(folder, 'pipe')];
  execFileSync('mkfifo', [pipe]);
  const child = start(['run', model, '--input', pipe, '--output', join(dirname(model), 'y.npy')]);
  // Opens only once the program reads; it then waits for ever.
  let writer: number | undefined;
  await until(() => {
    try {
      writer = openSync(pipe, constants.O_WRONLY | constants.O_NONBLOCK);
    } catch { /* nobody reads yet */ }
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
