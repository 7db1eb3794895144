/**
 * The messages of an ONNX model, as far as importing one asks for them (onnx.proto of ONNX 1.23): models, graphs, nodes,
 * attributes, tensors, types. Data of tensors stay where they are in the file. What is not known is passed over, as
 * protocol buffers want it.
 */
import { EspalierError, show } from '../base/errors.ts';
import type { Shape } from '../base/tensor.ts';
import { checkExternalPath } from './external.ts';
import type { ExternalPlace } from './external.ts';
import {
  countField,
  eachInteger,
  fieldsOf,
  fixedRange,
  floatField,
  integerField,
  protoError,
  rangeField,
  signedVarint,
  textField,
} from './wire.ts';
import type { Field } from './wire.ts';

/** A range of the file, with the field that it stood in. */
export interface TypedRange {
  readonly field: string;
  readonly start: number;
  readonly end: number;
}

export interface TensorProto {
  readonly name: string;
  /** Number of its element type. */
  readonly code: number;
  readonly shape: Shape;
  readonly raw?: readonly [start: number, end: number];
  readonly typed: readonly TypedRange[];
  readonly external?: ExternalPlace;
  readonly at: number;
}

/** A dimension: a number, a name, or nothing that is known. */
export type Dimension = number | string | undefined;

export interface ValueProto {
  readonly name: string;
  /** Number of its element type; undefined where it is no tensor or says nothing. */
  readonly code?: number;
  /** 'sequence', 'map', 'optional', 'sparse tensor': no tensor. */
  readonly other?: string;
  /** Absent: rank unknown. */
  readonly dimensions?: readonly Dimension[];
}

export interface AttributeProto {
  readonly name: string;
  readonly integer?: bigint;
  readonly float?: number;
  readonly text?: string;
  readonly integers?: readonly bigint[];
  readonly floats?: readonly number[];
  readonly texts?: readonly string[];
  readonly tensor?: TensorProto;
  /** Other things than numbers, texts and tensors: 'graph', 'sparse tensor', .... */
  readonly other?: string;
}

export interface NodeProto {
  readonly name: string;
  readonly operator: string;
  /** '' is ONNX's own. */
  readonly domain: string;
  /** '' stands for an optional input that is not there. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: ReadonlyMap<string, AttributeProto>;
  readonly at: number;
}

export interface GraphProto {
  readonly name: string;
  readonly nodes: readonly NodeProto[];
  readonly initializers: ReadonlyMap<string, TensorProto>;
  /** Names of initializers that are stored as sparse tensors. */
  readonly sparse: readonly string[];
  readonly inputs: readonly ValueProto[];
  readonly outputs: readonly ValueProto[];
}

export interface ModelProto {
  readonly irVersion: number;
  readonly producer: string;
  /** Versions of operator sets by domain ('' is ONNX's own). */
  readonly opsets: ReadonlyMap<string, number>;
  readonly metadata: ReadonlyMap<string, string>;
  /** Functions that the model defines itself, by domain and name. */
  readonly functions: readonly string[];
  readonly graph: GraphProto;
}

/** Graphs within attributes of nodes of graphs. */
const MOST_SUBGRAPHS = 32;

type Range = readonly [start: number, end: number];

/** Calls what takes the field of each number; others are passed over. */
function eachField(
  bytes: Uint8Array,
  [start, end]: Range,
  take: Readonly<Record<number, (field: Field) => void>>,
): void {
  for (const field of fieldsOf(bytes, start, end)) if (Object.hasOwn(take, field.number)) take[field.number](field);
}

/**
 * The model in the bytes.
 * @throws {EspalierError} PROTO with a byte offset for bytes that are no such message, DEPTH, DUPLICATE for two
 *   initializers of one name, TENSOR for dimensions that none can have, PATH and EXTERNAL for places of outside data,
 *   GRAPH if there is no graph
 */
