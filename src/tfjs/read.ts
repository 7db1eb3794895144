/** `readTfjs`: a network from a model of TensorFlow.js. `readTfjsWeights`: its weights alone. */
import { EspalierError, show, showAll, withMemory } from '../base/errors.ts';
import { ownOptions } from '../base/rules.ts';
import { sizeOf } from '../base/tensor.ts';
import type { Tensor } from '../base/tensor.ts';
import type { Json } from '../container/json.ts';
import type { Network, Node } from '../graph/network.ts';
import { outputsOf } from '../graph/walk.ts';
import { checkGraph } from '../network/check.ts';
import { activationBytes, budgetOf, decodedBytes, passWork } from '../network/limits.ts';
import type { Limits } from '../network/limits.ts';
import { inferTypes } from '../network/shapes.ts';
import { simplify } from '../network/simplify.ts';
import { checkInputNames, checkShapes } from '../onnx/arguments.ts';
import { COMPOSED_OPSET } from '../onnx/composing.ts';
import { converted } from '../onnx/convert.ts';
import type { Conversion } from '../onnx/nodes.ts';
import { toFloats } from '../onnx/tensor.ts';
import { roomFor } from '../onnx/room.ts';
import type { OnnxTensor } from '../onnx/tensor.ts';
import { readGraph } from './graph.ts';
import { isObject, jsonOf } from './json.ts';
import type { JsonObject } from './json.ts';
import { readTopology } from './topology.ts';
import type { Topology } from './topology.ts';
import { readManifest, storedWeights, tensorOf } from './weights.ts';
import type { StoredWeight, TfjsWeights } from './weights.ts';

export interface TfjsOptions {
  /** Sides of inputs that the model leaves open, by input: `{ image: [undefined, 224, 224, 3] }`; the batch stays open. */
  shapes?: Readonly<Record<string, readonly (number | undefined)[]>>;
  /** Functions that are spelled out become one node, and orders of axes that undo each other go, see `simplify`. Default true. */
  simplified?: boolean;
  /** The most that the files may ask for, as of `readNetwork`. */
  limits?: Limits;
}

/** A model that was read. */
export interface TfjsModel {
  readonly network: Network;
  /** Layers of Keras, or operations of TensorFlow. */
  readonly format: 'layers' | 'graph';
  /** Who wrote it, as it says. */
  readonly producer: string;
  /** 'any', the size of the batch that the model fixes, or 'none': its values are one sample of ours. */
  readonly batch: 'any' | 'none' | number;
  readonly metadata: ReadonlyMap<string, string>;
  /** What its user should know: what was taken to mean something, what was converted. */
  readonly notes: readonly string[];
}

const WHO = 'readTfjs';

/**
 * The network of a TensorFlow.js model, which gives the same outputs for the same inputs: their axes stay those of the
 * model, channels last. Weights become float32.
 *
 * @param modelJson - `model.json`: its text, its bytes, or the object that it stands for
 * @param weights - the shards by the paths that the JSON names, or all of them behind each other
 * @throws {TypeError | RangeError} if an argument is none of these, or an option is no such
 * @throws {EspalierError} BAD_MAGIC, HEADER, DUPLICATE, FIELD for what is no such JSON; MISSING, TRUNCATED, LAYOUT, PATH,
 *   TENSOR for weights; UNSUPPORTED for what cannot be read, every such layer or operation by name in one error; ATTRIBUTE,
 *   SHAPE, GRAPH for what is wrong in the model, naming the layer; NONFINITE; BUDGET and TOO_LARGE for more than the limits
 * @example
 * import { readTfjs } from 'espalier/tfjs';
 * const bytes = async (path) => new Uint8Array(await (await fetch(path)).arrayBuffer());
 * const { network } = readTfjs(await bytes('model.json'), await bytes('group1-shard1of1.bin'));
 */
