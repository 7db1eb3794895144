import { describe, expect, test } from 'vitest';
import { memoryStore, readCheckpoint, readSafetensors, writeCheckpoint } from '../../src/container/index.ts';
import type { CheckpointStore, Fingerprint, NamedArray } from '../../src/container/index.ts';
import type { ProductEncoding } from '../../src/encodings/types.ts';
import { batchNorm, dense, dropout, relu, sequential } from '../../src/network/index.ts';
import type { Network } from '../../src/graph/network.ts';
import { stream } from '../../src/base/random.ts';
import type { RunEvent } from '../../src/base/control.ts';
import { l2, smoothL1, train } from '../../src/training/index.ts';
import type { TrainOptions, TrainResult } from '../../src/training/index.ts';
import { bytesOf, context, smoothSet } from './fixtures.ts';

/** Dense, encoded, batch statistics, dropout: everything that a checkpoint has to bring back. */
function mixedNetwork(): Network {
  const base = sequential({ input: [3], seed: 2 }, [
    dense(8, { name: 'first' }),
    batchNorm(),
    relu(),
    dropout(0.2),
    dense(6, { name: 'middle' }),
    relu(),
    dense(2, { name: 'last' }),
  ]);
  const random = stream(1, 'codes');
  const encoded: ProductEncoding = {
    kind: 'product',
    shape: [6, 8],
    codewordPrecision: 'float32',
    blocks: [
      {
        first: 0,
        subspaceCount: 4,
        subvectorLength: 2,
        codewordCount: 4,
        codewords: Float32Array.from({ length: 8 }, () => random()),
        codes: Uint16Array.from({ length: 24 }, () => Math.floor(4 * random())),
        signs: Uint8Array.from({ length: 6 }, () => Math.floor(256 * random())),
      },
    ],
  };
  return { ...base, parameters: new Map(base.parameters).set('middle.weight', encoded) };
}

const OPTIONS: TrainOptions = { epochs: 4, batchSize: 5, loss: l2(), learningRate: 0.1 };
const STEPS = 4 * 3;
const training = smoothSet(17, 1);
const validation = smoothSet(6, 2);

/** A run that is stopped at the first event for which `stop` says so, or goes to its end. */
async function run(
  store: CheckpointStore | undefined,
  stop?: (event: RunEvent) => boolean,
  options: TrainOptions = OPTIONS,
): Promise<TrainResult> {
  const controller = new AbortController();
  return train(
    mixedNetwork(),
    context(training, {
      validation,
      signal: controller.signal,
      onEvent: (event) => {
        if (stop?.(event)) controller.abort(new Error('stopped here'));
      },
    }),
    store ? { ...options, checkpoint: { store, key: 'run' } } : options,
  );
}

const same = (result: TrainResult): unknown => ({ ...result, network: bytesOf(result.network) });

describe('exact resume', () => {
  for (const [name, options] of [
    ['best kept, SGD', OPTIONS],
    ['last kept, Adam', { ...OPTIONS, keep: 'last', optimizer: { kind: 'adam' }, learningRate: 0.02 }],
  ] as const) {
    test(`stopped at any epoch's end and started again, a run ends in the same bytes and the same history (${name})`, async () => {
      const whole = same(await run(undefined, undefined, options));
      for (let epoch = 0; epoch < 4; epoch++) {
        const store = memoryStore();
        await expect(run(store, (event) => event.kind === 'epoch' && event.epoch === epoch, options)).rejects.toThrow(
          'stopped here',
        );
        expect(same(await run(store, undefined, options))).toEqual(whole);
      }
    });

    test(`stopped at any step, a run ends in the same bytes (${name})`, async () => {
      const whole = same(await run(undefined, undefined, options));
      for (let step = 0; step < STEPS; step += 5) {
        const store = memoryStore();
        await expect(run(store, (event) => event.kind === 'batch' && event.step === step, options)).rejects.toThrow(
          'stopped here',
        );
        expect(same(await run(store, undefined, options))).toEqual(whole);
      }
    });
  }

  test('stopped again and again, each time one step further on, it still ends in the same bytes', async () => {
    const whole = same(await run(undefined));
    const store = memoryStore();
    for (let step = 3; step < STEPS; step += 2)
      await expect(run(store, (event) => event.kind === 'batch' && event.step >= step)).rejects.toThrow('stopped here');
    expect(same(await run(store))).toEqual(whole);
  });

  test('a finished run is not run again: no step, the same result', async () => {
    const store = memoryStore();
    const first = same(await run(store));
    const events: RunEvent[] = [];
    expect(
      same(
        await run(store, (event) => {
          events.push(event);
          return false;
        }),
      ),
    ).toEqual(first);
    expect(events.map((event) => event.kind)).toEqual(['note']);
  });

  test('patience counts across a stop', async () => {
    const options: TrainOptions = { ...OPTIONS, epochs: 30, patience: 2, learningRate: 1.5 };
    const whole = same(await run(undefined, undefined, options));
    expect(whole).toMatchObject({ status: expect.stringMatching('stoppedEarly|noImprovement') as unknown });
    const store = memoryStore();
    await expect(run(store, (event) => event.kind === 'epoch' && event.epoch === 0, options)).rejects.toThrow(
      'stopped here',
    );
    expect(same(await run(store, undefined, options))).toEqual(whole);
  });

  test('training moves codewords but neither codes nor signs, and the codes are not copied', async () => {
    const network = mixedNetwork();
    const { network: trained } = await train(network, context(training), OPTIONS);
    const [before, after] = [network, trained].map(
      ({ parameters }) => parameters.get('middle.weight') as ProductEncoding,
    );
    expect(after.blocks[0].codes).toBe(before.blocks[0].codes);
    expect(after.blocks[0].signs).toBe(before.blocks[0].signs);
    expect(after.blocks[0].codewords).not.toEqual(before.blocks[0].codewords);
  });
});