export function readModel(bytes: Uint8Array): ModelProto {
  let graph: GraphProto | undefined;
  let irVersion = 0;
  let producer = '';
  const opsets = new Map<string, number>();
  const metadata = new Map<string, string>();
  const functions: string[] = [];
  eachField(bytes, [0, bytes.length], {
    1: (field) => (irVersion = countField(bytes, field, 'ir_version')),
    2: (field) => (producer = textField(bytes, field, 'producer_name')),
    7: (field) => {
      if (graph) throw protoError(field.at, 'a second graph');
      graph = readGraph(bytes, rangeField(field, 'graph'), 0);
    },
    8: (field) => {
      let domain = '';
      let version = 0;
      eachField(bytes, rangeField(field, 'opset_import'), {
        1: (part) => (domain = textField(bytes, part, 'domain')),
        2: (part) => (version = countField(bytes, part, 'opset version')),
      });
      opsets.set(domain === 'ai.onnx' ? '' : domain, version);
    },
    14: (field) => {
      const { key, value } = readEntry(bytes, field, 'metadata_props');
      metadata.set(key, value);
    },
    25: (field) => {
      let name = '';
      let domain = '';
      eachField(bytes, rangeField(field, 'functions'), {
        1: (part) => (name = textField(bytes, part, 'function name')),
        10: (part) => (domain = textField(bytes, part, 'function domain')),
      });
      functions.push(`${domain}:${name}`);
    },
  });
  if (!graph)
    throw new EspalierError('GRAPH', 'readOnnx: the file holds no graph; is it an ONNX model?', { name: 'graph' });
  return { irVersion, producer, opsets, metadata, functions, graph };
}

/** A key with its value: StringStringEntryProto. */
function readEntry(bytes: Uint8Array, field: Field, what: string): { key: string; value: string } {
  const entry = { key: '', value: '' };
  eachField(bytes, rangeField(field, what), {
    1: (part) => (entry.key = textField(bytes, part, `${what}: key`)),
    2: (part) => (entry.value = textField(bytes, part, `${what}: value`)),
  });
  return entry;
}

function readGraph(bytes: Uint8Array, range: Range, depth: number): GraphProto {
  if (depth > MOST_SUBGRAPHS) {
    const text = `readOnnx: byte ${range[0]}: more than ${MOST_SUBGRAPHS} graphs within each other`;
    throw new EspalierError('DEPTH', text, { offset: range[0], limit: MOST_SUBGRAPHS });
  }
  let name = '';
  const nodes: NodeProto[] = [];
  const initializers = new Map<string, TensorProto>();
  const sparse: string[] = [];
  const inputs: ValueProto[] = [];
  const outputs: ValueProto[] = [];
  eachField(bytes, range, {
    1: (field) => nodes.push(readNode(bytes, field, depth)),
    2: (field) => (name = textField(bytes, field, 'graph name')),
    5: (field) => {
      const tensor = readTensorProto(bytes, rangeField(field, 'initializer'));
      if (initializers.has(tensor.name)) {
        const text = `readOnnx: byte ${field.at}: two initializers are called ${show(tensor.name)}`;
        throw new EspalierError('DUPLICATE', text, { name: tensor.name, offset: field.at });
      }
      initializers.set(tensor.name, tensor);
    },
    11: (field) => inputs.push(readValue(bytes, rangeField(field, 'input'))),
    12: (field) => outputs.push(readValue(bytes, rangeField(field, 'output'))),
    15: (field) => sparse.push(readSparse(bytes, rangeField(field, 'sparse_initializer'))),
  });
  return { name, nodes, initializers, sparse, inputs, outputs };
}

function readNode(bytes: Uint8Array, field: Field, depth: number): NodeProto {
  const inputs: string[] = [];
  const outputs: string[] = [];
  const attributes = new Map<string, AttributeProto>();
  let [name, operator, domain] = ['', '', ''];
  eachField(bytes, rangeField(field, 'node'), {
    1: (part) => inputs.push(textField(bytes, part, 'node input')),
    2: (part) => outputs.push(textField(bytes, part, 'node output')),
    3: (part) => (name = textField(bytes, part, 'node name')),
    4: (part) => (operator = textField(bytes, part, 'op_type')),
    5: (part) => {
      const attribute = readAttribute(bytes, rangeField(part, 'attribute'), depth);
      if (attributes.has(attribute.name)) {
        const text = `readOnnx: byte ${part.at}: two attributes are called ${show(attribute.name)}`;
        throw new EspalierError('DUPLICATE', text, { name: attribute.name, offset: part.at });
      }
      attributes.set(attribute.name, attribute);
    },
    7: (part) => (domain = textField(bytes, part, 'domain')),
  });
  return { name, operator, domain: domain === 'ai.onnx' ? '' : domain, inputs, outputs, attributes, at: field.at };
}

