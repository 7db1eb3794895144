import { afterEach, describe, expect, it } from 'vitest';
import fc from 'fast-check';
import type { ProductEncoding } from '../../src/encodings/types.ts';
import { createExecutor } from '../../src/execution/executor.ts';
import { createTrainingExecutor } from '../../src/execution/training-executor.ts';
import type { OptimizerOptions, TrainingExecutor, TrainingExecutorOptions } from '../../src/execution/types.ts';
import { loadKernels, portableKernels } from '../../src/kernels/index.ts';
import type { KernelSet, Program } from '../../src/kernels/index.ts';
import { batchNorm, dense, graph, relu, add, sequential } from '../../src/network/index.ts';
import type { Network } from '../../src/graph/network.ts';
import { normal, stream } from '../../src/base/random.ts';
import { sizeOf } from '../../src/base/tensor.ts';
import type { FloatArray } from '../../src/base/tensor.ts';
import { chain, randomNetwork, skips } from './networks.ts';

const portable = portableKernels();
const simd = await loadKernels({ prefer: 'simd' });

export const sgd: OptimizerOptions = {
  kind: 'sgd',
  momentum: 0.9,
  nesterov: false,
  beta1: 0.9,
  beta2: 0.999,
  epsilon: 1e-8,
  decoupled: false,
  weightDecay: 1e-3,
  codewordGradient: 'mean',
};

const open: TrainingExecutor[] = [];
async function trainer(network: Network, options: Partial<TrainingExecutorOptions> = {}): Promise<TrainingExecutor> {
  const made = await createTrainingExecutor(network, { kernels: portable, optimizer: sgd, batch: 3, ...options });
  open.push(made);
  return made;
}
afterEach(() => open.splice(0).forEach((one) => one.dispose()));

/** A linear loss sum c y has the gradient c at the output: everything else is the network's. */
function prepare(one: TrainingExecutor, seed: number): FloatArray {
  const random = stream(seed, 'inputs');
  const inputs = one.input();
  for (let i = 0; i < inputs.length; i++) inputs[i] = normal(random);
  return Float64Array.from({ length: one.outputGradient().length }, () => normal(random));
}

function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

function lossOf(one: TrainingExecutor, weights: FloatArray): number {
  one.forwardTraining(1);
  return dot(one.output(), weights);
}

/** Quantizes by hand: a network whose named weight is a product encoding with signs apart and a remainder block. */
function encoded(network: Network, name: string): Network {
  const weight = network.parameters.get(name)!;
  const [rows] = weight.shape;
  const columns = sizeOf(weight.shape.slice(1));
  const random = stream(3, 'codes');
  const [d, K] = [4, 5];
  const M = Math.floor(columns / d);
  const rest = columns - M * d;
  const block = (first: number, M: number, d: number): ProductEncoding['blocks'][number] => ({
    first,
    subspaceCount: M,
    subvectorLength: d,
    codewordCount: K,
    codewords: Float32Array.from({ length: K * d }, () => Math.abs(normal(random))),
    codes: Uint16Array.from({ length: rows * M }, () => Math.floor(random() * K)),
    signs: Uint8Array.from(
      { length: Math.ceil((rows * M * d) / 8) },
      (_, i, bits = rows * M * d - 8 * i) => Math.floor(random() * 256) & (bits >= 8 ? 255 : (1 << bits) - 1),
    ),
  });
  const encoding: ProductEncoding = {
    kind: 'product',
    shape: weight.shape,
    codewordPrecision: 'float32',
    blocks: [...(M > 0 ? [block(0, M, d)] : []), ...(rest > 0 ? [block(M * d, 1, rest)] : [])],
  };
  return { ...network, parameters: new Map([...network.parameters, [name, encoding]]) };
}

