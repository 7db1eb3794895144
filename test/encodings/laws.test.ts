/** What holds for every kind of encoding: each law runs over the whole table, so a new kind is held to it unasked. */
import { readdirSync } from 'node:fs';
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { sizeOf } from '../../src/base/tensor.ts';
import {
  canonicalEncoding,
  checkLengths,
  decode,
  describeEncoding,
  encodingOperations,
  encodingSize,
  fillEncoding,
  placeEncoding,
  pullback,
  readEncoding,
  sameStructure,
  trainedCount,
  trainedCounts,
  trainedValues,
  withTrainedValues,
  writeEncoding,
  type Encoding,
  type EncodingKind,
} from '../../src/encodings/index.ts';
import { matrixSides } from '../../src/encodings/checks.ts';
import { OPERATIONS } from '../../src/encodings/operations.generated.ts';
import { READINGS } from '../../src/encodings/readings.generated.ts';
import { createExecutor } from '../../src/execution/executor.ts';
import { createTrainingExecutor } from '../../src/execution/training-executor.ts';
import type { Network } from '../../src/graph/network.ts';
import { loadKernels, portableKernels } from '../../src/kernels/index.ts';
import { createHeap } from '../../src/kernels/workspace/heap.ts';
import { dense, sequential } from '../../src/network/index.ts';
import { bitsOf, ENCODINGS, throughFile, toHalf } from './arbitraries.ts';

const kinds = Object.keys(OPERATIONS) as EncodingKind[];
const sets = [portableKernels(), await loadKernels({ prefer: 'simd' })];
const failing = (code: string): unknown => expect.objectContaining({ code });

test('every file of kinds/ is in both tables under its own name, and has an arbitrary', () => {
  const files = readdirSync(new URL('../../src/encodings/kinds', import.meta.url)).map((file) => file.split('.')[0]);
  expect(kinds).toEqual(files.sort());
  expect(Object.keys(READINGS)).toEqual(kinds);
  for (const kind of kinds) {
    expect([OPERATIONS[kind].kind, READINGS[kind].kind]).toEqual([kind, kind]);
    expect(ENCODINGS, `an arbitrary for ${kind}`).toHaveProperty(kind);
  }
});

test('an unknown kind is refused, also one that objects inherit', () => {
  for (const kind of ['ternary', 'toString', '__proto__'])
    expect(() => encodingOperations(kind)).toThrow(failing('FIELD'));
});

/** The trained values again, all different and none zero: what a wrong offset or order would show. */
const others = (encoding: Encoding): Float32Array =>
  Float32Array.from({ length: trainedCount(encoding) }, (_, i) => Math.sin(i + 1));

