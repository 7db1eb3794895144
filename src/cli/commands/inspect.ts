/** `espalier inspect`: what a model file holds. */
import {
  describeEncoding,
  encodingSize,
  inferTypes,
  loadFile,
  nodeCosts,
  parametersOf,
  readSafetensors,
  sizeOf,
  splitBytes,
} from '../../index.ts';
import type { Network } from '../../index.ts';
import { defineCommand, grouped, table } from '../command.ts';
import type { Invocation, Result } from '../command.ts';
import { inFile } from '../files.ts';
import { holdsNetwork, READ_OPTIONS } from '../model.ts';

export const inspectCommand = defineCommand({
  name: 'inspect',
  summary: 'list what a model file holds',
  positionals: ['MODEL'],
  description:
    'Layers with their shapes, parameters, multiply-adds, bytes and encodings, and where the bytes of the file go. Of a safetensors file without a network: its tensors.',
  example: 'espalier inspect small.safetensors',
  options: READ_OPTIONS,
  run,
});

async function run({ values, positionals: [path] }: Invocation<typeof READ_OPTIONS>): Promise<Result> {
  const bytes = await loadFile(path);
  const network = holdsNetwork(path, bytes, values);
  return network ? describeNetwork(network, bytes.length) : describeTensors(path, bytes);
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

function describeNetwork(network: Network, fileBytes: number): Result {
  const layers = layersOf(network);
  const sum = (part: 'parameters' | 'multiplyAdds'): number => layers.reduce((total, layer) => total + layer[part], 0);
  const split = splitBytes(network, fileBytes);
  const { name, inputs, outputs, preprocessing, task } = network;
  const [parameters, multiplyAdds] = [sum('parameters'), sum('multiplyAdds')];
  const shapes = inferTypes(network);
  const head = table(
    [
      ['network', name],
      ['input', inputs.map((input) => `${input.name} ${shapeText(input.shape)}`).join(', ')],
      ['output', outputs.map((output) => `${output} ${shapeText(shapes.get(output)?.shape ?? [])}`).join(', ')],
      ['task', task ? JSON.stringify(taskText(task)) : 'not said'],
      ['preprocessing', preprocessing ? JSON.stringify(preprocessing) : 'not said'],
      ['parameters', grouped(parameters)],
      ['multiply-adds', grouped(multiplyAdds)],
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
    },
    text: `${head}\n\n${body}`,
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
