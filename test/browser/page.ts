/**
 * The page of scripts/check-browser.ts, and the worker that it starts: `location.hash` says which of the two does the
 * work, and what.
 */
import { gunzip } from '../../src/data/gzip.ts';
import { conv, dense, flatten, relu, sequential } from '../../src/network/index.ts';
import type { Examples } from '../../src/graph/examples.ts';
import { train } from '../../src/training/index.ts';
import { observeNumbers } from './numbers.ts';
import { observe, observeDeath, SIDE } from './observe.ts';

const { hash } = location;

async function work(): Promise<unknown> {
  try {
    if (hash.includes('numbers')) return { observations: [], numbers: observeNumbers() };
    return {
      observations: await observe(hash.includes('all') ? [1, 2, 3, 4] : [2]),
      ...(hash.includes('death') && { death: await observeDeath() }),
    };
  } catch (error) {
    return { failure: String((error as Error).stack) };
  }
}

/** As docs/threads.md has it: load, then predict twice. */
async function useExample(): Promise<unknown> {
  const worker = new Worker('worker.js', { type: 'module' });
  const ask = (message: object): Promise<unknown> =>
    new Promise((resolve, reject) => {
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = ({ message: text }) => reject(new Error(text));
      worker.postMessage(message);
    });
  const answers = [await ask({ load: 'model' })];
  for (const id of [1, 2]) answers.push(await ask({ id, input: new Float32Array(SIDE * SIDE).fill(id / 2) }));
  return {
    example: JSON.parse(
      JSON.stringify(answers, (_key, value: unknown) => (value instanceof Float32Array ? [...value] : value)),
    ) as unknown,
  };
}

/** What `gunzip` says of each file: its bytes, or the code of the error. */
async function unpack(): Promise<unknown> {
  const names = (await (await fetch('gzip-names')).json()) as string[];
  const answers = names.map(async (name) =>
    gunzip(await (await fetch(name)).arrayBuffer()).then(
      (bytes) => [...bytes],
      (error: { code?: string }) => error.code,
    ),
  );
  return { unpacked: await Promise.all(answers) };
}

/** A training on the page's own thread, and a button that cancels it: how long a click waits to be served and to work. */
async function cancelByClick(): Promise<unknown> {
  const network = sequential({ input: [1, 32, 32], seed: 1 }, [conv(32, 3), relu(), flatten(), dense(2)]);
  const training: Examples = {
    count: 4096,
    inputShape: [1, 32, 32],
    targetShape: [2],
    read(_indices, inputs, targets) {
      inputs.forEach((_, i) => (inputs[i] = Math.sin(i)));
      targets?.fill(1);
    },
  };
  const stop = new AbortController();
  const button = document.body.appendChild(document.createElement('button'));
  let [due, served, batches] = [0, 0, 0];
  button.onclick = () => {
    served = performance.now();
    stop.abort('cancelled');
  };
  const onEvent = ({ kind }: { readonly kind: string }): void => {
    if (kind !== 'batch' || ++batches !== 3) return;
    due = performance.now() + 100;
    setTimeout(() => button.click(), 100);
  };
  const ended = await train(
    network,
    { threads: 1, seed: 1, training, signal: stop.signal, onEvent },
    { epochs: 1000, learningRate: 0.01 },
  ).then(
    () => 'finished',
    (reason: unknown) => reason,
  );
  return { cancel: { ended, waited: served - due, stopped: performance.now() - served, batches } };
}

async function report(result: unknown): Promise<void> {
  const response = await fetch('result', { method: 'POST', body: JSON.stringify(result) });
  location.href = await response.text();
}

if (typeof document === 'undefined') {
  postMessage(await work());
} else if (hash.includes('example')) {
  await report(await useExample());
} else if (hash.includes('cancel')) {
  await report(await cancelByClick());
} else if (hash.includes('gzip')) {
  await report(await unpack());
} else if (hash.includes('worker')) {
  const worker = new Worker(`page.js${hash}`, { type: 'module' });
  worker.onmessage = ({ data }) => void report(data);
  worker.onerror = ({ message }) => void report({ failure: `the worker could not run: ${message}` });
} else {
  await report(await work());
}