export function readTfjs(
  modelJson: string | Uint8Array | object,
  weights: TfjsWeights,
  given: TfjsOptions = {},
): TfjsModel {
  const {
    limits,
    simplified = true,
    shapes = {},
  } = ownOptions(WHO, 'options', given, ['shapes', 'simplified', 'limits']);
  checkShapes(WHO, shapes);
  return asOurs(() =>
    withMemory(WHO, () => {
      const { json, bytes: jsonBytes } = jsonOf(WHO, modelJson);
      const model = checkModel(json);
      const { stored, bytes } = storedWeights(WHO, readManifest(WHO, model.get('weightsManifest')), weights);
      const check = budgetOf(WHO, bytes + jsonBytes, limits);
      const tensors = tensorsOf(stored);
      const { topology, format, notes: said } = topologyOf(model, tensors);
      checkInputNames(WHO, Object.keys(shapes), topology.inputs.map(({ name }) => name)); // prettier-ignore
      const used = new Set<string>();
      const conversion: Conversion = {
        graph: {
          name: topology.name,
          nodes: topology.nodes,
          initializers: new Map(
            [...stored.values()].map(({ name, shape }) => [name, { name, code: 1, shape, typed: [], at: 0 }]),
          ),
          sparse: new Set(),
          inputs: topology.inputs,
          outputs: topology.outputs,
        },
        opsets: new Map([['', COMPOSED_OPSET]]),
        shapes,
        // As of a file that holds the weights as floats: those of 8 bits become four times as many bytes.
        room: roomFor(jsonBytes + floatBytes(stored), limits?.bytes),
        initializer(name) {
          used.add(name);
          return tensors.tensor(name);
        },
        attributeTensor(node, name) {
          throw new EspalierError('ATTRIBUTE', `${WHO}: ${show(node.name)}: attribute ${name}: expected a tensor`);
        },
        compositionOf: topology.compositionOf,
      };
      const { network: bare, layout, batch: size, notes } = converted(conversion);
      const batch = layout === 'whole' ? 'none' : (size ?? 'any');
      const metadata = metadataOf(model);
      const whole: Network = { ...bare, origin: { batch, metadata: Object.fromEntries(metadata) } };
      checkGraph(whole, WHO);
      const network = withPlainNames(simplified ? simplify(whole) : whole);
      const types = inferTypes(network);
      const parameters = [...network.parameters].map(([name, { shape }]) => ({ name, shape }));
      check('bytes', decodedBytes(parameters, network.nodes));
      check('activations', activationBytes(network, types));
      check('multiplyAdds', passWork(network, types));
      const producer = [textIn(model, 'generatedBy'), textIn(model, 'convertedBy')].filter(Boolean).join(', ');
      return { network, format, producer, batch, metadata, notes: [...said, ...notes, ...unusedNote(stored, used)] };
    }),
  );
}

/**
 * The weights of a TensorFlow.js model by name, as float32 of TensorFlow's shapes: also of a manifest alone, a list of
 * groups, whose network is code.
 * @throws as {@link readTfjs}
 */
export function readTfjsWeights(
  manifestJson: string | Uint8Array | object,
  weights: TfjsWeights,
): ReadonlyMap<string, Tensor> {
  const who = 'readTfjsWeights';
  return asOurs(
    () =>
      withMemory(who, () => {
        const { json } = jsonOf(who, manifestJson);
        const { stored } = storedWeights(
          who,
          readManifest(who, isObject(json) ? json.get('weightsManifest') : json),
          weights,
        );
        return new Map(
          [...stored.values()].map((weight): [string, Tensor] => [
            weight.name,
            { shape: weight.shape, data: toFloats(weight.name, tensorOf(who, weight)) },
          ]),
        );
      }),
    who,
  );
}

/** The conversion speaks as of ONNX models; the error is one of the call that was made. */
function asOurs<T>(work: () => T, who = WHO): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof EspalierError) || !error.message.startsWith('readOnnx: ')) throw error;
    // There is no place in the file: JSON has none.
    const { offset: _, ...details } = error.details;
    throw new EspalierError(error.code, error.message.replace('readOnnx', who), { ...details, cause: error });
  }
}

function checkModel(json: Json): JsonObject {
  if (Array.isArray(json))
    throw new EspalierError(
      'MISSING',
      `${WHO}: this is a manifest of weights, without the model that they belong to; readTfjsWeights reads it as named tensors`,
      { name: 'modelTopology' },
    );
  if (isObject(json)) return json;
  throw new EspalierError('FIELD', `${WHO}: expected an object { modelTopology, weightsManifest }`, {
    name: 'modelJson',
  });
}

interface Tensors {
  readonly names: readonly string[];
  has(name: string): boolean;
  tensor(name: string): OnnxTensor;
}