/** What is there counts, not what the attribute says of its type: some exporters leave that unset. */
function readAttribute(bytes: Uint8Array, range: Range, depth: number): AttributeProto {
  let name = '';
  let type = 0;
  let integer: bigint | undefined;
  let float: number | undefined;
  let text: string | undefined;
  let tensor: TensorProto | undefined;
  let other: string | undefined;
  const integers: bigint[] = [];
  const floats: number[] = [];
  const texts: string[] = [];
  eachField(bytes, range, {
    1: (field) => (name = textField(bytes, field, 'attribute name')),
    2: (field) => (float = floatField(bytes, field, 'f')),
    3: (field) => (integer = integerField(bytes, field, 'i')),
    4: (field) => (text = textField(bytes, field, 's')),
    5: (field) => (tensor = readTensorProto(bytes, rangeField(field, 't'))),
    6: (field) => {
      readGraph(bytes, rangeField(field, 'g'), depth + 1);
      other = 'graph';
    },
    7: (field) => {
      const [start, end] = fixedRange(field, 4, 'floats');
      const view = new DataView(bytes.buffer, bytes.byteOffset + start, end - start);
      for (let i = 0; i < end - start; i += 4) floats.push(view.getFloat32(i, true));
    },
    8: (field) => eachInteger(bytes, field, 'ints', (start, end) => integers.push(signedVarint(bytes, start, end))),
    9: (field) => texts.push(textField(bytes, field, 'strings')),
    10: (field) => {
      readTensorProto(bytes, rangeField(field, 'tensors'));
      other = 'tensors';
    },
    11: (field) => {
      readGraph(bytes, rangeField(field, 'graphs'), depth + 1);
      other = 'graphs';
    },
    20: (field) => (type = countField(bytes, field, 'attribute type')),
    21: () => (other = 'reference to an attribute of a function'),
    22: (field) => {
      readSparse(bytes, rangeField(field, 'sparse_tensor'));
      other = 'sparse tensor';
    },
  });
  return {
    name,
    ...(integer !== undefined && { integer }),
    ...(float !== undefined && { float }),
    ...(text !== undefined && { text }),
    ...((integers.length > 0 || type === 7) && { integers }),
    ...((floats.length > 0 || type === 6) && { floats }),
    ...((texts.length > 0 || type === 8) && { texts }),
    ...(tensor && { tensor }),
    ...(other !== undefined && { other }),
  };
}

/** Dimensions that could be those of data in memory. */
const LARGEST_SIZE = 2 ** 53;

/** A tensor: also the whole of a file that holds one alone. */
export function readTensorProto(bytes: Uint8Array, [start, end]: Range): TensorProto {
  let name = '';
  let code = 0;
  let raw: Range | undefined;
  let isOutside = false;
  const shape: number[] = [];
  const typed: TypedRange[] = [];
  const entries = new Map<string, string>();
  const packed = (name: string) => (field: Field) => {
    // Alone or packed: a range of varints in both cases.
    eachInteger(bytes, field, name, () => undefined);
    typed.push({ field: name, start: field.start, end: field.end });
  };
  const fixed = (name: string, size: 4 | 8) => (field: Field) => {
    const [from, to] = fixedRange(field, size, name);
    typed.push({ field: name, start: from, end: to });
  };
  const sides: bigint[] = [];
  eachField(bytes, [start, end], {
    1: (field) => eachInteger(bytes, field, 'dims', (from, to) => sides.push(signedVarint(bytes, from, to))),
    2: (field) => (code = countField(bytes, field, 'data_type')),
    4: fixed('float_data', 4),
    5: packed('int32_data'),
    6: (field) => typed.push({ field: 'string_data', start: field.start, end: field.end }),
    7: packed('int64_data'),
    8: (field) => (name = textField(bytes, field, 'tensor name')),
    9: (field) => (raw = rangeField(field, 'raw_data')),
    10: fixed('double_data', 8),
    11: packed('uint64_data'),
    13: (field) => {
      const { key, value } = readEntry(bytes, field, 'external_data');
      entries.set(key, value);
    },
    14: (field) => (isOutside = countField(bytes, field, 'data_location') === 1),
  });
  let size = 1n;
  for (const side of sides) {
    size *= side;
    if (side < 0n || size > BigInt(LARGEST_SIZE)) {
      const text = `readOnnx: tensor ${show(name)}: dimensions [${sides.slice(0, 16).join(', ')}]: expected numbers from 0 whose product is below 2^53`;
      throw new EspalierError('TENSOR', text, { name, offset: start });
    }
    shape.push(Number(side));
  }
  const external = isOutside || entries.size > 0 ? readPlace(name, entries, start) : undefined;
  return {
    name,
    code,
    shape,
    typed: typed.filter((part) => part.end > part.start),
    at: start,
    ...(raw && { raw }),
    ...(external && { external }),
  };
}

