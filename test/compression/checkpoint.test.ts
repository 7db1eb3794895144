import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { RunEvent } from '../../src/base/control.ts';
import { compress } from '../../src/compression/index.ts';
import type { CompressOptions, CompressResult } from '../../src/compression/index.ts';
import { CHECKSUM_KEY, memoryStore, readSafetensors, writeChecked } from '../../src/container/index.ts';
import type { CheckpointStore, NamedArray } from '../../src/container/index.ts';
import type { Examples } from '../../src/graph/examples.ts';
import type { Context } from '../../src/graph/transform.ts';
import { findGroups, prune } from '../../src/pruning/index.ts';
import { quantize } from '../../src/quantization/index.ts';
import { train } from '../../src/training/index.ts';
import { mutations } from '../mutations.ts';
import { context, smoothSet, tiny } from '../training/fixtures.ts';

const training = smoothSet(40, 1);
const validation = smoothSet(20, 2);
const SETTINGS = { keep: 0.75, subvectorLength: 2, codewordCount: 4 };
const RETRAIN = { epochs: 2, learningRate: 0.01 };
const OPTIONS: CompressOptions = {
  settings: SETTINGS,
  retrainPruned: RETRAIN,
  retrainQuantized: RETRAIN,
  final: RETRAIN,
  retries: 1,
  tolerance: 0,
};

function run(
  store: CheckpointStore | undefined,
  more: Partial<Context> = {},
  options = OPTIONS,
): Promise<CompressResult> {
  return compress(
    tiny(),
    { ...context(training), validation, ...more },
    store ? { ...options, checkpoint: { store, key: 'job' } } : options,
  );
}

/** A run that was stopped in the midst of its schedule, with both slots of its own and one of a stage's. */
async function begun(): Promise<CheckpointStore> {
  const store = memoryStore();
  let stages = 0;
  const onEvent = (event: RunEvent): void => {
    if (event.kind === 'stage' && event.count > 3) stages++;
    if (stages >= 4 && event.kind === 'epoch') throw new Error('stopped here');
  };
  await expect(run(store, { onEvent })).rejects.toThrow('stopped here');
  return store;
}

/** The slot again, under a right checksum. */
function rewritten(
  bytes: Uint8Array,
  change: (tensors: NamedArray[], metadata: Map<string, string>) => NamedArray[],
): Uint8Array {
  const file = readSafetensors(bytes);
  const metadata = new Map([...file.metadata].filter(([key]) => key !== CHECKSUM_KEY));
  const tensors = change(
    [...file.tensors].map(([name, stored]) => ({ name, ...stored })),
    metadata,
  );
  return writeChecked(tensors, metadata);
}

const KEY = 'espalier.compress';