const floatBytes = (stored: ReadonlyMap<string, StoredWeight>): number =>
  [...stored.values()].reduce((sum, { shape, dtype }) => sum + (dtype === 'int32' ? 8 : 4) * sizeOf(shape), 0);

const tensorsOf = (stored: ReadonlyMap<string, StoredWeight>): Tensors => ({
  names: [...stored.keys()],
  has: (name) => stored.has(name),
  tensor(name) {
    const weight = stored.get(name);
    if (!weight) throw new EspalierError('GRAPH', `${WHO}: there is no value ${show(name)}`, { name });
    return tensorOf(WHO, weight);
  },
});

function topologyOf(
  model: JsonObject,
  tensors: Tensors,
): { topology: Topology; format: 'layers' | 'graph'; notes: readonly string[] } {
  const topology = model.get('modelTopology');
  const stated = textIn(model, 'format');
  if (!isObject(topology))
    throw new EspalierError(
      'MISSING',
      `${WHO}: modelTopology: the model that the weights belong to is not there; readTfjsWeights reads them as named tensors`,
      { name: 'modelTopology' },
    );
  if (stated !== '' && stated !== 'graph-model' && stated !== 'layers-model')
    throw new EspalierError(
      'UNSUPPORTED',
      `${WHO}: format: expected graph-model or layers-model, got ${show(stated)}`,
      { name: 'format', found: stated },
    );
  if (stated === 'graph-model' || (stated === '' && topology.has('node'))) {
    const data = model.get('userDefinedMetadata');
    const signature = model.get('signature') ?? (isObject(data) ? data.get('signature') : undefined);
    if (
      model.has('modelInitializer') &&
      model.get('modelInitializer') !== null &&
      hasNodes(model.get('modelInitializer'))
    )
      throw new EspalierError(
        'UNSUPPORTED',
        `${WHO}: modelInitializer: tables that are filled first are not supported`,
        { name: 'modelInitializer' },
      );
    const graph = readGraph(WHO, topology, signature, tensors);
    return { topology: graph, format: 'graph', notes: graph.notes };
  }
  return { topology: readTopology(WHO, topology, tensors.names), format: 'layers', notes: [] };
}

const hasNodes = (json: Json | undefined): boolean => {
  const nodes = isObject(json) ? json.get('node') : undefined;
  return Array.isArray(nodes) && nodes.length > 0;
};

const textIn = (json: JsonObject, name: string): string => {
  const value = json.get(name);
  return typeof value === 'string' ? value : '';
};

/** What the author wrote beside the model. */
function metadataOf(model: JsonObject): Map<string, string> {
  const data = model.get('userDefinedMetadata');
  const own = isObject(data) ? [...data].filter(([, value]) => typeof value === 'string') : [];
  const said = ['generatedBy', 'convertedBy'].map((name): [string, string] => [name, textIn(model, name)]);
  return new Map([...said, ...(own as [string, string][])].filter(([, value]) => value !== ''));
}

function unusedNote(stored: ReadonlyMap<string, StoredWeight>, used: ReadonlySet<string>): string[] {
  const left = [...stored.keys()].filter((name) => !used.has(name));
  return left.length > 0 ? [`weights that nothing reads, and that are left out: ${showAll(left)}`] : [];
}

/**
 * A layer whose name is that of an output too, and whose function is a node of its own, got a number behind its name while
 * the network grew: it takes the name back, and the function gets the number. Values keep theirs.
 */
function withPlainNames(network: Network): Network {
  const byName = new Map(network.nodes.map((node) => [node.name, node]));
  const renamed = new Map<string, string>();
  for (const output of network.outputs) {
    const [layer, other] = [byName.get(`${output}_2`), byName.get(output)];
    if (layer?.parameters['weight'] === undefined || other?.parameters['weight'] !== undefined) continue;
    renamed.set(layer.name, output);
    if (other) renamed.set(output, layer.name);
  }
  const nodes = network.nodes.map((node): Node => {
    const name = renamed.get(node.name);
    if (name === undefined) return node;
    const { outputs: _, ...rest } = node;
    const values = outputsOf(node);
    return values.length === 1 && values[0] === name ? { ...rest, name } : { ...rest, name, outputs: values };
  });
  return { ...network, nodes };
}
