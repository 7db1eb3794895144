/** Networks as ONNX models: every operator, any graph, both kinds of batch; judged by onnxruntime and ONNX's checker. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Encoding } from '../../src/encodings/types.ts';
import type { Network, Origin } from '../../src/graph/network.ts';
import type { Preprocessing } from '../../src/graph/preprocessing.ts';
import { loadKernels } from '../../src/kernels/index.ts';
import {
  conv,
  dense,
  graph,
  plain,
  readNetwork,
  sequential,
  softmax,
  split,
  writeNetwork,
} from '../../src/network/index.ts';
import { argMax, relu } from '../../src/network/functions.ts';
import { readOnnx, writeOnnx } from '../../src/onnx/index.ts';
import { EXPORTS } from '../../src/onnx/exports/table.ts';
import { readModel } from '../../src/onnx/model.ts';
import { OPERATORS } from '../../src/operators/table.ts';
import { prune } from '../../src/pruning/index.ts';
import { quantize, roundCodebooks } from '../../src/quantization/index.ts';
import { expectCode } from '../container/files.ts';
import { examplesOf, inputNumbers, networkOf } from '../operators/examples.ts';
import { anyGraph } from '../operators/graphs.ts';
import { checkModels, hasChecker } from './checker.ts';
import { differencesBetween, runNetwork, runOnnx } from './onnxruntime.ts';
import type { Values } from './onnxruntime.ts';

const kernels = await loadKernels();
const BATCH = 3;

const LAYOUTS = ['any', 'none', BATCH] as const;
type Layout = 'any' | 'none' | number;
const laidOut = (network: Network, batch: Layout): Network => ({ ...network, origin: { batch, metadata: {} } });

/** Numbers for every input, which depend on its name alone. */
function someInputs({ inputs }: Network, batch: number | undefined): Map<string, Values> {
  const sides = batch === undefined ? [] : [batch];
  return new Map(
    inputs.map(({ name, shape }) => [
      name,
      { shape: [...sides, ...shape], data: inputNumbers(name, batch ?? 1, shape) },
    ]),
  );
}

/** What is wrong with the model of a network, by onnxruntime and by our own reader. */
async function wrongWith(network: Network): Promise<string[]> {
  const batch = network.origin?.batch === 'none' ? undefined : BATCH;
  const inputs = someInputs(network, batch);
  const bytes = writeOnnx(network);
  const expected = await runNetwork(network, inputs, batch, kernels);
  const theirs = differencesBetween(await runOnnx(bytes, inputs), expected);
  const again = readOnnx(bytes);
  const ours = differencesBetween(await runNetwork(again.network, inputs, batchOf(again.batch), kernels), expected);
  // Without a batch, axis 0 may be read as one where nothing looks across it.
  const isKept = again.batch === network.origin?.batch || (batch === undefined && again.batch !== 'any');
  return [
    ...theirs.map((text) => `onnxruntime: ${text}`),
    ...ours.map((text) => `readOnnx: ${text}`),
    ...(isKept ? [] : [`batch: expected ${network.origin?.batch}, got ${again.batch}`]),
  ];
}

const batchOf = (batch: Layout): number | undefined => (batch === 'any' ? BATCH : batch === 'none' ? undefined : batch);

const kinds = Object.keys(OPERATORS);
const cases = kinds.flatMap((kind) =>
  examplesOf(kind).map((example, i) => [`${example.title} (${i})`, example] as const),
);

describe('every operator', () => {
  it('is written', () => expect(Object.keys(EXPORTS).sort()).toEqual([...kinds].sort()));

  it.each(cases)(
    '%s: onnxruntime and readOnnx give what espalier gives within 1e-4 + 1e-3 |y|, with a batch and without',
    async (_, example) => {
      for (const batch of LAYOUTS)
        expect(await wrongWith(laidOut(networkOf([example], 'alone'), batch)), String(batch)).toEqual([]);
    },
  );

  it.skipIf(!hasChecker)("passes ONNX's checker (skipped without Python's package onnx)", () => {
    const models = new Map(
      cases.flatMap(([title, example]) =>
        LAYOUTS.map(
          (batch) => [`${title}, batch ${batch}`, writeOnnx(laidOut(networkOf([example], 'alone'), batch))] as const,
        ),
      ),
    );
    expect(checkModels(models)).toBe('');
  });
});

describe('any graph', () => {
  it('gives in onnxruntime what espalier gives, names and all', async () => {
    await fc.assert(
      fc.asyncProperty(anyGraph({ sharesWeights: true }), fc.constantFrom(...LAYOUTS), async (network, batch) => {
        expect(await wrongWith(laidOut(network, batch))).toEqual([]);
      }),
      { numRuns: 60, seed: 1 },
    );
  });
});

