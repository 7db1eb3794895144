/** `espalier inspect`: what a model file holds. */
import {
  describeEncoding,
  encodingSize,
  findGroups,
  inferTypes,
  nodeCosts,
  parametersOf,
  readSafetensors,
  sizeOf,
  splitBytes,
  writeNetwork,
} from '../../index.ts';
import type { ChannelGroup, Network } from '../../index.ts';
import { defineCommand, grouped, table } from '../command.ts';
import type { Invocation, Result } from '../command.ts';
import { inFile } from '../files.ts';
import { flag } from '../options.ts';
import { UsageError } from '../io.ts';
import { holdsNetwork, openFile, READ_OPTIONS } from '../model.ts';
import type { ForeignModel } from '../model.ts';

const OPTIONS = {
  groups: flag('list the groups of channels that are pruned together, and why others are not, instead of layers'),
  ...READ_OPTIONS,
};

export const inspectCommand = defineCommand({
  name: 'inspect',
  summary: 'list what a model file holds',
  positionals: ['MODEL'],
  description:
    'Operators, layers with their shapes, parameters, multiply-adds, bytes and encodings, where the bytes of the file go, and what can be pruned. Of a model of ONNX or TensorFlow.js that is not supported: everything that stands in the way. Of a safetensors file without a network: its tensors.',
  example: 'espalier inspect small.safetensors',
  options: OPTIONS,
  run,
});

async function run({ values, positionals: [path] }: Invocation<typeof OPTIONS>): Promise<Result> {
  const { bytes, foreign } = await openFile(path, values);
  const network = foreign?.network ?? holdsNetwork(path, bytes, values);
  if (network)
    return values.groups
      ? describeGroups(findGroups(network))
      : describeNetwork(network, foreign?.fileBytes ?? bytes.length, foreign);
  if (values.groups) throw new UsageError(`--groups: ${path} holds tensors and no network; leave the option out`);
  return describeTensors(path, bytes);
}

/** Who goes together, and whether it can go. */
function describeGroups(groups: readonly ChannelGroup[]): Result {
  const json = groups.map(({ name, channels, producers, consumers, prunable, reason }) => ({
    name,
    channels,
    together: producers,
    readBy: [...new Set(consumers.map(({ node }) => node))],
    prunable,
    ...(reason === undefined ? {} : { reason }),
  }));
  return {
    json: { groups: json },
    text: `${table(
      [
        ['group', 'channels', 'go together', 'read by', 'pruned'],
        ...json.map((group) => [
          group.name,
          grouped(group.channels),
          few(group.together),
          few(group.readBy),
          group.prunable ? 'can be' : `no: ${group.reason}`,
        ]),
      ],
      [2, 3, 4],
    )}\n\n${prunableText(groups)}`,
  };
}

/** The first names, and how many more there are. */
function few(names: readonly string[], most = 4): string {
  return `${names.slice(0, most).join(' ')}${names.length > most ? ` and ${names.length - most} more` : ''}`;
}

function prunableText(groups: readonly ChannelGroup[]): string {
  const can = groups.filter(({ prunable }) => prunable);
  const channels = (of: readonly ChannelGroup[]): string => grouped(of.reduce((sum, one) => sum + one.channels, 0));
  return `${can.length} of ${groups.length} groups, ${channels(can)} of ${channels(groups)} channels, can be pruned`;
}

/** How many nodes of each kind, the most first. */
function operatorsOf({ nodes }: Network): Readonly<Record<string, number>> {
  const counts = new Map<string, number>();
  for (const { kind } of nodes) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  return Object.fromEntries([...counts].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1)));
}

interface LayerInfo {
  readonly name: string;
  readonly kind: string;
  /** Of the weight, or of the first parameter; empty where there is none. */
  readonly shape: readonly number[];
  /** Per sample. */
  readonly outputShape: readonly number[];
  readonly parameters: number;
  /** Per sample. */
  readonly multiplyAdds: number;
  /** Of the parameters as stored, without headers. */
  readonly bytes: number;
  /** '' where nothing is stored. */
  readonly encoding: string;
}

function layersOf(network: Network): LayerInfo[] {
  const counted = new Set<string>();
  return nodeCosts(network).map(({ name, kind, outputShape, parameters, multiplyAdds }, i) => {
    const own = parametersOf(network.nodes[i]).flatMap((parameter) => {
      const encoding = network.parameters.get(parameter);
      return encoding ? [{ parameter, encoding }] : [];
    });
    // A parameter that several nodes share is counted at the first.
    const bits = own
      .filter(({ parameter }) => !counted.has(parameter))
      .reduce((sum, { encoding }) => sum + encodingSize(encoding).total, 0);
    for (const { parameter } of own) counted.add(parameter);
    const main = own.find(({ parameter }) => parameter === network.nodes[i].parameters.weight) ?? own.at(0);
    return {
      name,
      kind,
      shape: main?.encoding.shape ?? [],
      outputShape,
      parameters,
      multiplyAdds,
      bytes: Math.ceil(bits / 8),
      encoding: main ? describeEncoding(main.encoding) : '',
    };
  });
}

