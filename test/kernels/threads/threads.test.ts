import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import fc from 'fast-check';
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { EspalierError } from '../../../src/base/errors.ts';
import { ALL_SELECTION } from '../../../src/kernels/selection/all.ts';
import {
  geometryWords,
  type Geometry,
  type Kernels,
  type KernelSet,
  type Program,
  type Workspace,
} from '../../../src/kernels/index.ts';
import { CONTROL } from '../../../src/kernels/threads/pieces.ts';
import { portableBackend } from '../../../src/kernels/portable/set.ts';
import { threadHost, type Thread, type ThreadHost } from '../../../src/kernels/threads/thread-hosts.ts';
import { startCrew } from '../../../src/kernels/threads/threads.ts';
import { openOn, type Backend } from '../../../src/kernels/workspace/workspace.ts';
import { bothSets, normals } from '../bench.ts';

const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
const geometry: Geometry = {
  channelsIn: 3,
  heightIn: 9,
  widthIn: 9,
  channelsOut: 5,
  heightOut: 9,
  widthOut: 9,
  kernelHeight: 3,
  kernelWidth: 3,
  strideY: 1,
  strideX: 1,
  paddingTop: 1,
  paddingLeft: 1,
  dilationY: 1,
  dilationX: 1,
  groups: 1,
};
const AT = {
  geometry: 0,
  hyper: 16,
  clip: 32,
  slope: 48,
  x: 64,
  w: 2048,
  y: 4096,
  pooled: 8192,
  sums: 12288,
  parts: 13000,
  gradient: 14000,
  m: 15000,
  v: 16000,
  packed: 17000,
} as const;
const WORDS = 21000,
  SAMPLES = 7;

/** A small training step: each step reads what pieces of the one before wrote. */
function trainingStep(): Program {
  const planeIn = 3 * 81,
    planeOut = 5 * 81;
  return [
    { kernel: 'convolutionPack', pieces: [{ geometry: AT.geometry, weights: AT.w, packed: AT.packed, transposed: 0 }] },
    {
      kernel: 'convolutionForward',
      pieces: range(SAMPLES).map((n) => ({
        geometry: AT.geometry,
        x: AT.x,
        packed: AT.packed,
        bias: -1,
        y: AT.y,
        sample: n,
        samples: 1,
        position: 0,
        positions: 81,
        activation: 1,
        parameters: -1,
      })),
    },
    {
      kernel: 'activationForward',
      pieces: range(SAMPLES).map((n) => ({
        x: AT.y + n * planeOut,
        y: AT.y + n * planeOut,
        count: planeOut,
        activation: 4,
        parameters: -1,
      })),
    },
    {
      kernel: 'channelSums',
      pieces: range(5).map((c) => ({
        x: AT.y,
        out: AT.sums,
        samples: SAMPLES,
        allChannels: 5,
        positions: 81,
        channel: c,
        channels: 1,
      })),
    },
    {
      kernel: 'convolutionBackwardWeights',
      pieces: range(SAMPLES).map((n) => ({
        geometry: AT.geometry,
        x: AT.x,
        dy: AT.y,
        dw: AT.parts + n * 135,
        sample: n,
        samples: 1,
        accumulate: 0,
      })),
    },
    {
      kernel: 'sumParts',
      pieces: [0, 45, 90].map((i) => ({
        x: AT.parts + i,
        out: AT.gradient + i,
        parts: SAMPLES,
        stride: 135,
        count: 45,
      })),
    },
    {
      kernel: 'adamUpdate',
      pieces: range(9).map((i) => ({
        w: AT.w + i * 15,
        g: AT.gradient + i * 15,
        m: AT.m + i * 15,
        v: AT.v + i * 15,
        count: 15,
        hyper: AT.hyper,
        clip: AT.clip,
      })),
    },
    {
      kernel: 'add',
      pieces: range(SAMPLES).map((n) => ({
        a: AT.x + n * planeIn,
        b: AT.y + n * planeOut,
        y: AT.x + n * planeIn,
        count: planeIn,
        activation: 1,
        parameters: -1,
      })),
    },
  ];
}

function scratchOf(set: KernelSet): number {
  return Math.max(
    ...(['convolutionPack', 'convolutionForward', 'convolutionBackwardWeights'] as const).map((kernel) =>
      set.sizes.scratchWords(kernel, geometry),
    ),
  );
}

