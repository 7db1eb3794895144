/**
 * Models of Keras as a graph: sequential and functional models, in the spellings of Keras 2, Keras 3 and TensorFlow.js'
 * own layers, models within models, and layers that are called several times (their weights are the same).
 */
import { EspalierError, show, showAll } from '../base/errors.ts';
import type { ErrorCode } from '../base/errors.ts';
import type { Json } from '../container/json.ts';
import type { Composition } from '../onnx/composing.ts';
import type { NodeProto, ValueProto } from '../onnx/model.ts';
import { isObject } from './json.ts';
import type { JsonObject } from './json.ts';
import { LAYERS, refusalOf } from './layers.ts';
import { settingsOf } from './settings.ts';

/** A model as nodes, before any is looked into. */
export interface Topology {
  readonly name: string;
  readonly nodes: readonly NodeProto[];
  readonly inputs: readonly ValueProto[];
  readonly outputs: readonly ValueProto[];
  readonly compositionOf: (node: NodeProto) => Composition | undefined;
}

/** Called at most so often: models within models that are called twice each double at every step. */
const MOST_CALLS = 65536;

const MODELS = new Set(['Sequential', 'Functional', 'Model']);

/** One call of a layer, with what its weights are called by. */
interface Call {
  readonly node: NodeProto;
  readonly kind: string;
  readonly config: JsonObject;
  /** Names of the models that it lies in, and its own: the path of its weights. */
  readonly path: readonly string[];
  /** Of the call's node. */
  readonly name: string;
}

interface Reading {
  readonly who: string;
  readonly calls: Call[];
  readonly inputs: ValueProto[];
  readonly taken: Set<string>;
  /** Calls so far, those of models with them. */
  count: number;
}

/**
 * The graph of a model of layers.
 * @param weights - names of all weights
 * @throws {EspalierError} FIELD for a config that is none, GRAPH for references into nowhere, TOO_LARGE
 */
export function readTopology(who: string, json: JsonObject, weights: readonly string[]): Topology {
  const model = modelOf(who, json);
  const reading: Reading = { who, calls: [], inputs: [], taken: new Set(), count: 0 };
  const { name, outputs } = flattened(reading, model, [], undefined);
  const version = Number(/^\d+/.exec(String(textOf(json.get('keras_version')) ?? ''))?.[0] ?? 2);
  const named = outputs.map(({ value, layer }) => ({ name: unused(reading.taken, layer), value }));
  const ends = named.map(
    ({ name: output, value }): NodeProto => ({
      name: output, operator: OUTPUT, domain: 'keras', inputs: [value], outputs: [output], attributes: new Map(), at: 0,
    }),
  ); // prettier-ignore
  const calls = new Map(reading.calls.map((call) => [call.node, call]));
  const find = weightFinder(weights);
  return {
    name,
    nodes: [...reading.calls.map(({ node }) => node), ...ends],
    inputs: reading.inputs,
    outputs: named.map(({ name: output }) => ({ name: output })),
    compositionOf(node) {
      const call = calls.get(node);
      if (!call) return node.operator === OUTPUT ? (graph) => graph.yields(0, node.inputs[0]) : undefined;
      return (graph) => {
        const fail = (code: ErrorCode, text: string): never => graph.fail(code, text);
        const definition = LAYERS.get(call.kind) ?? fail('UNSUPPORTED', refusalOf(call.kind));
        const layer = {
          settings: settingsOf(call.config, fail),
          inputs: node.inputs,
          name: call.path.join('/'),
          version,
          weight: (...roles: string[]) => find(call, roles, fail),
        };
        graph.yields(0, definition(graph, layer));
      };
    },
  };
}

/** Of a node that gives a value the name of an output. */
const OUTPUT = 'Output';

const textOf = (json: Json | undefined): string | undefined => (typeof json === 'string' ? json : undefined);

const fieldError = (who: string, name: string, expected: string, got: Json | undefined): EspalierError =>
  new EspalierError('FIELD', `${who}: ${name}: expected ${expected}, got ${show(isObject(got) ? 'an object' : got)}`, {
    name,
  });

