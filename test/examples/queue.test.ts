/** The example of docs/scale.md: a search whose candidates go through BullMQ and a Redis of its own ends in the same bytes. */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { resolve } from 'node:path';
import { expect, it } from 'vitest';
import { normal, stream } from '../../src/base/random.ts';
import { compressTo, dense, examplesFromArrays, loadKernels, relu, sequential } from '../../src/index.ts';
import type { CandidateResult, CandidateTask } from '../../src/index.ts';

const example = resolve('examples/queue');
const missing = [
  ...(spawnSync('redis-server', ['--version']).status === 0 ? [] : ['redis-server (apt-get install redis-server)']),
  ...(existsSync(`${example}/node_modules/bullmq`) ? [] : ['BullMQ (npm install in examples/queue)']),
];
if (missing.length > 0)
  console.warn(`\n*** the queue of docs/scale.md is NOT tested: there is no ${missing.join(', no ')} ***\n`);

interface Example {
  queueEvaluator(
    connection: object,
  ): Promise<{ evaluate(tasks: readonly CandidateTask[]): Promise<CandidateResult[]>; close(): Promise<void> }>;
  serve(connection: object, context: object): { close(): Promise<void> };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as AddressInfo;
  await new Promise((done) => server.close(done));
  return port;
}

it.skipIf(missing.length > 0)('a queue gives the bytes that one process gives', async () => {
  const random = stream(5, 'inputs');
  const inputs = Float32Array.from({ length: 32 * 12 }, () => normal(random));
  const set = examplesFromArrays({ inputs, inputShape: [12] });
  const context = { kernels: await loadKernels(), threads: 1, seed: 1, training: set, validation: set };
  const network = sequential({ input: [12], seed: 1 }, [dense(40, { name: 'a' }), relu(), dense(30, { name: 'b' })]);
  const here = await compressTo(network, context, { ratio: 3 });

  const port = await freePort();
  const redis = spawn('redis-server', [
    '--port',
    String(port),
    '--bind',
    '127.0.0.1',
    '--save',
    '',
    '--appendonly',
    'no',
  ]);
  try {
    await new Promise<void>((ready, failed) => {
      redis.stdout.on('data', (text: Buffer) => text.toString().includes('Ready to accept') && ready());
      redis.on('exit', (code) => failed(new Error(`redis-server ended with ${code}`)));
    });
    const { queueEvaluator, serve } = (await import(`${example}/queue.mjs`)) as Example;
    const connection = { host: '127.0.0.1', port };
    const workers = [serve(connection, context), serve(connection, context)];
    const queue = await queueEvaluator(connection);
    let asked = 0;
    const there = await compressTo(
      network,
      context,
      { ratio: 3 },
      {
        evaluate: (tasks) => {
          asked += tasks.length;
          return queue.evaluate(tasks);
        },
      },
    );
    expect(asked).toBeGreaterThan(0);
    expect(there.bytes).toEqual(here.bytes);
    expect(there.plan).toEqual(here.plan);
    await Promise.all([queue.close(), ...workers.map((worker) => worker.close())]);
  } finally {
    redis.removeAllListeners('exit');
    redis.kill();
  }
});
