/**
 * A contender's side of the comparison: a process that prepares one job and then answers one line at a time, so that
 * contenders take turns and those that wait cost nothing. Requests are JSON lines on stdin; answers are lines `@bench
 * JSON` on stdout, whatever else a library prints there.
 */
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { writeArray } from './exchange.ts';

interface Threaded {
  readonly threads: number;
}
export interface ForwardJob extends Threaded {
  readonly kind: 'forward';
  /** Folder of the exchanged network. */
  readonly network: string;
  readonly batch: number;
  /** File of (batch, ...input shape) values. */
  readonly input: string;
}
export interface TrainingJob extends Threaded {
  /**
   * One run is a step: forward, mean squared error, backward, update by SGD with momentum. The outputs are those of the
   * last forward pass.
   */
  readonly kind: 'training';
  readonly network: string;
  readonly batch: number;
  readonly input: string;
  readonly target: string;
  readonly rate: number;
  readonly momentum: number;
}
export interface ModelJob extends Threaded {
  readonly kind: 'model';
  /** File of an ONNX model, or of one of espalier's own for espalier. */
  readonly model: string;
  readonly batch: number;
  /** Files of (batch, ...input shape) values, in the order of the model's inputs. The outputs are all of them in a row. */
  readonly inputs: readonly string[];
}
export interface KmeansJob extends Threaded {
  /** One run is a whole k-means; the outputs are the codewords (k, d). */
  readonly kind: 'kmeans';
  /** Files of (n, d) points and (k, d) first codewords. */
  readonly points: string;
  readonly init: string;
  readonly n: number;
  readonly d: number;
  readonly k: number;
  readonly iterations: number;
}
export type Job = ForwardJob | TrainingJob | ModelJob | KmeansJob;

export interface Prepared {
  /** One timed call. */
  run(): unknown;
  /** Values of the last run. */
  output(): Float32Array;
  /** Gives back what it holds, before another job. */
  close?(): unknown;
}

export type Request =
  /** Answered with the seconds that it took. */
  | { readonly prepare: Job; readonly variant: string }
  /** Answered with the seconds that it took. */
  | { readonly run: true }
  /** Writes the outputs to a file. */
  | { readonly output: string }
  /** Answered with {@link Memory}. */
  | { readonly memory: true };

/** Kilobytes of resident memory. */
export interface Memory {
  readonly peak: number;
  /** Peak before the job was prepared: the runtime and its libraries. */
  readonly baseline: number;
}

/** @param prepare - gets the job and a word that says how to do it, such as a backend's name */
export function serve(prepare: (job: Job, variant: string) => Promise<Prepared>): void {
  let prepared: Prepared | undefined;
  let baseline = 0;
  const ready = (): Prepared => {
    if (!prepared) throw new Error('nothing was prepared');
    return prepared;
  };
  const answer = async (request: Request): Promise<unknown> => {
    if ('prepare' in request) {
      await prepared?.close?.();
      baseline = peakMemory();
      const start = process.hrtime.bigint();
      prepared = await prepare(request.prepare, request.variant);
      return Number(process.hrtime.bigint() - start) / 1e9;
    }
    if ('output' in request) return writeArray(request.output, ready().output());
    if ('memory' in request) return { peak: peakMemory(), baseline } satisfies Memory;
    const { run } = ready();
    const start = process.hrtime.bigint();
    // Awaiting what is no promise would still cost a turn of the event loop.
    const pending = run();
    if (pending instanceof Promise) await pending;
    return Number(process.hrtime.bigint() - start) / 1e9;
  };
  let queue = Promise.resolve();
  createInterface({ input: process.stdin })
    .on('line', (line) => {
      queue = queue.then(async () => {
        const reply = await answer(JSON.parse(line) as Request).then(
          (value) => ({ value }),
          (error: unknown) => ({ error: error instanceof Error ? error.stack : String(error) }),
        );
        process.stdout.write(`@bench ${JSON.stringify(reply)}\n`);
      });
    })
    .on('close', () => process.exit(0));
}

/** Kilobytes; 0 where the system does not say. */
function peakMemory(): number {
  try {
    return Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? 0);
  } catch {
    return 0;
  }
}
