import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { loadKernels } from '../../src/kernels/index.ts';
import {
  affine,
  batchNorm,
  concat,
  conv,
  dense,
  dropout,
  flatten,
  graph,
  maxPool,
  relu,
  sequential,
  softmax,
} from '../../src/network/index.ts';
import type { Layer } from '../../src/network/layers.ts';
import type { Network } from '../../src/graph/network.ts';
import { cosPi } from '../../src/base/elementary.ts';
import { permutation, stream } from '../../src/base/random.ts';
import type { RunEvent } from '../../src/base/control.ts';
import {
  constant,
  crossEntropy,
  evaluate,
  l2,
  predictAll,
  smoothL1,
  train,
  trainTransform,
} from '../../src/training/index.ts';
import type { AdamChoice, SgdChoice } from '../../src/training/index.ts';
import { arraySet, bytesOf, classSet, context, smoothSet, tiny } from './fixtures.ts';

type BatchEvent = Extract<RunEvent, { kind: 'batch' }>;
type EpochEvent = Extract<RunEvent, { kind: 'epoch' }>;

interface StepVectors {
  start: Record<'w1' | 'b1' | 'w2' | 'b2', number[]>;
  x: number[];
  y: number[];
  runs: {
    optimizer: SgdChoice | AdamChoice;
    rate: number;
    clip: number;
    losses: number[];
    norms: number[];
    parameters: Record<'w1' | 'b1' | 'w2' | 'b2', number[]>;
  }[];
}
const vectors = (
  JSON.parse(readFileSync(new URL('../vectors/training/training.json', import.meta.url), 'utf8')) as {
    steps: StepVectors;
  }
).steps;
const NAMES = { w1: 'first.weight', b1: 'first.bias', w2: 'second.weight', b2: 'second.bias' } as const;

/** Convolution, batch normalization, dropout, pooling: everything that has a state or draws at random. */
function stateful(): Network {
  return sequential({ input: [1, 6, 6], seed: 3 }, [
    conv(4, 3),
    batchNorm(),
    relu(),
    maxPool(2),
    flatten(),
    dropout(0.25),
    dense(6),
    relu(),
    dense(2),
  ]);
}
const pictures = (count: number, seed: number) => {
  const random = stream(seed, 'pictures');
  const inputs = Float32Array.from({ length: 36 * count }, () => random());
  return arraySet(
    [1, 6, 6],
    inputs,
    [2],
    Float32Array.from({ length: 2 * count }, (_, i) => inputs[36 * (i >> 1) + 7 * (i & 1)]),
  );
};

