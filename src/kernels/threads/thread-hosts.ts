/**
 * Where threads come from: Node's worker threads, or a browser's workers, started from the text that travels in the
 * package, so that no bundler has to find a file. What a page must send for it is in docs/threads.md.
 */
import type * as workerThreads from 'node:worker_threads';
import { isError } from '../../base/realm.ts';
import { nodeModule } from '../../base/platform.ts';
import type { Foundation } from '../simd/instance.ts';
import type { KernelName } from '../types.ts';

/** What a thread is given. */
export interface ThreadStart {
  readonly foundation: Foundation;
  /** Kernels by number. */
  readonly names: readonly KernelName[];
  /** The counters of `pieces.ts`. */
  readonly control: Int32Array;
  /** Word offset of this thread's scratch. */
  readonly scratch: number;
}

export interface Thread {
  /** Resolves when it takes pieces, rejects if it never will. */
  readonly ready: Promise<void>;
  /** Asks now, without an event, since the asking thread waits and gets none. True where there is no way to know. */
  alive(): boolean;
  /** Ends it, whatever it does. Twice is once. */
  terminate(): void;
}

export interface ThreadHost {
  /**
   * Starts `source` with `start`. May throw.
   * @param onDeath - called if it ends later without having been terminated
   */
  startThread(source: string, start: ThreadStart, onDeath: (cause: unknown) => void): Thread;
}

/**
 * What a page's worker posts once it is ready: the address of a blob of its own, which lives exactly as long as it
 * does.
 */
export interface Ready {
  readonly pulse: string;
}

/** The platform's threads, or why there are none for this one to use. */
export function threadHost(): ThreadHost | string {
  const node = nodeModule('node:worker_threads');
  const page = globalThis as { readonly crossOriginIsolated?: boolean; readonly Worker?: unknown };
  if (!node && page.crossOriginIsolated === undefined)
    return 'this platform has neither the worker threads of Node nor those of a browser';
  if (!node && !page.crossOriginIsolated)
    return 'this page is not cross-origin isolated, so it has no shared memory: send it with Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp';
  if (!mayWait()) return "a page's main thread may not wait for others: do this in a worker";
  if (node) return nodeThreadHost(node);
  return page.Worker === undefined
    ? 'a worker of this kind cannot start others: do this in a dedicated worker'
    : pageThreadHost;
}

/** A wait that is over before it begins, unless it is forbidden. */
function mayWait(): boolean {
  try {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 1, 0);
    return true;
  } catch {
    return false;
  }
}

/** They do not keep the process alive. */
function nodeThreadHost(node: typeof workerThreads): ThreadHost {
  return {
    startThread(source, start, onDeath) {
      const pulse = new node.MessageChannel();
      const worker = new node.Worker(source, {
        eval: true,
        workerData: { start, pulse: pulse.port2 },
        transferList: [pulse.port2],
        execArgv: [],
        stdin: false,
      });
      pulse.port1.unref();
      let started = false,
        terminated = false,
        cause: unknown;
      const ready = new Promise<void>((resolve, reject) => {
        worker.once('message', () => {
          started = true;
          worker.unref();
          resolve();
        });
        worker.on('error', (error) => {
          cause = error;
        });
        worker.on('exit', (code) => {
          const reason = cause ?? new Error(`the thread exited with code ${code}`);
          reject(isError(reason) ? reason : new Error(String(reason)));
          if (started && !terminated) onDeath(reason);
        });
      });
      return {
        ready,
        // The only news of its end that needs no event: a port says whether a message has anywhere to go. (Undefined in
        // a Node that should no longer say so.)
        alive: () => (pulse.port1.postMessage(0) as unknown) !== false,
        terminate() {
          terminated = true;
          void worker.terminate();
          pulse.port1.close();
        },
      };
    },
  };
}

/** For a worker of a page that is cross-origin isolated. */
const pageThreadHost: ThreadHost = {
  startThread(source, start, onDeath) {
    const url = URL.createObjectURL(new Blob([source], { type: 'text/javascript' }));
    let worker: Worker;
    try {
      worker = new Worker(url);
    } catch (error) {
      URL.revokeObjectURL(url);
      throw error;
    }
    let pulse: string | undefined;
    const ready = new Promise<void>((resolve, reject) => {
      worker.onmessage = ({ data }: MessageEvent<Ready>) => {
        ({ pulse } = data);
        resolve();
      };
      worker.onerror = (event) => {
        // Handled here: not an uncaught error of the page.
        event.preventDefault();
        const reason = new Error(event.message || 'the page may not start a worker from a blob');
        reject(reason);
        if (pulse !== undefined) onDeath(reason);
      };
    });
    worker.postMessage(start);
    return {
      ready,
      // Its blob dies with it. A content policy may refuse to read any: then the one of its source, which is ours,
      // cannot be read either.
      alive: () => pulse === undefined || canRead(pulse) || !canRead(url),
      terminate() {
        worker.terminate();
        URL.revokeObjectURL(url);
      },
    };
  },
};

/** Whether there is something at an address of this page's own, asked without an event. */
function canRead(url: string): boolean {
  try {
    const request = new XMLHttpRequest();
    request.open('GET', url, false);
    request.send();
    return true;
  } catch {
    return false;
  }
}