it('a parameter may be called as a value is', async () => {
  const parameters = new Map(
    [
      ['c', 1],
      ['y', 2],
      ['x', 3],
    ].map(
      ([name, value]) =>
        [name, { kind: 'dense', shape: [1], data: Float32Array.of(value as number) }] as [string, Encoding],
    ),
  );
  const node = (name: string, kind: string, inputs: string[], roles = {}): Network['nodes'][number] => ({
    name,
    kind,
    inputs,
    parameters: roles,
    attributes: {},
  });
  const network: Network = {
    ...{ name: 'names', inputs: [{ name: 'x', shape: [1] }], outputs: ['y'], parameters },
    nodes: [node('sum', 'add', ['x', 'c']), node('y', 'affine', ['sum'], { scale: 'y', shift: 'x' })],
    origin: { batch: 'any', metadata: {} },
  };
  expect(await wrongWith(network)).toEqual([]);
});

describe('what a model says beside its graph', () => {
  const named = (): Network => ({
    ...graph({ name: 'twins', seed: 1 }, (g) => {
      const [left, right] = [g.input([4], 'left/image:0'), g.input([4], 'right.image')];
      const sum = g.node({ ...dense(3), name: 'shared' }, g.node({ ...plain('add'), name: 'sum' }, left, right));
      const [first, second] = g.nodes(split([1, 2], { name: 'parts' }), sum);
      return [g.node({ ...softmax(), name: 'probabilities' }, second), first, g.node(argMax(), sum)];
    }),
    origin: { batch: 'any', metadata: { author: 'Ana Ü', license: '', __proto__: 'no prototype' } },
  });

  it('has the names of inputs, outputs and nodes in their order, their shapes, and an open batch', async () => {
    const network = named();
    const bytes = writeOnnx(network);
    const { graph: read, opsets, producer, irVersion } = readModel(bytes);
    expect(read.inputs.map(({ name, dimensions }) => [name, dimensions])).toEqual([
      ['left/image:0', ['batch', 4]],
      ['right.image', ['batch', 4]],
    ]);
    expect(read.outputs.map(({ name, code, dimensions }) => [name, code, dimensions])).toEqual(
      network.outputs.map((name, i) => [name, i === 2 ? 7 : 1, [['batch', 2], ['batch', 1], ['batch']][i]]),
    );
    expect(read.nodes.map(({ name }) => name).filter((name) => name !== '')).toEqual(
      network.nodes.map(({ name }) => name),
    );
    expect([[...opsets], producer, irVersion, read.name]).toEqual([[['', 17]], 'espalier', 8, 'twins']);
    expect(await wrongWith(network)).toEqual([]);
    expect(writeOnnx(network)).toEqual(bytes);
  });

  it('keeps the metadata that a network came with, through our own file and transforms too, and takes more', async () => {
    const metadata = Object.fromEntries([
      ['author', 'Ana Ü'],
      ['license', ''],
      ['__proto__', 'a key like any other'],
    ]);
    const network = { ...named(), origin: { batch: 2, metadata } };
    const bytes = writeOnnx(network, { metadata: { author: 'Ben', by: 'me' } });
    const again = readOnnx(bytes);
    const expected = [
      ['author', 'Ben'],
      ['license', ''],
      ['__proto__', 'a key like any other'],
      ['by', 'me'],
    ];
    expect([...again.metadata]).toEqual(expected);
    expect(again.batch).toBe(2);
    const { origin } = readNetwork(writeNetwork(again.network));
    expect(Object.entries(origin?.metadata ?? {})).toEqual(expected);
    expect(origin?.batch).toBe(2);
    const context = { kernels, threads: 1, seed: 1 };
    for (const transform of [
      prune({ criterion: 'magnitude', fold: false, keep: 0.5 }),
      quantize({ quantizer: 'scalar', bits: 4 }),
      roundCodebooks(),
    ])
      expect((await transform(again.network, context)).network.origin).toEqual(origin);
  });

  it.each(['batch', 'metadata'])(
    'an origin without %s, or a wrong one, is refused in our file; a file without an origin is read as before',
    (field) => {
      const network = named();
      for (const wrong of [undefined, 0, 1.5, 'some', ['x'], { author: 1 }]) {
        const origin = { batch: 'any', metadata: {}, [field]: wrong } as unknown as Origin;
        expectCode(() => writeNetwork({ ...network, origin }), 'FIELD');
      }
      const { origin: _, ...without } = network;
      expect(readNetwork(writeNetwork(without))).toEqual(without);
    },
  );
});

