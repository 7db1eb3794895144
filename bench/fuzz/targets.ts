/** What is fuzzed: each a door through which bytes from outside come in, and what must be true of what it lets in. */
import { readFileSync } from 'node:fs';
import { crc32, deflateSync, gzipSync } from 'node:zlib';
import {
  compress,
  conv,
  dense,
  EspalierError,
  examplesFromArrays,
  flatten,
  gunzip,
  memoryStore,
  NO_LIMITS,
  normal,
  plainWeights,
  portableKernels,
  quantize,
  readEncodings,
  readNetwork,
  readNpy,
  readNpz,
  readPlain,
  readPts,
  readSafetensors,
  relu,
  sequential,
  stream,
  train,
  writeEncodings,
  writeNetwork,
  writeNpy,
} from 'espalier';
import { readOnnx, writeOnnx } from 'espalier/onnx';
import { readTfjs } from 'espalier/tfjs';
import type { CheckpointStore, CompressOptions, Context, Network, QuantizeOptions, TrainOptions } from 'espalier';

export interface Target {
  readonly name: string;
  readonly about: string;
  /** Texts of the format, for mutations to insert. */
  readonly words: readonly string[];
  /** Inputs that are right, or nearly so. */
  seeds(): Promise<readonly Uint8Array[]>;
  /** What makes a mutated input get further in: a checksum that is right again. Default: nothing. */
  mend?(bytes: Uint8Array): Uint8Array;
  /** What may be held while it is read, times its bytes, beside what is free. Default 64. */
  readonly times?: number;
  /**
   * Reads the input. Returns or rejects with an error of the contract; a {@link Finding} says that what came out is wrong.
   * A function that is returned is run behind it, its memory counted apart: what must be true of what was read.
   */
  read(bytes: Uint8Array): unknown;
}

/** What a door let in and should not have. */
export class Finding extends Error {
  override readonly name = 'Finding';
}

const text = (value: string): Uint8Array => new TextEncoder().encode(value);

/** Every so many of the tests' models. */
function tfjsModels(): Uint8Array[] {
  const file = new URL('../../test/vectors/tfjs_models.json', import.meta.url);
  const { cases } = JSON.parse(readFileSync(file, 'utf8')) as { cases: { model: object; weights: string }[] };
  return cases
    .filter((_, i) => i % 8 === 0 || i > cases.length - 3)
    .map(({ model, weights }) =>
      Uint8Array.from(Buffer.concat([Buffer.from(`${JSON.stringify(model)}\n`), Buffer.from(weights, 'base64')])),
    );
}

function check(holds: boolean, what: string): void {
  if (!holds) throw new Finding(what);
}

function sameBytes(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && Buffer.compare(one, other) === 0;
}

// A checked file opens with these characters, the checksum's digits behind them; the checksum counts them as '0'.
const OPENING = '{"__metadata__":{"espalier.checksum":"';
const FIRST_DIGIT = 8 + OPENING.length;

/** The file with its checksum made right, where it has one. */
export function seal(bytes: Uint8Array): Uint8Array {
  const opening = Buffer.from(bytes.subarray(8, FIRST_DIGIT)).toString('latin1');
  if (opening !== OPENING || bytes.length < FIRST_DIGIT + 8) return bytes;
  const sealed = bytes.slice();
  sealed.fill(0x30, FIRST_DIGIT, FIRST_DIGIT + 8);
  sealed.set(text(crc32(sealed).toString(16).padStart(8, '0')), FIRST_DIGIT);
  return sealed;
}

/** The file with the length of its header made right: the header ends where braces and quotes say that it does. */
function fitHeader(bytes: Uint8Array): Uint8Array {
  let depth = 0;
  let quoted = false;
  for (let at = 8; at < bytes.length; at++) {
    const byte = bytes[at];
    if (quoted && byte === 0x5c) at++;
    else if (byte === 0x22) quoted = !quoted;
    else if (!quoted && byte === 0x7b) depth++;
    else if (!quoted && byte === 0x7d && --depth === 0) {
      let end = at + 1;
      while (bytes[end] === 0x20) end++;
      const fitted = bytes.slice();
      new DataView(fitted.buffer).setBigUint64(0, BigInt(end - 8), true);
      return fitted;
    }
  }
  return bytes;
}