describe('learning', () => {
  test.each<[string, SgdChoice | AdamChoice, number]>([
    ['SGD', { kind: 'sgd', weightDecay: 0 }, 0.05],
    ['SGD with Nesterov', { kind: 'sgd', nesterov: true, weightDecay: 0 }, 0.05],
    ['Adam', { kind: 'adam', decoupled: false, weightDecay: 0 }, 0.02],
    ['AdamW', { kind: 'adam' }, 0.02],
  ])('%s overfits 16 samples: the loss falls more than tenfold', async (_name, optimizer, learningRate) => {
    const { history } = await train(tiny(), context(smoothSet(16, 1)), {
      epochs: 150,
      batchSize: 8,
      optimizer,
      learningRate,
      loss: l2(),
    });
    expect(history.at(-1)!.loss).toBeLessThan(history[0].loss / 10);
  });

  test('classes: cross-entropy by default, three clusters are told apart', async () => {
    const network = { ...sequential({ input: [2] }, [dense(3)]), task: { kind: 'classes', classes: 3 } as const };
    const { network: trained } = await train(network, context(classSet(60, 1)), {
      epochs: 10,
      batchSize: 10,
      learningRate: 0.2,
    });
    const set = classSet(30, 2);
    const { predictions, targets, loss, rmse } = await evaluate(trained, set, {
      kernels: context(set).kernels,
      loss: crossEntropy(),
    });
    const right = [...targets].filter(
      (label, i) => predictions[3 * i + label] === Math.max(...predictions.subarray(3 * i, 3 * i + 3)),
    ).length;
    expect(right).toBe(30);
    expect(loss).toBeLessThan(0.1);
    expect(rmse).toBeUndefined();
  });

  test.each(vectors.runs.map((run) => [JSON.stringify(run.optimizer), run] as const))(
    '20 steps of PyTorch within 1e-5: %s',
    async (_name, run) => {
      const base = tiny(0, 5);
      const shapes = new Map([...base.parameters].map(([name, encoding]) => [name, encoding.shape]));
      const parameters = new Map(
        (Object.keys(NAMES) as (keyof typeof NAMES)[]).map((key) => [
          NAMES[key],
          { kind: 'dense' as const, shape: shapes.get(NAMES[key])!, data: Float32Array.from(vectors.start[key]) },
        ]),
      );
      const set = arraySet([3], Float32Array.from(vectors.x), [2], Float32Array.from(vectors.y));
      const events: BatchEvent[] = [];
      const { network } = await train(
        { ...base, parameters },
        context(set, {
          onEvent: (event) => {
            if (event.kind === 'batch') events.push(event);
          },
        }),
        {
          epochs: 20,
          batchSize: 8,
          loss: l2(),
          schedule: constant(),
          optimizer: run.optimizer,
          learningRate: run.rate,
          clip: run.clip,
        },
      );
      run.losses.forEach((loss, i) => expect(Math.abs(events[i].loss - loss)).toBeLessThan(1e-5));
      run.norms.forEach((norm, i) => expect(Math.abs(events[i].gradientNorm - norm)).toBeLessThan(1e-5));
      for (const key of Object.keys(NAMES) as (keyof typeof NAMES)[]) {
        const encoding = network.parameters.get(NAMES[key])!;
        if (encoding.kind !== 'dense') throw new Error('dense expected');
        run.parameters[key].forEach((value, i) => expect(Math.abs(encoding.data[i] - value)).toBeLessThan(1e-5));
      }
    },
  );
});

describe('determinism', () => {
  test('the same seed gives the same bytes, another seed others', async () => {
    const run = async (seed: number) =>
      bytesOf(
        (await train(stateful(), context(pictures(20, 1), { seed }), { epochs: 2, batchSize: 6, loss: l2() })).network,
      );
    const first = await run(1);
    expect(await run(1)).toEqual(first);
    expect(await run(2)).not.toEqual(first);
  });

  test.each(['simd', 'portable'] as const)('two threads give the bytes of one (%s)', async (prefer) => {
    const kernels = await loadKernels({ prefer });
    expect(kernels.name).toBe(prefer);
    const run = async (threads: number) =>
      bytesOf(
        (
          await train(stateful(), context(pictures(20, 1), { kernels, threads }), {
            epochs: 2,
            batchSize: 6,
            loss: l2(),
          })
        ).network,
      );
    expect(await run(2)).toEqual(await run(1));
  });

  test('batches are those of the recipe: floor(count / batch) per epoch, in the order permutation(stream(seed, "order", epoch)), the rest dropped', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 25 }), fc.integer({ min: 1, max: 9 }), async (count, batchSize) => {
        const set = smoothSet(count, 1);
        const { steps } = await train(tiny(), context(set, { seed: 5 }), { epochs: 2, batchSize });
        const batch = Math.min(batchSize, count);
        expect(set.reads.length).toBe(2 * Math.floor(count / batch));
        expect(steps).toBe(set.reads.length);
        for (const epoch of [0, 1]) {
          const reads = set.reads.filter(({ pass }) => pass?.epoch === epoch && pass.seed === 5);
          expect(reads.flatMap(({ indices }) => indices)).toEqual(
            [...permutation(stream(5, 'order', epoch), count)].slice(0, batch * reads.length),
          );
          expect(reads.every(({ indices }) => indices.length === batch)).toBe(true);
        }
      }),
      { numRuns: 20 },
    );
  });

  test('the network given is not changed', async () => {
    const network = stateful();
    const before = bytesOf(network);
    await train(network, context(pictures(8, 1)), { epochs: 1, batchSize: 4, loss: l2() });
    expect(bytesOf(network)).toEqual(before);
  });

  test('one event per step and per epoch, with the learning rate of the recipe', async () => {
    const events: RunEvent[] = [];
    await train(tiny(), context(smoothSet(10, 1), { onEvent: (event) => events.push(event) }), {
      epochs: 3,
      batchSize: 4,
      learningRate: 0.5,
    });
    expect(events.map(({ kind }) => kind)).toEqual(Array.from({ length: 3 }, () => ['batch', 'batch', 'epoch']).flat());
    const batches = events.filter((event): event is BatchEvent => event.kind === 'batch');
    batches.forEach((event, step) =>
      expect(event).toMatchObject({
        step,
        steps: 6,
        epoch: step >> 1,
        epochs: 3,
        learningRate: 0.5 * 0.5 * (1 + cosPi(step / 6)),
      }),
    );
  });
});