function fill({ heap }: Workspace): void {
  heap.int.set(geometryWords(geometry), AT.geometry);
  heap.float.set([0.01, 0.9, 0.999, 1e-8, 0.01, 1, 0.1, 0.001], AT.hyper);
  heap.float.set([1], AT.clip);
  heap.float.set(normals(1, SAMPLES * 243), AT.x);
  heap.float.set(normals(2, 135, 0.3), AT.w);
}

describe('threads', () => {
  let sets: readonly KernelSet[];
  beforeAll(async () => {
    sets = await bothSets();
  });
  afterEach(() => vi.unstubAllGlobals());

  it('1, 2, 3 and 4 threads give the same bits, on both sets, over 40 runs of 8 steps', async () => {
    for (const set of sets) {
      const results: Int32Array[] = [];
      for (const threads of [1, 2, 3, 4]) {
        const workspace = await set.open({
          words: WORDS,
          scratchWords: scratchOf(set),
          programs: [trainingStep()],
          threads,
        });
        expect([workspace.threads, workspace.threadsReason]).toEqual([threads, 'asked for']);
        fill(workspace);
        const { buffer } = workspace.heap.float;
        for (let i = 0; i < 40; i++) workspace.run(0);
        expect(workspace.heap.float.buffer).toBe(buffer);
        results.push(workspace.heap.int.slice(0, WORDS));
        workspace.dispose();
      }
      expect(
        new Float32Array(results[0].buffer)
          .subarray(AT.w, AT.w + 135)
          .every((value) => Number.isFinite(value) && value !== 0),
      ).toBe(true);
      for (const result of results.slice(1))
        expect(Buffer.compare(Buffer.from(result.buffer), Buffer.from(results[0].buffer))).toBe(0);
    }
  });

  it('every piece runs exactly once, however many there are', async () => {
    for (const set of sets) {
      await fc.assert(
        fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 40 }), { minLength: 1, maxLength: 5 }), async (counts) => {
          // Step s adds 1 to each of its words: run twice, a word must be 2.
          const program: Program = counts.map((count, s) => ({
            kernel: 'add',
            pieces: range(count).map((i) => ({
              a: 16 + s * 40 + i,
              b: 0,
              y: 16 + s * 40 + i,
              count: 1,
              activation: 0,
              parameters: -1,
            })),
          }));
          const workspace = await set.open({ words: 256, scratchWords: 0, programs: [program], threads: 3 });
          workspace.heap.float[0] = 1;
          workspace.run(0);
          workspace.run(0);
          counts.forEach((count, s) =>
            expect([...workspace.heap.float.subarray(16 + s * 40, 16 + s * 40 + 40)]).toEqual(
              range(40).map((i) => (i < count ? 2 : 0)),
            ),
          );
          workspace.dispose();
        }),
        { numRuns: 5 },
      );
    }
  });

  it('double precision works over threads too', async () => {
    const workspace = await sets[0].open({
      words: 64,
      scratchWords: 0,
      programs: [[{ kernel: 'multiply', pieces: range(8).map((i) => ({ a: i, b: i, y: 16 + i, count: 1 })) }]],
      threads: 2,
      precision: 'float64',
    });
    workspace.heap.float.set(range(8).map((i) => 1 / (i + 3)));
    workspace.run(0);
    expect([...workspace.heap.float.subarray(16, 24)]).toEqual(range(8).map((i) => (1 / (i + 3)) ** 2));
    workspace.dispose();
  });

  it.skipIf(!existsSync('/proc/self/task'))(
    '100 times open and dispose leave no thread behind (seen by Linux)',
    async () => {
      const count = (): number => readdirSync('/proc/self/task').length;
      await (await sets[1].open({ words: 64, scratchWords: 0, threads: 2 })).dispose();
      await new Promise((resolve) => setTimeout(resolve, 200));
      const before = count();
      for (let i = 0; i < 100; i++) (await sets[i % 2].open({ words: 64, scratchWords: 0, threads: 2 })).dispose();
      for (let wait = 0; count() > before && wait < 100; wait++)
        await new Promise((resolve) => setTimeout(resolve, 50));
      expect(count()).toBeLessThanOrEqual(before);
    },
  );

  it('a workspace that nobody disposed of does not keep the process alive', () => {
    const code = `import { loadKernels } from './src/kernels/index.ts';
      const workspace = await (await loadKernels()).open({ words: 64, scratchWords: 0, threads: 2, programs: [[{ kernel: 'multiply', pieces: [{ a: 0, b: 0, y: 8, count: 4 }, { a: 4, b: 4, y: 12, count: 4 }] }]] });
      workspace.run(0);
      console.log('ran on', workspace.threads);`;
    const { status, stdout, stderr, error } = spawnSync(
      process.execPath,
      ['--import', 'tsx', '--input-type=module', '-e', code],
      { encoding: 'utf8', timeout: 30_000 },
    );
    expect({ status, stdout, stderr, error }).toEqual({
      status: 0,
      stdout: 'ran on 2\n',
      stderr: '',
      error: undefined,
    });
  });

  it('where the platform has no threads there is one, and no error', async () => {
    vi.stubGlobal('process', { ...process, getBuiltinModule: () => undefined });
    for (const set of sets) {
      const workspace = await set.open({
        words: 64,
        scratchWords: 0,
        threads: 4,
        programs: [[{ kernel: 'multiply', pieces: [{ a: 0, b: 0, y: 1, count: 1 }] }]],
      });
      workspace.heap.float[0] = 3;
      workspace.run(0);
      expect([workspace.threads, workspace.heap.float[1]]).toEqual([1, 9]);
      expect(workspace.threadsReason).toBe(
        'this platform has neither the worker threads of Node nor those of a browser',
      );
    }
  });
});