/** `{ class_name, config }` of a model, where Keras and TensorFlow.js put it. */
function modelOf(who: string, json: JsonObject): JsonObject {
  const inner = json.get('model_config') ?? json;
  if (isObject(inner) && inner.has('class_name') && inner.has('config')) return inner;
  throw fieldError(who, 'modelTopology', '{ class_name, config }, or that as model_config', inner);
}

function unused(taken: Set<string>, wanted: string): string {
  let name = wanted;
  for (let i = 2; taken.has(name); i++) name = `${wanted}_${i}`;
  taken.add(name);
  return name;
}

interface Output {
  readonly value: string;
  /** The layer whose output it is. */
  readonly layer: string;
}

/** Adds the calls of a model. `feeds`: what it is called with, within another. */
function flattened(
  reading: Reading,
  model: JsonObject,
  path: readonly string[],
  feeds: readonly string[] | undefined,
  called = path,
): { name: string; outputs: Output[] } {
  const { who } = reading;
  const [kind, config] = [model.get('class_name'), model.get('config')];
  if (typeof kind !== 'string' || !MODELS.has(kind))
    throw new EspalierError(
      'UNSUPPORTED',
      `${who}: a model of class ${show(kind)}; expected ${[...MODELS].join(', ')}: convert the model as a graph model`,
      { name: 'class_name', found: kind },
    );
  // Before Keras 2.2 a sequential model is the list of its layers.
  const listed = Array.isArray(config) ? config : isObject(config) ? config.get('layers') : undefined;
  if (!Array.isArray(listed)) throw fieldError(who, `${[...path, 'config'].join('.')}.layers`, 'a list', listed);
  const layers = (listed as readonly Json[]).map((layer, i) =>
    layerOf(who, layer, `${[...path, 'layers'].join('.')}[${i}]`),
  );
  const name = (isObject(config) && textOf(config.get('name'))) || 'model';
  const of: Scope = { reading, path, called, feeds };
  const outputs =
    kind === 'Sequential'
      ? sequence(of, layers, isObject(config) ? config : new Map())
      : graphOf(of, layers, config as JsonObject);
  return { name, outputs };
}

interface Scope {
  readonly reading: Reading;
  readonly path: readonly string[];
  /** The path with the number of the call, where a model is called several times. */
  readonly called: readonly string[];
  readonly feeds: readonly string[] | undefined;
}

interface LayerJson {
  readonly kind: string;
  readonly name: string;
  readonly config: JsonObject;
  readonly json: JsonObject;
}

function layerOf(who: string, json: Json, where: string): LayerJson {
  if (!isObject(json)) throw fieldError(who, where, 'an object { class_name, config }', json);
  const [kind, given] = [json.get('class_name'), json.get('config')];
  if (typeof kind !== 'string') throw fieldError(who, `${where}.class_name`, 'a text', kind);
  // A sequential model of old is a list, and has no name of its own.
  const config: Json | undefined = Array.isArray(given) ? new Map<string, Json>([['layers', given]]) : given;
  if (!isObject(config)) throw fieldError(who, `${where}.config`, 'an object', config);
  const name = textOf(json.get('name')) ?? textOf(config.get('name'));
  if (name === undefined) throw fieldError(who, `${where}.config.name`, 'a text', config.get('name'));
  return { kind, name, config, json };
}

/** Sides of an input, the batch first; undefined where none are said. */
function sidesOf(config: JsonObject): (number | undefined)[] | undefined {
  const value = config.get('batch_input_shape') ?? config.get('batch_shape');
  if (!Array.isArray(value)) return undefined;
  return (value as readonly Json[]).map((side) =>
    Number.isSafeInteger(side) && (side as number) > 0 ? (side as number) : undefined,
  );
}

/** An input of the whole model. */
function addInput({ reading }: Scope, name: string, dimensions: readonly (number | undefined)[] | undefined): string {
  const unique = unused(reading.taken, name);
  reading.inputs.push({ name: unique, ...(dimensions && { dimensions }) });
  return unique;
}

