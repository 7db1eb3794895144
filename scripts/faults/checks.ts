/** What must hold whatever happens to a job: kills at any moment, and a file system or a store that fails. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { compress, EspalierError, memoryStore, portableKernels, stream, train, vgg, writeNetwork } from 'espalier';
import type { CheckpointStore, Context, Examples, Stream } from 'espalier';
import { filesOf, OLD, OUTPUT } from './jobs.ts';
import type { Bench, Fault, Job } from './jobs.ts';

/** Counts by name, and what went wrong. */
export interface Tally {
  readonly counts: Map<string, number>;
  readonly problems: string[];
}

export function newTally(): Tally {
  return { counts: new Map(), problems: [] };
}

function count({ counts }: Tally, name: string, by = 1): void {
  counts.set(name, (counts.get(name) ?? 0) + by);
}

/** Faults that a disk or a system has, with the operations that they are known from. */
const CODES: Readonly<Record<string, readonly string[]>> = {
  open: ['ENOSPC', 'EACCES', 'EROFS', 'EMFILE', 'EDQUOT'],
  write: ['ENOSPC', 'EIO', 'EDQUOT'],
  sync: ['EIO', 'ENOSPC'],
  close: ['EIO', 'EDQUOT'],
  rename: ['EACCES', 'EIO', 'EROFS', 'EBUSY', 'EPERM'],
  unlink: ['EACCES', 'EROFS', 'EBUSY'],
  mkdir: ['EACCES', 'ENOSPC', 'EROFS'],
  rmdir: ['EACCES', 'EBUSY'],
  readdir: ['EACCES', 'EMFILE'],
  readFile: ['EIO', 'EACCES', 'EMFILE'],
  readlink: ['EACCES'],
  stat: ['EACCES', 'EIO'],
  openSync: ['EACCES', 'EMFILE'],
  readSync: ['EIO'],
};
/** Operations whose failure may leave something behind: what could not be removed cannot be removed. */
const REMOVES = ['unlink', 'rmdir'];
const KILLS = ['open', 'write', 'sync', 'close', 'rename', 'unlink', 'mkdir', 'rmdir'];

const pick = <T>(random: Stream, from: readonly T[]): T => from[Math.floor(random() * from.length)];

/** A job that nothing happens to. */
export interface Study {
  readonly job: Job;
  readonly output: Buffer;
  readonly milliseconds: number;
  /** Calls of each operation on files. */
  readonly calls: Readonly<Record<string, number>>;
}

export async function study(bench: Bench, job: Job): Promise<Study> {
  const place = bench.place();
  const { code, stderr, milliseconds } = await bench.run(job, place);
  if (code !== 0) throw new Error(`${job.name} left alone: exit code ${code}: ${stderr}`);
  const calls = await bench.counts(job, bench.place());
  return { job, output: readFileSync(join(place, OUTPUT)), milliseconds, calls };
}

/** Started again and left alone: the end is that of the study, and nothing is left beside it. */
async function finish(bench: Bench, { job, output: wanted }: Study, place: string): Promise<string | undefined> {
  const { code, stderr } = await bench.run(job, place);
  if (code !== 0) return `started again: exit code ${code}: ${stderr}`;
  if (!readFileSync(join(place, OUTPUT)).equals(wanted)) return 'started again, it ends in other bytes';
  const left = filesOf(place).filter((name) => name !== OUTPUT);
  return left.length > 0 ? `left behind: ${left.join(', ')}` : undefined;
}

/**
 * Kills a job at a random moment or in a random operation on files, starts it again, kills it again; at last it is left
 * alone. At each kill the output is the old file or the new one.
 */
