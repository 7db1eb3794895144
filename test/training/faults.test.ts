import { describe, expect, test } from 'vitest';
import { memoryStore } from '../../src/container/index.ts';
import { EspalierError } from '../../src/base/errors.ts';
import { batchNorm, conv, dense, flatten, relu, sequential } from '../../src/network/index.ts';
import type { Examples } from '../../src/graph/examples.ts';
import type { Network } from '../../src/graph/network.ts';
import type { Context } from '../../src/graph/transform.ts';
import { constant, crossEntropy, l2, lastGoodNetwork, train } from '../../src/training/index.ts';
import type { Loss, Schedule, TrainOptions } from '../../src/training/index.ts';
import { arraySet, bytesOf, classSet, context, countingKernels, smoothSet, tiny } from './fixtures.ts';

const set = smoothSet(12, 1);
const OPTIONS: TrainOptions = { epochs: 2, batchSize: 4, loss: l2() };

/** The rejection of a promise that must not be fulfilled. */
async function rejection(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => {
      throw new Error('was fulfilled');
    },
    (error: unknown) => error,
  );
}

/** Runs with counted workspaces and a counted signal; checks that nothing is left behind, whatever the outcome. */
async function clean(
  more: Partial<Context>,
  options: TrainOptions = OPTIONS,
  network: Network = tiny(),
  training: Examples = set,
): Promise<unknown> {
  const { kernels, open } = countingKernels();
  const listeners = new Set<unknown>();
  const { signal } = more;
  if (signal) {
    const [add, remove] = [signal.addEventListener.bind(signal), signal.removeEventListener.bind(signal)];
    signal.addEventListener = (...rest: Parameters<typeof add>) => {
      listeners.add(rest[1]);
      add(...rest);
    };
    signal.removeEventListener = (...rest: Parameters<typeof remove>) => {
      listeners.delete(rest[1]);
      remove(...rest);
    };
  }
  const error = await rejection(train(network, context(training, { kernels, ...more }), options));
  await new Promise((resolve) => setTimeout(resolve, 0));
  expect(open()).toBe(0);
  expect(listeners.size).toBe(0);
  return error;
}

describe('divergence', () => {
  test('learning rate 1e6: DIVERGED with step and layer; the last good weights are those of the start', async () => {
    const network = sequential({ input: [3] }, [dense(8), relu(), dense(2)]);
    const error = await clean(
      {},
      { ...OPTIONS, epochs: 40, learningRate: 1e6, schedule: constant(), clip: 0 },
      network,
    );
    expect(error).toBeInstanceOf(EspalierError);
    expect(error).toMatchObject({
      code: 'DIVERGED',
      message: expect.stringMatching(/at step \d+, first in layer "(dense1|relu1|dense2)"/) as unknown,
    });
    expect((error as EspalierError).details.step).toBeGreaterThanOrEqual(1);
    expect(lastGoodNetwork(error)).toBe(network);
  });

  test('the checkpoint and the last good weights are of the last epoch that was finite, and starting again diverges in the same place', async () => {
    // Well-behaved for an epoch of three steps, then a rate that no float survives.
    const schedule: Schedule = { options: { kind: 'explodes' }, factor: (step) => (step < 4 ? 1 : 1e30) };
    const store = memoryStore();
    const run = (): Promise<unknown> =>
      clean({}, { ...OPTIONS, epochs: 3, schedule, clip: 0, checkpoint: { store, key: 'run' } });
    const error = await run();
    expect(error).toMatchObject({ code: 'DIVERGED' });
    const good = lastGoodNetwork(error)!;
    const oneEpoch = await train(tiny(), context(set), { ...OPTIONS, epochs: 1, schedule, clip: 0 });
    expect(bytesOf(good)).toEqual(bytesOf(oneEpoch.network));
    expect(await store.list()).toHaveLength(1);
    const again = await run();
    expect(again).toMatchObject({ code: 'DIVERGED', message: (error as Error).message });
    expect(bytesOf(lastGoodNetwork(again)!)).toEqual(bytesOf(good));
    expect(await store.list()).toHaveLength(1);
  });

  test('a gradient that is infinite while the loss is finite is found, in the layer where it arises', async () => {
    const broken: Loss = {
      ...l2(),
      measure: (_prediction, _target, _count, _size, gradient) => {
        gradient?.fill(Infinity);
        return 1;
      },
    };
    const network = tiny();
    const error = await clean({}, { ...OPTIONS, loss: broken }, network);
    expect(error).toMatchObject({ code: 'DIVERGED', details: { step: 0, name: 'second' } });
    expect(lastGoodNetwork(error)).toBe(network);
  });

  test('activations that overflow at once are found in the layer that overflows', async () => {
    const base = sequential({ input: [3] }, [
      dense(4, { name: 'a' }),
      relu(),
      dense(4, { name: 'b' }),
      relu(),
      dense(2, { name: 'c' }),
    ]);
    const network: Network = {
      ...base,
      parameters: new Map(base.parameters)
        .set('a.weight', { kind: 'dense', shape: [4, 3], data: new Float32Array(12).fill(1) })
        .set('b.weight', { kind: 'dense', shape: [4, 4], data: new Float32Array(16).fill(3e38) }),
    };
    const positive = arraySet([3], new Float32Array(36).fill(30), [2], new Float32Array(24));
    expect(await clean({}, OPTIONS, network, positive)).toMatchObject({
      code: 'DIVERGED',
      details: { step: 0, name: 'b' },
    });
  });

  test('lastGoodNetwork of another error is undefined', () => {
    expect(lastGoodNetwork(new Error('other'))).toBeUndefined();
    expect(lastGoodNetwork(new EspalierError('DATA', 'other', { lastGood: tiny() }))).toBeUndefined();
  });

  test('a validation metric that is not a number ends the run, before training and after', async () => {
    const validation = smoothSet(4, 2);
    expect(await clean({ validation }, { ...OPTIONS, validationMetric: () => NaN })).toMatchObject({
      code: 'NONFINITE',
    });
    let calls = 0;
    expect(
      await clean({ validation }, { ...OPTIONS, validationMetric: () => (calls++ === 0 ? 1 : NaN) }),
    ).toMatchObject({ code: 'DIVERGED', message: expect.stringContaining('the validation metric is NaN') as unknown });
  });
});

