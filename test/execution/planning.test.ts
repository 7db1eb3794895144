import { describe, expect, it } from 'vitest';
import { createExecutor } from '../../src/execution/executor.ts';
import { createTrainingExecutor } from '../../src/execution/training-executor.ts';
import type { OptimizerOptions } from '../../src/execution/types.ts';
import { portableKernels } from '../../src/kernels/portable/index.ts';
import type { Network } from '../../src/graph/network.ts';
import { graph } from '../../src/network/build.ts';
import { add, sigmoid } from '../../src/network/functions.ts';
import { dense } from '../../src/network/layers.ts';
import { readNetwork } from '../../src/network/read.ts';
import { writeNetwork } from '../../src/network/write.ts';

const kernels = portableKernels();
const optimizer: OptimizerOptions = {
  kind: 'sgd',
  momentum: 0,
  nesterov: false,
  beta1: 0,
  beta2: 0,
  epsilon: 0,
  decoupled: false,
  weightDecay: 0,
  codewordGradient: 'mean',
};

/** n nodes side by side, all of them outputs. */
const wide = (n: number): Network =>
  graph({}, (builder) => {
    const x = builder.node(dense(4), builder.input([4]));
    return Array.from({ length: n }, () => builder.node(sigmoid(), x));
  });

/** n values that all live until the last is there. */
const ladder = (n: number): Network =>
  graph({}, (builder) => {
    const down = [builder.node(dense(4), builder.input([4]))];
    for (let i = 1; i < n / 2; i++) down.push(builder.node(sigmoid(), down[i - 1]));
    return down.reduceRight((sum, value) => builder.node(add(), sum, value));
  });

async function milliseconds(network: Network): Promise<number> {
  const bytes = writeNetwork(network);
  const start = performance.now();
  const read = readNetwork(bytes);
  const executor = await createExecutor(read, { kernels });
  const training = await createTrainingExecutor(read, { kernels, optimizer, inputGradients: true });
  const elapsed = performance.now() - start;
  executor.dispose();
  training.dispose();
  return elapsed;
}

describe('reading and planning', () => {
  // Linear is 8, quadratic 64; what is small pays for compiling the code, and the machine has other work.
  it('take time nearly linear in the number of nodes', async () => {
    const [few, many] = [wide(1024), wide(8 * 1024)];
    const least = Math.min(await milliseconds(few), await milliseconds(few));
    expect((await milliseconds(many)) / least).toBeLessThan(24);
  }, 120_000);

  it('do not depend on how a network of 20,000 nodes is laid out: the values are those of a loop', async () => {
    const network = ladder(20_000);
    const executor = await createExecutor(network, { kernels });
    executor.input().set([0.5, -1, 2, 0]);
    executor.forward();
    const weight = network.parameters.get('dense1.weight') as { readonly data: Float32Array };
    const expected = Array.from({ length: 4 }, (_, row) => {
      let x = Math.fround([0.5, -1, 2, 0].reduce((sum, value, j) => sum + value * weight.data[4 * row + j], 0));
      const all = [x];
      for (let i = 1; i < 10_000; i++) all.push((x = Math.fround(1 / (1 + Math.exp(-x)))));
      return all.reduceRight((sum, value) => Math.fround(sum + value));
    });
    expected.forEach((value, i) => expect(executor.output()[i] / value).toBeCloseTo(1, 4));
    executor.dispose();
  }, 120_000);
});