async function checkGradients(network: Network, seed: number): Promise<void> {
  const one = await trainer(network, { precision: 'float64', inputGradients: true });
  const weights = prepare(one, seed);
  lossOf(one, weights);
  one.outputGradient().set(weights);
  one.backward();
  const random = stream(seed, 'probe');
  const probe = (values: FloatArray, gradient: FloatArray, name: string, refresh: () => void): void => {
    for (let n = 0; n < Math.min(6, values.length); n++) {
      const i = Math.floor(random() * values.length);
      const kept = values[i];
      const lossAt = (value: number): number => {
        values[i] = value;
        refresh();
        return lossOf(one, weights);
      };
      const slope = (step: number): number => (lossAt(kept + step) - lossAt(kept - step)) / (2 * step);
      const isClose = (numeric: number): boolean => Math.abs(gradient[i] - numeric) < 1e-5 + 1e-3 * Math.abs(numeric);
      const wide = slope(1e-6);
      // A kink of ReLU or of max pooling within the step is left by a smaller one; a wrong gradient is wrong at both.
      const numeric = isClose(wide) ? wide : slope(1e-9);
      lossAt(kept);
      expect(isClose(numeric), `${name}[${i}]: ${gradient[i]} against ${numeric}`).toBe(true);
    }
  };
  probe(one.input(), one.gradient(network.inputs[0].name), 'input', () => undefined);
  for (const [name] of network.parameters) {
    let gradient: FloatArray;
    try {
      gradient = one.gradient(name).slice();
    } catch {
      continue;
    } // running statistics and constants have none
    probe(one.values(name), gradient, name, () => one.changed());
  }
}

describe('gradients against central differences in double (eps 1e-6, atol 1e-5, rtol 1e-3)', () => {
  it('a chain', () => checkGradients(chain(), 1));
  it('skips, concatenation, batch normalization, dropout, softmax', () => checkGradients(skips(), 2));
  it('codewords with signs apart and a remainder block, of a convolution and of a dense layer', async () => {
    await checkGradients(encoded(encoded(chain(), 'conv2.weight'), 'dense1.weight'), 3);
  });
  it('random chains', () =>
    fc.assert(
      fc.asyncProperty(randomNetwork, async (network) => {
        await checkGradients(network, 4);
        open.splice(0).forEach((one) => one.dispose());
      }),
      { numRuns: 25 },
    ));
  it('a parameter that two nodes share gets the sum of both gradients', async () => {
    const network = graph({ seed: 5 }, (g) => {
      const x = g.input([4]);
      const a = g.node(relu(), g.node(dense(4, { name: 'a' }), x));
      return g.node(add(), g.node(dense(4, { name: 'b' }), a), a);
    });
    const nodes = network.nodes.map((node) =>
      node.name === 'b' ? { ...node, parameters: { ...node.parameters, weight: 'a.weight' } } : node,
    );
    const parameters = new Map([...network.parameters].filter(([name]) => name !== 'b.weight'));
    await checkGradients({ ...network, nodes, parameters } as Network, 5);
  });
});