describe('a thread that fails', () => {
  const options = {
    words: 64,
    scratchWords: 0,
    threads: 3,
    programs: [
      [{ kernel: 'multiply', pieces: range(8).map((i) => ({ a: i, b: i, y: 16 + i, count: 1 })) }] satisfies Program,
    ],
  };
  /** On the calling thread the first piece lasts until the other has set this word, so that it gets one. */
  const TAKEN = 40;
  const backend: Backend = {
    ...portableBackend(ALL_SELECTION),
    bind(...how) {
      const bound = portableBackend(ALL_SELECTION).bind(...how);
      const multiply: Kernels['multiply'] = (...row) => {
        if (waits) Atomics.wait(bound.heap.int, TAKEN, 0, 5000);
        bound.kernels.multiply!(...row);
      };
      return { ...bound, kernels: { ...bound.kernels, multiply } };
    },
  };
  let waits = false;
  afterEach(() => {
    waits = false;
  });
  const open = (host: ThreadHost, threads = options.threads): Promise<Workspace> =>
    openOn(backend, { ...options, threads }, host);
  const node = (): ThreadHost => threadHost() as ThreadHost;
  /** Threads that run `source` in place of a worker's program. */
  const running = (source: string): ThreadHost => ({
    startThread: (_source, start, onDeath) => node().startThread(source, start, onDeath),
  });
  const ready =
    'const { parentPort, workerData: { start: { control, foundation } } } = require("node:worker_threads"); parentPort.postMessage("ready");';
  /** Waits for a step, takes a piece of it, and never finishes. */
  const takePiece = `${ready} Atomics.wait(control, ${CONTROL.limit}, 0); Atomics.add(control, ${CONTROL.next}, 1);
    const int = new Int32Array(foundation.buffers.integers); Atomics.store(int, ${TAKEN}, 1); Atomics.notify(int, ${TAKEN});`;
  const right = (workspace: Workspace): void => {
    workspace.heap.float.set(range(8));
    workspace.run(0);
    expect([...workspace.heap.float.subarray(16, 24)]).toEqual(range(8).map((i) => i * i));
    workspace.dispose();
  };

  it('and cannot be started: the others do without it, and what there was of it is ended', async () => {
    let started = 0,
      terminated = 0;
    const host: ThreadHost = {
      startThread(...start) {
        if (++started === 1) throw new Error('no more threads');
        const thread = node().startThread(...start);
        return {
          ...thread,
          terminate() {
            terminated++;
            thread.terminate();
          },
        };
      },
    };
    const workspace = await open(host);
    expect([workspace.threads, workspace.threadsReason]).toEqual([
      2,
      '1 of 2 helping threads could not be started: Error: no more threads',
    ]);
    expect(terminated).toBe(0);
    right(workspace);
    expect(terminated).toBe(1);
  });

  it.each([
    ['throws', 'throw new Error("worker broke")', /worker broke/],
    ['exits', 'process.exit(3)', /exited with code 3/],
    ['has no right syntax', ')', /Unexpected token/],
  ])('and %s at its start: one thread, and the reason says why', async (_what, source, message) => {
    const workspace = await open(running(source));
    expect(workspace.threads).toBe(1);
    expect(workspace.threadsReason).toMatch(message);
    right(workspace);
  });

  it('and never answers: it is ended after a while and done without', async () => {
    let terminated = 0;
    const silent: Thread = {
      ready: new Promise(() => undefined),
      alive: () => true,
      terminate() {
        terminated++;
      },
    };
    const crew = await startCrew(
      { startThread: () => silent },
      ALL_SELECTION,
      portableBackend(ALL_SELECTION).bind(64, 'float32', true).foundation,
      [0, 0],
      20,
    );
    expect([crew.size, crew.shortage, terminated]).toEqual([0, 'Error: a thread did not start within 0.02 s', 2]);
  });

  it('for want of shared memory: one thread', async () => {
    const workspace = await openOn(
      {
        ...backend,
        bind: (words, precision, shared) => {
          if (shared) throw new EspalierError('MEMORY', 'not that much at once');
          return backend.bind(words, precision, shared);
        },
      },
      options,
      node(),
    );
    expect([workspace.threads, workspace.threadsReason]).toEqual([
      1,
      'the memory for 3 was refused: not that much at once',
    ]);
    right(workspace);
  });

  it('and dies between two runs: the next run throws WORKER, and so does every later one', async () => {
    const workspace = await open(
      running(`${ready} setInterval(() => Atomics.load(control, ${CONTROL.limit}) > 0 && process.exit(7), 5)`),
    );
    // The threads end once they see a step, so all of them were ready before.
    workspace.run(0);
    await vi.waitFor(() =>
      expect(() => workspace.run(0)).toThrow(
        expect.objectContaining({ code: 'WORKER', message: expect.stringMatching(/exited with code 7/) }),
      ),
    );
    expect(() => workspace.run(0)).toThrow(expect.objectContaining({ code: 'WORKER' }));
    workspace.dispose();
  });

  it.each([
    ['exits', 'process.exit(5)'],
    ['throws', 'throw new Error("died")'],
  ])('and %s in the middle of a piece: WORKER within 2 s, and it can be disposed of', async (_what, death) => {
    const workspace = await open(running(`${takePiece} ${death}`), 2);
    waits = true;
    const begin = performance.now();
    expect(() => workspace.run(0)).toThrow(
      expect.objectContaining({ code: 'WORKER', message: expect.stringMatching(/it ended in the middle of its work/) }),
    );
    expect(performance.now() - begin).toBeLessThan(2000);
    expect(() => workspace.run(0)).toThrow(expect.objectContaining({ code: 'WORKER' }));
    workspace.dispose();
    workspace.dispose();
    expect(() => workspace.run(0)).toThrow(expect.objectContaining({ code: 'DISPOSED' }));
  });

  it('a piece that takes long is not a thread that died', async () => {
    const workspace = await open(
      running(
        `${takePiece} Atomics.wait(control, ${CONTROL.text}, 0, 700); Atomics.add(control, ${CONTROL.done}, 1); Atomics.notify(control, ${CONTROL.done}); setInterval(() => undefined, 1000);`,
      ),
      2,
    );
    waits = true;
    const begin = performance.now();
    workspace.run(0);
    expect(performance.now() - begin).toBeGreaterThan(600);
    workspace.dispose();
  });

  it('within a kernel, on whichever thread: one WORKER with the cause, not a hang', async () => {
    const [, simd] = await bothSets();
    // Offsets far beyond the heap: WebAssembly traps.
    const workspace = await simd.open({
      ...options,
      programs: [
        [{ kernel: 'multiply', pieces: range(8).map(() => ({ a: 2 ** 29, b: 2 ** 29, y: 2 ** 29, count: 4 })) }],
      ],
    });
    expect(() => workspace.run(0)).toThrow(
      expect.objectContaining({ code: 'WORKER', message: expect.stringMatching(/memory access out of bounds/) }),
    );
    expect(() => workspace.run(0)).toThrow(expect.objectContaining({ code: 'WORKER' }));
  });
});