describe('a checkpoint of something else is refused', () => {
  async function begun(): Promise<CheckpointStore> {
    const store = memoryStore();
    await expect(run(store, (event) => event.kind === 'epoch' && event.epoch === 1)).rejects.toThrow('stopped here');
    return store;
  }
  const resume = (
    store: CheckpointStore,
    change: { network?: Network; options?: Partial<TrainOptions>; context?: Partial<ReturnType<typeof context>> },
  ): Promise<TrainResult> =>
    train(change.network ?? mixedNetwork(), context(training, { validation, ...change.context }), {
      ...OPTIONS,
      ...change.options,
      checkpoint: { store, key: 'run' },
    });

  test.each<[string, Parameters<typeof resume>[1], string]>([
    ['seed', { context: { seed: 2 } }, 'another seed'],
    ['options', { options: { learningRate: 0.2 } }, 'another options'],
    ['loss', { options: { loss: smoothL1() } }, 'another options'],
    ['training data', { context: { training: smoothSet(17, 3) } }, 'another data'],
    ['validation data', { context: { validation: smoothSet(7, 2) } }, 'another data'],
    ['teacher', { options: { teacher: mixedNetwork() } }, 'another teacher, options'],
    ['kernels', { context: { kernels: { ...context(training).kernels, name: 'simd' } } }, 'another kernels'],
  ])('other %s', async (_name, change, text) => {
    await expect(resume(await begun(), change)).rejects.toMatchObject({
      code: 'CHECKPOINT',
      message: expect.stringContaining(text) as unknown,
    });
  });

  test('other weights, by one bit of one of them', async () => {
    const network = mixedNetwork();
    const weight = network.parameters.get('last.weight')!;
    if (weight.kind !== 'dense') throw new Error('dense expected');
    weight.data[3] += 1e-7;
    await expect(resume(await begun(), { network })).rejects.toMatchObject({
      code: 'CHECKPOINT',
      message: expect.stringContaining('another network') as unknown,
    });
  });

  test('a damaged slot is passed over, said so, and the run still ends in the same bytes', async () => {
    const whole = same(await run(undefined));
    const store = await begun();
    const slots = await store.list();
    expect(slots.length).toBe(2);
    const bytes = (await store.read(slots[1]))!;
    bytes[bytes.length >> 1] ^= 4;
    await store.write(slots[1], bytes);
    const notes: string[] = [];
    expect(
      same(
        await run(store, (event) => {
          if (event.kind === 'note') notes.push(event.text);
          return false;
        }),
      ),
    ).toEqual(whole);
    expect(notes.some((text) => text.includes('damaged checkpoint was passed over'))).toBe(true);
  });

  test('all slots damaged: refused, never begun anew in silence', async () => {
    const store = await begun();
    for (const name of await store.list()) {
      const bytes = (await store.read(name))!;
      bytes[bytes.length - 1] ^= 1;
      await store.write(name, bytes);
    }
    await expect(run(store)).rejects.toMatchObject({ code: 'CHECKPOINT' });
  });

  test.each<[string, (tensors: NamedArray[], history: string) => { tensors: NamedArray[]; history: string }]>([
    [
      'a parameter that the network lacks',
      (tensors, history) => ({
        history,
        tensors: tensors.map((one) => ({ ...one, name: one.name.replace('now/last.bias', 'now/other') })),
      }),
    ],
    [
      'a parameter of another length',
      (tensors, history) => ({
        history,
        tensors: tensors.map((one) =>
          one.name === 'now/last.bias' ? { ...one, shape: [1], bytes: one.bytes.slice(0, 4) } : one,
        ),
      }),
    ],
    [
      'an optimizer without its memory',
      (tensors, history) => ({
        history,
        tensors: tensors.filter(({ name }) => name !== 'optimizer/last.bias/velocity'),
      }),
    ],
    [
      'another type of number',
      (tensors, history) => ({ history, tensors: tensors.map((one) => ({ ...one, dtype: 'I32' as const })) }),
    ],
    ['no history', (tensors) => ({ tensors, history: 'null' })],
    ['a history of words', (tensors) => ({ tensors, history: '{"history":[["a",null]],"before":null,"best":null}' })],
    [
      'a best epoch that has not been',
      (tensors, history) => ({ tensors, history: history.replace(/"best":\[\d+/, '"best":[7') }),
    ],
  ])('whole, with the right fingerprint, but with %s: refused by name', async (_name, change) => {
    const store = await begun();
    const fingerprint = await fingerprintIn(store);
    const { tensors, metadata } = (await readCheckpoint(store, 'run', fingerprint))!;
    const [[key, history]] = [...metadata];
    const changed = change(
      [...tensors].map(([name, stored]) => ({ name, ...stored })),
      history,
    );
    await writeCheckpoint(store, 'run', {
      fingerprint,
      metadata: { [key]: changed.history },
      tensors: changed.tensors,
    });
    await expect(run(store)).rejects.toMatchObject({ code: 'CHECKPOINT' });
  });
});

/** The fingerprint that the newest slot of a store was written with. */
async function fingerprintIn(store: CheckpointStore): Promise<Fingerprint> {
  const names = await store.list();
  const { metadata } = readSafetensors((await store.read(names[0]))!);
  return (JSON.parse(metadata.get('espalier.checkpoint')!) as { fingerprint: Fingerprint }).fingerprint;
}
