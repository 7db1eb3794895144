/**
 * The graph as JSON, in the file's metadata: everything of a network but the values of its parameters. Short where that
 * costs nothing: a node whose only input is the value before it does not say so, and empty parts are left out.
 */
import { EspalierError, show, showAll } from '../base/errors.ts';
import { hasField, own } from '../base/realm.ts';
import type { Json } from '../container/json.ts';
import type { Shape } from '../base/tensor.ts';
import { checkNodeCount } from './check.ts';
import { outputsOf } from '../graph/walk.ts';
import type { Network, Node, Origin } from '../graph/network.ts';
import type { Preprocessing, Task } from '../graph/preprocessing.ts';

/** Key of the description in the file's metadata. */
export const NETWORK_KEY = 'espalier';

/** Version of the description; a change that older readers would misread raises it. */
export const FORMAT_VERSION = 1;

/** Everything of a network but its parameters. */
export type Description = Omit<Network, 'parameters'>;

type Fields = ReadonlyMap<string, Json>;

const MAX_RANK = 8;
const MAX_SIDE = 2 ** 31 - 1;

/** To be given to JSON.stringify. */
export function describe(network: Description): Record<string, unknown> {
  const { name, inputs, nodes, outputs, preprocessing, task, origin } = own(network);
  return {
    version: FORMAT_VERSION,
    name,
    inputs: inputs.map((input) => ({
      name: input.name,
      shape: input.shape,
      ...(hasField(input, 'type') && { type: input.type }),
    })),
    nodes: nodes.map((node, i) => describeNode(node, valueBefore(inputs, nodes, i))),
    outputs,
    ...(preprocessing && { preprocessing }),
    ...(task && { task }),
    ...(origin && { origin }),
  };
}

/** @param before - what the node reads if nothing else is said */
function describeNode(node: Node, before: string | undefined): Record<string, unknown> {
  const { name, kind, inputs, outputs, parameters, attributes } = own(node);
  const readsDefault = inputs.length === 1 && inputs[0] === before;
  const isEmpty = (fields: object): boolean => Object.keys(fields).length === 0;
  return {
    name,
    kind,
    ...(readsDefault ? {} : { inputs }),
    ...(outputs && { outputs }),
    ...(isEmpty(parameters) ? {} : { parameters }),
    ...(isEmpty(attributes) ? {} : { attributes }),
  };
}

/** The default input of node i. */
function valueBefore(inputs: Network['inputs'], nodes: readonly Node[], i: number): string | undefined {
  return i > 0 ? outputsOf(nodes[i - 1])[0] : inputs[0]?.name;
}

/**
 * Reads what {@link describe} gave. Whether the graph holds together is checked by `checkGraph`.
 * @throws {EspalierError} UNSUPPORTED_VERSION, FIELD
 */
export function readDescription(who: string, json: Json): Description {
  const fields = object(who, 'network', json);
  checkVersion(who, fields);
  const inputs = list(who, 'inputs', fields.get('inputs')).map((value) => {
    const input = object(who, 'inputs', value);
    const type = input.get('type');
    return {
      name: text(who, 'inputs: name', input.get('name')),
      shape: readShape(who, 'inputs: shape', input.get('shape')),
      ...(type === undefined ? {} : { type: oneOf(who, 'inputs: type', type, ['float', 'integer']) }),
    };
  });
  const nodes: Node[] = [];
  const described = list(who, 'nodes', fields.get('nodes'));
  checkNodeCount(who, described.length);
  for (const value of described) nodes.push(readNode(who, value, valueBefore(inputs, nodes, nodes.length)));
  const preprocessing = fields.get('preprocessing');
  const task = fields.get('task');
  const origin = fields.get('origin');
  return {
    name: text(who, 'name', fields.get('name')),
    inputs,
    nodes,
    outputs: list(who, 'outputs', fields.get('outputs')).map((output) => text(who, 'outputs', output)),
    ...(preprocessing === undefined ? {} : { preprocessing: readPreprocessing(who, preprocessing) }),
    ...(task === undefined ? {} : { task: readTask(who, task) }),
    ...(origin === undefined ? {} : { origin: readOrigin(who, object(who, 'origin', origin)) }),
  };
}

/**
 * What may be read: a version that is known, and no feature that is required and is not.
 * @throws {EspalierError} UNSUPPORTED_VERSION, FIELD
 */