describe('training executor', () => {
  it('infers with the statistics that a training pass left, folded anew, before any update', async () => {
    const network = sequential({ input: [3], seed: 2 }, [dense(4), batchNorm({ momentum: 0.5 }), relu(), dense(2)]);
    const one = await trainer(network);
    prepare(one, 1);
    const inputs = Float32Array.from(one.input());
    one.forward();
    const before = Float32Array.from(one.output());
    one.forwardTraining(1);
    one.forward();
    const fresh = await trainer(one.snapshot());
    fresh.input().set(inputs);
    fresh.forward();
    expect(Float32Array.from(one.output())).toEqual(Float32Array.from(fresh.output()));
    expect(Float32Array.from(one.output())).not.toEqual(before);
  });

  it('without dropout and batch normalization the training pass equals inference, bit for bit', async () => {
    const network = chain();
    const one = await trainer(network, { kernels: simd });
    prepare(one, 1);
    one.forwardTraining(1);
    const inputs = Float32Array.from(one.input());
    const trained = Float32Array.from(one.output());
    // Watched, the last dense layer is not multiplied with the affine map behind it, which rounds otherwise and which
    // training does not do.
    const inference = await createExecutor(network, { kernels: simd, batch: 3, watch: ['dense2'] });
    expect(inference.predict(inputs, 3)).toEqual(trained);
    inference.dispose();
  });

  it('frozen parameters do not move, and layers below them get no gradient', async () => {
    const network = chain();
    const frozen = new Set(['conv1.weight', 'conv1.bias', 'dense1.bias']);
    const one = await trainer(network, { frozen });
    const weights = prepare(one, 1);
    one.forwardTraining(1);
    one.outputGradient().set(weights);
    one.backward();
    one.update({ rate: 0.1, clip: 0 }, 1);
    const after = one.snapshot();
    for (const [name, encoding] of network.parameters) {
      if (frozen.has(name) || name.startsWith('affine')) expect(after.parameters.get(name)).toEqual(encoding);
      else expect(after.parameters.get(name), name).not.toEqual(encoding);
    }
    expect(() => one.gradient('conv1.weight')).toThrow(/gradient: name/);
  });

  it('restore(snapshot) brings outputs back, bit for bit; optimizer state goes the same way', async () => {
    const one = await trainer(encoded(skips(), 'conv2.weight'), { kernels: simd });
    const weights = prepare(one, 1);
    const step = (n: number): void => {
      one.forwardTraining(n);
      one.outputGradient().set(weights);
      one.backward();
      one.update({ rate: 0.05, clip: 1 }, n);
    };
    step(1);
    const [network, optimizer] = [one.snapshot(), one.optimizerState()];
    step(2);
    const wanted = one.snapshot();
    one.restore(network);
    one.restoreOptimizer(optimizer);
    step(2);
    expect(one.snapshot().parameters).toEqual(wanted.parameters);
    expect(() => one.restore({ ...network, parameters: new Map() })).toThrow(/restore: network: parameter/);
    expect(() => one.restoreOptimizer(new Map())).toThrow(/restoreOptimizer: state/);
  });

  it('restore and restoreOptimizer change nothing when they refuse', async () => {
    const network = encoded(chain(), 'dense1.weight');
    const one = await trainer(network);
    const [values, memory] = [one.snapshot(), one.optimizerState()];
    const last = [...network.parameters.keys()].at(-1)!;
    const moved = new Map(
      [...values.parameters].map(([name, encoding]) => [
        name,
        encoding.kind === 'dense' ? { ...encoding, data: encoding.data.map((value) => value + 1) } : encoding,
      ]),
    );
    moved.delete(last);
    expect(() => one.restore({ ...values, parameters: moved })).toThrow(expect.objectContaining({ code: 'SHAPE' }));
    expect(one.snapshot()).toEqual(values);
    const filled = new Map(
      [...memory].map(([slot, data], i) => [slot, i < memory.size - 1 ? data.map(() => 1) : data.slice(1)]),
    );
    expect(() => one.restoreOptimizer(filled)).toThrow(expect.objectContaining({ code: 'CHECKPOINT' }));
    expect(one.optimizerState()).toEqual(memory);
  });

  it('restore refuses codes and signs that lie otherwise, though codewords and shape are as many', async () => {
    const network = encoded(chain(), 'dense1.weight');
    const one = await trainer(network);
    const before = one.predict(new Float32Array(3 * 128).fill(0.5), 3);
    const encoding = network.parameters.get('dense1.weight') as ProductEncoding;
    const [block] = encoding.blocks;
    const { signs: _signs, ...unsigned } = block;
    // 5 codewords of 4 against 10 of 2: 20 numbers both, but twice the codes.
    const finer = {
      ...block,
      subspaceCount: 2 * block.subspaceCount,
      subvectorLength: 2,
      codewordCount: 10,
      codes: new Uint16Array(2 * block.codes.length),
    };
    for (const other of [unsigned, finer]) {
      const parameters = new Map(network.parameters).set('dense1.weight', {
        ...encoding,
        blocks: [other, ...encoding.blocks.slice(1)],
      });
      expect(() => one.restore({ ...network, parameters })).toThrow(
        /"dense1.weight" is missing or is stored in another way/,
      );
    }
    one.changed();
    expect(one.predict(new Float32Array(3 * 128).fill(0.5), 3)).toEqual(before);
  });

  it('running statistics that are frozen stay, the others move; the training pass itself is the same', async () => {
    const network = sequential({ input: [3], seed: 1 }, [batchNorm(), dense(2), batchNorm()]);
    const free = await trainer(network, { kernels: simd });
    const frozen = await trainer(network, {
      kernels: simd,
      frozen: new Set(['batchNorm1.mean', 'batchNorm1.variance', 'batchNorm2.variance']),
    });
    for (const one of [free, frozen]) {
      prepare(one, 1);
      one.forwardTraining(1);
    }
    expect(frozen.output()).toEqual(free.output());
    const [now, moved] = [frozen.snapshot().parameters, free.snapshot().parameters];
    for (const name of ['batchNorm1.mean', 'batchNorm1.variance', 'batchNorm2.variance']) {
      expect(now.get(name)).toEqual(network.parameters.get(name));
      expect(moved.get(name)).not.toEqual(network.parameters.get(name));
    }
    expect(now.get('batchNorm2.mean')).toEqual(moved.get('batchNorm2.mean'));
  });

  it('wrong arguments are named', async () => {
    await expect(createTrainingExecutor(chain(), undefined as never)).rejects.toThrow(
      /createTrainingExecutor: optimizer.kind/,
    );
    await expect(trainer(chain(), { optimizer: undefined as never })).rejects.toThrow(
      /optimizer.kind: expected one of sgd, adam, got undefined/,
    );
    await expect(trainer(chain(), { frozen: new Set(['conv1.weigth']) })).rejects.toThrow(
      /frozen: expected names of parameters of "network", got "conv1.weigth"/,
    );
    await expect(trainer(chain(), { watch: ['nowhere'] })).rejects.toThrow(/createTrainingExecutor: watch/);
    const one = await trainer(chain(), { optimizer: { ...sgd, kind: 'adam' } });
    expect(() => one.update({ rate: 0.1, clip: 0 }, 0)).toThrow(
      /update: step: expected an integer of at least 1, got 0/,
    );
  });

  it('after dispose every call that needs the memory says DISPOSED', async () => {
    const one = await createTrainingExecutor(chain(), { kernels: portable, optimizer: sgd });
    const network = one.snapshot();
    const state = one.optimizerState();
    one.dispose();
    one.dispose();
    const calls = [
      () => one.input(),
      () => one.output(),
      () => one.forward(),
      () => one.forwardTraining(1),
      () => one.outputGradient(),
      () => one.backward(),
      () => one.update({ rate: 1, clip: 0 }, 1),
      () => one.gradient('conv1.weight'),
      () => one.values('conv1.weight'),
      () => one.snapshot(),
      () => one.restore(network),
      () => one.optimizerState(),
      () => one.restoreOptimizer(state),
    ];
    for (const call of calls) expect(call, String(call)).toThrow(expect.objectContaining({ code: 'DISPOSED' }));
  });

  it('a whole step gives the same bits for 1, 2, 3 and 4 threads', async () => {
    const results = await Promise.all(
      [1, 2, 3, 4].map(async (threads) => {
        const one = await trainer(encoded(skips(), 'conv2.weight'), { kernels: simd, threads, batch: 9 });
        const weights = prepare(one, 7);
        for (let n = 1; n <= 2; n++) {
          one.forwardTraining(n);
          one.outputGradient().set(weights);
          one.backward();
          one.update({ rate: 0.05, clip: 1 }, n);
        }
        return one.snapshot().parameters;
      }),
    );
    for (const result of results) expect(result).toEqual(results[0]);
  });

  it('packs the weights of all layers in one step, so that threads share it', async () => {
    let programs: readonly Program[] = [];
    const kernels: KernelSet = {
      ...portableKernels(),
      open(options) {
        programs = options.programs ?? [];
        return portableKernels().open(options);
      },
    };
    (await createTrainingExecutor(chain(), { kernels, batch: 2, optimizer: sgd })).dispose();
    const packs = programs[0].filter(({ kernel }) => kernel === 'convolutionPack');
    // Forward and backward of the second convolution; of the first forward alone, since nobody asks for the input's
    // gradient.
    expect(packs.map(({ pieces }) => pieces.length)).toEqual([3]);
  });

  it('the norm is that of all gradients, and clipping bounds the step', async () => {
    const one = await trainer(chain(), { optimizer: { ...sgd, momentum: 0, weightDecay: 0 } });
    const before = one.snapshot();
    const weights = prepare(one, 1);
    one.forwardTraining(1);
    one.outputGradient().set(weights);
    one.backward();
    const names = [...before.parameters.keys()].filter((name) => !name.startsWith('affine'));
    const norm = Math.sqrt(names.reduce((sum, name) => sum + dot(one.gradient(name), one.gradient(name)), 0));
    const found = one.update({ rate: 1, clip: norm / 10 }, 1);
    expect(Math.abs(found / norm - 1)).toBeLessThan(1e-5);
    const after = one.snapshot();
    const moved = Math.sqrt(
      names.reduce((sum, name) => {
        const [a, b] = [before.parameters.get(name)!, after.parameters.get(name)!];
        return a.kind === 'dense' && b.kind === 'dense'
          ? sum + a.data.reduce((s, v, i) => s + (v - b.data[i]) ** 2, 0)
          : sum;
      }, 0),
    );
    expect(Math.abs(moved / (norm / 10) - 1)).toBeLessThan(1e-4);
  });

  it('memory does not grow from step to step', async () => {
    const one = await trainer(chain(), { kernels: simd });
    const { words } = one.workspace.heap;
    const weights = prepare(one, 1);
    for (let n = 1; n <= 50; n++) {
      one.forwardTraining(n);
      one.outputGradient().set(weights);
      one.backward();
      one.update({ rate: 0.001, clip: 5 }, n);
    }
    expect(one.workspace.heap.words).toBe(words);
  });
});
