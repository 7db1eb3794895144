/**
 * The page that is timed: a worker does the work, since a page's main thread may not wait for others. `location.hash`
 * gives the rounds.
 */
import { timeThreads } from './work.ts';

const { hash } = location;

if (typeof document === 'undefined') {
  try {
    const file = new Uint8Array(await (await fetch('network')).arrayBuffer());
    postMessage({ timed: await timeThreads(file, Number(hash.slice(1))) });
  } catch (error) {
    postMessage({ failure: String((error as Error).stack) });
  }
} else {
  const report = (result: object): void =>
    void fetch('result', { method: 'POST', body: JSON.stringify({ ...result, browser: navigator.userAgent }) });
  const worker = new Worker(`page.js${hash}`, { type: 'module' });
  worker.onmessage = ({ data }: MessageEvent<object>) => report(data);
  worker.onerror = ({ message }) => report({ failure: `the worker could not run: ${message}` });
}
