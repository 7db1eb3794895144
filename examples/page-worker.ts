/**
 * A model in a page, on two threads: the page starts this file as a worker, since a main thread may not wait for
 * others, posts { load: address } once and then { id, input } for each image or tensor. Headers and the page's side:
 * docs/threads.md.
 */
import { load, type ImageLike, type Model } from 'espalier/runtime';

type Request = { readonly load: string } | { readonly id: number; readonly input: ImageLike | Float32Array };

let model: Promise<Model> | undefined;

addEventListener('message', async ({ data }: MessageEvent<Request>) => {
  try {
    if ('load' in data) {
      const response = await fetch(data.load);
      model = load(await response.arrayBuffer(), { threads: Math.min(4, navigator.hardwareConcurrency) });
      const { threads, threadsReason } = await model;
      postMessage({ threads, threadsReason });
    } else if (model) {
      const { data: output } = (await model).predict(data.input);
      postMessage({ id: data.id, output }, { transfer: [output.buffer] });
    }
  } catch (error) {
    postMessage({ error: String(error) });
  }
});