export async function killChain(bench: Bench, known: Study, random: Stream, tally: Tally): Promise<void> {
  const { job, output: wanted, calls, milliseconds } = known;
  const place = bench.place();
  const told: string[] = [];
  const kills = 2 + Math.floor(5 * random());
  for (let i = 0; i < kills; i++) {
    let fault: Fault | undefined;
    let after: number | undefined;
    if (random() < 0.4) after = milliseconds * (0.1 + 0.9 * random());
    else {
      const operation = pick(
        random,
        KILLS.filter((name) => (calls[name] ?? 0) > 0),
      );
      fault = { operation, n: 1 + Math.floor(random() * calls[operation]), kill: pick(random, ['before', 'after']) };
    }
    told.push(fault ? `${fault.kill} ${fault.operation} ${fault.n}` : `after ${after?.toFixed(0)} ms`);
    const { code, signal, stderr } = await bench.run(job, place, fault, after);
    count(tally, signal === 'SIGKILL' ? `${job.name}: killed` : `${job.name}: done before the kill`);
    if (signal === null && code !== 0)
      tally.problems.push(`${job.name}: ${told.join(', ')}: exit code ${code}: ${stderr}`);
    const found = readFileSync(join(place, OUTPUT));
    if (!found.equals(OLD) && !found.equals(wanted))
      tally.problems.push(`${job.name}: ${told.join(', ')}: the output is neither the old file nor the new one`);
  }
  const problem = await finish(bench, known, place);
  if (problem !== undefined) tally.problems.push(`${job.name}: ${told.join(', ')}: ${problem}`);
  count(tally, `${job.name}: chains`);
}

/** One call on files fails, in a job that nothing else happens to. */
export async function injectFault(bench: Bench, known: Study, random: Stream, tally: Tally): Promise<void> {
  const { job, calls } = known;
  const operation = pick(
    random,
    Object.keys(CODES).filter((name) => (calls[name] ?? 0) > 0),
  );
  const fault = { operation, n: 1 + Math.floor(random() * calls[operation]), code: pick(random, CODES[operation]) };
  const problems = await oneFault(bench, known, fault);
  for (const problem of problems) tally.problems.push(`${job.name}: ${JSON.stringify(fault)}: ${problem}`);
  count(tally, `${job.name}: faults`);
  count(tally, `${fault.code} at ${operation}`);
}

async function oneFault(bench: Bench, known: Study, fault: Required<Omit<Fault, 'kill'>>): Promise<string[]> {
  const { job, output: wanted } = known;
  const problems: string[] = [];
  const place = bench.place();
  const { code, signal, stderr } = await bench.run(job, place, fault);
  const found = readFileSync(join(place, OUTPUT));
  if (signal !== null || (code !== 0 && code !== 1)) problems.push(`exit code ${code}, signal ${signal}: ${stderr}`);
  if (code === 0 && !found.equals(wanted))
    problems.push('exit code 0, and the output is not that of the job left alone');
  if (code === 1) {
    if (!new RegExp(`^espalier ${job.name}: .*${fault.code}.*\\n$`).test(stderr) || stderr.includes('unexpected'))
      problems.push(`not told in one line with its cause: ${stderr}`);
    if (!found.equals(OLD) && !found.equals(wanted))
      problems.push('the output is neither the old file nor the new one');
  }
  const left = filesOf(place).filter((name) => /\.(unfinished|lock)$/.test(name));
  if (left.length > 0 && !REMOVES.includes(fault.operation)) problems.push(`left behind: ${left.join(', ')}`);
  const problem = await finish(bench, known, place);
  if (problem !== undefined) problems.push(problem);
  return problems;
}

const SHAPE = [1, 8, 8];
const OPTIONS = { epochs: 4, batchSize: 8 };
const COMPRESSION = {
  settings: { codewordCount: 4 },
  retrainPruned: { epochs: 1, learningRate: 0.01 },
  retrainQuantized: { epochs: 1, learningRate: 0.01 },
  final: { epochs: 2, learningRate: 0.01 },
};

function examples(samples: number, seed: number): Examples {
  return {
    count: samples,
    inputShape: SHAPE,
    targetShape: [4],
    read(indices, inputs, targets) {
      for (let i = 0; i < indices.length; i++) {
        const random = stream(seed, 'sample', indices[i]);
        for (let j = 0; j < 64; j++) inputs[64 * i + j] = random();
        for (let j = 0; j < 4; j++) if (targets) targets[4 * i + j] = inputs[64 * i + j];
      }
    },
  };
}