describe('data', () => {
  /** `set` with sample 7 changed as it is read. */
  const spoiled = (
    change: (inputs: Float32Array, targets: Float32Array | undefined, at: number) => void,
  ): Examples => ({
    ...set,
    async read(indices, inputs, targets, pass) {
      await set.read(indices, inputs, targets, pass);
      const at = Array.from(indices).indexOf(7);
      if (at >= 0) change(inputs, targets, at);
    },
  });

  test.each<[string, Examples]>([
    [
      'a NaN among the inputs',
      spoiled((inputs, _targets, at) => {
        inputs[3 * at + 1] = NaN;
      }),
    ],
    [
      'an infinite input',
      spoiled((inputs, _targets, at) => {
        inputs[3 * at] = -Infinity;
      }),
    ],
    [
      'a NaN among the targets',
      spoiled((_inputs, targets, at) => {
        targets![2 * at] = NaN;
      }),
    ],
  ])('%s is DATA, naming the sample', async (_name, examples) => {
    expect(await clean({}, OPTIONS, tiny(), examples)).toMatchObject({
      code: 'DATA',
      details: { name: 'context.training', found: 7 },
      message: expect.stringContaining('in sample 7') as unknown,
    });
    expect(await clean({ validation: examples })).toMatchObject({
      code: 'DATA',
      details: { name: 'context.validation', found: 7 },
    });
  });

  test('a source that ends early leaves a sample unwritten: DATA, naming it, never the batch before', async () => {
    const short: Examples = {
      ...set,
      read: (indices, inputs, targets, pass) => set.read(Array.from(indices).slice(0, 3), inputs, targets, pass),
    };
    expect(await clean({}, OPTIONS, tiny(), short)).toMatchObject({
      code: 'DATA',
      message: expect.stringContaining('element 0') as unknown,
    });
  });

  test('labels outside of the classes are DATA, naming the sample', async () => {
    const network = { ...sequential({ input: [2] }, [dense(3)]), task: { kind: 'classes', classes: 3 } as const };
    for (const label of [3, -1, 0.5]) {
      const good = classSet(12, 1);
      const bad: Examples = {
        ...good,
        async read(indices, inputs, targets) {
          await good.read(indices, inputs, targets);
          const at = Array.from(indices).indexOf(5);
          if (at >= 0) targets![at] = label;
        },
      };
      expect(await clean({}, { epochs: 1, batchSize: 6 }, network, bad)).toMatchObject({
        code: 'DATA',
        details: { found: 5 },
        message: expect.stringContaining('expected labels from 0 to 2') as unknown,
      });
    }
  });

  test.each<[string, () => void | Promise<void>]>([
    [
      'throws',
      () => {
        throw new Error('disk gone');
      },
    ],
    ['rejects', () => Promise.reject(new Error('disk gone'))],
  ])('a source that %s is DATA with the cause', async (_name, read) => {
    expect(await clean({}, OPTIONS, tiny(), { ...set, read })).toMatchObject({
      code: 'DATA',
      cause: { message: 'disk gone' },
      message: expect.stringContaining('disk gone') as unknown,
    });
  });

  test('after a failing source the run goes on from its checkpoint and ends in the same bytes', async () => {
    const whole = bytesOf((await train(tiny(), context(set), OPTIONS)).network);
    const store = memoryStore();
    let reads = 0;
    const failing: Examples = {
      ...set,
      read: (...rest) => {
        if (++reads === 6) throw new Error('disk gone');
        return set.read(...rest);
      },
    };
    const checkpoint = { store, key: 'run' };
    expect(await clean({}, { ...OPTIONS, checkpoint }, tiny(), failing)).toMatchObject({ code: 'DATA' });
    expect(bytesOf((await train(tiny(), context(set), { ...OPTIONS, checkpoint })).network)).toEqual(whole);
  });

  test('a source that changes the indices it is given changes nothing', async () => {
    const rude: Examples = {
      ...set,
      read: (indices, ...rest) => {
        void set.read(indices, ...rest);
        (indices as Int32Array).fill(0);
      },
    };
    expect(bytesOf((await train(tiny(), context(rude), OPTIONS)).network)).toEqual(
      bytesOf((await train(tiny(), context(set), OPTIONS)).network),
    );
  });

  test.each<[string, Examples, Partial<TrainOptions>, Network]>([
    ['an empty set', { ...set, count: 0 }, {}, tiny()],
    ['inputs of another shape', { ...set, inputShape: [4] }, {}, tiny()],
    ['targets of another size', { ...set, targetShape: [3] }, {}, tiny()],
    ['no targets', arraySet([3], new Float32Array(36)), {}, tiny()],
    [
      'no targets where the teacher has only half the say',
      arraySet([3], new Float32Array(36)),
      { teacher: tiny(), teacherWeight: 0.5 },
      tiny(),
    ],
    [
      'several numbers where a label is wanted',
      { ...classSet(12, 1), targetShape: [2] },
      { loss: crossEntropy() },
      sequential({ input: [2] }, [dense(3)]),
    ],
  ])('%s is DATA, before any sample is read', async (_name, examples, options, network) => {
    const untouched: Examples = {
      ...examples,
      read: () => {
        throw new Error('was read');
      },
    };
    const error = await clean({}, { ...OPTIONS, ...options }, network, untouched);
    expect(error).toMatchObject({ code: 'DATA' });
    expect((error as Error).message).not.toContain('was read');
  });
});

