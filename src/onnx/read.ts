/** `readOnnx`: a network from an ONNX model. */
import { EspalierError, show, showAll, withMemory } from '../base/errors.ts';
import { ownOptions } from '../base/rules.ts';
import { sizeOf } from '../base/tensor.ts';
import { steadyBytes } from '../container/safetensors.ts';
import { decode, isDense } from '../encodings/index.ts';
import type { Encoding } from '../encodings/types.ts';
import type { Network } from '../graph/network.ts';
import { checkGraph } from '../network/check.ts';
import { activationBytes, budgetOf, decodedBytes, passWork } from '../network/limits.ts';
import type { Limits } from '../network/limits.ts';
import { simplify } from '../network/simplify.ts';
import { inferTypes } from '../network/shapes.ts';
import { checkConstants, checkFiles, checkInputNames, checkShapes } from './arguments.ts';
import { converted, walk } from './convert.ts';
import type { Conversion } from './nodes.ts';
import { externalBytes } from './external.ts';
import type { SideFiles } from './external.ts';
import { readModel } from './model.ts';
import type { GraphProto, ModelProto } from './model.ts';
import type { TensorProto } from './tensor-message.ts';
import { onnxError } from './node.ts';
import { roomFor, spend, widen } from './room.ts';
import type { Room } from './room.ts';
import { elementWord, readTensor } from './tensor.ts';
import type { External, Making, OnnxTensor } from './tensor.ts';

export interface OnnxOptions {
  /** Files beside the model that hold its weights (models above 2 GB do), by the name that the model calls them. */
  files?: SideFiles;
  /**
   * Sides of inputs that the model leaves open, by input: `{ image: [undefined, 3, 224, 224] }`; the batch stays open.
   */
  shapes?: Readonly<Record<string, readonly (number | undefined)[]>>;
  /** Values of inputs that shall be constants of the network: thresholds, weights that are fed. */
  constants?: Readonly<Record<string, OnnxTensor>>;
  /** Functions that are spelled out become one node, see `simplify`. Default true; false: a node for each of the model's. */
  simplified?: boolean;
  /**
   * All weights as floats: quantized ones are decoded, so that they can be pruned and quantized anew. Default false: as the
   * model has them.
   */
  dense?: boolean;
  /**
   * The most that the file may ask for, as of `readNetwork`; `bytes` is also what may be held while it is read, at least
   * twice the file and 64 MiB.
   */
  limits?: Limits;
}

/** A model that was read. */
export interface OnnxModel {
  readonly network: Network;
  /** Versions of the operator sets that it is written in, by domain. */
  readonly opsets: ReadonlyMap<string, number>;
  /** Who wrote it. */
  readonly producer: string;
  /** 'any', the size of the batch that the model fixes, or 'none': the model has no batch, its values are one sample of ours. */
  readonly batch: 'any' | 'none' | number;
  readonly metadata: ReadonlyMap<string, string>;
  /** What its user should know: what was taken to mean something, what was converted. */
  readonly notes: readonly string[];
}

const WHO = 'readOnnx';
/** Operator sets whose operators mean what is written here. */
const OPSETS = { oldest: 7, newest: 26 } as const;

/**
 * The network of an ONNX model, which gives the same outputs. Weights become float32 (halves, bfloat16 and doubles are
 * converted, quantized ones decoded); what computes shapes is computed.
 *
 * @throws {TypeError | RangeError} if `input` is not bytes, or an option is no such
 * @throws {EspalierError} PROTO and DEPTH for bytes that are no model, with the byte where it went wrong; UNSUPPORTED for what
 *   cannot be read, every such node by name in one error; TENSOR, ATTRIBUTE, SHAPE, GRAPH, DUPLICATE for what is wrong in
 *   it, naming the node; PATH, EXTERNAL, MISSING for weights in other files; BUDGET for more than the limits
 * @example
 * import { readOnnx } from 'espalier/onnx';
 * const { network } = readOnnx(new Uint8Array(await (await fetch('model.onnx')).arrayBuffer()));
 */
