/**
 * The messages of an ONNX model, as far as importing one asks for them (onnx.proto of ONNX 1.23): models, graphs, nodes,
 * attributes, tensors, types. Data of tensors stay where they are in the file. What is not known is passed over, as
 * protocol buffers want it.
 */
import { EspalierError, show } from '../base/errors.ts';
import { count, eachField, readEntry, sourceOf } from './source.ts';
import type { Range, Source } from './source.ts';
import { readSparse, readTensorProto } from './tensor-message.ts';
import type { TensorProto } from './tensor-message.ts';
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
  readonly sparse: ReadonlySet<string>;
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

/**
 * The model in the bytes.
 * @throws {EspalierError} PROTO with a byte offset for bytes that are no such message, DEPTH, DUPLICATE for two
 *   initializers of one name, TENSOR for dimensions that none can have, PATH and EXTERNAL for places of outside data,
 *   GRAPH if there is no graph
 */
export function readModel(bytes: Uint8Array): ModelProto {
  const source = sourceOf(bytes);
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
      graph = readGraph(source, rangeField(field, 'graph'), 0);
    },
    8: (field) => {
      let domain = '';
      let version = 0;
      eachField(bytes, rangeField(field, 'opset_import'), {
        1: (part) => (domain = textField(bytes, part, 'domain')),
        2: (part) => (version = countField(bytes, part, 'opset version')),
      });
      const name = domain === 'ai.onnx' ? '' : domain;
      if ((opsets.get(name) ?? version) !== version)
        throw new EspalierError(
          'DUPLICATE',
          `readOnnx: byte ${field.at}: two versions of the operator set ${show(name)}`,
          { name, offset: field.at },
        );
      opsets.set(name, version);
    },
    14: (field) => {
      const { key, value } = readEntry(bytes, field, 'metadata_props');
      count(source, field, 'value');
      metadata.set(key, value);
    },
    25: (field) => {
      let name = '';
      let domain = '';
      eachField(bytes, rangeField(field, 'functions'), {
        1: (part) => (name = textField(bytes, part, 'function name')),
        10: (part) => (domain = textField(bytes, part, 'function domain')),
      });
      count(source, field, 'value');
      functions.push(`${domain}:${name}`);
    },
  });
  if (!graph)
    throw new EspalierError('GRAPH', 'readOnnx: the file holds no graph; is it an ONNX model?', { name: 'graph' });
  return { irVersion, producer, opsets, metadata, functions, graph };
}

function readGraph(source: Source, range: Range, depth: number): GraphProto {
  const { bytes } = source;
  if (depth > MOST_SUBGRAPHS) {
    const text = `readOnnx: byte ${range[0]}: more than ${MOST_SUBGRAPHS} graphs within each other`;
    throw new EspalierError('DEPTH', text, { offset: range[0], limit: MOST_SUBGRAPHS });
  }
  let name = '';
  const nodes: NodeProto[] = [];
  const initializers = new Map<string, TensorProto>();
  const sparse = new Set<string>();
  const inputs: ValueProto[] = [];
  const outputs: ValueProto[] = [];
  eachField(bytes, range, {
    1: (field) => nodes.push(readNode(source, field, depth)),
    2: (field) => (name = textField(bytes, field, 'graph name')),
    5: (field) => {
      const tensor = readTensorProto(bytes, rangeField(field, 'initializer'), source);
      if (initializers.has(tensor.name)) {
        const text = `readOnnx: byte ${field.at}: two initializers are called ${show(tensor.name)}`;
        throw new EspalierError('DUPLICATE', text, { name: tensor.name, offset: field.at });
      }
      initializers.set(tensor.name, tensor);
    },
    11: (field) => inputs.push(readValue(source, field, 'input')),
    12: (field) => outputs.push(readValue(source, field, 'output')),
    15: (field) => sparse.add(readSparse(source, rangeField(field, 'sparse_initializer'))),
  });
  for (const name of sparse) {
    if (!initializers.has(name)) continue;
    const text = `readOnnx: two initializers are called ${show(name)}, one of them a sparse tensor`;
    throw new EspalierError('DUPLICATE', text, { name, offset: range[0] });
  }
  return { name, nodes, initializers, sparse, inputs, outputs };
}

function readNode(source: Source, field: Field, depth: number): NodeProto {
  const { bytes } = source;
  count(source, field, 'node');
  const text = (part: Field, what: string): string => {
    count(source, part, 'text');
    return textField(bytes, part, what);
  };
  const inputs: string[] = [];
  const outputs: string[] = [];
  const attributes = new Map<string, AttributeProto>();
  let [name, operator, domain] = ['', '', ''];
  eachField(bytes, rangeField(field, 'node'), {
    1: (part) => inputs.push(text(part, 'node input')),
    2: (part) => outputs.push(text(part, 'node output')),
    3: (part) => (name = textField(bytes, part, 'node name')),
    4: (part) => (operator = textField(bytes, part, 'op_type')),
    5: (part) => {
      count(source, part, 'attribute');
      const attribute = readAttribute(source, rangeField(part, 'attribute'), depth);
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
function readAttribute(source: Source, range: Range, depth: number): AttributeProto {
  const { bytes } = source;
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
    5: (field) => (tensor = readTensorProto(bytes, rangeField(field, 't'), source)),
    6: (field) => {
      readGraph(source, rangeField(field, 'g'), depth + 1);
      other = 'graph';
    },
    7: (field) => {
      const [start, end] = fixedRange(field, 4, 'floats');
      const view = new DataView(bytes.buffer, bytes.byteOffset + start, end - start);
      for (let i = 0; i < end - start; i += 4) {
        count(source, field, 'number');
        floats.push(view.getFloat32(i, true));
      }
    },
    8: (field) =>
      eachInteger(bytes, field, 'ints', (start, end) => {
        count(source, field, 'number');
        integers.push(signedVarint(bytes, start, end));
      }),
    9: (field) => {
      count(source, field, 'text');
      texts.push(textField(bytes, field, 'strings'));
    },
    10: (field) => {
      readTensorProto(bytes, rangeField(field, 'tensors'), source);
      other = 'tensors';
    },
    11: (field) => {
      readGraph(source, rangeField(field, 'graphs'), depth + 1);
      other = 'graphs';
    },
    20: (field) => (type = countField(bytes, field, 'attribute type')),
    21: () => (other = 'reference to an attribute of a function'),
    22: (field) => {
      readSparse(source, rangeField(field, 'sparse_tensor'));
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

const OTHER_TYPES: Readonly<Record<number, string>> = { 4: 'sequence', 5: 'map', 8: 'sparse tensor', 9: 'optional' };

function readValue(source: Source, value: Field, what: string): ValueProto {
  const { bytes } = source;
  const range = rangeField(value, what);
  count(source, value, 'value');
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
              1: (side) => {
                count(source, side, 'number');
                found.push(readDimension(bytes, rangeField(side, 'dim')));
              },
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
