/**
 * Candidates of a search on a queue of BullMQ: `queueEvaluator` is the `evaluate` of `compressTo`, `serve` is what runs on as
 * many machines as there are. Tasks and results are plain data; the network, which all tasks of a search share, lies once in
 * Redis under its hash, and the data are opened by each machine for itself.
 */
import { createHash } from 'node:crypto';
import { Queue, QueueEvents, Worker } from 'bullmq';
import { evaluateCandidate } from 'espalier/compression';

const NAME = 'espalier-candidates';

/** @param connection - of Redis: { host, port } */
export async function queueEvaluator(connection) {
  const queue = new Queue(NAME, { connection });
  const events = new QueueEvents(NAME, { connection });
  const client = await queue.client;
  await events.waitUntilReady();

  async function evaluate(tasks) {
    const jobs = await Promise.all(
      tasks.map(async ({ network, ...task }) => {
        const key = `${NAME}:network:${createHash('sha256').update(network).digest('hex')}`;
        await client.set(key, Buffer.from(network), 'EX', 7 * 24 * 3600);
        // A machine that dies loses its job to another one: the result is the same.
        return queue.add('candidate', { ...task, key }, { attempts: 3, removeOnComplete: 1000, removeOnFail: 1000 });
      }),
    );
    return Promise.all(jobs.map((job) => job.waitUntilFinished(events)));
  }
  return {
    evaluate,
    close: async () => {
      await events.close();
      await queue.close();
    },
  };
}

/**
 * @param context - { threads, training, validation }: the same sets on every machine
 * @returns a worker of BullMQ; `close()` lets it finish what it has begun
 */
export function serve(connection, context) {
  const worker = new Worker(
    NAME,
    async ({ data: { key, ...task } }) => {
      const client = await worker.client;
      const network = await client.getBuffer(key);
      if (!network) throw new Error(`the network ${key} is no longer in Redis; start the search again`);
      return evaluateCandidate({ ...task, network: new Uint8Array(network) }, context);
    },
    // A candidate of a large network takes minutes in which this thread is busy for seconds at a time.
    { connection, concurrency: 1, lockDuration: 10 * 60_000 },
  );
  return worker;
}
