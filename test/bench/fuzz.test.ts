/** A slice of `npm run fuzz`, and that the fuzzer finds what is planted. */
import { allowedBytes, overdrawn, startCounting } from '../../bench/fuzz/guard.ts';
import { afterAll, describe, expect, it } from 'vitest';
import { startCoverage } from '../../bench/fuzz/coverage.ts';
import type { Target } from '../../bench/fuzz/targets.ts';
import { stream } from '../../src/base/random.ts';
import { roomFor } from '../../src/onnx/room.ts';

const coverage = startCoverage();
const { fuzz, readCorpus, TARGETS } = await import('../../bench/fuzz/fuzz.ts');
const { mutate } = await import('../../bench/fuzz/mutate.ts');
const { Finding, seal } = await import('../../bench/fuzz/targets.ts');
const { writeNetwork, readNetwork, sequential, dense, EspalierError } = await import('espalier');

/** Milliseconds per execution differ by a hundred. */
const EXECUTIONS: Readonly<Record<string, number>> = { 'train-checkpoint': 64, 'compress-checkpoint': 32 };
/** A batch of the fuzzer; what its seeds and the corpus find comes beside. `npm run fuzz` goes on. */
const OF_EACH = 256;

afterAll(() => coverage.stop());

describe.each(TARGETS)('mutated input of $name', (target) => {
  it('gives a value or an error of the contract, in little time and memory', async () => {
    const { findings, accepted, executions } = await fuzz(target, {
      executions: EXECUTIONS[target.name] ?? OF_EACH,
      seed: 1,
      corpus: readCorpus(target.name),
      coverage,
    });
    expect(findings.map(({ problem }) => problem)).toEqual([]);
    // Some get in and some do not: the door is open, and the seeds are of its kind.
    expect(accepted).toBeGreaterThan(0);
    expect(executions).toBe(EXECUTIONS[target.name] ?? OF_EACH);
  });
});