/** A call of a layer, or of a model; its values. */
function call(
  { reading, path, called }: Scope,
  { kind, name, config }: LayerJson,
  inputs: readonly string[],
  index: number,
): readonly string[] {
  if (++reading.count > MOST_CALLS)
    throw new EspalierError('TOO_LARGE', `${reading.who}: layers are called more than ${MOST_CALLS} times`, {
      limit: MOST_CALLS,
    });
  const own = [...path, name];
  const label = [...called, index === 0 ? name : `${name}_${index + 1}`];
  if (MODELS.has(kind)) {
    const inner = new Map<string, Json>([['class_name', kind], ['config', config]]); // prettier-ignore
    return flattened(reading, inner, own, inputs, label).outputs.map(({ value }) => value);
  }
  const full = label.join('/');
  const value = unused(reading.taken, `${full}:0`);
  const node: NodeProto = {
    name: full, operator: kind, domain: 'keras', inputs, outputs: [value], attributes: new Map(), at: 0,
  }; // prettier-ignore
  reading.calls.push({ node, kind, config, path: own, name: full });
  return [value];
}

function sequence(scope: Scope, layers: readonly LayerJson[], config: JsonObject): Output[] {
  const { reading, feeds } = scope;
  const [first] = layers;
  if (!first)
    throw new EspalierError('GRAPH', `${reading.who}: a sequential model without layers`, {
      name: scope.path.join('/'),
    });
  if (feeds && feeds.length !== 1)
    throw new EspalierError(
      'GRAPH',
      `${reading.who}: ${show(scope.path.join('/'))}: expected one input, got ${feeds.length}`,
      { name: scope.path.join('/') },
    );
  const isInput = first.kind === 'InputLayer';
  const built = config.get('build_input_shape');
  const sides =
    sidesOf(first.config) ??
    innerSides(first) ??
    (Array.isArray(built) ? sidesOf(new Map([['batch_shape', built]])) : undefined);
  let values = feeds ?? [addInput(scope, isInput ? first.name : `${first.name}_input`, sides)];
  for (const layer of isInput ? layers.slice(1) : layers) values = call(scope, layer, values, 0);
  return values.map((value) => ({ value, layer: layers[layers.length - 1].name }));
}

/** What a model that is the first layer takes itself. */
function innerSides({ kind, config }: LayerJson): (number | undefined)[] | undefined {
  if (!MODELS.has(kind)) return undefined;
  const layers = config.get('layers');
  const first = Array.isArray(layers) ? (layers[0] as Json) : undefined;
  const inner = isObject(first) ? first.get('config') : undefined;
  return isObject(inner) ? sidesOf(inner) : undefined;
}

/** A value as a functional model names it. */
interface Reference {
  readonly layer: string;
  readonly call: number;
  readonly output: number;
}

function graphOf(scope: Scope, layers: readonly LayerJson[], config: JsonObject): Output[] {
  const { reading, feeds, path } = scope;
  const { who } = reading;
  const where = path.length === 0 ? 'the model' : show(path.join('/'));
  const fail = (code: ErrorCode, text: string): never => {
    throw new EspalierError(code, `${who}: ${where}: ${text}`, { name: path.join('/') });
  };
  const byName = new Map<string, LayerJson>();
  for (const layer of layers) {
    if (byName.has(layer.name)) fail('DUPLICATE', `two layers are called ${show(layer.name)}`);
    byName.set(layer.name, layer);
  }
  const inputs = referencesIn(config.get('input_layers'), fail);
  const given = referencesIn(config.get('output_layers'), fail);
  if (feeds && feeds.length !== inputs.length) fail('GRAPH', `expected ${inputs.length} inputs, got ${feeds.length}`);
  const values = new Map<string, readonly string[]>();
  const key = (layer: string, index: number): string => `${index}:${layer}`;
  inputs.forEach(({ layer }, i) => {
    const found = byName.get(layer) ?? fail('GRAPH', `there is no input layer ${show(layer)}`);
    values.set(key(layer, 0), [feeds?.[i] ?? addInput(scope, layer, sidesOf(found.config))]);
  });
  const stated = new Map(
    layers.map((layer) => [layer.name, values.has(key(layer.name, 0)) ? [] : inboundOf(layer, fail)] as const),
  );
  const counted = callCounter(byName, stated, given);
  const outputs = given.map(counted);
  const callsOf = new Map([...stated].map(([layer, calls]) => [layer, calls.map((reads) => reads.map(counted))]));
  // Each call behind those that it reads: from the outputs down, without recursion.
  const open = outputs.map(({ layer, call: index }) => ({ layer, index, isReady: false }));
  const begun = new Set<string>();
  while (open.length > 0) {
    const { layer, index, isReady } = open.pop() as (typeof open)[number];
    const id = key(layer, index);
    if (values.has(id)) continue;
    const json = byName.get(layer) ?? fail('GRAPH', `there is no layer ${show(layer)}`);
    const reads = callsOf.get(layer)?.[index] ?? fail('GRAPH', `layer ${show(layer)} is not called ${index + 1} times`);
    if (isReady) {
      const operands = reads.map(
        (read) =>
          values.get(key(read.layer, read.call))?.[read.output] ??
          fail('GRAPH', `layer ${show(read.layer)} has no output ${read.output}`),
      );
      values.set(id, call(scope, json, operands, index));
      continue;
    }
    if (begun.has(id)) fail('GRAPH', `layer ${show(layer)} reads itself, through others or directly`);
    begun.add(id);
    open.push({ layer, index, isReady: true });
    for (const read of reads)
      if (!values.has(key(read.layer, read.call))) open.push({ layer: read.layer, index: read.call, isReady: false });
  }
  return outputs.map(({ layer, call: index, output }) => ({
    value: values.get(key(layer, index))?.[output] ?? fail('GRAPH', `layer ${show(layer)} has no output ${output}`),
    layer,
  }));
}