describe('what is kept', () => {
  test('by default the state that was best on validation: its metric is the least of all, and evaluating it gives that metric', async () => {
    const validation = smoothSet(12, 2);
    const result = await train(tiny(), context(smoothSet(12, 1), { validation }), {
      epochs: 12,
      batchSize: 4,
      learningRate: 0.3,
      loss: l2(),
    });
    const least = Math.min(result.before!, ...result.history.map((epoch) => epoch.validation!));
    expect(result.kept.validation).toBe(least);
    expect((await evaluate(result.network, validation, { kernels: context(validation).kernels })).rmse).toBe(least);
  });

  test('training that only makes it worse returns the network as given and says so', async () => {
    const perfect = tiny(4);
    const inputs = smoothSet(12, 1);
    const labels = await predictAll(perfect, inputs, { kernels: context(inputs).kernels });
    const set = relabel(inputs, labels);
    const noise = smoothSet(12, 9);
    const result = await train(perfect, context(noise, { validation: await set }), { epochs: 3, batchSize: 4 });
    expect(result.status).toBe('noImprovement');
    expect(result.network).toBe(perfect);
    expect(result.kept).toEqual({ epoch: -1, validation: result.before });
  });

  test('patience stops after as many evaluations without a new best, and the result says so', async () => {
    // A metric that falls once and then stays: best after the first epoch.
    let calls = 0;
    const validation = smoothSet(4, 2);
    const result = await train(tiny(), context(smoothSet(12, 1), { validation }), {
      epochs: 50,
      patience: 3,
      evaluateEvery: 2,
      validationMetric: () => [2, 1][calls++] ?? 1,
    });
    expect(result.status).toBe('stoppedEarly');
    expect(result.history.map((epoch) => epoch.validation)).toEqual([
      undefined,
      1,
      undefined,
      1,
      undefined,
      1,
      undefined,
      1,
    ]);
    expect(result.kept).toEqual({ epoch: 1, validation: 1 });
  });

  test(`keep 'last' returns the last state`, async () => {
    const set = smoothSet(12, 1);
    const plain = await train(tiny(), context(set), { epochs: 2, batchSize: 4 });
    const judged = await train(tiny(), context(set, { validation: smoothSet(4, 2) }), {
      epochs: 2,
      batchSize: 4,
      keep: 'last',
    });
    expect(bytesOf(judged.network)).toEqual(bytesOf(plain.network));
    expect(judged.kept.epoch).toBe(1);
  });

  test('frozen parameters are the very same objects afterwards, the others move', async () => {
    const network = tiny();
    const { network: trained } = await train(network, context(smoothSet(8, 1)), {
      epochs: 1,
      batchSize: 4,
      frozen: ['first.weight', 'second.bias'],
    });
    for (const [name, encoding] of trained.parameters)
      expect(encoding === network.parameters.get(name)).toBe(name === 'first.weight' || name === 'second.bias');
  });
});

