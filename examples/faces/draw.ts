/** Faces drawn on several threads of Node, with word of how far it is: a face depends on its seed and number only. */
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { build } from 'esbuild';
import { syntheticFaces } from './index.ts';
import type { SyntheticFaces, SyntheticFacesOptions } from './index.ts';

/** Faces that a thread draws between two words of progress: some 0.3 s. */
const BATCH = 32;

/**
 * {@link syntheticFaces}, the same bytes for any number of threads.
 * @param options - `onProgress` is told how many faces are drawn, after each batch
 * @throws whatever ends a thread
 */
export async function drawFaces({
  threads,
  onProgress,
  ...options
}: SyntheticFacesOptions & {
  readonly threads: number;
  readonly onProgress?: (drawn: number) => void;
}): Promise<SyntheticFaces> {
  const { count, first: start = 0, side = 96 } = options;
  // Checks the options, and makes room for all faces.
  syntheticFaces({ ...options, count: 0 });
  const images = new Uint8Array(count * side * side);
  const landmarks = new Float32Array(count * 136);
  const source = await bundled();
  let next = 0;
  let drawn = 0;
  const draw = async (): Promise<void> => {
    const worker = new Worker(source, { eval: true, workerData: options, execArgv: [] });
    try {
      while (next < count) {
        const first = next;
        next = Math.min(count, first + BATCH);
        const batch = await answer(worker, { first: start + first, count: next - first });
        images.set(batch.images, first * side * side);
        landmarks.set(batch.landmarks, first * 136);
        drawn += batch.landmarks.length / 136;
        onProgress?.(drawn);
      }
    } finally {
      await worker.terminate();
    }
  };
  await Promise.all(Array.from({ length: Math.min(threads, Math.ceil(count / BATCH)) }, draw));
  return { images, landmarks };
}

/** The thread's program as one text of JavaScript: a thread of Node has no loader for TypeScript. */
async function bundled(): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL('./worker.ts', import.meta.url))],
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node20',
    write: false,
    logLevel: 'error',
    define: { 'import.meta.url': '""' },
  });
  return outputFiles[0].text;
}

function answer(worker: Worker, request: { first: number; count: number }): Promise<SyntheticFaces> {
  return new Promise((resolve, reject) => {
    const ended = (code: number): void => reject(new Error(`drawFaces: a thread exited with code ${code}`));
    worker.once('message', (faces: SyntheticFaces) => {
      worker.off('error', reject).off('exit', ended);
      resolve(faces);
    });
    worker.once('error', reject).once('exit', ended);
    worker.postMessage(request);
  });
}
