/** The mistakes that everybody makes once are answered with what is to be done. */
import { expect, it } from 'vitest';
import * as espalier from '../../src/index.ts';

const network = espalier.sequential({ input: [2] }, [espalier.dense(2)]);
const examples = espalier.examplesFromArrays({
  inputs: new Float32Array(8),
  inputShape: [2],
  targets: new Float32Array(8),
  targetShape: [2],
});
const context = { threads: 1, seed: 1, training: examples, validation: examples };
const any = (value: unknown): never => value as never;

it.each<[string, () => unknown, string]>([
  ['compress(network)', () => espalier.compress(network, any(undefined)), 'compress: context: expected an object'],
  [
    'compress(bytes, context)',
    () => espalier.compress(any(espalier.writeNetwork(network)), context),
    'compress: network: expected a network, got Uint8Array of 512; bytes of a file become a network by readNetwork(bytes)',
  ],
  [
    'compress(await train(...), context)',
    () => espalier.compress(any({ network, history: [] }), context),
    'compress: network: expected a network, got an object that has one as its field network',
  ],
  [
    'a result that was not awaited',
    () => espalier.evaluate(any(Promise.resolve(network)), examples),
    'evaluate: network: expected a network, got a promise that was not awaited',
  ],
  [
    'kernels that were not awaited',
    () => espalier.train(network, { ...context, kernels: any(espalier.loadKernels()) }, { epochs: 1 }),
    'train: context.kernels: expected a kernel set (await loadKernels()), got a promise that was not awaited',
  ],
  [
    'no kernels where nothing waits',
    () => espalier.kmeans({ data: new Float32Array(4), shape: [2, 2] }, any({ codewordCount: 2 })),
    'kmeans: options.kernels: expected a kernel set (await loadKernels()), got undefined',
  ],
  [
    'relu for relu()',
    () => espalier.sequential({ input: [2] }, [espalier.dense(2), any(espalier.relu)]),
    'graph: layer: expected a layer such as relu(), got a function; call it',
  ],
  [
    'channels last',
    () => espalier.sequential({ input: [28, 28, 1] }, [espalier.conv(8, 3), espalier.relu(), espalier.maxPool(2)]),
    'channels come first: an image of 28 x 28 pixels is [1, 28, 28], not [28, 28, 1]',
  ],
  [
    'data of channels last',
    () =>
      espalier.evaluate(
        espalier.sequential({ input: [1, 8, 8] }, [espalier.flatten(), espalier.dense(1)]),
        espalier.examplesFromArrays({ inputs: new Float32Array(64), inputShape: [8, 8, 1] }),
      ),
    'prepare the data for this network; channels come first: an image of 8 x 8 pixels is [1, 8, 8], not [8, 8, 1]',
  ],
])('%s', async (_, call, message) => {
  await expect((async () => call())()).rejects.toThrow(message);
});

it('kernels are loaded where they are left out and the call waits anyway', async () => {
  const { network: trained } = await espalier.train(network, context, { epochs: 1 });
  const { predictions } = await espalier.evaluate(trained, examples);
  expect(predictions).toEqual(await espalier.predictAll(trained, examples, { kernels: await espalier.loadKernels() }));
  const points = { data: Float32Array.of(1, 2, 8, 9), shape: [4, 1] };
  expect((await espalier.kmeansAsync(points, { codewordCount: 2 })).objective).toBeCloseTo(1);
  await espalier.compress(network, context, { final: { epochs: 0, learningRate: 1 } });
});
