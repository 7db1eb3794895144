/**
 * Threads in a real browser: pages with and without the headers that shared memory needs, with strict content policies,
 * on the main thread and in workers, compared with Node bit by bit; a training that a click cancels; and gzip files, of which engines think differently. Needs a Chromium; where there is none it says so
 * and passes, unless CHROMIUM names one that is not there.
 */
import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { writeNetwork } from '../src/network/index.ts';
import { load } from '../src/runtime/index.ts';
import { observeNumbers, type Numbers } from '../test/browser/numbers.ts';
import { network, observe, SIDE, type Death, type Observation } from '../test/browser/observe.ts';
import { bundlePage, findChromium, ISOLATED, visitPages } from './browser.ts';

interface Report {
  readonly failure?: string;
  readonly observations: readonly Observation[];
  readonly death?: Death;
  readonly unpacked?: readonly (string | readonly number[])[];
  readonly numbers?: Numbers;
  readonly cancel?: {
    readonly ended: string;
    readonly waited: number;
    readonly stopped: number;
    readonly batches: number;
  };
  readonly example?: readonly {
    readonly threads?: number;
    readonly threadsReason?: string;
    readonly id?: number;
    readonly output?: readonly number[];
  }[];
}

interface Scenario {
  readonly title: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly hash: string;
  check(report: Report): void;
}

const policy = (text: string): Record<string, string> => ({ ...ISOLATED, 'Content-Security-Policy': text });
const expected = await observe([1]),
  numbers = observeNumbers(),
  modelFile = writeNetwork(network()),
  reference = await load(modelFile);

/** One thread with no error, and the reason. */
const alone =
  (reason: RegExp) =>
  ({ observations }: Report): void => {
    const [{ reason: found, ...rest }] = observations;
    match(found, reason);
    deepEqual(rest, { kernels: 'simd', threads: 1, modelThreads: 1, digest: expected[0].digest });
  };

/** gzip files that engines' own streams answer differently, and what is right. */
const member = (text: string): Buffer => gzipSync(text);
const gzipFiles: readonly (readonly [name: string, file: Buffer, right: string])[] = [
  ['gzip-two', Buffer.concat([member('one'), member('two')]), 'onetwo'],
  ['gzip-padded', Buffer.concat([member('one'), Buffer.alloc(512)]), 'one'],
  ['gzip-both', Buffer.concat([member('one'), Buffer.alloc(3), member('two'), Buffer.alloc(5)]), 'onetwo'],
  ['gzip-junk', Buffer.concat([member('one'), Buffer.from('junk')]), 'LAYOUT'],
  ['gzip-cut', Buffer.concat([member('one'), member('two').subarray(0, 12)]), 'TRUNCATED'],
];