export function readOnnx(input: Uint8Array | ArrayBuffer, given: OnnxOptions = {}): OnnxModel {
  const {
    limits,
    simplified = true,
    dense = false,
    ...options
  } = ownOptions(WHO, 'options', given, ['files', 'shapes', 'constants', 'simplified', 'dense', 'limits']);
  checkArguments(options);
  const bytes = withMemory(WHO, () => steadyBytes(WHO, input));
  checkSize(bytes);
  const check = budgetOf(WHO, bytes.length, limits);
  const model = withMemory(WHO, () => readModel(bytes));
  checkNames(model, options);
  return withMemory(WHO, () => {
    const { conversion, notes: said } = prepared(bytes, model, options, limits);
    const { network: found, layout, batch: size, notes } = converted(conversion);
    const bare = dense ? decoded(found, conversion.room) : found;
    const { opsets, producer, metadata } = model;
    const batch = layout === 'whole' ? 'none' : (size ?? 'any');
    const whole: Network = { ...bare, origin: { batch, metadata: Object.fromEntries(metadata) } };
    checkGraph(whole, WHO);
    const network = simplified ? simplify(whole) : whole;
    const types = inferTypes(network);
    const shapes = [...network.parameters].map(([name, { shape }]) => ({ name, shape }));
    check('bytes', decodedBytes(shapes, network.nodes));
    check('activations', activationBytes(network, types));
    check('multiplyAdds', passWork(network, types));
    return { network, opsets, producer, batch, metadata, notes: [...notes, ...said] };
  });
}

/**
 * The outputs of a model whose inputs are all known, by name: what shapes and weights are computed with while a model is
 * read, on every element type. For tests and for models that compute nothing but shapes; it is slow.
 */
export function evaluateOnnx(
  input: Uint8Array | ArrayBuffer,
  inputs: Readonly<Record<string, OnnxTensor>>,
): Map<string, OnnxTensor> {
  checkConstants('evaluateOnnx', inputs);
  const bytes = withMemory(WHO, () => steadyBytes(WHO, input));
  checkSize(bytes);
  const model = withMemory(WHO, () => readModel(bytes));
  checkNames(model, { constants: inputs });
  return withMemory(WHO, () => {
    const { conversion } = prepared(bytes, model, { constants: inputs });
    const { known } = walk(conversion, 'whole');
    return new Map(
      conversion.graph.outputs.map(({ name }) => {
        const found = known.get(name) ?? {
          kind: 'constant',
          alternatives: [conversion.initializer(name, () => undefined)],
        };
        if (found.kind === 'constant') return [name, found.alternatives[0]];
        throw new EspalierError('MISSING', `${WHO}: the output ${show(name)} depends on inputs that were not given`, {
          name,
        });
      }),
    );
  });
}

/** The network with weights as floats. @throws {EspalierError} BUDGET */
function decoded(network: Network, room: Room): Network {
  const parameters = [...network.parameters].map(([name, encoding]): [string, Encoding] => {
    if (isDense(encoding)) return [name, encoding];
    spend(room, 4 * sizeOf(encoding.shape));
    return [name, { kind: 'dense', shape: encoding.shape, data: decode(encoding) }];
  });
  return { ...network, parameters: new Map(parameters) };
}

type Given = Omit<OnnxOptions, 'limits' | 'simplified' | 'dense'>;

/** @throws {TypeError | RangeError} */
function checkArguments({ files, shapes = {}, constants = {} }: Given): void {
  checkFiles(WHO, files);
  checkShapes(WHO, shapes);
  checkConstants(WHO, constants);
}

/** A message of protocol buffers has at most 2 GiB; larger models keep their weights in files beside it. */
const LARGEST_FILE = 2 ** 31 - 1;

function checkSize({ length }: Uint8Array): void {
  if (length <= LARGEST_FILE) return;
  const text = `${WHO}: ${length} bytes; a model has at most ${LARGEST_FILE}, larger ones keep their weights in other files`;
  throw new EspalierError('TOO_LARGE', text, { limit: LARGEST_FILE, found: length });
}

