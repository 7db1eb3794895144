/**
 * Run by memory.test.ts as a process of its own, with --expose-gc and a young generation that nothing fills: for the
 * training executor, for `train` and for a loaded model, what 1000 steps leave on the heap and what garbage one makes.
 * Prints JSON. The least of some rounds, since compilers use the same heap.
 */
import { createExecutor } from '../../src/execution/executor.ts';
import { createTrainingExecutor } from '../../src/execution/training-executor.ts';
import { examplesFromArrays } from '../../src/data/index.ts';
import { loadKernels } from '../../src/kernels/index.ts';
import { batchNorm, conv, dense, flatten, maxPool, relu, sequential, writeNetwork } from '../../src/network/index.ts';
import { normal, stream } from '../../src/base/random.ts';
import { load } from '../../src/runtime/index.ts';
import { smoothL1, train } from '../../src/training/index.ts';

declare const gc: () => void;

const [ROUNDS, STEPS, WARM_UP] = [4, 1000, 500];
/** Room for the figures is made before the first is taken. */
interface Figures {
  growth: number;
  buffers: number;
  garbage: number;
}
const used = { heap: 0, buffers: 0 };
function look(): void {
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  used.heap = heapUsed;
  used.buffers = arrayBuffers;
}

/** Told of every step; the figures are those of rounds of STEPS steps after WARM_UP. */
function meter(): { readonly figures: Figures; step(): void } {
  const figures = { growth: Infinity, buffers: Infinity, garbage: Infinity };
  let [done, heap, buffers] = [0, 0, 0];
  return {
    figures,
    step() {
      const since = done++ - WARM_UP;
      if (since < 0 || since % STEPS !== 0) return;
      look();
      const before = used.heap;
      gc();
      look();
      if (since > 0) {
        figures.garbage = Math.min(figures.garbage, (before - heap) / STEPS);
        figures.growth = Math.min(figures.growth, used.heap - heap);
        figures.buffers = Math.min(figures.buffers, used.buffers - buffers);
      }
      heap = used.heap;
      buffers = used.buffers;
    },
  };
}

const batch = 8;
const total = WARM_UP + ROUNDS * STEPS + 1;
const kernels = await loadKernels();
const network = sequential({ input: [1, 8, 8] }, [
  conv(4, 3),
  batchNorm(),
  relu(),
  maxPool(2),
  flatten(),
  dense(16),
  relu(),
  dense(4),
]);
const random = stream(1, 'inputs');
const inputs = Float32Array.from({ length: batch * 64 }, () => normal(random));

async function trainingExecutor(kind: 'sgd' | 'adam'): Promise<Figures> {
  const optimizer = {
    kind,
    momentum: 0.9,
    nesterov: false,
    beta1: 0.9,
    beta2: 0.999,
    epsilon: 1e-8,
    decoupled: true,
    weightDecay: 1e-4,
    codewordGradient: 'mean',
  } as const;
  const executor = await createTrainingExecutor(network, { kernels, batch, optimizer });
  const { figures, step } = meter();
  const [input, gradient] = [executor.input(), executor.outputGradient()];
  const options = { rate: 1e-3, clip: 5 };
  for (let n = 1; n <= total; n++) {
    input.set(inputs);
    executor.forwardTraining(n);
    gradient.fill(0.1);
    executor.backward();
    executor.update(options, n);
    step();
  }
  executor.dispose();
  return figures;
}

async function inferenceExecutor(): Promise<Figures> {
  const executor = await createExecutor(network, { kernels, batch });
  const { figures, step } = meter();
  for (let n = 0; n < total; n++) {
    executor.input().set(inputs);
    executor.forward();
    executor.output();
    step();
  }
  executor.dispose();
  return figures;
}

async function training(): Promise<Figures> {
  const examples = examplesFromArrays({
    inputs: Float32Array.from({ length: total * batch * 64 }, (_, i) => inputs[i % inputs.length]),
    inputShape: [1, 8, 8],
    targets: new Float32Array(total * batch * 4),
    targetShape: [4],
  });
  const { figures, step } = meter();
  await train(
    network,
    {
      kernels,
      threads: 1,
      seed: 1,
      training: examples,
      onEvent: ({ kind }) => {
        if (kind === 'batch') step();
      },
    },
    { epochs: 1, batchSize: batch, loss: smoothL1() },
  );
  return figures;
}

async function model(): Promise<Figures> {
  const loaded = await load(writeNetwork(network));
  const { figures, step } = meter();
  const one = inputs.slice(0, 64);
  for (let n = 0; n < total; n++) {
    loaded.predict(one);
    step();
  }
  loaded.dispose();
  return figures;
}

console.log(
  JSON.stringify({
    sgd: await trainingExecutor('sgd'),
    adam: await trainingExecutor('adam'),
    forward: await inferenceExecutor(),
    train: await training(),
    predict: await model(),
  }),
);