const mendContainer = (bytes: Uint8Array): Uint8Array => seal(fitHeader(bytes));

const kernels = portableKernels();
const context: Context = { kernels, threads: 1, seed: 1, training: samples(6, 1), validation: samples(4, 2) };
const tiny = sequential({ input: [1, 4, 4], seed: 1 }, [conv(3, 3), relu(), flatten(), dense(2)]);

function samples(count: number, seed: number): ReturnType<typeof examplesFromArrays> {
  const random = stream(seed, 'fuzz');
  const draw = (length: number): Float32Array => Float32Array.from({ length }, () => normal(random));
  return examplesFromArrays({
    inputs: draw(16 * count),
    inputShape: [1, 4, 4],
    targets: draw(2 * count),
    targetShape: [2],
  });
}

async function networkFiles(): Promise<readonly Uint8Array[]> {
  const settings: QuantizeOptions[] = [
    { codewordCount: 4, subvectorLength: 3 },
    { quantizer: 'scalar', bits: 3 },
  ];
  const networks = await Promise.all(settings.map(async (options) => (await quantize(options)(tiny, context)).network));
  return [tiny, ...networks].map((network) => writeNetwork(network));
}

/** A store whose one slot of `key` holds these bytes. */
function storeOf(key: string, bytes: Uint8Array): CheckpointStore {
  const store = memoryStore();
  const name = `${key}.a.safetensors`;
  return {
    ...store,
    read: async (asked) => (asked === name ? bytes.slice() : undefined),
    write: async () => undefined,
  };
}

async function slotsOf(key: string, run: (store: CheckpointStore) => Promise<unknown>): Promise<readonly Uint8Array[]> {
  const slots: Uint8Array[] = [];
  const store = memoryStore();
  await run({
    ...store,
    async write(name, bytes) {
      if (name.startsWith(key)) slots.push(bytes.slice());
      await store.write(name, bytes);
    },
  });
  return slots;
}

const TRAINING: TrainOptions = { epochs: 2, batchSize: 3, optimizer: { kind: 'adam' } };
const KEY = 'run';

