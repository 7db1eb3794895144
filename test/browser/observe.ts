/** What a page or Node makes of threads: the same work everywhere, as plain data that can be compared. */
import { createTrainingExecutor } from '../../src/execution/training-executor.ts';
import { ALL_SELECTION } from '../../src/kernels/selection/all.ts';
import { loadKernels } from '../../src/kernels/index.ts';
import { CONTROL } from '../../src/kernels/threads/pieces.ts';
import { portableBackend } from '../../src/kernels/portable/set.ts';
import { threadHost } from '../../src/kernels/threads/thread-hosts.ts';
import { openOn } from '../../src/kernels/workspace/workspace.ts';
import { conv, dense, flatten, maxPool, relu, sequential, writeNetwork } from '../../src/network/index.ts';
import type { Network } from '../../src/network/index.ts';
import { stream, uniform } from '../../src/base/random.ts';
import { load } from '../../src/runtime/index.ts';
import { digest } from './digest.ts';

export interface Observation {
  readonly kernels: string;
  readonly threads: number;
  readonly reason: string;
  /** Of every trained value after three steps, and of a model's outputs: one bit of any of them changes it. */
  readonly digest: string;
  /** Of the same network as a model of the runtime. */
  readonly modelThreads: number;
}

export interface Death {
  readonly code: string;
  readonly message: string;
  readonly milliseconds: number;
}

/** Of the network's input. */
export const SIDE = 24;
const BATCH = 16;

/** Its first weights are normal: from logarithms and cosines. */
export function network(): Network {
  return sequential({ input: [1, SIDE, SIDE], seed: 3 }, [
    conv(12, 3),
    relu(),
    maxPool(2),
    conv(20, 3),
    relu(),
    maxPool(2),
    flatten(),
    dense(72),
    relu(),
    dense(10),
  ]);
}

/** Three steps of training and a prediction, for each number of threads asked for. */
export async function observe(counts: readonly number[]): Promise<Observation[]> {
  const kernels = await loadKernels();
  const bytes = writeNetwork(network());
  const random = stream(5, 'observe');
  const inputs = Float32Array.from({ length: BATCH * SIDE * SIDE }, () => uniform(random, -1, 1));
  const observations: Observation[] = [];
  for (const threads of counts) {
    const optimizer = {
      kind: 'sgd',
      momentum: 0.9,
      nesterov: true,
      beta1: 0.9,
      beta2: 0.999,
      epsilon: 1e-8,
      decoupled: false,
      weightDecay: 1e-4,
      codewordGradient: 'mean',
    } as const;
    const executor = await createTrainingExecutor(network(), { kernels, threads, batch: BATCH, optimizer });
    executor.input().set(inputs);
    for (let step = 1; step <= 3; step++) {
      executor.forwardTraining(step);
      executor.outputGradient().set(executor.output().map((value, i) => value - (i % 7) / 7));
      executor.backward();
      executor.update({ rate: 0.01, clip: 5 }, step);
    }
    const model = await load(bytes, { threads, batch: BATCH });
    const trained = [...executor.snapshot().parameters.values()].flatMap((encoding) =>
      encoding.kind === 'dense' ? [encoding.data] : [],
    );
    observations.push({
      kernels: kernels.name,
      threads: executor.workspace.threads,
      reason: executor.workspace.threadsReason,
      modelThreads: model.threads,
      digest: digest([...trained, model.predict(inputs).data]),
    });
    executor.dispose();
    model.dispose();
  }
  return observations;
}

/** A worker of the page ends in the middle of a piece: what `run` throws, and when. */
export async function observeDeath(): Promise<Death> {
  const host = threadHost();
  if (typeof host === 'string') throw new Error(host);
  // Takes one of the pieces while the other thread is in its first, and is gone.
  const taken = 40;
  const source = `onmessage = ({ data: { control, foundation: { buffers } } }) => {
    postMessage({ pulse: URL.createObjectURL(new Blob()) });
    setTimeout(() => {
      Atomics.wait(control, ${CONTROL.limit}, 0);
      Atomics.add(control, ${CONTROL.next}, 1);
      const int = new Int32Array(buffers.integers);
      Atomics.store(int, ${taken}, 1);
      Atomics.notify(int, ${taken});
      close();
    });
  };`;
  const backend = portableBackend(ALL_SELECTION);
  const workspace = await openOn(
    {
      ...backend,
      bind(...how) {
        const bound = backend.bind(...how);
        return {
          ...bound,
          kernels: { ...bound.kernels, multiply: () => void Atomics.wait(bound.heap.int, taken, 0, 5000) },
        };
      },
    },
    {
      words: 64,
      scratchWords: 0,
      threads: 2,
      programs: [
        [
          {
            kernel: 'multiply',
            pieces: [
              { a: 0, b: 0, y: 1, count: 1 },
              { a: 2, b: 2, y: 3, count: 1 },
              { a: 4, b: 4, y: 5, count: 1 },
            ],
          },
        ],
      ],
    },
    { startThread: (_source, start, onDeath) => host.startThread(source, start, onDeath) },
  );
  const begin = performance.now();
  try {
    workspace.run(0);
    return { code: 'none', message: 'run() came back', milliseconds: performance.now() - begin };
  } catch (error) {
    const { code, message } = error as { code: string; message: string };
    return { code, message, milliseconds: performance.now() - begin };
  } finally {
    workspace.dispose();
  }
}
