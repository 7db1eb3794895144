/** `writeOnnx`: an ONNX model from a network. */
import { checkFinite, EspalierError, show, withMemory } from '../base/errors.ts';
import { ownOptions } from '../base/rules.ts';
import type { Shape } from '../base/tensor.ts';
import { checkLengths, trainedValues } from '../encodings/index.ts';
import type { Encoding } from '../encodings/types.ts';
import { checkNetwork } from '../graph/check.ts';
import { freshName } from '../graph/names.ts';
import type { Network, Node, Origin } from '../graph/network.ts';
import { outputsOf } from '../graph/walk.ts';
import { checkGraph } from '../network/check.ts';
import { inferTypes } from '../network/shapes.ts';
import type { OperatorKind } from '../operators/table.ts';
import type { ValueType } from '../operators/types.ts';
import { addConstant, addNode, floatsOf, integersOf, newSheet, once, parameterValue } from './exporting.ts';
import type { ExportedValue, Exporting, Sheet } from './exporting.ts';
import { joined } from './encode.ts';
import { EXPORTS } from './exports/table.ts';
import { modelBytes, nodeField } from './messages.ts';
import type { ValueMessage } from './messages.ts';
import { decodedInFile, decodedInGraph } from './weights.ts';

export interface OnnxWriteOptions {
  /** All weights as floats, decoded: for tools that want to see them. Default false: as few bits as the network has. */
  dense?: boolean;
  /**
   * The model's input is the picture before it is standardized: numbers of 0 to 255, resized, channels first; scale, mean and
   * deviation of the network's preprocessing become part of the graph. Default false: the input is the network's.
   */
  normalize?: boolean;
  /** Further metadata of the model, beside that which it came with. Default none. */
  metadata?: Readonly<Record<string, string>>;
}

const WHO = 'writeOnnx';
/** The newest that runtimes of 2022 take, and its file format. */
const [OPSET, IR_VERSION] = [17, 8];
/** Lengths of messages are counted in 31 bits. */
const LARGEST_FILE = 2 ** 31 - 1;

/**
 * The network as an ONNX model of operator set 17, in operators of ONNX's own: any runtime of it runs the file. Inputs,
 * outputs and nodes keep their names; a network that came from `readOnnx` has its batch (open, fixed, or none) and its
 * metadata back, any other has an open batch. Quantized parameters stay as small as they are: codebooks, codes, signs and
 * levels lie in the file and are decoded in the graph, once, when a runtime opens it.
 *
 * Preprocessing is not part of the graph (a model has numbers as inputs, no pictures) but for what `normalize` says; a
 * task is not either.
 *
 * @throws {TypeError | RangeError} for what is no network, no option or no text
 * @throws {EspalierError} GRAPH, ATTRIBUTE, SHAPE, UNSUPPORTED, FIELD for a network that could not run; NONFINITE for a
 *   value that is not finite; UNSUPPORTED for `normalize` where a picture is standardized by its own mean, or the network
 *   has no preprocessing; TOO_LARGE from 2 GiB on, which no reader of the format takes
 * @example
 * import { writeOnnx } from 'espalier/onnx';
 * await writeFile('small.onnx', writeOnnx(network));
 */