export const TARGETS: readonly Target[] = [
  {
    name: 'network',
    about: 'readNetwork: a file of ours, its checksum right',
    words: [
      '"kind":"conv"',
      '"inputs":["input"]',
      '"attributes":{}',
      '"parameters":{}',
      '"shape":[1]',
      '"encoding":',
      '"product"',
      '"scalar"',
      '"dense"',
      'F32',
      'U8',
      'F16',
    ],
    seeds: networkFiles,
    mend: mendContainer,
    read(bytes) {
      const network = readNetwork(bytes);
      const written = writeNetwork(network);
      check(sameBytes(written, writeNetwork(readNetwork(written))), 'read again after writing, it writes other bytes');
    },
  },
  {
    name: 'packed',
    about: 'readNetwork: a packed file, its checksum right; what comes out is written and read again, packed and not',
    words: ['espalier.packed', '"dtype":"U8"', '\u0000\u0000\u0000\u0000', '\u0001\u0000\u0000\u0000'],
    seeds: async () => (await networkFiles()).map((bytes) => writeNetwork(readNetwork(bytes), { packed: true })),
    mend: mendContainer,
    read(bytes) {
      const network = readNetwork(bytes);
      const again = readNetwork(writeNetwork(network, { packed: true }));
      check(sameBytes(writeNetwork(again), writeNetwork(network)), 'packed and read again, it is another network');
    },
  },
  {
    name: 'encodings',
    about: 'readEncodings: encodings without a network, their checksum right',
    words: [
      '"shape":[1]',
      '"blocks":[[1,1,1,0]]',
      '"kind":"product"',
      '"kind":"scalar"',
      '"tensors":{}',
      'F32',
      'U8',
      'F16',
    ],
    async seeds() {
      const files = await networkFiles();
      return files.map((bytes) => writeEncodings(readNetwork(bytes).parameters));
    },
    mend: mendContainer,
    read(bytes) {
      const written = writeEncodings(readEncodings(bytes));
      check(
        sameBytes(written, writeEncodings(readEncodings(written))),
        'read again after writing, it writes other bytes',
      );
    },
  },
  {
    name: 'safetensors',
    about: 'readSafetensors and readPlain: the container alone, of any program',
    words: [
      '"dtype":"F32"',
      '"dtype":"BF16"',
      '"dtype":"I64"',
      '"shape":[]',
      '"shape":[0]',
      '"data_offsets":[0,4]',
      '"__metadata__":{}',
      '\\u0000',
      '\\ud800',
    ],
    seeds: async () => [plainWeights(tiny), ...(await networkFiles())],
    mend: fitHeader,
    read(bytes) {
      const { tensors } = readSafetensors(bytes);
      const stored = [...tensors.values()].reduce((sum, tensor) => sum + tensor.bytes.length, 0);
      check(stored <= bytes.length, `${stored} bytes of tensors in a file of ${bytes.length}`);
      for (const { data, shape } of readPlain(bytes).tensors.values()) {
        check(
          data.length === shape.reduce((product, length) => product * length, 1),
          'values that do not fill their shape',
        );
        check(data.every(Number.isFinite), 'values that are not finite');
      }
    },
  },
  {
    name: 'npy',
    about: 'readNpy',
    words: ["'descr'", "'<f4'", "'>i8'", "'|b1'", "'fortran_order': True", "'shape': (2, 3)", '(2L, 3L)', '(,)', '()'],
    seeds: async () =>
      [new Float32Array(6), new Float64Array(6), new Uint8Array(6), new Int32Array(6)].map((data) =>
        writeNpy({ data, shape: [2, 3] }),
      ),
    read(bytes) {
      const { data, shape } = readNpy(bytes);
      check(
        data.length === shape.reduce((product, length) => product * length, 1),
        'values that do not fill their shape',
      );
      const again = readNpy(writeNpy({ data, shape }));
      check(
        again.data.length === data.length && data.every((value, i) => Object.is(value, again.data[i])),
        'written and read again, it has other values',
      );
    },
  },
  {
    name: 'npz',
    about: 'readNpz: archives of arrays',
    words: ['PK\u0001\u0002', 'PK\u0003\u0004', 'PK\u0005\u0006', '../', '.npy', "'<f4'", "'<f8'", "'<i8'", '|O'],
    // What NumPy wrote is in the corpus; an archive of nothing is its last record alone.
    seeds: async () => [Uint8Array.from([0x50, 0x4b, 5, 6, ...new Array<number>(18).fill(0)])],
    read(bytes) {
      for (const { data, shape } of readNpz(bytes).tensors.values()) {
        check(
          data.length === shape.reduce((product, length) => product * length, 1),
          'values that do not fill their shape',
        );
        check(data.every(Number.isFinite), 'values that are not finite');
      }
    },
  },
  {
    name: 'gzip',
    about: 'gunzip: one member or several',
    words: ['\u001f', '\b\u0000'],
    async seeds() {
      const data = text('a text that repeats, repeats, repeats itself; '.repeat(4));
      const header = (flags: number, extra: string): Uint8Array => {
        const plain = gzipSync(data);
        return Buffer.concat([
          plain.subarray(0, 3),
          Buffer.from([flags]),
          plain.subarray(4, 10),
          Buffer.from(extra, 'latin1'),
          plain.subarray(10),
        ]);
      };
      const members = [
        gzipSync(data),
        gzipSync(data, { level: 0 }),
        gzipSync(data, { strategy: 4 }),
        header(0x08, 'name\0'),
        header(0x14, '\x02\0abnote\0'),
      ];
      return [
        ...members,
        Buffer.concat([members[0], members[1]]),
        Buffer.concat([members[0], Buffer.alloc(5)]),
        deflateSync(data),
      ].map((member) => new Uint8Array(member));
    },
    async read(bytes) {
      const limit = 1 << 20;
      check((await gunzip(bytes, limit)).length <= limit, 'more than the limit came out');
    },
  },
  {
    name: 'pts',
    about: 'readPts',
    words: ['version: 1', 'n_points: 68', '{', '}', '\r\n', '\ufeff', '1e5', 'NaN', 'Infinity', '-0'],
    seeds: async () =>
      ['version: 1\nn_points: 2\n{\n1.5 2\n-3 4e2\n}\n', 'version: 1\r\nn_points: 0\r\n{\r\n}'].map(text),
    read(bytes) {
      const { data, shape } = readPts(new TextDecoder().decode(bytes));
      check(data.length === 2 * shape[0] && data.every(Number.isFinite), 'points that are no pairs of numbers');
    },
  },
  {
    name: 'onnx',
    about: 'readOnnx: models of other programs',
    words: [
      ...[
        'Conv',
        'Gemm',
        'MatMul',
        'Add',
        'Reshape',
        'Transpose',
        'Slice',
        'Concat',
        'Shape',
        'Gather',
        'Expand',
        'Pad',
      ],
      ...['Resize', 'Constant', 'Cast', 'Softmax', 'If', 'axis', 'axes', 'pads', 'perm', 'group', 'kernel_shape'],
      ...[
        'location',
        '..',
        'SAME_UPPER',
        'com.microsoft',
        '\u0000',
        '\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u007f',
      ],
    ],
    // As the reader counts (docs/limits.md).
    times: 2,
    seeds: async () => [writeOnnx(tiny), ...(await networkFiles()).map((bytes) => writeOnnx(readNetwork(bytes)))],
    read(bytes) {
      let network;
      try {
        ({ network } = readOnnx(bytes));
      } catch (error) {
        // What the engine says of a size is no answer: sizes are refused before anything is asked of it.
        if (error instanceof EspalierError && error.code === 'MEMORY') throw engineError(error.cause);
        throw error;
      }
      return writtenAndRead(bytes, network);
    },
  },
  {
    name: 'tfjs',
    about: 'readTfjs: a line of JSON, weights behind it',
    words: [
      ...['Conv2D', 'Dense', 'Reshape', 'StridedSlice', 'ConcatV2', 'Functional', 'Sequential', 'InputLayer', 'Const'],
      ...['"inbound_nodes":[]', '"class_name":', '"input":[]', '"attr":{}', '"shape":[]', '"dtype":"int32"', ':1', '^'],
      ...[
        '"quantization":{"dtype":"uint8","scale":1,"min":0}',
        '"__proto__":',
        'constructor',
        '..',
        'null',
        '-1',
        '1e9',
      ],
    ],
    // Twice the floats, four times the bytes of weights of 8 bits. Below, weights of at most 64 KiB stand for those of the file.
    times: 8,
    seeds: () => Promise.resolve(tfjsModels()),
    read(bytes) {
      const end = bytes.indexOf(0x0a);
      const [json, weights] = end < 0 ? [bytes, new Uint8Array()] : [bytes.subarray(0, end), bytes.subarray(end + 1)];
      try {
        return writtenAndRead(bytes, readTfjs(json, weights).network);
      } catch (error) {
        if (!(error instanceof EspalierError)) throw error;
        if (error.code === 'MEMORY') throw engineError(error.cause);
        // Behind the first check: weights of the size that the manifest says.
        const { limit = Infinity } = error.details;
        if ((error.code !== 'TRUNCATED' && error.code !== 'LAYOUT') || limit > 65536) throw error;
        const fitting = new Uint8Array(limit);
        fitting.set(weights.subarray(0, limit));
        return writtenAndRead(bytes, readTfjs(json, fitting).network);
      }
    },
  },
  {
    name: 'train-checkpoint',
    about: 'what train takes up, its checksum right',
    words: ['"history":[]', '"best":null', '"before":1', 'now/', 'best/', 'optimizer/', 'null', '-1'],
    seeds: () => slotsOf(KEY, (store) => train(tiny, context, { ...TRAINING, checkpoint: { store, key: KEY } })),
    mend: mendContainer,
    async read(bytes) {
      const { network } = await train(tiny, context, {
        ...TRAINING,
        checkpoint: { store: storeOf(KEY, bytes), key: KEY },
      });
      readNetwork(writeNetwork(network));
    },
  },
  {
    name: 'compress-checkpoint',
    about: 'what compress takes up, its checksum right',
    words: ['"stages":0', '"stages":[]', '"best":null', '"start":"now"', '"validation":0', 'null', '-1'],
    seeds: async () =>
      (
        await slotsOf(KEY, (store) => compress(tiny, context, { ...COMPRESSION, checkpoint: { store, key: KEY } }))
      ).filter((slot) => readSafetensors(slot).metadata.size > 0),
    mend: mendContainer,
    async read(bytes) {
      const { network } = await compress(tiny, context, {
        ...COMPRESSION,
        checkpoint: { store: storeOf(KEY, bytes), key: KEY },
      });
      readNetwork(writeNetwork(network));
    },
  },
  {
    name: 'options',
    about: 'train and compress, given options as JSON',
    words: [
      '"epochs":1',
      '"optimizer":{"kind":"adam"}',
      '"__proto__":{}',
      '"constructor":1',
      '"learningRate":',
      '"layers":{"conv1":{}}',
      '"settings":{}',
      'null',
      '[]',
      'true',
    ],
    seeds: async () =>
      [
        {
          epochs: 1,
          batchSize: 2,
          learningRate: 0.1,
          optimizer: { kind: 'sgd', momentum: 0.5, nesterov: true },
          clip: 1,
          keep: 'last',
          frozen: ['conv1.weight'],
          evaluateEvery: 2,
          patience: 3,
        },
        {
          settings: { keep: 0.5, subvectorLength: 4, codewordCount: 16 },
          layers: { conv1: { quantizer: 'scalar', bits: 4 } },
          order: 'firstToLast',
          criterion: 'taylor',
          final: { epochs: 1, learningRate: 0.1 },
          tolerance: 0.1,
          codewords: 'float16',
        },
      ].map((options) => text(JSON.stringify(options))),
    async read(bytes) {
      let options: unknown;
      try {
        options = JSON.parse(new TextDecoder().decode(bytes));
      } catch {
        return;
      }
      // Aborted before it starts: what is right with the options ends there.
      const aborted: Context = { ...context, signal: AbortSignal.abort(STOPPED) };
      for (const run of [
        train(tiny, aborted, options as TrainOptions),
        compress(tiny, aborted, options as CompressOptions),
      ]) {
        await run.catch((error: unknown) => {
          if (error !== STOPPED && !isArgumentError(error)) throw error;
        });
      }
    },
  },
];