describe('a teacher', () => {
  test('whose outputs are the labels teaches the same bytes, alone or mixed with them', async () => {
    const teacher = tiny(7);
    const inputs = smoothSet(16, 1);
    const labelled = await relabel(inputs, await predictAll(teacher, inputs, { kernels: context(inputs).kernels }));
    const options = { epochs: 3, batchSize: 8, loss: smoothL1({ beta: 0.1 }) };
    const byLabels = await train(tiny(1), context(labelled), options);
    const unlabelled = await relabel(inputs);
    expect(bytesOf((await train(tiny(1), context(unlabelled), { ...options, teacher })).network)).toEqual(
      bytesOf(byLabels.network),
    );
    expect(
      bytesOf((await train(tiny(1), context(labelled), { ...options, teacher, teacherWeight: 0.25 })).network),
    ).toEqual(bytesOf(byLabels.network));
  });

  test('is the yardstick on an unlabelled validation set: the metric of the teacher itself is 0', async () => {
    const teacher = tiny(7);
    const unlabelled = await relabel(smoothSet(8, 1));
    const { before } = await train(teacher, context(unlabelled, { validation: unlabelled }), { epochs: 1, teacher });
    expect(before).toBe(0);
  });

  test('of classes gives probabilities: a teacher that is sure teaches what its labels do (loss within 1e-6)', async () => {
    const base = sequential({ input: [2], seed: 1 }, [dense(3)]);
    const set = classSet(30, 1);
    const sure = Float32Array.from([
      60,
      0,
      60 * Math.cos((2 * Math.PI) / 3),
      60 * Math.sin((2 * Math.PI) / 3),
      60 * Math.cos((4 * Math.PI) / 3),
      60 * Math.sin((4 * Math.PI) / 3),
    ]);
    const teacher: Network = {
      ...base,
      parameters: new Map(base.parameters).set('dense1.weight', { kind: 'dense', shape: [3, 2], data: sure }),
    };
    const options = { epochs: 2, batchSize: 10, loss: crossEntropy() };
    const byLabels = await train(base, context(set), options);
    const byTeacher = await train(base, context(set), { ...options, teacher });
    byLabels.history.forEach(({ loss }, i) => expect(Math.abs(loss - byTeacher.history[i].loss)).toBeLessThan(1e-6));
    const mixed = await train(base, context(set), { ...options, teacher, teacherWeight: 0.75 });
    expect(Math.abs(mixed.history[1].loss - byLabels.history[1].loss)).toBeLessThan(1e-6);
  });
});

test('trainTransform reports JSON-able data that round-trips', async () => {
  const { network, report } = await trainTransform({ epochs: 1, batchSize: 4 })(
    tiny(),
    context(smoothSet(8, 1), { validation: smoothSet(4, 2) }),
  );
  expect(network.name).toBe('tiny');
  expect(JSON.parse(JSON.stringify(report))).toEqual(report);
  expect(report).toMatchObject({ transform: 'train', status: 'finished', steps: 2 });
});

test('an epoch event carries validation and best', async () => {
  const events: EpochEvent[] = [];
  await train(
    tiny(),
    context(smoothSet(8, 1), {
      validation: smoothSet(4, 2),
      onEvent: (event) => {
        if (event.kind === 'epoch') events.push(event);
      },
    }),
    { epochs: 2, batchSize: 4, evaluateEvery: 2 },
  );
  expect(events.map((event) => event.validation !== undefined)).toEqual([false, true]);
  expect(events[1].best).toBeLessThanOrEqual(events[1].validation!);
});