function describeNetwork(network: Network, fileBytes: number, foreign: ForeignModel | undefined): Result {
  const layers = layersOf(network);
  const sum = (part: 'parameters' | 'multiplyAdds'): number => layers.reduce((total, layer) => total + layer[part], 0);
  // A file of ours that is smaller than the plain one is packed.
  const plainBytes = foreign ? fileBytes : Math.max(fileBytes, writeNetwork(network).length);
  const split = splitBytes(network, fileBytes, plainBytes);
  const { name, inputs, outputs, preprocessing, task } = network;
  const [parameters, multiplyAdds] = [sum('parameters'), sum('multiplyAdds')];
  const shapes = inferTypes(network);
  const groups = findGroups(network);
  const operators = operatorsOf(network);
  const head = table(
    [
      ['network', name],
      ...(foreign ? [['model', foreign.words]] : []),
      ['input', inputs.map((input) => `${input.name} ${shapeText(input.shape)}`).join(', ')],
      ['output', outputs.map((output) => `${output} ${shapeText(shapes.get(output)?.shape ?? [])}`).join(', ')],
      ['task', task ? JSON.stringify(taskText(task)) : 'not said'],
      ['preprocessing', preprocessing ? JSON.stringify(preprocessing) : 'not said'],
      [
        'operators',
        Object.entries(operators)
          .map(([kind, count]) => `${kind} ${count}`)
          .join(', '),
      ],
      ['parameters', grouped(parameters)],
      ['multiply-adds', grouped(multiplyAdds)],
      ['pruning', prunableText(groups)],
      [
        'bytes',
        `${grouped(fileBytes)} (${Object.entries(split)
          .map(([part, bytes]) => `${part} ${grouped(bytes)}`)
          .join(', ')})`,
      ],
    ],
    [1],
  );
  const body = table(
    [
      ['layer', 'kind', 'weights', 'output', 'parameters', 'multiply-adds', 'bytes', 'stored as'],
      ...layers.map((layer) => [
        layer.name,
        layer.kind,
        shapeText(layer.shape),
        shapeText(layer.outputShape),
        ...[layer.parameters, layer.multiplyAdds, layer.bytes].map((value) => (value === 0 ? '' : grouped(value))),
        layer.encoding,
      ]),
    ],
    [1, 7],
  );
  return {
    json: {
      name,
      parameters,
      multiplyAdds,
      bytes: fileBytes,
      layers,
      split,
      inputs,
      outputs,
      ...(preprocessing ? { preprocessing } : {}),
      ...(task ? { task } : {}),
      operators,
      groups: { count: groups.length, prunable: groups.filter(({ prunable }) => prunable).length },
      ...(foreign ? { ...foreign.about, notes: foreign.notes } : {}),
    },
    text: [
      head,
      body,
      ...(foreign && foreign.notes.length > 0 ? [foreign.notes.map((note) => `note: ${note}`).join('\n')] : []),
    ].join('\n\n'),
  };
}

/** Without the permutation of mirrored points, which is long. */
function taskText(task: NonNullable<Network['task']>): object {
  if (task.kind !== 'landmarks') return task;
  const { mirror, ...rest } = task;
  return { ...rest, ...(mirror ? { mirror: `${mirror.length} points` } : {}) };
}

function describeTensors(path: string, bytes: Uint8Array): Result {
  const { tensors, metadata } = inFile(path, () => readSafetensors(bytes));
  const rows = [...tensors].map(
    ([
      name,
      {
        dtype,
        shape,
        bytes: { length },
      },
    ]) => ({ name, dtype, shape, bytes: length }),
  );
  const parameters = rows.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  return {
    json: { parameters, bytes: bytes.length, layers: [], tensors: rows, metadata: Object.fromEntries(metadata) },
    text: `${table(
      [
        ['holds', 'tensors and no network'],
        ['tensors', grouped(rows.length)],
        ['parameters', grouped(parameters)],
        ['bytes', grouped(bytes.length)],
      ],
      [1],
    )}\n\n${table(
      [
        ['tensor', 'type', 'shape', 'bytes'],
        ...rows.map((row) => [row.name, row.dtype, shapeText(row.shape), grouped(row.bytes)]),
      ],
      [1],
    )}`,
  };
}

const shapeText = (shape: readonly number[]): string => shape.join('x');