describe('a picture before the network', () => {
  const preprocessing: Preprocessing = {
    ...{ width: 5, height: 4, channels: 3, filter: 'area', scale: 1 / 255 },
    standardize: { kind: 'fixed', mean: [0.485, 0.456, 0.406], deviation: [0.229, 0.224, 0.225] },
  };
  const network = (of: Preprocessing): Network =>
    sequential({ input: [3, 4, 5], seed: 1, preprocessing: of }, [conv(2, 3), relu()]);
  const pixels = { shape: [2, 3, 4, 5], data: Float32Array.from({ length: 120 }, (_, i) => (i * 37) % 256) };

  it.each([
    ['fixed', preprocessing],
    ['none', { ...preprocessing, standardize: { kind: 'none' } }],
  ] as const)('is standardized in the graph where normalize says so: %s', async (_, of) => {
    const { standardize } = of;
    const prepared = Float32Array.from(pixels.data, (value, i) => {
      const channel = Math.floor(i / 20) % 3;
      return standardize.kind === 'fixed'
        ? (value / 255 - standardize.mean[channel]) / standardize.deviation[channel]
        : value / 255;
    });
    const made = network(of);
    const expected = await runNetwork(made, new Map([['input', { ...pixels, data: prepared }]]), 2, kernels);
    const bytes = writeOnnx(made, { normalize: true });
    expect(differencesBetween(await runOnnx(bytes, new Map([['input', pixels]])), expected)).toEqual([]);
    expect(
      differencesBetween(await runNetwork(readOnnx(bytes).network, new Map([['input', pixels]]), 2, kernels), expected),
    ).toEqual([]);
    expect(differencesBetween(await runOnnx(writeOnnx(made), new Map([['input', pixels]])), expected)).not.toEqual([]);
  });

  it('is not where it cannot be', () => {
    const { preprocessing: _, ...bare } = network(preprocessing);
    const image = network({ ...preprocessing, standardize: { kind: 'image', epsilon: 1e-3 } });
    for (const one of [bare, image]) {
      expect(writeOnnx(one).length).toBeGreaterThan(0);
      expectCode(() => writeOnnx(one, { normalize: true }), 'UNSUPPORTED');
    }
    const looped = { ...network(preprocessing), outputs: ['input', network(preprocessing).outputs[0]] };
    expectCode(() => writeOnnx(looped, { normalize: true }), 'UNSUPPORTED');
  });
});

describe('what is refused', () => {
  const network = networkOf([examplesOf('relu')[0]], 'alone');
  it.each([
    [{ dense: 1 }, /dense: expected true or false, got 1/],
    [{ normalize: 'yes' }, /normalize: expected true or false, got "yes"/],
    [{ metadata: { author: 3 } }, /metadata\.author: expected a text, got 3/],
    [{ metadata: ['author'] }, /metadata: expected an object of texts/],
    [{ opset: 18 }, /opset/],
  ])('%j', (options, expected) => {
    expect(() => writeOnnx(network, options as never)).toThrow(expected);
  });

  it('names that no UTF-8 can be, which would become one another', () => {
    const halves = ['\ud800', '\udc00'];
    const both = graph({}, (g) => halves.map((name, i) => g.node({ ...relu(), name }, g.input([2], `input ${i}`))));
    expectCode(() => writeOnnx(both), 'FIELD');
    expectCode(() => writeOnnx(network, { metadata: { author: '\ud800' } }), 'FIELD');
    expect(writeOnnx(network, { metadata: { author: '\ud83d\ude00' } }).length).toBeGreaterThan(0);
  });

  it('weights that are not finite or not as many as their shape says, and more than a file holds', () => {
    const small = sequential({ input: [3], seed: 1 }, [dense(2, { name: 'last' })]);
    const withWeight = (data: Float32Array): Network => ({
      ...small,
      parameters: new Map(small.parameters).set('last.weight', { kind: 'dense', shape: [2, 3], data }),
    });
    expectCode(() => writeOnnx(withWeight(new Float32Array(6).fill(NaN))), 'NONFINITE');
    expectCode(() => writeOnnx(withWeight(new Float32Array(5))), 'SHAPE');
    // Nine times the same 256 MB, which are never copied.
    const data = new Float32Array(2 ** 26);
    const shape = [2 ** 13, 2 ** 13];
    const large = graph({}, (g) => {
      let y = g.input(shape);
      for (let i = 0; i < 9; i++)
        y = g.node(plain('add'), y, g.constant({ data: new Float32Array(1), shape: [1] }, `c${i}`));
      return [y];
    });
    const parameters = new Map(
      [...large.parameters.keys()].map((name) => [name, { kind: 'dense', shape, data } as const]),
    );
    expectCode(() => writeOnnx({ ...large, parameters }), 'TOO_LARGE');
  });

  it('no network, a graph that does not hold together, a batch that none can be', () => {
    expect(() => writeOnnx(7 as never)).toThrow(TypeError);
    expectCode(() => writeOnnx({ ...network, outputs: ['nothing'] }), 'GRAPH');
    for (const batch of [0, 1.5, 'some']) expectCode(() => writeOnnx(laidOut(network, batch as never)), 'FIELD');
  });
});