describe('cross-entropy takes logits', () => {
  const set = classSet(9, 1);
  const threeNumbers = arraySet([2], new Float32Array(8), [3], new Float32Array(12));
  const endings: [string, Layer[]][] = [
    ['a softmax at the end', []],
    ['flatten behind it', [flatten()]],
    ['dropout behind it', [dropout(0.5)]],
    ['a unit behind it', [affine(2, 0.5)]],
    ['all of them', [flatten(), dropout(0.1), affine(Float32Array.of(1, 2, 3), 0), flatten()]],
  ];
  test.each(endings)('%s is refused by train, for network and teacher, and by evaluate', async (_name, behind) => {
    const network = sequential({ input: [2] }, [dense(3), softmax({ name: 'probabilities' }), ...behind]);
    const logits = sequential({ input: [2] }, [dense(3)]);
    const options = { epochs: 1, loss: crossEntropy() };
    const wrong = 'takes logits, but the network ends in the softmax "probabilities"';
    await expect(train(network, context(set), options)).rejects.toThrow(`train: network: crossEntropy ${wrong}`);
    await expect(train(logits, context(set), { ...options, teacher: network })).rejects.toThrow('train: teacher:');
    await expect(evaluate(network, set, { kernels: context(set).kernels, loss: crossEntropy() })).rejects.toThrow(
      `evaluate: network: crossEntropy ${wrong}`,
    );
    expect(set.reads).toEqual([]);
    // A loss that compares values takes probabilities as well as anything.
    await evaluate(network, threeNumbers, { kernels: context(set).kernels, loss: l2() });
  });

  test('behind two heads that are joined, and not where a layer follows the softmax (attention)', async () => {
    const joined = graph({}, (g) => {
      const x = g.input([2]);
      return g.node(concat(), g.node(dense(2), x), g.node(softmax(), g.node(dense(2), x)));
    });
    await expect(train(joined, context(set), { epochs: 1, loss: crossEntropy() })).rejects.toThrow('takes logits');
    const inside = sequential({ input: [2] }, [dense(4), softmax(), dense(3)]);
    await train(inside, context(set), { epochs: 1, batchSize: 3, loss: crossEntropy() });
  });
});

/** The same inputs with other labels, or none. */
async function relabel(set: ReturnType<typeof smoothSet>, labels?: Float32Array): Promise<ReturnType<typeof arraySet>> {
  const inputs = new Float32Array(set.count * 3);
  await set.read(
    Array.from({ length: set.count }, (_, i) => i),
    inputs,
    undefined,
  );
  return labels ? arraySet([3], inputs, [2], labels) : arraySet([3], inputs);
}

describe('a network of several outputs', () => {
  /** The gradient of the second head lies where the convolution's outputs were, which pooling has done with. */
  const withHeads = (two: boolean): Network =>
    graph({ seed: 5 }, (g) => {
      const trunk = g.node(flatten(), g.node(maxPool(2), g.node(conv(8, 3, { name: 'trunk' }), g.input([1, 4, 4]))));
      const first = g.node(dense(2, { name: 'first' }), trunk);
      return two ? [first, g.node(dense(64, { name: 'second' }), trunk)] : [first];
    });
  const random = stream(1, 'test');
  const numbers = (count: number): Float32Array => Float32Array.from({ length: count }, () => random() - 0.5);
  const set = arraySet([1, 4, 4], numbers(64 * 16), [2], numbers(64 * 2));

  test('learns what its first output is told, as if it were alone; a head that nobody judges stays bit for bit', async () => {
    const run = (network: Network) =>
      train(network, context(set), { epochs: 3, learningRate: 0.1, optimizer: { kind: 'sgd', weightDecay: 0 } });
    const [alone, beside] = [await run(withHeads(false)), await run(withHeads(true))];
    expect(beside.history).toEqual(alone.history);
    for (const name of ['trunk.weight', 'trunk.bias', 'first.weight', 'first.bias']) {
      expect(beside.network.parameters.get(name)).toEqual(alone.network.parameters.get(name));
    }
    for (const name of ['second.weight', 'second.bias']) {
      expect(beside.network.parameters.get(name)).toEqual(withHeads(true).parameters.get(name));
    }
  });
});
