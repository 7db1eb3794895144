import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  CHECKSUM_KEY,
  memoryStore,
  readCheckpoint,
  readSafetensors,
  writeCheckpoint,
  writeChecked,
} from '../../src/container/index.ts';
import type { CheckpointStore, Fingerprint, NamedArray } from '../../src/container/index.ts';
import type { ProductEncoding } from '../../src/encodings/types.ts';
import { batchNorm, dense, dropout, readNetwork, relu, sequential, writeNetwork } from '../../src/network/index.ts';
import type { Network } from '../../src/graph/network.ts';
import { stream } from '../../src/base/random.ts';
import type { RunEvent } from '../../src/base/control.ts';
import { l2, smoothL1, train } from '../../src/training/index.ts';
import type { TrainOptions, TrainResult } from '../../src/training/index.ts';
import { digestNetwork, digestOptions } from '../../src/training/fingerprint.ts';
import type { Examples } from '../../src/graph/examples.ts';
import { mutations } from '../mutations.ts';
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
    ['seed', { context: { seed: 2 } }, 'its seed'],
    ['options', { options: { learningRate: 0.2 } }, `its options (learningRate was ${OPTIONS.learningRate}, is 0.2);`],
    ['loss', { options: { loss: smoothL1() } }, 'its options (loss'],
    ['training data', { context: { training: smoothSet(17, 3) } }, 'its data'],
    ['validation data', { context: { validation: smoothSet(7, 2) } }, 'its data'],
    ['teacher', { options: { teacher: mixedNetwork() } }, 'its teacher, options'],
    ['kernels', { context: { kernels: { ...context(training).kernels, name: 'simd' } } }, 'its kernels'],
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
      message: expect.stringContaining('its network') as unknown,
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
          if (event.kind === 'warning') notes.push(event.text);
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
  ])(
    'whole, with the right fingerprint, but with %s: passed over for the one before it; alone: CHECKPOINT',
    async (_name, change) => {
      const whole = same(await run(undefined));
      const store = await begun();
      const fingerprint = await fingerprintIn(store);
      const found = await readCheckpoint(store, 'run', fingerprint, (slot) => slot);
      const { tensors, metadata } = found!.state;
      const [[key, history]] = [...metadata];
      const changed = change(
        [...tensors].map(([name, stored]) => ({ name, ...stored })),
        history,
      );
      const bad = memoryStore();
      for (const one of [store, bad])
        await writeCheckpoint(one, 'run', {
          fingerprint,
          metadata: { [key]: changed.history },
          tensors: changed.tensors,
        });
      const warnings: string[] = [];
      const resumed = await run(store, (event) => {
        if (event.kind === 'warning') warnings.push(event.text);
        return false;
      });
      expect(same(resumed)).toEqual(whole);
      expect(warnings).toEqual([expect.stringContaining('damaged checkpoint was passed over: run.')]);
      await expect(run(bad)).rejects.toMatchObject({ code: 'CHECKPOINT' });
    },
  );

  test('whatever stands in a slot under a right checksum: the run goes on or says CHECKPOINT, and nothing else', async () => {
    const begunStore = await begun();
    const slots = await Promise.all(
      (await begunStore.list()).map(async (name) => [name, (await begunStore.read(name))!] as const),
    );
    const [[name, bytes]] = slots;
    const { metadata, tensors } = readSafetensors(bytes);
    const history = metadata.get('espalier.train')!;
    let [went, refused] = [0, 0];
    await fc.assert(
      fc.asyncProperty(
        mutations(JSON.parse(history)),
        fc.nat(),
        fc.constantFrom('none', 'drop', 'cut', 'NaN', 'I32'),
        async (description, at, damage) => {
          const store = memoryStore();
          const names = [...tensors.keys()];
          const hit = names[at % names.length];
          const kept = [...tensors].flatMap(([tensor, stored]): NamedArray[] => {
            if (tensor !== hit || damage === 'none') return [{ name: tensor, ...stored }];
            if (damage === 'drop') return [];
            if (damage === 'cut')
              return [{ name: tensor, dtype: 'F32', shape: [stored.shape[0] - 1], bytes: stored.bytes.subarray(4) }];
            if (damage === 'I32') return [{ name: tensor, ...stored, dtype: 'I32' }];
            return [{ name: tensor, ...stored, bytes: new Uint8Array(stored.bytes.length).fill(0xff) }];
          });
          await store.write(
            name,
            writeChecked(
              kept,
              new Map(
                [...metadata]
                  .filter(([key]) => key !== CHECKSUM_KEY)
                  .map(([key, value]) => [key, key === 'espalier.train' ? JSON.stringify(description) : value]),
              ),
            ),
          );
          const outcome = await run(store).then(
            () => 'went',
            (error: unknown) => error,
          );
          if (outcome === 'went') went++;
          else {
            refused++;
            expect(outcome).toMatchObject({ name: 'EspalierError', code: 'CHECKPOINT' });
          }
        },
      ),
      { numRuns: 150, seed: 1 },
    );
    // Neither never happens: the law has seen both.
    expect([went > 0, refused > 50]).toEqual([true, true]);
  });

  test('samples are all looked at: labels from the tenth on, the last input, another augmentation', async () => {
    const relabelled: Examples = {
      ...training,
      read(indices, inputs, targets, pass) {
        training.read(indices, inputs, targets, pass);
        Array.from(indices).forEach((sample, i) => {
          if (sample >= 10) targets?.fill(0.5, 2 * i, 2 * i + 2);
        });
      },
    };
    const nudged: Examples = {
      ...validation,
      read(indices, inputs, targets, pass) {
        validation.read(indices, inputs, targets, pass);
        Array.from(indices).forEach((sample, i) => {
          if (sample === validation.count - 1) inputs[3 * i + 2] += 1e-3;
        });
      },
    };
    /** Nothing changes but what a pass of training sees. */
    const jittered = (by: number): Examples => ({
      ...training,
      read(indices, inputs, targets, pass) {
        training.read(indices, inputs, targets, pass);
        if (pass) for (let i = 0; i < inputs.length; i++) inputs[i] += by * pass.epoch + by;
      },
    });
    for (const other of [{ training: relabelled }, { validation: nudged }, { training: jittered(0.1) }])
      await expect(resume(await begun(), { context: other })).rejects.toMatchObject({
        code: 'CHECKPOINT',
        message: expect.stringContaining('its data') as unknown,
      });
    const store = memoryStore();
    const stopped = (by: number, stop: boolean): Promise<TrainResult> =>
      train(
        mixedNetwork(),
        context(jittered(by), {
          validation,
          onEvent: ({ kind }) => {
            if (stop && kind === 'epoch') throw new Error('stopped here');
          },
        }),
        { ...OPTIONS, checkpoint: { store, key: 'run' } },
      );
    await expect(stopped(0.1, true)).rejects.toThrow('stopped here');
    await expect(stopped(0.1001, false)).rejects.toMatchObject({ code: 'CHECKPOINT' });
    await stopped(0.1, false);
  });

  test('labels that nobody reads may be anything', async () => {
    const store = memoryStore();
    const teacher = mixedNetwork();
    const taught = (set: Examples, stop: boolean): Promise<TrainResult> =>
      train(
        mixedNetwork(),
        context(set, {
          onEvent: ({ kind }) => {
            if (stop && kind === 'epoch') throw new Error('stopped here');
          },
        }),
        { ...OPTIONS, teacher, checkpoint: { store, key: 'run' } },
      );
    await expect(taught(training, true)).rejects.toThrow('stopped here');
    const unlabelled: Examples = { ...training, read: (indices, inputs) => training.read(indices, inputs, undefined) };
    await taught(unlabelled, false);
  });

  test('what the file says of itself belongs to the network: another preprocessing is another network', () => {
    const network = mixedNetwork();
    const preprocessing = {
      width: 1,
      height: 1,
      channels: 1,
      filter: 'area',
      scale: 1,
      standardize: { kind: 'none' },
    } as const;
    expect(digestNetwork({ ...network, preprocessing })).not.toBe(digestNetwork(network));
    expect(digestNetwork({ ...network, task: { kind: 'regression' } })).not.toBe(digestNetwork(network));
    expect(digestNetwork(mixedNetwork())).toBe(digestNetwork(network));
    // A file gives its fields in an order of its own.
    const full: Network = { ...network, task: { kind: 'landmarks', points: 2, mirror: [1, 0] }, preprocessing };
    expect(digestNetwork(readNetwork(writeNetwork(full)))).toBe(digestNetwork(full));
  });

  test('options that JSON takes for the same are not', () => {
    const texts = [
      null,
      undefined,
      Infinity,
      -Infinity,
      NaN,
      0,
      [],
      {},
      new Map(),
      new Map([['a', 1]]),
      new Set(['a']),
      () => 1,
      'null',
    ].map((value) => digestOptions({ value }));
    expect(new Set(texts).size).toBe(texts.length);
    expect(digestOptions(new Set(['b', 'a']))).toBe(digestOptions(new Set(['a', 'b'])));
    expect(digestOptions({ a: 1, b: { c: 2, d: 3 } })).toBe(digestOptions({ b: { d: 3, c: 2 }, a: 1 }));
  });

  test("a name for the data stands in the sets' place: they are not read through, and another name is refused", async () => {
    const store = memoryStore();
    const set = smoothSet(17, 1);
    const named = (data: string, stop: boolean): Promise<TrainResult> =>
      train(
        mixedNetwork(),
        context(set, {
          onEvent: ({ kind }) => {
            if (stop && kind === 'epoch') throw new Error('stopped here');
          },
        }),
        { ...OPTIONS, checkpoint: { store, key: 'run', data } },
      );
    await expect(named('v1', true)).rejects.toThrow('stopped here');
    expect(set.reads.every(({ pass }) => pass !== undefined)).toBe(true);
    await expect(named('v2', false)).rejects.toMatchObject({ code: 'CHECKPOINT' });
    await named('v1', false);
  });
});

