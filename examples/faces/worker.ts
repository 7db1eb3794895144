/** A thread of draw.ts: gets the number of a first face, draws a batch from there, posts it; again until it is ended. */
import { parentPort, workerData } from 'node:worker_threads';
import { syntheticFaces } from './index.ts';
import type { SyntheticFacesOptions } from './index.ts';

const options = workerData as SyntheticFacesOptions;

parentPort!.on('message', ({ first, count }: { first: number; count: number }) => {
  const { images, landmarks } = syntheticFaces({ ...options, first, count });
  parentPort!.postMessage({ first, images, landmarks }, [
    images.buffer as ArrayBuffer,
    landmarks.buffer as ArrayBuffer,
  ]);
});