/** Of every so many that come in, since it takes as long as reading. */
const writtenAndRead = (bytes: Uint8Array, network: Network): (() => void) | undefined =>
  crc32(bytes) % 4 === 0 ? () => void readNetwork(writeNetwork(network), { limits: NO_LIMITS }) : undefined;

/** An engine's error with its place, as a finding. */
const engineError = (cause: unknown): Finding =>
  new Finding(
    cause instanceof Error ? `${cause.message} ${/src\/[^\s)]*/.exec(cause.stack ?? '')?.[0] ?? ''}` : String(cause),
  );

const STOPPED = new Error('stopped');
const COMPRESSION: CompressOptions = {
  settings: { codewordCount: 4, subvectorLength: 3 },
  retrainPruned: { epochs: 1, learningRate: 0.01 },
  retrainQuantized: { epochs: 1, learningRate: 0.01 },
  final: { epochs: 1, learningRate: 0.01 },
  retries: 0,
};

/** A wrong argument is told in words of ours: "train: batchSize: expected ..."; an engine's own error is not. */
function isArgumentError(error: unknown): boolean {
  return (
    error instanceof EspalierError ||
    ((error instanceof TypeError || error instanceof RangeError) &&
      /^[a-zA-Z0-9]{2,40}: .*(expected|unknown|got|give|needs?)\b/s.test(error.message))
  );
}