export function writeOnnx(network: Network, options: OnnxWriteOptions = {}): Uint8Array<ArrayBuffer> {
  const {
    dense = false,
    normalize = false,
    metadata = {},
  } = ownOptions(WHO, 'options', options, ['dense', 'normalize', 'metadata']);
  for (const [name, value] of Object.entries({ dense, normalize })) {
    if (typeof value !== 'boolean') throw new TypeError(`${WHO}: ${name}: expected true or false, got ${show(value)}`);
  }
  checkNetwork(WHO, 'network', network);
  checkGraph(network, WHO);
  for (const [name, encoding] of network.parameters) {
    checkLengths(name, encoding);
    checkFinite(WHO, name, encoding.kind === 'dense' ? encoding.data : trainedValues(encoding));
  }
  const batch = batchOf(network);
  const entries = metadataOf(network, metadata);
  checkTexts([network.name, ...network.nodes.flatMap((node) => [node.name, ...outputsOf(node)])]);
  checkTexts([...network.inputs.map(({ name }) => name), ...network.parameters.keys(), ...entries.flat()]);
  return withMemory(WHO, () => {
    const types = inferTypes(network);
    const sheet = newSheet();
    const [first] = network.inputs;
    for (const name of types.keys()) freshName(sheet, name);
    const names = new Map<string, string>();
    if (normalize) names.set(first.name, standardized(sheet, network));
    const job: Job = { network, types, sheet, names, dense, lead: batch === 'none' ? 0 : 1 };
    for (const node of network.nodes) writeNode(job, node);
    const side = batch === 'any' ? ['batch'] : batch === 'none' ? [] : [batch];
    const valueOf = (name: string): ValueMessage => {
      const { shape, type } = typeOf(types, name);
      return { name, element: type === 'float' ? 'float' : 'int64', sides: [...side, ...shape] };
    };
    const bytes = modelBytes({
      ...{
        opset: OPSET,
        irVersion: IR_VERSION,
        producer: 'espalier',
        metadata: entries,
        name: network.name || 'network',
      },
      ...{ nodes: sheet.nodes, initializers: sheet.initializers },
      inputs: network.inputs.map(({ name }) => valueOf(name)),
      outputs: network.outputs.map(valueOf),
    });
    return joined(bytes, (length) => {
      if (length <= LARGEST_FILE) return;
      const text = `${WHO}: the model would have ${length} bytes; one file holds at most ${LARGEST_FILE}: quantize the network, or write it without 'dense'`;
      throw new EspalierError('TOO_LARGE', text, { name: network.name, limit: LARGEST_FILE, found: length });
    });
  });
}

/** Halves of surrogate pairs have no UTF-8: two names could become one. @throws {EspalierError} FIELD */
function checkTexts(texts: readonly string[]): void {
  const wrong = texts.find((text) => /\p{Surrogate}/u.test(text));
  if (wrong === undefined) return;
  const text = `${WHO}: ${show(wrong)}: expected a text that can be written as UTF-8, got half of a surrogate pair in it; give it another name`;
  throw new EspalierError('FIELD', text, { name: wrong });
}

function batchOf({ origin }: Network): Origin['batch'] {
  const batch: unknown = origin ? origin.batch : 'any';
  if (batch === 'any' || batch === 'none' || (typeof batch === 'number' && Number.isSafeInteger(batch) && batch > 0))
    return batch;
  throw new EspalierError(
    'FIELD',
    `${WHO}: origin.batch: expected 'any', 'none' or a whole number from 1, got ${show(batch)}`,
    { name: 'origin.batch', found: batch },
  );
}

/** That of the network's origin, and the caller's, which counts where both have a key. */
function metadataOf({ origin }: Network, given: unknown): [string, string][] {
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    throw new TypeError(`${WHO}: metadata: expected an object of texts, got ${show(given)}`);
  const entries = new Map([...Object.entries(origin?.metadata ?? {}), ...Object.entries(given)] as [string, unknown][]);
  return [...entries].map(([key, value]) => {
    if (typeof value !== 'string') throw new TypeError(`${WHO}: metadata.${key}: expected a text, got ${show(value)}`);
    return [key, value];
  });
}

interface Job {
  readonly network: Network;
  readonly types: ReadonlyMap<string, ValueType>;
  readonly sheet: Sheet;
  /** Names in the model of values that are called otherwise there. */
  readonly names: ReadonlyMap<string, string>;
  readonly dense: boolean;
  readonly lead: 0 | 1;
}

function typeOf(types: ReadonlyMap<string, ValueType>, name: string): ValueType {
  const type = types.get(name);
  if (!type) throw new EspalierError('GRAPH', `${WHO}: there is no value ${show(name)}`, { name });
  return type;
}