describe.each(kinds)('%s', (kind) => {
  const encodings: fc.Arbitrary<Encoding> = ENCODINGS[kind];
  const law = (check: (encoding: Encoding) => void, numRuns = 100): void =>
    fc.assert(fc.property(encodings, check), { numRuns });

  test('bits counted = bits written', () => {
    law((encoding) => {
      const { total, values, codes, signs, codebooks } = encodingSize(encoding);
      expect(total).toBe(8 * writeEncoding(encoding).tensors.reduce((sum, { bytes }) => sum + bytes.length, 0));
      expect(total).toBe(values + codes + signs + codebooks);
    });
  });

  test('stored tensors have the bytes of their dtype and shape, which is what safetensors wants', () => {
    const bytesPer = { F32: 4, F16: 2, U8: 1, U16: 2, I32: 4 };
    law((encoding) => {
      for (const { dtype, shape, bytes } of writeEncoding(encoding).tensors)
        expect(bytes.length).toBe(bytesPer[dtype] * sizeOf(shape));
    });
  });

  test('what is written is read back the same, bit for bit: -0, subnormals and halves too', () => {
    law((encoding) => {
      const { header, get } = throughFile(writeEncoding(encoding));
      const read = readEncoding('w', header, get);
      expect(read).toEqual(encoding);
      expect(bitsOf(trainedValues(read))).toEqual(bitsOf(trainedValues(encoding)));
      expect(bitsOf(decode(read))).toEqual(bitsOf(decode(encoding)));
    }, 200);
  });

  test('a tensor that is a byte longer or shorter, or of another type, is refused with a code', () => {
    law((encoding) => {
      const { header, tensors } = writeEncoding(encoding);
      tensors.forEach((tensor, i) => {
        const changes = [
          { bytes: new Uint8Array(tensor.bytes.length + 1) },
          { bytes: tensor.bytes.subarray(1) },
          { dtype: 'I32' as const },
        ].filter(({ bytes }) => bytes?.length !== tensor.bytes.length);
        for (const change of changes)
          expect(() =>
            readEncoding('w', header, throughFile({ header, tensors: tensors.with(i, { ...tensor, ...change }) }).get),
          ).toThrow(failing(expect.stringMatching(/^(PQ_PARAM|SHAPE|FIELD)$/) as string));
      });
    }, 30);
  });

  test('whatever number a header holds: a code, or an encoding whose arrays are as long as its shape says', () => {
    const hostile = fc.constantFrom<unknown>(-1, 0, 1, 1.5, 3, 2 ** 31, 2 ** 53, 1e300, NaN, null, 'x', [], {}, [[1]]);
    fc.assert(
      fc.property(encodings, fc.nat(), hostile, (encoding, which, value) => {
        const { header, tensors } = writeEncoding(encoding);
        // A path to any leaf or list of the header but its kind.
        const paths: (string | number)[][] = [];
        const visit = (node: unknown, path: (string | number)[]): void => {
          if (path.length > 0) paths.push(path);
          if (typeof node === 'object' && node !== null)
            for (const [key, inner] of Object.entries(node)) if (key !== 'kind') visit(inner, [...path, key]);
        };
        visit(header, []);
        const changed = structuredClone(header) as unknown as Record<string | number, unknown>;
        const path = paths[which % paths.length];
        const holder = path.slice(0, -1).reduce((node, key) => node[key] as typeof changed, changed);
        holder[path[path.length - 1]] = value;
        const { get } = throughFile({ header, tensors });
        let read: Encoding | undefined;
        try {
          read = readEncoding('w', changed as unknown as typeof header, get);
        } catch (error) {
          expect(error).toMatchObject({ name: 'EspalierError' });
        }
        if (read) checkLengths('w', read);
      }),
      { numRuns: 300 },
    );
  });

  test('withTrainedValues(trainedValues) is the identity, and other values arrive', () => {
    law((encoding) => {
      const values = trainedValues(encoding);
      expect(values.length).toBe(trainedCount(encoding));
      expect(withTrainedValues(encoding, values)).toEqual(encoding);
      const other = others(encoding);
      expect(trainedValues(withTrainedValues(encoding, other))).toEqual(other);
      expect(trainedValues(encoding)).toEqual(values);
    });
  });

  test('pullback is the transpose of decode: <g, decode(dv)> = <pullback(g), dv> within 2^-23 of the terms', () => {
    law((encoding) => {
      const direction = others(encoding);
      const decoded = decode(withTrainedValues(encoding, direction));
      const gradient = Float64Array.from(decoded, (_, i) => Math.cos(3 * i));
      const { gradient: pulled } = pullback(encoding, gradient);
      const left = gradient.reduce((sum, value, i) => sum + value * decoded[i], 0),
        right = pulled.reduce((sum, value, i) => sum + value * direction[i], 0),
        terms = gradient.reduce((sum, value, i) => sum + Math.abs(value * decoded[i]), 0);
      // Decoded weights are rounded to float32, each by at most 2^-24 of itself.
      expect(Math.abs(left - right)).toBeLessThanOrEqual(2 ** -23 * terms + 1e-12);
      expect(pullback(encoding, Float32Array.from(gradient)).gradient).toBeInstanceOf(Float32Array);
    });
  });

  test('counts are the squares of the shares of a trained value in the weights', () => {
    law((encoding) => {
      const counts = trainedCounts(encoding);
      expect(pullback(encoding, decode(encoding)).counts).toEqual(counts);
      expect(counts.length).toBe(trainedCount(encoding));
      for (const i of [0, counts.length >> 1, counts.length - 1].filter((i) => i >= 0 && i < counts.length)) {
        const one = new Float32Array(counts.length);
        one[i] = 1;
        const squares = decode(withTrainedValues(encoding, one)).reduce((sum, share) => sum + share * share, 0);
        expect(counts[i]).toBe(Math.fround(squares));
      }
    }, 50);
  });

  test('decode fills a given array of exact length; values and gradients of a wrong length are refused', () => {
    law((encoding) => {
      const out = new Float32Array(decode(encoding).length);
      expect(out.length).toBe(sizeOf(encoding.shape));
      expect(decode(encoding, out)).toBe(out);
      expect(bitsOf(out)).toEqual(bitsOf(decode(encoding)));
      expect(() => decode(encoding, new Float32Array(out.length + 1))).toThrow(RangeError);
      expect(() => withTrainedValues(encoding, new Float32Array(trainedCount(encoding) + 1))).toThrow(RangeError);
      expect(() => pullback(encoding, new Float32Array(out.length + 1))).toThrow(RangeError);
    }, 30);
  });

  test('the canonical form decodes to the same bits, takes the same bits, fits the same place, and is its own', () => {
    law((encoding) => {
      for (const one of [encoding, withTrainedValues(encoding, others(encoding))]) {
        const canonical = canonicalEncoding(one);
        expect(bitsOf(decode(canonical))).toEqual(bitsOf(decode(one)));
        expect(encodingSize(canonical)).toEqual(encodingSize(one));
        expect(sameStructure(canonical, one)).toBe(true);
        expect(canonicalEncoding(canonical)).toEqual(canonical);
      }
    }, 200);
  });

  test('in halves, if at all: each trained value within 2^-11 of itself, of any size; they survive the file; undefined if one is infinite, or 0 and was not', () => {
    const { toHalves } = encodingOperations(kind);
    if (!toHalves) return;
    const sizes = fc.constantFrom(1, 2e-9, 1e-30, 1e-42, 1e9);
    fc.assert(
      fc.property(encodings, sizes, (drawn, size) => {
        const encoding = withTrainedValues(
          drawn,
          trainedValues(drawn).map((value) => value * size),
        );
        const values = trainedValues(encoding);
        const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
        const halves = toHalves(encoding);
        // Eleven bits of the largest float32 round up to 2^128.
        if (largest >= (2 - 2 ** -11) * 2 ** 127) expect(halves).toBeUndefined();
        else if (!halves)
          expect(values.some((value) => value !== 0 && Math.abs(value) < 2 ** -38 * largest)).toBe(true);
        if (!halves) return;
        trainedValues(halves).forEach((half, i) => {
          expect(Math.abs(half - values[i])).toBeLessThanOrEqual(2 ** -11 * Math.abs(values[i]) + 2 ** -39 * largest);
          // Of the usual size they are the plain halves of IEEE.
          if (size === 1 && Number.isFinite(toHalf(largest)) && Math.abs(values[i]) >= 2 ** -14)
            expect(half).toBe(toHalf(values[i]));
        });
        const { header, get } = throughFile(writeEncoding(halves));
        expect(readEncoding('w', header, get)).toEqual(halves);
        expect(encodingSize(halves).total).toBeLessThanOrEqual(encodingSize(encoding).total);
        expect(toHalves(halves)).toEqual(halves);
      }),
      { numRuns: 300 },
    );
  });

  test('its words are words, and depend on its structure alone', () => {
    law((encoding) => {
      expect(describeEncoding(encoding)).toMatch(/^\w/);
      expect(describeEncoding(withTrainedValues(encoding, others(encoding)))).toBe(describeEncoding(encoding));
    }, 20);
  });

  test('two of them have one structure if and only if their headers are equal, but for how values are stored', () => {
    fc.assert(
      fc.property(encodings, encodings, (a, b) => {
        // With values that are no halves there is no exponent of halves.
        const [one, other] = [a, b].map((encoding) =>
          JSON.stringify(writeEncoding(withTrainedValues(encoding, others(encoding))).header),
        );
        expect(sameStructure(a, b)).toBe(one === other);
      }),
      { numRuns: 500 },
    );
  });

  test('on a heap it asks for the same words by structure, and fills those and no others', () => {
    law((encoding) => {
      const parts: [number, number][] = [];
      const GUARD = 3;
      let top = sizeOf(encoding.shape) + 2 * GUARD;
      const room = {
        dense: GUARD,
        source(words: number) {
          parts.push([top, words]);
          return (top += words + GUARD) - words - GUARD;
        },
      };
      checkLengths('w', encoding);
      const place = placeEncoding(encoding, room);
      const inside = place.values === place.dense ? [[GUARD, sizeOf(encoding.shape)], ...parts] : [...parts];
      const heap = createHeap(top);
      heap.int.fill(-77);
      fillEncoding(heap, place, encoding);
      for (const [first, words] of inside) heap.int.fill(-77, first, first + words);
      expect(heap.int.findIndex((word) => word !== -77)).toBe(-1);
      const asked = [...parts];
      parts.length = 0;
      top = sizeOf(encoding.shape) + 2 * GUARD;
      const other = withTrainedValues(encoding, others(encoding));
      expect(sameStructure(encoding, other)).toBe(true);
      expect(placeEncoding(other, room)).toEqual(place);
      expect(parts).toEqual(asked);
    });
  });

  describe.each(sets.map((kernels) => [kernels.name, kernels] as const))('on %s kernels', (_name, kernels) => {
    const open: { dispose(): void }[] = [];
    afterEach(() => open.splice(0).forEach((one) => one.dispose()));

    /** y = x W^T with the encoding as W (as a matrix), for as many samples as W has columns: of the identity y is W^T. */
    const layer = (encoding: Encoding): { network: Network; rows: number; columns: number } | undefined => {
      const { rows, columns } = matrixSides(encoding.shape);
      if (rows * columns === 0) return undefined;
      const network = sequential({ input: [columns], seed: 1 }, [dense(rows, { bias: false })]);
      const [name] = network.parameters.keys();
      return {
        network: { ...network, parameters: new Map([[name, { ...encoding, shape: [rows, columns] }]]) },
        rows,
        columns,
      };
    };
    const identity = (values: { [i: number]: number }, columns: number): void => {
      for (let i = 0; i < columns; i++) values[i * columns + i] = 1;
    };
    /** Bits, but that a sum of zeros is 0 whatever their signs. */
    const bits = (values: ArrayLike<number>): Int32Array => bitsOf(Array.from(values, (value) => value + 0));

    test('decoding on the heap gives the bits that decode gives, in inference and in training', async () => {
      await fc.assert(
        fc.asyncProperty(encodings, async (encoding) => {
          const made = layer(encoding);
          if (!made) return;
          const { network, rows, columns } = made;
          const decoded = decode(encoding);
          const wanted = bits(
            Float32Array.from(decoded, (_, i) => decoded[(i % rows) * columns + Math.floor(i / rows)]),
          );
          const inference = await createExecutor(network, { kernels, batch: columns });
          open.push(inference);
          identity(inference.input(), columns);
          inference.forward();
          expect(bits(inference.output())).toEqual(wanted);
          const training = await createTrainingExecutor(network, { kernels, batch: columns, optimizer });
          open.push(training);
          identity(training.input(), columns);
          training.forwardTraining(1);
          expect(bits(training.output())).toEqual(wanted);
          open.splice(0).forEach((one) => one.dispose());
        }),
        { numRuns: 40 },
      );
    });

    test('the gradient on the heap is that of pullback within 2^-22 of its terms; snapshots hold the trained values', async () => {
      await fc.assert(
        fc.asyncProperty(encodings, async (encoding) => {
          const made = layer(encoding);
          if (!made) return;
          const { network, rows, columns } = made;
          const [[name]] = network.parameters;
          const training = await createTrainingExecutor(network, { kernels, batch: columns, optimizer });
          open.push(training);
          identity(training.input(), columns);
          training.forwardTraining(1);
          const gradient = Float32Array.from({ length: rows * columns }, (_, i) => Math.cos(3 * i));
          training.outputGradient().set(gradient.map((_, i) => gradient[(i % rows) * columns + Math.floor(i / rows)]));
          training.backward();
          const found = training.gradient(name),
            { gradient: wanted } = pullback(encoding, Float64Array.from(gradient)),
            // Shares may be of either sign: the sum of |terms| is at most the root of counts times members.
            counts = trainedCounts(encoding);
          expect(found.length).toBe(wanted.length);
          found.forEach((value, i) =>
            expect(Math.abs(value - wanted[i])).toBeLessThanOrEqual(
              2 ** -22 * Math.sqrt(counts[i] * gradient.length) + 1e-30,
            ),
          );
          const snapshot = training.snapshot().parameters.get(name)!;
          expect(bitsOf(trainedValues(snapshot))).toEqual(bitsOf(trainedValues(encoding)));
          expect(bits(decode(snapshot))).toEqual(bits(decode(encoding)));
          const other = { ...withTrainedValues(encoding, others(encoding)), shape: [rows, columns] };
          training.restore({ ...network, parameters: new Map([[name, other]]) });
          expect(bitsOf(training.values(name))).toEqual(bitsOf(trainedValues(other)));
          open.splice(0).forEach((one) => one.dispose());
        }),
        { numRuns: 40 },
      );
    });
  });
});

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
