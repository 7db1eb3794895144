/** The work that a page is timed on: runs in Node as well, for the bits that must come out. */
import { createExecutor, createTrainingExecutor, loadKernels, readNetwork, stream, uniform } from 'espalier';
import type { Executor } from 'espalier';
import { sizeOf } from 'espalier/tensor';

export const BATCH = 16;
export const THREADS = [1, 2] as const;

export interface Timed {
  readonly what: 'forward' | 'training step';
  /** As many as the platform gave, and why. */
  readonly threads: number;
  readonly reason: string;
  /** Sum of the bits of the outputs after the second call, modulo 2^32, each multiplied by its place. */
  readonly digest: number;
  readonly seconds: readonly number[];
}

/**
 * Both kinds of work on each number of threads: two calls, of whose outputs the bits are kept, then `rounds` in turn.
 */
export async function timeThreads(file: Uint8Array, rounds: number): Promise<Timed[]> {
  const kernels = await loadKernels();
  const network = readNetwork(file);
  const random = stream(1, 'browser input');
  const inputs = Float32Array.from({ length: BATCH * sizeOf(network.inputs[0].shape) }, () => uniform(random, -1, 1));
  const optimizer = {
    kind: 'sgd',
    momentum: 0.9,
    nesterov: false,
    beta1: 0.9,
    beta2: 0.999,
    epsilon: 1e-8,
    decoupled: false,
    weightDecay: 0,
    codewordGradient: 'mean',
  } as const;

  const forward = async (threads: number): Promise<Contender> => {
    const executor = await createExecutor(network, { kernels, threads, batch: BATCH });
    return { executor, call: () => executor.forward() };
  };
  const training = async (threads: number): Promise<Contender> => {
    const executor = await createTrainingExecutor(network, { kernels, threads, batch: BATCH, optimizer });
    let step = 0;
    return {
      executor,
      call() {
        executor.forwardTraining(step++);
        executor.outputGradient().set(executor.output());
        executor.backward();
        executor.update({ rate: 1e-4, clip: 0 }, step);
      },
    };
  };
  const time = ({ executor, call }: Contender): number => {
    executor.input().set(inputs);
    const start = performance.now();
    call();
    return (performance.now() - start) / 1e3;
  };

  const results: Timed[] = [];
  for (const [what, open] of [
    ['forward', forward],
    ['training step', training],
  ] as const) {
    const contenders = await Promise.all(THREADS.map(open));
    // After two steps the outputs depend on every gradient of the first.
    const digests = contenders.map((contender) => {
      time(contender);
      time(contender);
      return digest(contender.executor.output());
    });
    const seconds = contenders.map((): number[] => []);
    for (let round = 0; round < rounds; round++) contenders.forEach((contender, i) => seconds[i].push(time(contender)));
    contenders.forEach(
      (
        {
          executor: {
            workspace: { threads, threadsReason },
          },
        },
        i,
      ) => results.push({ what, threads, reason: threadsReason, digest: digests[i], seconds: seconds[i] }),
    );
    for (const { executor } of contenders) executor.dispose();
  }
  return results;
}

interface Contender {
  readonly executor: Executor;
  call(): void;
}

function digest(values: ArrayLike<number>): number {
  return new Int32Array(Float32Array.from(values).buffer).reduce(
    (sum, bits, i) => (sum + Math.imul(bits, 2 * i + 1)) | 0,
    0,
  );
}