describe('stores', () => {
  test('that give Buffers, of a pool at odd offsets, resume to the same bytes', async () => {
    const whole = same(await run(undefined));
    const inner = memoryStore();
    const store: CheckpointStore = {
      ...inner,
      async read(name) {
        const bytes = await inner.read(name);
        if (!bytes) return undefined;
        const pool = Buffer.alloc(bytes.length + 16, 7);
        pool.set(bytes, 3);
        return pool.subarray(3, 3 + bytes.length);
      },
    };
    await expect(run(store, (event) => event.kind === 'epoch' && event.epoch === 1)).rejects.toThrow('stopped here');
    expect(same(await run(store))).toEqual(whole);
  });

  test('that give no bytes are named', async () => {
    await expect(run({ ...memoryStore(), read: () => Promise.resolve('text' as never) })).rejects.toThrow(
      /^checkpoint\.store: read\("run\.a\.safetensors"\): expected a Uint8Array or undefined, got "text"/,
    );
  });

  test('one key is one run: the second is LOCKED, the first goes on, and afterwards the key is free', async () => {
    const whole = same(await run(undefined));
    const store = memoryStore();
    const second: unknown[] = [];
    let asked = false;
    const first = await run(store, (event) => {
      if (event.kind === 'batch' && !asked) {
        asked = true;
        second.push(run(store).catch((error: unknown) => error));
      }
      return false;
    });
    expect(await second[0]).toMatchObject({ code: 'LOCKED' });
    expect(same(first)).toEqual(whole);
    expect(same(await run(store))).toEqual(whole);
  });

  test.each(['aborted', 'refused'])('the key is free after a run that was %s', async (how) => {
    const store = memoryStore();
    await expect(run(store, ({ kind }) => kind === 'epoch')).rejects.toThrow('stopped here');
    if (how === 'refused')
      await expect(run(store, undefined, { ...OPTIONS, epochs: 9 })).rejects.toMatchObject({ code: 'CHECKPOINT' });
    await run(store);
  });

  test.each([
    ['stop', undefined],
    ['goOn', 'goOn'],
  ] as const)('that cannot write: %s, by option; the error is IO with its cause', async (_name, onWriteError) => {
    const inner = memoryStore();
    let full = false;
    const store: CheckpointStore = {
      ...inner,
      write: (name, bytes) => (full ? Promise.reject(new Error('quota exceeded')) : inner.write(name, bytes)),
    };
    const warnings: string[] = [];
    const running = train(
      mixedNetwork(),
      context(training, {
        validation,
        onEvent: (event) => {
          if (event.kind === 'epoch') full = event.epoch < 2;
          if (event.kind === 'warning') warnings.push(event.text);
        },
      }),
      { ...OPTIONS, checkpoint: { store, key: 'run', ...(onWriteError ? { onWriteError } : {}) } },
    );
    if (!onWriteError) {
      await expect(running).rejects.toMatchObject({
        code: 'IO',
        message: expect.stringContaining('quota exceeded') as unknown,
      });
      full = false;
      expect(same(await run(store))).toEqual(same(await run(undefined)));
      return;
    }
    expect(same(await running)).toEqual(same(await run(undefined)));
    expect(warnings).toEqual(Array(2).fill(expect.stringContaining('quota exceeded')));
  });
});

/** The fingerprint that the newest slot of a store was written with. */
async function fingerprintIn(store: CheckpointStore): Promise<Fingerprint> {
  const names = await store.list();
  const { metadata } = readSafetensors((await store.read(names[0]))!);
  return (JSON.parse(metadata.get('espalier.checkpoint')!) as { fingerprint: Fingerprint }).fingerprint;
}