/** The jobs of the API, each to the bytes of its network. */
const RUNS: readonly [string, (context: Context, checkpoint?: Checkpoint) => Promise<Uint8Array>][] = [
  [
    'train()',
    async (context, checkpoint) =>
      writeNetwork((await train(start(), context, { ...OPTIONS, ...(checkpoint ? { checkpoint } : {}) })).network),
  ],
  [
    'compress()',
    async (context, checkpoint) =>
      (await compress(start(), context, { ...COMPRESSION, ...(checkpoint ? { checkpoint } : {}) })).bytes,
  ],
];

type Checkpoint = { readonly store: CheckpointStore; readonly key: string; readonly onWriteError?: 'stop' | 'goOn' };
const start = () => vgg({ side: 8, widths: [4], hidden: [8], outputs: 4, task: { kind: 'regression' } });

/** What the jobs of the API end in that nothing happens to. */
export interface StoreStudy {
  readonly context: Context;
  readonly outputs: ReadonlyMap<string, Buffer>;
}

export async function studyStores(): Promise<StoreStudy> {
  const context: Context = {
    kernels: portableKernels(),
    threads: 1,
    seed: 1,
    training: examples(24, 1),
    validation: examples(8, 2),
  };
  const outputs = new Map<string, Buffer>();
  for (const [name, job] of RUNS) outputs.set(name, Buffer.from(await job(context)));
  return { context, outputs };
}

/** A store of one's own whose n-th call of one function fails; with `times` so many in a row. */
function failingStore(inner: CheckpointStore, called: string, n: number, times: number): CheckpointStore {
  let calls = 0;
  const fail =
    <A extends unknown[], R>(name: string, work: (...all: A) => Promise<R>) =>
    (...all: A): Promise<R> => {
      if (name === called && ++calls >= n && calls < n + times)
        return Promise.reject(new Error('quota exceeded: injected'));
      return work(...all);
    };
  return {
    read: fail('read', (name: string) => inner.read(name)),
    write: fail('write', (name: string, bytes: Uint8Array) => inner.write(name, bytes)),
    remove: fail('remove', (name: string) => inner.remove(name)),
    list: fail('list', () => inner.list()),
    ...(inner.lock ? { lock: fail('lock', (key: string) => inner.lock!(key)) } : {}),
  };
}

/**
 * A store fails: the run ends with IO and its cause, and with a store that works again goes on to the bytes of a run
 * left alone; or it goes on at once, where that was asked for and it was a write.
 */
export async function failStore(known: StoreStudy, random: Stream, tally: Tally): Promise<void> {
  const { context, outputs } = known;
  const [name, job] = pick(random, RUNS);
  const wanted = outputs.get(name)!;
  const called = pick(random, ['read', 'write', 'write', 'remove']);
  const n = 1 + Math.floor(7 * random());
  const onWriteError = pick(random, ['stop', 'goOn'] as const);
  const inner = memoryStore();
  const times = 1 + Math.floor(3 * random());
  const warnings: string[] = [];
  const tell: Context['onEvent'] = (event) => {
    if (event.kind === 'warning') warnings.push(event.text);
  };
  const problem = (text: string): void => {
    tally.problems.push(`${name}: ${called} ${n}, ${times} times, ${onWriteError}: ${text}`);
  };
  const checkpoint = { store: failingStore(inner, called, n, times), key: 'job', onWriteError };
  const outcome: unknown = await job({ ...context, onEvent: tell }, checkpoint).catch((error: unknown) => error);
  count(tally, 'store: faults');
  if (outcome instanceof Uint8Array) {
    if (!wanted.equals(outcome)) problem('it goes on to other bytes');
    if (warnings.length > 0 && onWriteError === 'stop') problem('it went on though it was to stop');
    count(tally, warnings.length > 0 ? 'store: gone on with a warning' : 'store: not reached');
    return;
  }
  if (!(outcome instanceof EspalierError) || outcome.code !== 'IO' || !outcome.message.includes('quota exceeded'))
    problem(`expected IO with its cause, got ${String(outcome)}`);
  count(tally, 'store: stopped with IO');
  const again = await job(context, { store: inner, key: 'job' }).catch((error: unknown) => error);
  if (!(again instanceof Uint8Array) || !wanted.equals(again)) problem(`started again: ${String(again).slice(0, 200)}`);
}