/** @throws {RangeError} for an option about an input that the model has not */
function checkNames({ graph }: ModelProto, { shapes = {}, constants = {} }: Given): void {
  const names = graph.inputs.map(({ name }) => name);
  checkInputNames(WHO, [...Object.keys(shapes), ...Object.keys(constants)], names);
}

/** What converting a model takes. */
function prepared(
  bytes: Uint8Array,
  { opsets, functions, graph }: ModelProto,
  { files, shapes = {}, constants = {} }: Given,
  limits?: Limits,
): { conversion: Conversion; notes: ReadonlySet<string> } {
  checkOpsets(opsets);
  if (functions.length > 0)
    throw new EspalierError(
      'UNSUPPORTED',
      `${WHO}: the model defines operators of its own: ${showAll(functions)}; export it with them inlined`,
      { name: functions[0] },
    );
  checkShadowed(graph);
  const given = Object.values(constants).reduce((sum, { data }) => sum + data.byteLength, 0);
  const room = roomFor(bytes.length + given, limits?.bytes);
  /** Files beside the model that were looked at: each widens the room once. */
  const opened = new Set<string>();
  const tensorOf = (tensor: TensorProto, makes: Making): OnnxTensor => {
    const external: External = (name, place, needed) => {
      const part = externalBytes(files, name, place, needed);
      if (!opened.has(place.location)) widen(room, part.buffer.byteLength);
      opened.add(place.location);
      return part;
    };
    return readTensor(bytes, tensor, external, makes);
  };
  const initializers = new Map(graph.initializers);
  for (const [name, { shape }] of Object.entries(constants))
    initializers.set(name, { name, code: 1, shape, typed: [], at: 0 });
  const notes = new Set<string>();
  const conversion: Conversion = {
    graph: { ...graph, initializers },
    opsets,
    shapes,
    room,
    initializer(name, makes) {
      if (Object.hasOwn(constants, name)) return constants[name];
      const proto = initializers.get(name);
      if (!proto) throw new EspalierError('GRAPH', `${WHO}: there is no value ${show(name)}`, { name });
      if (proto.external && proto.external.unknown.length > 0) {
        const keys = showAll(proto.external.unknown);
        notes.add(`tensor ${show(name)}: of its outside data ${keys} is said, which is not known here and passed over`);
      }
      return tensorOf(proto, makes);
    },
    attributeTensor(node, name, makes) {
      const proto = node.attributes.get(name)?.tensor;
      if (!proto) throw onnxError('ATTRIBUTE', node, `attribute ${name}: expected a tensor`);
      return tensorOf(proto, makes);
    },
  };
  return { conversion, notes };
}

/**
 * An initializer that is an input, too, is its default; then both are of one kind.
 * @throws {EspalierError} GRAPH where they differ
 */
function checkShadowed({ inputs, initializers }: GraphProto): void {
  for (const { name, code, dimensions } of inputs) {
    const tensor = initializers.get(name);
    if (!tensor) continue;
    const { shape } = tensor;
    const fits =
      !dimensions ||
      (dimensions.length === shape.length &&
        dimensions.every((side, axis) => typeof side !== 'number' || side === shape[axis]));
    if (fits && (code === undefined || code === 0 || code === tensor.code)) continue;
    const said = `${elementWord(code ?? tensor.code)} [${(dimensions ?? []).map((side) => side ?? '?').join(', ')}]`;
    const text = `${WHO}: the initializer ${show(name)} (${elementWord(tensor.code)} [${shape.join(', ')}]) has the name of an input of another kind (${said})`;
    throw new EspalierError('GRAPH', text, { name, offset: tensor.at });
  }
}

function checkOpsets(opsets: ReadonlyMap<string, number>): void {
  const version = opsets.get('');
  if (version === undefined)
    throw new EspalierError('GRAPH', `${WHO}: the model does not say which operator set it is written in`, {
      name: 'opset_import',
    });
  if (version < OPSETS.oldest || version > OPSETS.newest)
    throw new EspalierError(
      'UNSUPPORTED',
      `${WHO}: operator set ${version}; expected ${OPSETS.oldest} to ${OPSETS.newest}: export the model for another one (opset_version=17), or convert it with onnx.version_converter`,
      { name: 'opset_import', found: version },
    );
}