describe('the fuzzer', () => {
  /** An error whose text did not go through the constructor, which bounds it and makes it visible. */
  const told = (message: string): Error => Object.assign(new EspalierError('FIELD', ''), { message });
  const planted = (read: Target['read']): Target => ({
    name: 'planted',
    about: '',
    words: [],
    seeds: async () => [Uint8Array.of(1, 2, 3, 4), new Uint8Array(12)],
    read,
  });
  const problemsOf = async (read: Target['read'], executions = 2000): Promise<string> =>
    (await fuzz(planted(read), { executions, seed: 1, corpus: [], coverage })).findings
      .map(({ problem }) => problem)
      .join('; ');

  it.each<[string, Target['read'], RegExp]>([
    [
      'an error of the engine',
      (bytes) => void (bytes[2] === 0xff && (undefined as unknown as Uint8Array)[0]),
      /TypeError/,
    ],
    ['an engine error of a promise', async (bytes) => void (bytes[2] === 0xff && BigInt(0.5)), /RangeError/],
    [
      'an allocation that the input does not explain',
      (bytes) => void (bytes[0] > 200 && new Float64Array(2 ** 24)),
      /^134217728 bytes held, \d+ allowed$/,
    ],
    [
      'one whose error is swallowed',
      (bytes) => {
        try {
          if (bytes[0] > 200) new ArrayBuffer(2 ** 40);
        } catch {
          throw new EspalierError('BUDGET', 'too large');
        }
      },
      /bytes held/,
    ],
    [
      'pieces that are held at one time',
      (bytes) => {
        const pieces: Uint8Array[] = [];
        if (bytes[0] === 0x7f) for (let i = 0; i < 8; i++) pieces.push(new Uint8Array(2 ** 24));
        return () => void (pieces.length = 0);
      },
      /bytes held/,
    ],
    [
      'what is not true of what was read',
      (bytes) => () => {
        if (bytes.length > 20) throw new Finding('too long behind it');
      },
      /^too long behind it$/,
    ],
    ['a changed input', (bytes) => void (bytes[0] === 7 && (bytes[1] ^= 1)), /input was changed/],
    [
      'a wrong result',
      (bytes) => {
        if (bytes.length > 20) throw new Finding('too long');
      },
      /^too long$/,
    ],
    [
      'raw characters in an error',
      (bytes) => {
        if (bytes[0] === 0x7f) throw told('a \u001b[31m name');
      },
      /raw characters/,
    ],
    [
      'an endless error',
      (bytes) => {
        if (bytes[0] === 0x7f) throw told('x'.repeat(5000));
      },
      /error of 5000 characters/,
    ],
  ])('finds %s', async (_what, read, problem) => {
    expect(await problemsOf(read)).toMatch(problem);
  });

  it('lets pass what is given back before more is asked for', async () => {
    let largest = 0;
    const read = (bytes: Uint8Array): void => {
      if (bytes[0] > 200) for (let i = 0; i < 8; i++) largest = Math.max(largest, new Uint8Array(2 ** 24).length);
    };
    expect(await problemsOf(read, 48)).toBe('');
    expect(largest).toBe(2 ** 24);
  });

  it('allows readOnnx to hold what it allows itself', () => {
    const { times } = TARGETS.find(({ name }) => name === 'onnx')!;
    for (const bytes of [0, 1, 12345]) expect(allowedBytes(bytes, times)).toBe(roomFor(bytes).limit);
  });

  it('found a model that is read twice: constants of 64 MiB are let go before the second reading', () => {
    const { times = 0, read } = TARGETS.find(({ name }) => name === 'onnx')!;
    const [bytes] = readCorpus('onnx-held');
    startCounting(bytes.length, { times, exactly: true });
    expect(() => read(bytes)).toThrow(/Reshape.*elements do not fill/);
    expect(overdrawn.message).toBe('');
  });

  it('finds time that the input does not explain', async () => {
    // The one seed of twelve zeros, a second in all: it is tried anew before it is called slow.
    const wait = (bytes: Uint8Array): void => {
      const before = process.cpuUsage();
      const long = bytes.length === 12 && bytes.every((byte) => byte === 0) ? 300_000 : 0;
      // Asking takes time of the system, too.
      let sum = 0;
      while (process.cpuUsage(before).user < long) for (let i = 0; i < 1e6; i++) sum += Math.sqrt(i);
      expect(sum).toBeGreaterThanOrEqual(0);
    };
    expect(await problemsOf(wait, 1)).toMatch(/it takes [3-6]\d\d ms/);
  });

  it('finds nothing where there is nothing, and is led by the code that runs', async () => {
    // Three bytes in a row are right by chance once in 2^24; one by one each opens a branch for which it is kept.
    const reached = new Set<number>();
    const read = (bytes: Uint8Array): void => {
      let depth = 0;
      if (bytes[0] === 0x45) {
        depth = 1;
        if (bytes[1] === 0xa3) {
          depth = 2;
          if (bytes[2] === 0x9c) depth = 3;
        }
      }
      reached.add(depth);
    };
    const covers = (url: string): boolean => url.includes('fuzz.test');
    const run = (seen: (url: string) => boolean): ReturnType<typeof fuzz> =>
      fuzz(planted(read), { executions: 60_000, seed: 1, corpus: [], coverage, covers: seen });
    const blind = await run(() => false);
    expect(blind.kept).toEqual([]);
    expect(Math.max(...reached)).toBeLessThan(3);
    const led = await run(covers);
    expect(led.findings).toEqual([]);
    expect(Math.max(...reached)).toBe(3);
  });
});

describe('mutation', () => {
  const corpus = [new TextEncoder().encode('{"shape":[12,3],"x":"y"}'), new Uint8Array(40).fill(7)];
  const draw = (seed: number): Uint8Array[] => {
    const random = stream(seed, 'mutate');
    return Array.from({ length: 300 }, () => mutate(corpus, [Uint8Array.of(1, 2, 3)], random));
  };

  it('is the same for the same seed, another for another, and leaves the corpus alone', () => {
    const before = corpus.map((bytes) => bytes.slice());
    expect(draw(1)).toEqual(draw(1));
    expect(draw(1)).not.toEqual(draw(2));
    expect(corpus).toEqual(before);
    const changed = draw(1).filter((bytes) => !corpus.some((own) => Buffer.compare(own, bytes) === 0));
    expect(changed.length).toBeGreaterThan(240);
  });

  it('is followed by a checksum that is right where one is wanted', () => {
    const file = writeNetwork(sequential({ input: [2], seed: 1 }, [dense(2)]));
    const damaged = file.slice();
    damaged[damaged.length - 1] ^= 1;
    expect(() => readNetwork(damaged)).toThrow(/checksum/);
    expect(readNetwork(seal(damaged)).parameters.size).toBe(2);
    expect(seal(file)).toEqual(file);
    expect(seal(file.subarray(0, 40))).toEqual(file.subarray(0, 40));
  });
});
