/**
 * Candidates of a search on worker threads: each thread opens the data for itself, by the same words, and is given tasks one
 * after another. Results do not depend on which thread made them.
 */
import { Worker } from 'node:worker_threads';
import { EspalierError } from '../index.ts';
import type { CandidateResult, CandidateTask, Context, Dataset, Preprocessing, Task } from '../index.ts';
import { UsageError } from './io.ts';

export interface CandidatePool {
  evaluate(tasks: readonly CandidateTask[]): Promise<readonly CandidateResult[]>;
  close(): Promise<void>;
}

interface PoolValues {
  readonly workers: number;
  readonly threads: number;
  readonly data: string | undefined;
  readonly part: string | undefined;
  readonly validation: string | undefined;
  readonly unlabelled: boolean;
}

/** Where the data are: what a thread, or another machine, needs to open them. */
interface DataReference {
  readonly folder: string;
  readonly parts: { readonly training: string; readonly validation: string };
  readonly preprocessing?: Preprocessing | undefined;
  readonly task?: Task['kind'] | undefined;
  readonly labels: 'auto' | 'none';
}

interface Start {
  /** Of the library. */
  readonly entry: string;
  /** What reads TypeScript, where the library is its sources. */
  readonly loader?: string;
  readonly data: DataReference;
  readonly threads: number;
}

/**
 * What a thread runs. As text, since a bundle has no file for it. Measuring reads samples as they are, so nothing is augmented
 * here, nor would it be in a search without epochs.
 */
const SOURCE = `
const { parentPort, workerData } = require('node:worker_threads');
const { entry, loader, data, threads } = workerData;
const opened = (async () => {
  if (loader) (await import(loader)).register();
  const espalier = await import(entry);
  const { folder, parts, preprocessing, task, labels } = data;
  const open = (part) => espalier.openFolder(folder, part, { preprocessing, task, labels });
  const kernels = await espalier.loadKernels();
  return { espalier, context: { kernels, threads, training: await open(parts.training), validation: await open(parts.validation) } };
})();
opened.catch(() => undefined);
parentPort.on('message', async ({ task }) => {
  try {
    const { espalier, context } = await opened;
    parentPort.postMessage({ result: await espalier.evaluateCandidate(task, context) });
  } catch (error) {
    parentPort.postMessage({ error: { code: error.code, message: error.message } });
  }
});
`;

/** Undefined: one after another in this thread. @throws {UsageError} for data that other threads cannot open */
export function openCandidates(
  { workers, threads, data, part = 'train', validation = 'validation', unlabelled }: PoolValues,
  { signal }: Pick<Context, 'signal'>,
  { training }: { readonly training: Dataset },
): CandidatePool | undefined {
  if (workers === 1 || data === undefined) return undefined;
  if ('skipped' in training)
    throw new UsageError('--workers: pictures are read by one thread; leave it out, or give a folder of arrays');
  const isSource = import.meta.url.endsWith('.ts');
  const start: Start = {
    entry: new URL(isSource ? '../index.ts' : './index.js', import.meta.url).href,
    ...(isSource && { loader: 'tsx/esm/api' }),
    data: {
      folder: data,
      parts: { training: part, validation },
      preprocessing: training.preprocessing,
      task: training.task?.kind,
      labels: unlabelled ? 'none' : 'auto',
    },
    threads,
  };
  const idle: Worker[] = [];
  const all: Worker[] = [];
  const hire = (): Worker => {
    const worker = new Worker(SOURCE, { eval: true, workerData: start, execArgv: [] });
    all.push(worker);
    return worker;
  };
  const ask = (worker: Worker, task: CandidateTask): Promise<CandidateResult> =>
    new Promise((resolve, reject) => {
      const stop = (): void => reject(signal?.reason as Error);
      const end = (problem?: Error): void => {
        worker.off('message', hear).off('error', end).off('exit', died);
        signal?.removeEventListener('abort', stop);
        if (problem) reject(problem);
      };
      const died = (code: number): void =>
        end(new EspalierError('WORKER', `compressTo: a thread exited with code ${code}; give fewer --workers`));
      const hear = ({
        result,
        error,
      }: {
        result?: CandidateResult;
        error?: { code?: string; message: string };
      }): void => {
        end();
        if (result) resolve(result);
        else
          reject(
            new EspalierError((error?.code ?? 'WORKER') as 'WORKER', error?.message ?? 'compressTo: a thread failed'),
          );
      };
      worker.on('message', hear).on('error', end).on('exit', died);
      if (signal?.aborted) stop();
      signal?.addEventListener('abort', stop);
      worker.postMessage({ task });
    });
  return {
    async evaluate(tasks) {
      const results = new Array<CandidateResult>(tasks.length);
      let next = 0;
      const work = async (worker: Worker): Promise<void> => {
        while (next < tasks.length) {
          const i = next++;
          results[i] = await ask(worker, tasks[i]);
        }
        idle.push(worker);
      };
      const count = Math.min(workers, tasks.length);
      await Promise.all(Array.from({ length: count }, () => work(idle.pop() ?? hire())));
      return results;
    },
    close: async () => void (await Promise.all(all.map((worker) => worker.terminate()))),
  };
}