/** Where the data of a tensor are; keys that are not known are passed over. */
function readPlace(name: string, entries: ReadonlyMap<string, string>, at: number): ExternalPlace {
  const location = entries.get('location') ?? '';
  checkExternalPath(name, location);
  const number = (key: string): number | undefined => {
    const text = entries.get(key);
    if (text === undefined) return undefined;
    const value = /^\d{1,16}$/.test(text) ? Number(text) : NaN;
    if (Number.isSafeInteger(value)) return value;
    throw new EspalierError(
      'EXTERNAL',
      `readOnnx: tensor ${show(name)}: ${key} of its outside data: expected a whole number from 0, got ${show(text)}`,
      { name, offset: at },
    );
  };
  const length = number('length');
  return { location, offset: number('offset') ?? 0, ...(length !== undefined && { length }) };
}

/** The name of a sparse tensor: its parts are checked as any tensor's, and it is not read. */
function readSparse(bytes: Uint8Array, range: Range): string {
  let name = '';
  eachField(bytes, range, {
    1: (field) => (name = readTensorProto(bytes, rangeField(field, 'values')).name),
    2: (field) => readTensorProto(bytes, rangeField(field, 'indices')),
  });
  return name;
}

const OTHER_TYPES: Readonly<Record<number, string>> = { 4: 'sequence', 5: 'map', 8: 'sparse tensor', 9: 'optional' };

function readValue(bytes: Uint8Array, range: Range): ValueProto {
  let name = '';
  let code: number | undefined;
  let other: string | undefined;
  let dimensions: Dimension[] | undefined;
  eachField(bytes, range, {
    1: (field) => (name = textField(bytes, field, 'value name')),
    2: (field) => {
      for (const type of fieldsOf(bytes, ...rangeField(field, 'type'))) {
        if (Object.hasOwn(OTHER_TYPES, type.number)) other = OTHER_TYPES[type.number];
        if (type.number !== 1) continue;
        eachField(bytes, rangeField(type, 'tensor_type'), {
          1: (part) => (code = countField(bytes, part, 'elem_type')),
          2: (part) => {
            const found: Dimension[] = [];
            eachField(bytes, rangeField(part, 'shape'), {
              1: (side) => found.push(readDimension(bytes, rangeField(side, 'dim'))),
            });
            dimensions = found;
          },
        });
      }
    },
  });
  return {
    name,
    ...(code !== undefined && { code }),
    ...(other !== undefined && { other }),
    ...(dimensions && { dimensions }),
  };
}

/** A number, a name; a number that none can be (-1, 0 of some exporters) says nothing. */
function readDimension(bytes: Uint8Array, range: Range): Dimension {
  let dimension: Dimension;
  eachField(bytes, range, {
    1: (field) => {
      const value = countField(bytes, field, 'dim_value');
      if (value > 0) dimension = value;
    },
    2: (field) => (dimension = textField(bytes, field, 'dim_param') || undefined),
  });
  return dimension;
}