export function checkVersion(who: string, fields: Fields): void {
  const version = fields.get('version');
  if (typeof version !== 'number' || !Number.isInteger(version)) fail(who, 'version', 'a whole number', version);
  if (version !== FORMAT_VERSION)
    throw new EspalierError(
      'UNSUPPORTED_VERSION',
      `${who}: format version ${version}; this program reads version ${FORMAT_VERSION}, ${version > FORMAT_VERSION ? 'update it' : 'the file is damaged'}`,
      { name: 'version', found: version },
    );
  // Later versions may name features that a reader must know; what is only optional stands in fields that are passed
  // by.
  const required = list(who, 'requires', fields.get('requires') ?? []).map((feature) => text(who, 'requires', feature));
  if (required.length > 0)
    throw new EspalierError(
      'UNSUPPORTED_VERSION',
      `${who}: the file needs ${showAll(required)}, which this program does not have; update it`,
      { name: 'requires', found: required.length },
    );
}

function readNode(who: string, value: Json, before: string | undefined): Node {
  const fields = object(who, 'nodes', value);
  const name = text(who, 'nodes: name', fields.get('name'));
  const texts = (field: string, value: Json): string[] =>
    list(who, `node ${show(name)}: ${field}`, value).map((one) => text(who, `node ${show(name)}: ${field}`, one));
  const inputs = fields.get('inputs');
  const defaultInputs = before === undefined ? [] : [before];
  const outputs = fields.get('outputs');
  const parameters = object(who, `node ${show(name)}: parameters`, fields.get('parameters') ?? new Map());
  return {
    name,
    // `checkGraph` refuses kinds, roles and attributes that are not known; until then they are only text.
    kind: text(who, `node ${show(name)}: kind`, fields.get('kind')),
    inputs: inputs === undefined ? defaultInputs : texts('inputs', inputs),
    parameters: Object.fromEntries(
      [...parameters].map(([role, parameter]) => [role, text(who, `node ${show(name)}: ${show(role)}`, parameter)]),
    ),
    ...(outputs === undefined ? {} : { outputs: texts('outputs', outputs) }),
    attributes: toPlain(
      object(who, `node ${show(name)}: attributes`, fields.get('attributes') ?? new Map()),
    ) as Node['attributes'],
  };
}

function readPreprocessing(who: string, value: Json): Preprocessing {
  const fields = object(who, 'preprocessing', value);
  const field = (name: string): Json | undefined => fields.get(name);
  const channels = integer(who, 'preprocessing.channels', field('channels'), 1, 3);
  if (channels === 2) fail(who, 'preprocessing.channels', '1 or 3', channels);
  const scale = number(who, 'preprocessing.scale', field('scale'));
  if (scale === 0) fail(who, 'preprocessing.scale', 'a number other than 0', scale);
  return {
    width: integer(who, 'preprocessing.width', field('width'), 1, 32768),
    height: integer(who, 'preprocessing.height', field('height'), 1, 32768),
    channels: channels as 1 | 3,
    ...(field('order') === undefined
      ? {}
      : { order: oneOf(who, 'preprocessing.order', field('order'), ['RGB', 'BGR']) }),
    ...(field('layout') === undefined
      ? {}
      : { layout: oneOf(who, 'preprocessing.layout', field('layout'), ['first', 'last']) }),
    filter: oneOf(who, 'preprocessing.filter', field('filter'), ['area', 'bilinear']),
    scale,
    standardize: readStandardize(who, channels, object(who, 'preprocessing.standardize', field('standardize'))),
  };
}

function readStandardize(who: string, channels: number, fields: Fields): Preprocessing['standardize'] {
  const kind = oneOf(who, 'preprocessing.standardize.kind', fields.get('kind'), ['none', 'image', 'fixed']);
  if (kind === 'none') return { kind };
  if (kind === 'image') {
    const epsilon = number(who, 'preprocessing.standardize.epsilon', fields.get('epsilon'));
    if (epsilon < 0) fail(who, 'preprocessing.standardize.epsilon', 'a number from 0', epsilon);
    return { kind, epsilon };
  }
  const perChannel = (name: string): number[] => {
    const values = list(who, `preprocessing.standardize.${name}`, fields.get(name)).map((one) =>
      number(who, `preprocessing.standardize.${name}`, one),
    );
    if (values.length !== channels) fail(who, `preprocessing.standardize.${name}`, `${channels} numbers`, values);
    return values;
  };
  const deviation = perChannel('deviation');
  if (deviation.some((one) => one <= 0)) fail(who, 'preprocessing.standardize.deviation', 'numbers above 0', deviation);
  return { kind, mean: perChannel('mean'), deviation };
}