describe('arguments are checked before any work', () => {
  const untouched: Examples = {
    ...set,
    read: () => {
      throw new Error('was read');
    },
  };
  const wrong = (options: unknown, more: Partial<Context> = {}): Promise<unknown> => {
    const { kernels } = context(set);
    return rejection(
      train(
        tiny(),
        context(untouched, {
          kernels: { ...kernels, open: () => Promise.reject(new Error('work was begun')) },
          ...more,
        }),
        options as TrainOptions,
      ),
    );
  };

  test.each<[string, unknown, ErrorConstructor | RangeErrorConstructor | TypeErrorConstructor]>([
    ['epochs', 0, RangeError],
    ['epochs', -1, RangeError],
    ['epochs', NaN, RangeError],
    ['epochs', 1.5, RangeError],
    ['epochs', undefined, TypeError],
    ['batchSize', 0, RangeError],
    ['batchSize', 2.5, RangeError],
    ['batchSize', '32', TypeError],
    ['learningRate', 0, RangeError],
    ['learningRate', -1, RangeError],
    ['learningRate', NaN, RangeError],
    ['learningRate', Infinity, RangeError],
    ['clip', -1, RangeError],
    ['clip', NaN, RangeError],
    ['schedule', 'cosine', TypeError],
    ['loss', 'l2', TypeError],
    ['frozen', ['nowhere'], RangeError],
    ['frozen', 'first.weight', TypeError],
    ['teacher', 'teacher.onnx', TypeError],
    ['checkpoint', 'folder', TypeError],
    ['checkpoint', { store: memoryStore() }, TypeError],
    ['optimizer', { kind: 'rmsprop' }, RangeError],
    ['optimizer', 'sgd', TypeError],
    ['optimizer', { kind: 'sgd', momentum: 1 }, RangeError],
    ['optimizer', { kind: 'sgd', momentum: -0.1 }, RangeError],
    ['optimizer', { kind: 'sgd', nesterov: true, momentum: 0 }, RangeError],
    ['optimizer', { kind: 'sgd', nesterov: 1 }, TypeError],
    ['optimizer', { kind: 'sgd', weightDecay: -1 }, RangeError],
    ['optimizer', { kind: 'adam', beta1: 1 }, RangeError],
    ['optimizer', { kind: 'adam', beta2: NaN }, RangeError],
    ['optimizer', { kind: 'adam', epsilon: 0 }, RangeError],
    ['optimizer', { kind: 'adam', decoupled: 'yes' }, TypeError],
    ['optimizer', { kind: 'sgd', codewordGradient: 'median' }, RangeError],
    ['keep', 'first', RangeError],
    ['keep', 'best', TypeError],
    ['patience', 2, TypeError],
    ['evaluateEvery', 2, TypeError],
    ['validationMetric', () => 0, TypeError],
    ['teacherWeight', 0.5, TypeError],
    ['momentum', 0.9, TypeError],
  ])('%s: %j', async (name, value, kind) => {
    const error = await wrong({ ...OPTIONS, [name]: value });
    expect(error).toBeInstanceOf(kind);
    expect(error).not.toBeInstanceOf(EspalierError);
    expect((error as Error).message).toMatch(new RegExp(`^train: .*${name}`));
  });

  test.each<[string, Partial<TrainOptions>]>([
    ['patience', { patience: 0 }],
    ['evaluateEvery', { evaluateEvery: 0 }],
    ['validationMetric', { validationMetric: 'rmse' as unknown as () => number }],
  ])('%s with a validation set', async (name, options) => {
    expect(((await wrong({ ...OPTIONS, ...options }, { validation: untouched })) as Error).message).toContain(
      `train: ${name}`,
    );
  });

  test('teacherWeight is in (0, 1]', async () => {
    for (const teacherWeight of [0, 1.5, NaN])
      expect(await wrong({ ...OPTIONS, teacher: tiny(), teacherWeight })).toBeInstanceOf(RangeError);
  });

  test('seed, threads and sets of the context', async () => {
    for (const seed of [-1, 0.5, NaN]) expect(await wrong(OPTIONS, { seed })).toBeInstanceOf(RangeError);
    expect(await wrong(OPTIONS, { threads: 0 })).toBeInstanceOf(RangeError);
    expect(await wrong(OPTIONS, { validation: 3 as unknown as Examples })).toBeInstanceOf(TypeError);
    expect(await wrong(null)).toBeInstanceOf(TypeError);
    expect(await wrong(OPTIONS, { kernels: 'simd' as unknown as Context['kernels'] })).toMatchObject({
      name: 'TypeError',
      message: expect.stringContaining('await loadKernels()') as unknown,
    });
    expect(await rejection(train(tiny(), context(undefined), OPTIONS))).toMatchObject({
      name: 'TypeError',
      message: expect.stringContaining('context.training') as unknown,
    });
  });

  test('a teacher of other shapes', async () => {
    const teacher = sequential({ input: [3] }, [dense(5)]);
    expect(await clean({}, { ...OPTIONS, teacher })).toMatchObject({
      name: 'RangeError',
      message: expect.stringContaining('from [3] to [5]') as unknown,
    });
  });
});