const scenarios: readonly Scenario[] = [
  {
    title: 'elementary functions: the same bits as in Node, and 2 ** n exact',
    headers: {},
    hash: '#numbers',
    check({ numbers: found }) {
      const differing = Object.keys(numbers.engine).filter((name) => found?.engine[name] !== numbers.engine[name]);
      console.log(`        the engine's own that differ from Node's: ${differing.join(', ') || 'none'}`);
      deepEqual({ ...found, engine: {} }, { ...numbers, engine: {} });
      ok(found?.powersOfTwo);
    },
  },
  {
    title: 'isolated, in a worker: 1, 2, 3 and 4 threads, the same bits as in Node',
    headers: ISOLATED,
    hash: '#worker-all',
    check({ observations }) {
      deepEqual(
        observations,
        [1, 2, 3, 4].map((threads) => ({
          kernels: 'simd',
          threads,
          reason: 'asked for',
          modelThreads: threads,
          digest: expected[0].digest,
        })),
      );
    },
  },
  {
    title: 'isolated, a thread that ends in the middle of a piece: WORKER within 2 s',
    headers: ISOLATED,
    hash: '#worker-death',
    check({ death }) {
      equal(death?.code, 'WORKER');
      match(death.message, /it ended in the middle of its work/);
      ok(death.milliseconds < 2000, `after ${death.milliseconds} ms`);
    },
  },
  {
    title: 'not isolated: one thread, no error',
    headers: {},
    hash: '#worker',
    check: alone(/not cross-origin isolated/),
  },
  {
    title: 'isolated, on the main thread: one thread, no error',
    headers: ISOLATED,
    hash: '#main',
    check: alone(/main thread may not wait/),
  },
  {
    title: 'a policy that refuses workers from blobs: one thread, no error',
    headers: policy("script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'"),
    hash: '#worker',
    check: alone(/could not be started/),
  },
  {
    title: 'the strictest policy that allows them: two threads',
    headers: policy(
      "default-src 'none'; connect-src 'self'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:",
    ),
    hash: '#worker',
    check({ observations }) {
      deepEqual(observations, [
        { kernels: 'simd', threads: 2, reason: 'asked for', modelThreads: 2, digest: expected[0].digest },
      ]);
    },
  },
  {
    title: 'a policy that refuses WebAssembly: two threads on the portable kernels',
    headers: policy("default-src 'self'; worker-src 'self' blob:"),
    hash: '#worker',
    check({ observations: [{ kernels, threads }] }) {
      deepEqual([kernels, threads], ['portable', 2]);
    },
  },
  {
    title: 'a training on the main thread: a click is served, and cancels it, within a second',
    headers: {},
    hash: '#cancel',
    check({ cancel }) {
      equal(cancel?.ended, 'cancelled');
      ok(cancel.batches >= 3);
      ok(cancel.waited < 1000, `served after ${cancel.waited} ms`);
      ok(cancel.stopped < 1000, `stopped after ${cancel.stopped} ms`);
    },
  },
  {
    title: 'gzip of several members, padded, with junk, cut: as in Node',
    headers: {},
    hash: '#gzip',
    check({ unpacked = [] }) {
      deepEqual(
        unpacked.map((answer) => (typeof answer === 'string' ? answer : String.fromCharCode(...answer))),
        gzipFiles.map(([, , right]) => right),
      );
    },
  },
  {
    title: 'examples/page-worker.ts: a model on the threads that the machine has, outputs as in Node',
    headers: ISOLATED,
    hash: '#example',
    check({ example = [] }) {
      const [loaded, ...answers] = example;
      deepEqual(loaded, { threads: Math.min(4, availableParallelism()), threadsReason: 'asked for' });
      deepEqual(
        answers,
        [1, 2].map((id) => ({ id, output: [...reference.predict(new Float32Array(SIDE * SIDE).fill(id / 2)).data] })),
      );
    },
  },
];

const chromium = findChromium();
if (chromium === undefined) {
  console.warn('\n*** no Chromium: the checks in a browser are SKIPPED. Install one, or name it in CHROMIUM ***\n');
} else {
  const bundle = (path: string): Promise<string> => bundlePage(fileURLToPath(new URL(path, import.meta.url)));
  const script = await bundle('../test/browser/page.ts');
  const text = (value: string): Uint8Array => new TextEncoder().encode(value);
  const files = {
    model: modelFile,
    'worker.js': text(await bundle('../examples/page-worker.ts')),
    'gzip-names': text(JSON.stringify(gzipFiles.map(([name]) => name))),
    ...Object.fromEntries(gzipFiles.map(([name, file]) => [name, new Uint8Array(file)])),
  };
  const reports = (await visitPages(
    chromium,
    scenarios.map(({ headers, hash }) => ({ headers, hash, script, files })),
  )) as Report[];
  scenarios.forEach(({ title, check }, i) => {
    const report = reports[i];
    try {
      equal(report.failure, undefined);
      check(report);
      console.log(`ok      ${title}`);
    } catch (error) {
      console.error(`FAILED  ${title}\n${String(error)}\n${JSON.stringify(report, null, 2)}`);
      process.exitCode = 1;
    }
  });
}