/**
 * A model within a model may count its own making as its first call, or not: it does where a call is read that would lie
 * behind the last one.
 */
function callCounter(
  layers: ReadonlyMap<string, LayerJson>,
  calls: ReadonlyMap<string, readonly (readonly Reference[])[]>,
  outputs: readonly Reference[],
): (reference: Reference) => Reference {
  const shifted = new Set<string>();
  for (const { layer, call: index } of [...outputs, ...[...calls.values()].flat(2)])
    if (MODELS.has(layers.get(layer)?.kind ?? '') && index === calls.get(layer)?.length) shifted.add(layer);
  return (reference) =>
    shifted.has(reference.layer) ? { ...reference, call: Math.max(0, reference.call - 1) } : reference;
}

type Fail = (code: ErrorCode, text: string) => never;

/** `["name", 0, 0]`, or a list or an object of such. */
function referencesIn(json: Json | undefined, fail: Fail): Reference[] {
  if (isReference(json)) return [referenceOf(json)];
  const found = Array.isArray(json) ? (json as readonly Json[]) : isObject(json) ? [...json.values()] : [];
  if (found.length === 0) fail('FIELD', 'input_layers, output_layers: expected lists of [layer, call, output]');
  return found.map((one) =>
    isReference(one) ? referenceOf(one) : fail('FIELD', 'input_layers, output_layers: expected [layer, call, output]'),
  );
}

type ReferenceJson = readonly [string, number, number, ...Json[]];

const isCount = (value: Json | undefined): boolean => Number.isSafeInteger(value) && (value as number) >= 0;
const isReference = (json: Json | undefined): json is ReferenceJson =>
  Array.isArray(json) && typeof json[0] === 'string' && isCount(json[1] as Json) && isCount(json[2] as Json);
const referenceOf = ([layer, index, output]: ReferenceJson): Reference => ({ layer, call: index, output });

/** What each call of a layer reads. */
function inboundOf({ name, kind, json }: LayerJson, fail: Fail): Reference[][] {
  const calls = json.get('inbound_nodes') ?? [];
  const bad = (text: string): never => fail('FIELD', `inbound_nodes of ${show(name)}: ${text}`);
  if (!Array.isArray(calls)) return bad('expected a list');
  return (calls as readonly Json[]).map((one): Reference[] => {
    if (isObject(one)) {
      // Keras 3: arguments as they were, values among them.
      const reads: Reference[] = [];
      keptTensors(one.get('args') ?? [], reads, bad);
      const others: Reference[] = [];
      keptTensors(one.get('kwargs') ?? null, others, bad);
      if (others.length > 0)
        fail('UNSUPPORTED', `layer ${show(name)} (${kind}) is called with values by name, which is not supported`);
      return reads;
    }
    if (isReference(one)) return [referenceOf(one)];
    if (!Array.isArray(one)) return bad('expected lists of [layer, call, output]');
    return (one as readonly Json[]).map((read) => {
      if (!isReference(read)) return bad('expected [layer, call, output]');
      const kwargs = read[3];
      if (isObject(kwargs) && [...kwargs.values()].some((value) => Array.isArray(value) || isObject(value)))
        fail('UNSUPPORTED', `layer ${show(name)} (${kind}) is called with values by name, which is not supported`);
      return referenceOf(read);
    });
  });
}

