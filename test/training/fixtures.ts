/** Small sets, networks and kernels for the tests of training. */
import { portableKernels } from '../../src/kernels/index.ts';
import { trainedValues } from '../../src/encodings/index.ts';
import type { KernelSet } from '../../src/kernels/index.ts';
import { dense, glorotUniform, sequential, tanh } from '../../src/network/index.ts';
import type { Examples, Pass } from '../../src/graph/examples.ts';
import type { Network } from '../../src/graph/network.ts';
import { normal, stream } from '../../src/base/random.ts';
import { sizeOf } from '../../src/base/tensor.ts';
import type { Context } from '../../src/graph/transform.ts';

export interface ArraySet extends Examples {
  /** What has been read so far, in order. */
  readonly reads: { readonly indices: number[]; readonly pass: Pass | undefined }[];
}

/** A set in memory. targets undefined: unlabelled. */
export function arraySet(
  inputShape: readonly number[],
  inputs: Float32Array,
  targetShape?: readonly number[],
  targets?: Float32Array,
): ArraySet {
  const inputSize = sizeOf(inputShape);
  const reads: ArraySet['reads'] = [];
  return {
    count: inputs.length / inputSize,
    inputShape,
    reads,
    ...(targetShape ? { targetShape } : {}),
    read(indices, inputsOut, targetsOut, pass) {
      reads.push({ indices: Array.from(indices), pass });
      Array.from(indices).forEach((sample, i) => {
        inputsOut.set(inputs.subarray(sample * inputSize, (sample + 1) * inputSize), i * inputSize);
        if (!targetsOut || !targetShape || !targets) return;
        const size = sizeOf(targetShape);
        targetsOut.set(targets.subarray(sample * size, (sample + 1) * size), i * size);
      });
    },
  };
}

/** x normal in 3 dimensions, y = (sin x0 + x1 x2 / 4, x0 - x1 / 2). */
export function smoothSet(count: number, seed: number): ArraySet {
  const random = stream(seed, 'test');
  const x = Float32Array.from({ length: 3 * count }, () => normal(random));
  const y = Float32Array.from({ length: 2 * count }, (_, i) => {
    const [a, b, c] = x.subarray(3 * (i >> 1));
    return i & 1 ? a - b / 2 : Math.sin(a) + (b * c) / 4;
  });
  return arraySet([3], x, [2], y);
}

/** Points around three centres in the plane, and which one: [2] -> label. */
export function classSet(count: number, seed: number): ArraySet {
  const random = stream(seed, 'test');
  const labels = Float32Array.from({ length: count }, (_, i) => i % 3);
  const x = Float32Array.from(
    { length: 2 * count },
    (_, i) => 2 * Math.cos((labels[i >> 1] * 2 * Math.PI) / 3 - (i & 1 ? Math.PI / 2 : 0)) + 0.2 * normal(random),
  );
  return arraySet([2], x, [], labels);
}

/** 3 -> hidden -> 2. */
export function tiny(seed = 0, hidden = 8): Network {
  return sequential({ input: [3], seed, name: 'tiny' }, [
    dense(hidden, { name: 'first', initializer: glorotUniform }),
    tanh(),
    dense(2, { name: 'second', initializer: glorotUniform }),
  ]);
}

export function context(training: Examples | undefined, more: Partial<Context> = {}): Context {
  return { kernels: portableKernels(), threads: 1, seed: 1, ...(training ? { training } : {}), ...more };
}

/** Portable kernels that count open workspaces. */
export function countingKernels(): { kernels: KernelSet; open: () => number } {
  const base = portableKernels();
  let count = 0;
  return {
    open: () => count,
    kernels: {
      ...base,
      async open(options) {
        const workspace = await base.open(options);
        count++;
        return {
          ...workspace,
          dispose: () => {
            count--;
            workspace.dispose();
          },
        };
      },
    },
  };
}

/** All trained values of a network as bytes, by name: what "the same bytes" means. */
export function bytesOf(network: Network): Record<string, string> {
  return Object.fromEntries(
    [...network.parameters].map(([name, encoding]) => [
      name,
      Buffer.from(trainedValues(encoding).buffer).toString('hex'),
    ]),
  );
}