function writeNode(job: Job, node: Node): void {
  const write = EXPORTS[node.kind as OperatorKind] as (node: Node, to: Exporting) => void;
  write(node, exportingOf(job, node));
}

function exportingOf({ network, types, sheet, names, dense, lead }: Job, node: Node): Exporting {
  const parameterOf = (name: string, shape?: Shape): string => {
    const encoding = encodingOf(network, name);
    return parameterValue(sheet, name, encoding, shape ?? encoding.shape, dense ? decodedInFile : decodedInGraph);
  };
  const inputs = node.inputs.map((name): ExportedValue => {
    const type = types.get(name);
    if (type) return { name: names.get(name) ?? name, shape: type.shape };
    return { name: parameterOf(name), shape: encodingOf(network, name).shape };
  });
  const made = outputsOf(node);
  const outputs = made.map((name): ExportedValue => ({ name, shape: typeOf(types, name).shape }));
  return {
    ...{ lead, inputs, outputs, x: inputs[0], y: outputs[0] },
    parameterShape(role) {
      const name = node.parameters[role];
      return name === undefined ? [] : encodingOf(network, name).shape;
    },
    parameter(role, shape) {
      const name = node.parameters[role];
      return name === undefined ? undefined : parameterOf(name, shape);
    },
    integers: (values) => integersOf(sheet, values),
    floats: (values, shape) => floatsOf(sheet, values, shape, `${node.name}.numbers`),
    number: (value) => floatsOf(sheet, [value], [], `_${value}`),
    level: (type, value) =>
      once(sheet, `${type} ${value}`, () => addConstant(sheet, type, [], new Uint8Array([value]), `_${type}_${value}`)),
    node: (operator, from, attributes = {}) => addNode(sheet, operator, from, attributes, `${node.name}.${operator}`),
    yields(operator, from, attributes = {}) {
      sheet.nodes.push(nodeField({ name: node.name, operator, inputs: from, outputs: made, attributes }));
    },
  };
}

function encodingOf({ parameters }: Network, name: string): Encoding {
  const encoding = parameters.get(name);
  if (!encoding) throw new EspalierError('GRAPH', `${WHO}: there is no parameter ${show(name)}`, { name });
  return encoding;
}

/** The network's input from the picture that is the model's: (x scale - mean) / deviation per channel. Its name. */
function standardized(sheet: Sheet, { preprocessing, inputs: [input], outputs }: Network): string {
  const refuse = (text: string): EspalierError =>
    new EspalierError('UNSUPPORTED', `${WHO}: normalize: ${text}`, { name: 'normalize' });
  if (!preprocessing) throw refuse('the network does not say how a picture becomes its input; leave it out');
  const { standardize, scale, channels } = preprocessing;
  if (standardize.kind === 'image')
    throw refuse(
      "each picture is standardized by its own mean and deviation, which is not baked in: do that before the model, and leave 'normalize' out",
    );
  const numbers = (of: (channel: number) => number): number[] => Array.from({ length: channels }, (_, i) => of(i));
  const isFixed = standardize.kind === 'fixed';
  const factors = numbers((i) => scale / (isFixed ? standardize.deviation[i] : 1));
  const shifts = numbers((i) => (isFixed ? -standardize.mean[i] / standardize.deviation[i] : 0));
  if (outputs.includes(input.name)) throw refuse('the input is an output too, which would be another one then');
  const shape = [channels, ...input.shape.slice(1).map(() => 1)];
  if (input.shape[0] !== channels)
    throw refuse(`its input [${input.shape.join(', ')}] does not begin with ${channels} channels`);
  const scaled = addNode(
    sheet,
    'Mul',
    [input.name, floatsOf(sheet, factors, shape, `${input.name}.factors`)],
    {},
    `${input.name}.scaled`,
  );
  return addNode(
    sheet,
    'Add',
    [scaled, floatsOf(sheet, shifts, shape, `${input.name}.shifts`)],
    {},
    `${input.name}.standardized`,
  );
}