function readTask(who: string, value: Json): Task {
  const fields = object(who, 'task', value);
  const kind = oneOf(who, 'task.kind', fields.get('kind'), ['landmarks', 'classes', 'regression']);
  if (kind === 'regression') return { kind };
  if (kind === 'classes') {
    const classes = integer(who, 'task.classes', fields.get('classes'), 1);
    if (!fields.has('labels')) return { kind, classes };
    const labels = list(who, 'task.labels', fields.get('labels')).map((label) => text(who, 'task.labels', label));
    if (labels.length !== classes) fail(who, 'task.labels', `${classes} names`, labels);
    return { kind, classes, labels };
  }
  const points = integer(who, 'task.points', fields.get('points'), 1);
  const indices = (name: string, length: number): number[] => {
    const values = list(who, `task.${name}`, fields.get(name)).map((one) =>
      integer(who, `task.${name}`, one, 0, points - 1),
    );
    if (values.length !== length) fail(who, `task.${name}`, `${length} numbers of points`, values);
    return values;
  };
  const [left, right] = fields.has('normalizeBy') ? indices('normalizeBy', 2) : [];
  const mirror = fields.has('mirror') ? indices('mirror', points) : undefined;
  if (mirror?.some((point, i) => mirror[point] !== i))
    fail(who, 'task.mirror', 'pairs of points: mirrored twice, each is itself again', mirror);
  return {
    kind,
    points,
    ...(left === undefined ? {} : { normalizeBy: [left, right] as const }),
    ...(mirror && { mirror }),
  };
}

/** @throws {EspalierError} FIELD */
function readOrigin(who: string, fields: Fields): Origin {
  const batch = fields.get('batch');
  const metadata = [...object(who, 'origin.metadata', fields.get('metadata'))].map(
    ([key, value]) => [key, text(who, 'origin.metadata', value)] as const,
  );
  return {
    batch: batch === 'any' || batch === 'none' ? batch : integer(who, 'origin.batch', batch, 1),
    metadata: Object.fromEntries(metadata),
  };
}

/** Maps become plain objects; '__proto__' becomes a field of its own like any other. */
export function toPlain(json: Fields): Record<string, unknown> {
  const convert = (value: Json): unknown => {
    if (value instanceof Map) return toPlain(value as Fields);
    return Array.isArray(value) ? (value as readonly Json[]).map(convert) : value;
  };
  return Object.fromEntries([...json].map(([key, value]) => [key, convert(value)]));
}

/** @throws {EspalierError} FIELD, always */
export function fail(who: string, field: string, expected: string, found: unknown): never {
  throw new EspalierError(
    'FIELD',
    `${who}: ${field}: expected ${expected}, got ${show(found)}; the file is damaged or was not written by espalier`,
    { name: field, found },
  );
}

/** The fields of an object. @throws {EspalierError} FIELD */
export function object(who: string, field: string, value: Json | undefined): Fields {
  return value instanceof Map ? (value as Fields) : fail(who, field, 'an object', value);
}

/** The elements of a list. @throws {EspalierError} FIELD */
export function list(who: string, field: string, value: Json | undefined): readonly Json[] {
  return Array.isArray(value) ? (value as readonly Json[]) : fail(who, field, 'a list', value);
}

/** A string. @throws {EspalierError} FIELD */
export function text(who: string, field: string, value: Json | undefined): string {
  return typeof value === 'string' ? value : fail(who, field, 'a string', value);
}

/**
 * Whole sides from 0, fewer than 2^53 elements even if the zeros are left out.
 * @throws {EspalierError} FIELD for another value, SHAPE for too many sides or elements
 */
export function readShape(who: string, field: string, value: Json | undefined): Shape {
  const shape = list(who, field, value).map((side) => integer(who, field, side, 0, MAX_SIDE));
  if (shape.length > MAX_RANK || shape.reduce((size, side) => size * Math.max(1, side), 1) > Number.MAX_SAFE_INTEGER) {
    throw new EspalierError(
      'SHAPE',
      `${who}: ${field}: expected at most ${MAX_RANK} sides and 2^53 elements, got ${show(shape)}`,
      { name: field, found: shape },
    );
  }
  return shape;
}

function integer(who: string, field: string, value: Json | undefined, from: number, to = MAX_SIDE): number {
  return Number.isInteger(value) && (value as number) >= from && (value as number) <= to
    ? (value as number)
    : fail(who, field, `a whole number from ${from} to ${to}`, value);
}

function number(who: string, field: string, value: Json | undefined): number {
  return typeof value === 'number' ? value : fail(who, field, 'a number', value);
}

function oneOf<T extends string>(who: string, field: string, value: Json | undefined, allowed: readonly T[]): T {
  return allowed.includes(value as T) ? (value as T) : fail(who, field, `one of ${allowed.join(', ')}`, value);
}