/** The values in what a layer is called with, in their order. */
function keptTensors(json: Json, found: Reference[], bad: (text: string) => never): void {
  if (Array.isArray(json)) for (const one of json as readonly Json[]) keptTensors(one, found, bad);
  if (!isObject(json)) return;
  if (json.get('class_name') === '__keras_tensor__') {
    const config = json.get('config');
    const history = isObject(config) ? config.get('keras_history') : undefined;
    if (!isReference(history)) bad('keras_history: expected [layer, call, output]');
    else found.push(referenceOf(history));
    return;
  }
  for (const one of json.values()) keptTensors(one, found, bad);
}

/** Roles of a layer's weights in the order in which Keras 3 numbers them, where that is not kernel, bias. */
const ORDER: ReadonlyMap<string, readonly string[]> = /* @__PURE__ */ new Map([
  ['BatchNormalization', ['gamma', 'beta', 'moving_mean', 'moving_variance']],
  ['DepthwiseConv1D', ['depthwise_kernel', 'bias']],
  ['DepthwiseConv2D', ['depthwise_kernel', 'bias']],
  ['LayerNormalization', ['gamma', 'beta']],
  ['GroupNormalization', ['gamma', 'beta']],
  ['Normalization', ['mean', 'variance']],
  ['PReLU', ['alpha']],
  ['SeparableConv1D', ['depthwise_kernel', 'pointwise_kernel', 'bias']],
  ['SeparableConv2D', ['depthwise_kernel', 'pointwise_kernel', 'bias']],
]);

/** What says that a layer has no such weight. */
const FLAGS: ReadonlyMap<string, string> = /* @__PURE__ */ new Map([
  ['gamma', 'scale'],
  ['beta', 'center'],
]);

/**
 * Finds the weight of a layer: under its name (`conv1/kernel`), behind the names of the models that it lies in, with
 * something between (`conv1/cell/kernel`), or by its number (`conv1/vars/0`).
 */
function weightFinder(names: readonly string[]): (call: Call, roles: readonly string[], fail: Fail) => string {
  const known = new Map(names.map((name) => [name.replace(/:0$/, ''), name]));
  const byEnd = new Map<string, string[]>();
  const remember = (key: string, name: string): void => {
    const list = byEnd.get(key);
    if (list) list.push(name);
    else byEnd.set(key, [name]);
  };
  for (const [plain, name] of known) {
    const parts = plain.split('/');
    const role = parts[parts.length - 1];
    for (const owner of new Set(parts.slice(0, -1))) remember(`${owner}/${role}`, name);
  }
  return ({ path, kind, config }, roles, fail) => {
    const layer = path[path.length - 1];
    const numbered = (ORDER.get(kind) ?? ['kernel', 'bias'])
      .filter((role) => config.get(FLAGS.get(role) ?? '') !== false)
      .indexOf(roles[0]);
    for (const role of [...roles, String(numbered)]) {
      const exact = known.get([...path, role].join('/')) ?? known.get(`${layer}/${role}`);
      if (exact !== undefined) return exact;
      const ending = (byEnd.get(`${layer}/${role}`) ?? []).filter((name) => path.every((part) => name.includes(part)));
      const found = ending.length > 0 ? ending : (byEnd.get(`${layer}/${role}`) ?? []);
      if (found.length === 1) return found[0];
      if (found.length > 1) fail('DUPLICATE', `its weight ${show(role)} may be ${showAll(found)}`);
    }
    return fail('MISSING', `its weight ${show(`${layer}/${roles[0]}`)} is not in the manifest`);
  };
}