describe('a checkpoint of a schedule', () => {
  it.each<[string, (fields: Record<string, unknown>) => void]>([
    ['stages that are a number', (fields) => (fields['stages'] = 0)],
    ['stages that are numbers', (fields) => (fields['stages'] = [0, 1])],
    ['a stage without a report', (fields) => delete (fields['stages'] as { report?: unknown }[])[0].report],
    ['a next stage beyond the schedule', (fields) => (fields['next'] = 99)],
    ['a next stage between two', (fields) => (fields['next'] = 0.5)],
    ['no validation', (fields) => delete fields['validation']],
    ['a start that is nowhere', (fields) => (fields['start'] = 'there')],
    ['a best try that is not stored', (fields) => (fields['best'] = fields['best'] === null ? 0.5 : 'x')],
    ['an attempt too many', (fields) => (fields['attempt'] = 2)],
  ])('whole, but with %s: passed over for the one before it; alone: CHECKPOINT', async (_, change) => {
    const wanted = await run(undefined);
    const store = await begun();
    const alone = memoryStore();
    const slots = (await store.list()).filter((name) => /^job\.[ab]/.test(name));
    const sequenceOf = (bytes: Uint8Array): number =>
      (JSON.parse(readSafetensors(bytes).metadata.get('espalier.checkpoint')!) as { sequence: number }).sequence;
    const found = await Promise.all(slots.map(async (name) => ({ name, bytes: (await store.read(name))! })));
    const [newest] = found.sort((a, b) => sequenceOf(b.bytes) - sequenceOf(a.bytes));
    const bad = rewritten(newest.bytes, (tensors, metadata) => {
      const fields = JSON.parse(metadata.get(KEY)!) as Record<string, unknown>;
      change(fields);
      metadata.set(KEY, JSON.stringify(fields));
      return tensors;
    });
    await alone.write(newest.name, bad);
    await expect(run(alone)).rejects.toMatchObject({ name: 'EspalierError', code: 'CHECKPOINT' });
    await store.write(newest.name, bad);
    const warnings: string[] = [];
    const result = await run(store, {
      onEvent: (event) => {
        if (event.kind === 'warning') warnings.push(event.text);
      },
    });
    expect(result.bytes).toEqual(wanted.bytes);
    expect(warnings).toEqual([expect.stringContaining(`damaged checkpoint was passed over: ${newest.name}`)]);
  });

  it('is checked field by field, every element of every list, and the field that is wrong is named', async () => {
    const store = await begun();
    const [name] = (await store.list()).filter((one) => /^job\.[ab]/.test(one));
    const bytes = (await store.read(name))!;
    type Fields = Record<string, unknown> & Record<'stages' | 'steps', Record<string, unknown>[]>;
    const step = { layers: ['second'], start: 0.5, limit: 0.75, tries: [0.5, 0.25], kept: 1, within: true };
    const outcome = async (change: (fields: Fields) => void): Promise<string> => {
      const alone = memoryStore();
      const written = rewritten(bytes, (tensors, metadata) => {
        const fields = JSON.parse(metadata.get(KEY)!) as Fields;
        fields.steps = [{ ...step }, { ...step }];
        change(fields);
        metadata.set(KEY, JSON.stringify(fields));
        return tensors;
      });
      await alone.write(name, written);
      return run(alone).then(
        () => 'went on',
        (error: unknown) => ((error as { code?: string }).code === 'CHECKPOINT' ? (error as Error).message : 'other'),
      );
    };
    expect(await outcome(() => undefined)).toBe('went on');
    // Without a limit anything was allowed.
    expect(await outcome(({ steps }) => delete steps[1]['limit'])).toBe('went on');
    const wrongs: [string, (fields: Fields) => void][] = [
      ['steps[1].layers', ({ steps }) => (steps[1]['layers'] = ['second', 2])],
      ['steps[1].tries', ({ steps }) => (steps[1]['tries'] = [0.5, null])],
      ['steps[1].limit', ({ steps }) => (steps[1]['limit'] = '1')],
      ['steps[1].within', ({ steps }) => (steps[1]['within'] = 1)],
      ['steps[1].kept', ({ steps }) => (steps[1]['kept'] = -1)],
      ['steps[1].start', ({ steps }) => delete steps[1]['start']],
      ['steps[1]', (fields) => (fields.steps[1] = 7 as never)],
      ['steps', (fields) => (fields.steps = 7 as never)],
      ['stages[0].layers', ({ stages }) => (stages[0]['layers'] = ['second', 2])],
      ['stages[0].layers', ({ stages }) => (stages[0]['layers'] = 'second')],
      ['stages[0].name', ({ stages }) => (stages[0]['name'] = 7)],
      ['stages[0].changed', ({ stages }) => (stages[0]['changed'] = 1)],
      ['stages[0].attempt', ({ stages }) => (stages[0]['attempt'] = -1)],
      ['stages[0].parameters', ({ stages }) => (stages[0]['parameters'] = 0.5)],
      ['stages[0].validation', ({ stages }) => (stages[0]['validation'] = 'low')],
      ['stages[0].report', ({ stages }) => (stages[0]['report'] = null)],
      ['stages[0].report', ({ stages }) => (stages[0]['report'] = { transform: 1 })],
      ['tries', (fields) => (fields['tries'] = [0.5, null])],
      ['tries', (fields) => (fields['tries'] = 0.5)],
      ['best', (fields) => (fields['best'] = [])],
      ['best.validation', (fields) => (fields['best'] = { attempt: 0 })],
      ['best.attempt', (fields) => (fields['best'] = { attempt: 0.5, validation: 1 })],
      ['start', (fields) => (fields['start'] = 'then')],
      ['next', (fields) => (fields['next'] = -1)],
      ['attempt', (fields) => (fields['attempt'] = -1)],
      ['startValidation', (fields) => (fields['startValidation'] = null)],
      ['baseline', (fields) => delete fields['baseline']],
    ];
    for (const [field, change] of wrongs) expect(await outcome(change)).toContain(`compress: ${field}: expected `);
  });

  it('under a right checksum, whatever stands in it: the run goes on or says CHECKPOINT, and nothing else', async () => {
    const begunStore = await begun();
    const [name] = (await begunStore.list()).filter((one) => /^job\.[ab]/.test(one));
    const bytes = (await begunStore.read(name))!;
    const fields: unknown = JSON.parse(readSafetensors(bytes).metadata.get(KEY)!);
    let [went, refused] = [0, 0];
    await fc.assert(
      fc.asyncProperty(
        mutations(fields),
        fc.constantFrom('none', 'none', 'drop', 'flip', 'cut'),
        fc.nat(),
        async (changed, damage, at) => {
          const store = memoryStore();
          const written = rewritten(bytes, (tensors, metadata) => {
            metadata.set(KEY, JSON.stringify(changed));
            const hit = tensors[at % tensors.length];
            if (damage === 'drop') return tensors.filter((one) => one !== hit);
            return tensors.map((one) => {
              if (one !== hit || damage === 'none') return one;
              const length = damage === 'cut' ? at % one.bytes.length : one.bytes.length;
              const copy = one.bytes.slice(0, length);
              if (damage === 'flip') copy[at % length] ^= 1;
              return { ...one, shape: [length], bytes: copy };
            });
          });
          await store.write(name, written);
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
    expect([went > 0, refused > 50]).toEqual([true, true]);
  });

  it('a store that gives Buffers resumes to the same bytes', async () => {
    const inner = await begun();
    const store: CheckpointStore = {
      ...inner,
      read: async (name) => {
        const bytes = await inner.read(name);
        return bytes && Buffer.concat([Buffer.alloc(5, 1), bytes]).subarray(5);
      },
    };
    expect((await run(store)).bytes).toEqual((await run(undefined)).bytes);
  });

  it('other labels from the tenth sample on are other data', async () => {
    const relabelled: Examples = {
      ...training,
      read(indices, inputs, targets, pass) {
        training.read(indices, inputs, targets, pass);
        Array.from(indices).forEach((sample, i) => {
          if (sample >= 10) targets?.fill(0.5, 2 * i, 2 * i + 2);
        });
      },
    };
    await expect(run(await begun(), { training: relabelled })).rejects.toMatchObject({
      code: 'CHECKPOINT',
      message: expect.stringContaining('its data') as unknown,
    });
  });

  it.each<[string, CompressOptions, string]>([
    ['optimizer', { training: { optimizer: { kind: 'adam' } } }, 'training.optimizer was not given, is { "kind" }'],
    ['clipping', { training: { clip: 1 } }, 'training.clip was not given, is 1'],
    ['tolerance, from 0 to none', { tolerance: Infinity }, 'tolerance was 0, is Infinity'],
    ['repair', { repair: false }, 'repair was true, is false'],
    ['scoring', { criterion: 'magnitude', scoring: { norm: 'L2' } }, 'scoring.norm was not given, is "L2"'],
    ['precision of codewords', { codewords: 'float32' }, 'codewords was "float16", is "float32"'],
    ['setting of a layer', { layers: { second: { quantize: false } } }, 'layers.second.quantize was true, is false'],
  ])('another %s is other options, named with both values', async (_, options, text) => {
    await expect(run(await begun(), {}, { ...OPTIONS, ...options })).rejects.toMatchObject({
      code: 'CHECKPOINT',
      message: expect.stringMatching(/its options \(/) as unknown,
    });
    await expect(run(await begun(), {}, { ...OPTIONS, ...options })).rejects.toThrow(text);
  });

  it('one key is one run: the second is LOCKED and the first ends in its bytes', async () => {
    const store = memoryStore();
    const seconds: Promise<unknown>[] = [];
    const onEvent = (event: RunEvent): void => {
      if (event.kind === 'stage') seconds.push(run(store).catch((error: unknown) => error));
    };
    expect((await run(store, { onEvent })).bytes).toEqual((await run(undefined)).bytes);
    for (const second of await Promise.all(seconds)) expect(second).toMatchObject({ code: 'LOCKED' });
    await run(store);
  });

  it('that cannot be written and the run is to go on: told as warnings, the same bytes', async () => {
    const warnings: string[] = [];
    const store: CheckpointStore = { ...memoryStore(), write: () => Promise.reject(new Error('quota exceeded')) };
    const options = { ...OPTIONS, checkpoint: { store, key: 'job', onWriteError: 'goOn' } } as const;
    const onEvent = (event: RunEvent): void => {
      if (event.kind === 'warning') warnings.push(event.text);
    };
    const { bytes } = await compress(tiny(), { ...context(training), validation, onEvent }, options);
    expect(bytes).toEqual((await run(undefined)).bytes);
    expect(warnings.length).toBeGreaterThan(5);
    for (const text of warnings) expect(text).toMatch(/could not be kept.*quota exceeded/);
    await expect(
      compress(tiny(), { ...context(training), validation }, { ...options, checkpoint: { store, key: 'job' } }),
    ).rejects.toMatchObject({ code: 'IO' });
  });
});

describe('a listener that is async and fails', () => {
  const network = tiny();
  const jobs: [string, (context: Context) => Promise<unknown>][] = [
    ['train', (outside) => train(network, outside, { epochs: 2 })],
    [
      'prune',
      (outside) =>
        prune({ keep: { [findGroups(network)[0].name]: 0.5 }, criterion: 'magnitude', repair: false })(
          network,
          outside,
        ),
    ],
    ['quantize', (outside) => quantize({ subvectorLength: 2, codewordCount: 4 })(network, outside)],
    ['compress', (outside) => compress(network, outside, OPTIONS)],
  ];

  it.each(jobs)(
    '%s: at any event, at once or a turn later, it ends the run with its error, once, and nothing goes unhandled',
    async (_, job) => {
      const unhandled: unknown[] = [];
      const note = (error: unknown): void => {
        unhandled.push(error);
      };
      process.on('unhandledRejection', note);
      let events = 0;
      await job({ ...context(training), validation, onEvent: () => events++ });
      expect(events).toBeGreaterThan(0);
      const step = Math.max(1, Math.floor(events / 12));
      for (const at of [...Array.from({ length: Math.ceil(events / step) }, (__, i) => i * step), events - 1]) {
        for (const turns of [0, 1]) {
          const failure = new Error(`event ${at}`);
          let seen = 0;
          const onEvent = async (): Promise<void> => {
            if (seen++ !== at) return;
            for (let i = 0; i < turns; i++) await new Promise(setImmediate);
            throw failure;
          };
          const outcome = await job({ ...context(training), validation, onEvent: onEvent as () => void }).catch(
            (error: unknown) => error,
          );
          expect(outcome).toBe(failure);
        }
      }
      await new Promise(setImmediate);
      process.off('unhandledRejection', note);
      expect(unhandled).toEqual([]);
    },
  );
});

it('a metric that is async is refused by name, and its rejection heard', async () => {
  const validationMetric = (() => Promise.reject(new Error('late'))) as unknown as () => number;
  await expect(run(undefined, {}, { ...OPTIONS, training: { validationMetric } })).rejects.toThrow(
    /compress: validationMetric: expected a value, got a promise/,
  );
  await expect(train(tiny(), { ...context(training), validation }, { epochs: 1, validationMetric })).rejects.toThrow(
    /train: validationMetric: expected a value, got a promise/,
  );
});