describe('being stopped', () => {
  test('before the start: the reason, and no work', async () => {
    const reason = { any: 'value' };
    expect(await clean({ signal: AbortSignal.abort(reason) })).toBe(reason);
  });

  test('inside of the source, and while it keeps the run waiting for ever', async () => {
    const reason = new Error('enough');
    for (const stall of [false, true]) {
      const controller = new AbortController();
      let reads = 0;
      const examples: Examples = {
        ...set,
        read: (...rest) => {
          if (++reads === 3) controller.abort(reason);
          return stall && reads === 3 ? new Promise<void>(() => undefined) : set.read(...rest);
        },
      };
      expect(await clean({ signal: controller.signal }, OPTIONS, tiny(), examples)).toBe(reason);
    }
    const controller = new AbortController();
    const stalled: Examples = {
      ...set,
      read: () =>
        new Promise<void>(() => {
          setTimeout(() => {
            controller.abort(reason);
          }, 5);
        }),
    };
    expect(await clean({ signal: controller.signal }, OPTIONS, tiny(), stalled)).toBe(reason);
  });

  test('a source that rejects because it was aborted too does not hide the reason', async () => {
    const controller = new AbortController();
    const reason = new Error('enough');
    const examples: Examples = {
      ...set,
      read: async () => {
        await Promise.resolve();
        controller.abort(reason);
        throw new Error('reading was aborted');
      },
    };
    expect(await clean({ signal: controller.signal }, OPTIONS, tiny(), examples)).toBe(reason);
  });

  test('in validation, and in the last event', async () => {
    const reason = new Error('enough');
    for (const [training, validation] of [
      [set, stopping(2)],
      [stopping(100), set],
    ] as const) {
      const controller = new AbortController();
      const watched = (examples: Examples & { limit?: number }): Examples => {
        let reads = 0;
        return {
          ...examples,
          read: (...rest) => {
            if (++reads === examples.limit) controller.abort(reason);
            return examples.read(...rest);
          },
        };
      };
      const onEvent: NonNullable<Context['onEvent']> = (event) => {
        if (event.kind === 'epoch' && event.epoch === 1) controller.abort(reason);
      };
      expect(
        await clean(
          { signal: controller.signal, validation: watched(validation), onEvent },
          OPTIONS,
          tiny(),
          watched(training),
        ),
      ).toBe(reason);
    }
    function stopping(limit: number): Examples & { limit: number } {
      return { ...set, limit };
    }
  });

  test('by a timer: a run without any asynchronous source leaves room for it, within a second', async () => {
    const started = performance.now();
    const error = await clean({ signal: AbortSignal.timeout(120) }, { ...OPTIONS, epochs: 1_000_000 });
    expect(error).toMatchObject({ name: 'TimeoutError' });
    expect(performance.now() - started).toBeLessThan(1120);
  });
});

