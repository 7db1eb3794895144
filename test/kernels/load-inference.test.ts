import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { createTrainingExecutor } from '../../src/execution/training-executor.ts';
import { ALL_SELECTION } from '../../src/kernels/selection/all.ts';
import {
  geometryWords,
  loadInferenceKernels,
  loadKernels,
  type KernelName,
  type Step,
  type KernelSet,
  type Program,
} from '../../src/kernels/index.ts';
import { INFERENCE_SELECTION } from '../../src/kernels/selection/inference.ts';
import { KERNELS } from '../../src/kernels/specification/kernels.ts';
import { namesOf } from '../../src/kernels/selection/selection.ts';
import { dense } from '../../src/network/layers.ts';
import { sequential } from '../../src/network/build.ts';
import { geometries, normals, seeds } from './bench.ts';

const PREFERENCES = ['portable', 'simd'] as const;
const lacking = namesOf(ALL_SELECTION).filter((name) => !namesOf(INFERENCE_SELECTION).includes(name));
/** A program that calls one kernel once, with all arguments 0. */
const calling = (kernel: KernelName): Program => {
  const piece = Object.fromEntries(KERNELS[kernel].arguments.map((name) => [name, 0]));
  return [{ kernel, pieces: [piece] } as unknown as Step];
};

describe('loadInferenceKernels', () => {
  let pairs: readonly (readonly [inference: KernelSet, all: KernelSet])[];
  beforeAll(async () => {
    pairs = await Promise.all(
      PREFERENCES.map(
        async (prefer) => [await loadInferenceKernels({ prefer }), await loadKernels({ prefer })] as const,
      ),
    );
  });

  it('lacks the gradients, the optimizers and the fitting of codebooks', () => {
    expect(lacking).toEqual(
      expect.arrayContaining([
        'convolutionBackwardInput',
        'convolutionBackwardWeights',
        'activationBackward',
        'maxPoolBackward',
        'batchNormForward',
        'sgdUpdate',
        'adamUpdate',
        'nearestCodeword',
        'codebookPullback',
      ]),
    );
    for (const [inference] of pairs) {
      const { kernels } = inference.openSync({ words: 8, scratchWords: 0 });
      expect(lacking.filter((name) => name in kernels)).toEqual([]);
      expect(namesOf(INFERENCE_SELECTION).filter((name) => typeof kernels[name] !== 'function')).toEqual([]);
    }
  });

  it('refuses a program that names a kernel it lacks with UNSUPPORTED, the kernel named, whichever it is', async () => {
    for (const [inference, all] of pairs) {
      for (const kernel of lacking) {
        const options = { words: 8, scratchWords: 0, programs: [[], calling(kernel)] };
        const refusal = expect.objectContaining({
          code: 'UNSUPPORTED',
          details: { name: kernel },
          message: expect.stringMatching(
            new RegExp(
              `programs\\[1\\]\\[0\\]: kernel: this set has no "${kernel}", only matmul, .*; loadKernels\\(\\) gives all`,
            ),
          ),
        });
        expect(() => inference.openSync(options)).toThrow(refusal);
        await expect(inference.open({ ...options, threads: 2 })).rejects.toThrow(refusal);
        expect(() => all.openSync(options)).not.toThrow();
      }
      for (const kernel of namesOf(INFERENCE_SELECTION))
        expect(() => inference.openSync({ words: 8, scratchWords: 0, programs: [calling(kernel)] })).not.toThrow();
    }
  });

  it('cannot train, and says so instead of failing later', async () => {
    const optimizer = {
      kind: 'sgd',
      momentum: 0,
      nesterov: false,
      beta1: 0.9,
      beta2: 0.999,
      epsilon: 1e-8,
      decoupled: false,
      weightDecay: 0,
      codewordGradient: 'mean',
    } as const;
    const network = sequential({ input: [3] }, [dense(2)]);
    for (const [kernels] of pairs) {
      await expect(createTrainingExecutor(network, { kernels, optimizer })).rejects.toThrow(
        expect.objectContaining({ code: 'UNSUPPORTED' }),
      );
    }
  });

  it('gives the bits of loadKernels and as much packed weight and scratch, on one thread and two', async () => {
    for (const [inference, all] of pairs) {
      for (const threads of [1, 2]) {
        await fc.assert(
          fc.asyncProperty(geometries({ channels: true }), seeds, async (geometry, seed) => {
            const {
              channelsIn,
              heightIn,
              widthIn,
              channelsOut,
              heightOut,
              widthOut,
              kernelHeight,
              kernelWidth,
              groups,
            } = geometry;
            const sizeIn = channelsIn * heightIn * widthIn,
              sizeOut = channelsOut * heightOut * widthOut,
              weights = channelsOut * (channelsIn / groups) * kernelHeight * kernelWidth;
            const packed = inference.sizes.packedWords(geometry, 'forward');
            expect(packed).toBe(all.sizes.packedWords(geometry, 'forward'));
            const at = {
              w: 16,
              x: 16 + weights,
              y: 16 + weights + 2 * sizeIn,
              packed: 16 + weights + 2 * sizeIn + 2 * sizeOut,
            };
            const program: Program = [
              { kernel: 'convolutionPack', pieces: [{ geometry: 0, weights: at.w, packed: at.packed, transposed: 0 }] },
              {
                kernel: 'convolutionForward',
                pieces: [0, 1].map((sample) => ({
                  geometry: 0,
                  x: at.x,
                  packed: at.packed,
                  bias: -1,
                  y: at.y,
                  sample,
                  samples: 1,
                  position: 0,
                  positions: heightOut * widthOut,
                  activation: 0,
                  parameters: -1,
                })),
              },
              {
                kernel: 'softmaxForward',
                pieces: [0, 1].map((sample) => ({
                  x: at.y + sample * sizeOut,
                  y: at.y + sample * sizeOut,
                  ...{ outer: 1, length: sizeOut, inner: 1, count: 1 },
                })),
              },
            ];
            const [ours, theirs] = await Promise.all(
              [inference, all].map(async (set) => {
                const scratchWords = Math.max(
                  set.sizes.scratchWords('convolutionPack', geometry),
                  set.sizes.scratchWords('convolutionForward', geometry),
                );
                const workspace = await set.open({
                  words: at.packed + packed,
                  scratchWords,
                  programs: [program],
                  threads,
                });
                workspace.heap.int.set(geometryWords(geometry));
                workspace.heap.float.set(normals(seed, weights + 2 * sizeIn), at.w);
                workspace.run(0);
                const result = workspace.heap.int.slice(0, at.packed + packed);
                workspace.dispose();
                return { scratchWords, result };
              }),
            );
            expect(ours.scratchWords).toBe(theirs.scratchWords);
            expect(Buffer.compare(Buffer.from(ours.result.buffer), Buffer.from(theirs.result.buffer))).toBe(0);
          }),
          { numRuns: threads === 1 ? 20 : 2 },
        );
      }
    }
  });
});