describe('listeners', () => {
  test('one that throws ends the run with its own error', async () => {
    const failure = new Error('listener');
    let calls = 0;
    expect(
      await clean({
        onEvent: () => {
          calls++;
          throw failure;
        },
      }),
    ).toBe(failure);
    expect(calls).toBe(1);
  });

  test('one that returns a rejected promise ends the run with its own error, once, and nothing goes unhandled', async () => {
    const failure = new Error('listener');
    const unhandled: unknown[] = [];
    const note = (error: unknown): void => {
      unhandled.push(error);
    };
    process.on('unhandledRejection', note);
    let calls = 0;
    const onEvent = (): Promise<void> => (calls++ === 0 ? Promise.reject(failure) : Promise.resolve());
    expect(await clean({ onEvent: onEvent as () => void })).toBe(failure);
    process.off('unhandledRejection', note);
    expect(unhandled).toEqual([]);
  });

  test('one that never settles, or changes what it was given, changes nothing', async () => {
    const plain = bytesOf((await train(tiny(), context(set), OPTIONS)).network);
    const rude = (event: object): Promise<void> => {
      for (const key of Object.keys(event)) (event as Record<string, unknown>)[key] = NaN;
      return new Promise(() => undefined);
    };
    expect(
      bytesOf((await train(tiny(), context(set, { onEvent: rude as (event: object) => void }), OPTIONS)).network),
    ).toEqual(plain);
  });
});

test('a network of several inputs is refused by name', async () => {
  const base = tiny();
  const network: Network = { ...base, inputs: [...base.inputs, { name: 'other', shape: [2] }] };
  expect(await rejection(train(network, context(set), OPTIONS))).toMatchObject({
    name: 'RangeError',
    message: expect.stringContaining('expected one input') as unknown,
  });
});

test('a convolutional network with batch normalization leaves nothing behind when it diverges', async () => {
  const pictures = arraySet(
    [1, 4, 4],
    new Float32Array(16 * 6).map((_, i) => Math.sin(i)),
    [2],
    new Float32Array(12).map((_, i) => i),
  );
  const network = sequential({ input: [1, 4, 4] }, [conv(3, 3), batchNorm(), relu(), flatten(), dense(2)]);
  const error = await clean(
    {},
    { epochs: 60, batchSize: 3, loss: l2(), learningRate: 1e9, schedule: constant(), clip: 0 },
    network,
    pictures,
  );
  expect(error).toMatchObject({ code: 'DIVERGED' });
  for (const encoding of lastGoodNetwork(error)!.parameters.values())
    if (encoding.kind === 'dense') expect(encoding.data.every(Number.isFinite)).toBe(true);
});
