/**
 * Checkpoints of training: what moves (trained values, batch statistics, the optimizer's memory, the best state) and
 * the history, beside a fingerprint of all that decides what the run computes. Structure, codes and signs come from the
 * network given.
 */
import { crc32, parseJson, readCheckpoint, writeCheckpoint } from '../container/index.ts';
import type { Checkpoint, CheckpointStore, Fingerprint, NamedArray } from '../container/index.ts';
import { trainedCount, trainedValues, withTrainedValues, writeEncoding } from '../encodings/index.ts';
import { EspalierError, show } from '../base/errors.ts';
import type { Network } from '../graph/network.ts';
import type { Context } from '../graph/transform.ts';
import { createBatchReader } from './batches.ts';
import type { RunControl } from '../base/control.ts';
import type { TrainSettings } from './options.ts';
import type { EpochRecord, TrainState } from './types.ts';

/** Samples of each set that the fingerprint looks at: a set may be larger than memory. */
const SAMPLES = 4;
const HISTORY_KEY = 'espalier.train';

export interface TrainCheckpoint {
  /**
   * The last state that was saved, or undefined if there is none. @throws {EspalierError} CHECKPOINT for one of another
   * run, or a damaged one
   */
  load(): Promise<TrainState | undefined>;
  save(state: TrainState): Promise<void>;
}

/** The checkpoint `key` of a training run: states are found again only by a run with the same network, settings and data. */
export async function openCheckpoint(
  { store, key }: { readonly store: CheckpointStore; readonly key: string },
  network: Network,
  settings: TrainSettings,
  context: Context,
  control: RunControl,
): Promise<TrainCheckpoint> {
  const fingerprint = await fingerprintOf(network, settings, context, control);
  return {
    async load() {
      const found = await readCheckpoint(store, key, fingerprint);
      for (const problem of found?.damaged ?? [])
        control.emit({ kind: 'note', text: `train: a damaged checkpoint was passed over: ${problem}` });
      return found && readState(found, network, key);
    },
    save: (state) =>
      writeCheckpoint(store, key, {
        fingerprint,
        metadata: { [HISTORY_KEY]: JSON.stringify(describe(state)) },
        tensors: [
          ...tensorsOf('now', state.network, network),
          ...bestTensors(state, settings, network),
          ...[...state.optimizer].map(([slot, values]) => floats(`optimizer/${slot}`, values)),
        ],
      }),
  };
}

/** What must be the same for a run to go on: everything but the number of threads, which no result depends on. */
async function fingerprintOf(
  network: Network,
  settings: TrainSettings,
  context: Context,
  control: RunControl,
): Promise<Fingerprint> {
  const {
    epochs,
    batch,
    learningRate,
    codebookRate,
    schedule,
    optimizer,
    clip,
    loss,
    teacher,
    teacherWeight,
    frozen,
    patience,
    validationMetric,
    evaluateEvery,
    keep,
    training,
    validation,
  } = settings;
  return {
    network: digestNetwork(network),
    teacher: teacher ? digestNetwork(teacher) : 'none',
    options: JSON.stringify([
      epochs,
      batch,
      learningRate,
      codebookRate,
      schedule.options,
      optimizer,
      clip,
      loss.options,
      teacherWeight,
      [...frozen].sort(),
      patience,
      validationMetric !== undefined,
      evaluateEvery,
      keep,
    ]),
    data: JSON.stringify([
      await digestExamples('context.training', training, control),
      validation ? await digestExamples('context.validation', validation, control) : 'none',
    ]),
    seed: String(context.seed),
    kernels: context.kernels.name,
  };
}

/** Structure and all values of a network. 22 MB take about 30 ms. */
export function digestNetwork({ inputs, nodes, outputs, parameters }: Network): string {
  let crc = crc32(new TextEncoder().encode(JSON.stringify({ inputs, nodes, outputs })));
  for (const [name, encoding] of parameters) {
    const { header, tensors } = writeEncoding(encoding);
    crc = crc32(new TextEncoder().encode(JSON.stringify([name, header])), crc);
    for (const { bytes } of tensors) crc = crc32(bytes, crc);
  }
  return crc.toString(16);
}

/** Size, shapes and the first samples of a set. */
export async function digestExamples(
  name: string,
  examples: TrainSettings['training'],
  control: RunControl,
): Promise<readonly unknown[]> {
  const samples = Math.min(SAMPLES, examples.count);
  const reader = createBatchReader({
    who: 'train',
    name,
    examples,
    batch: samples,
    control,
    targets: true,
    classes: 0,
  });
  await reader.read(Array.from({ length: samples }, (_, i) => i));
  const crc = [reader.inputs, reader.targets ?? new Float32Array(0)].reduce(
    (before, values) => crc32(bytesOf(values), before),
    0,
  );
  return [examples.count, examples.inputShape, examples.targetShape ?? null, crc];
}

function describe({ history, before, best }: TrainState): unknown {
  return {
    history: history.map(({ loss, validation }) => [loss, validation ?? null]),
    before: before ?? null,
    best: best ? [best.epoch, best.validation] : null,
  };
}

/** The best state, where it is wanted and is neither the present one nor the network as given. */
function bestTensors({ best, history }: TrainState, { keep }: TrainSettings, network: Network): NamedArray[] {
  return keep === 'best' && best && best.epoch >= 0 && best.epoch < history.length - 1
    ? tensorsOf('best', best.network, network)
    : [];
}

/** What `network` does not share with the network as given. */
function tensorsOf(prefix: string, network: Network, given: Network): NamedArray[] {
  return [...network.parameters]
    .filter(([name, encoding]) => encoding !== given.parameters.get(name))
    .map(([name, encoding]) => floats(`${prefix}/${name}`, trainedValues(encoding)));
}

function floats(name: string, values: Float32Array): NamedArray {
  return { name, dtype: 'F32', shape: [values.length], bytes: bytesOf(values) };
}

function bytesOf(values: Float32Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

function readState({ metadata, tensors }: Checkpoint, given: Network, key: string): TrainState {
  const bad = (problem: string): EspalierError =>
    new EspalierError(
      'CHECKPOINT',
      `train: checkpoint: ${problem} in the checkpoint of ${show(key)}; remove it to start anew`,
      { name: key },
    );
  const description = parseJson(metadata.get(HISTORY_KEY) ?? 'null', { who: 'train' });
  if (!(description instanceof Map)) throw bad('expected a history');
  const rows: unknown = description.get('history');
  const [before, best]: unknown[] = [description.get('before'), description.get('best')];
  if (
    !Array.isArray(rows) ||
    !rows.every(isRecord) ||
    !isOptional(before) ||
    !(best === null || isBest(best, rows.length))
  )
    throw bad('expected numbers');

  const valuesOf = (prefix: string): Map<string, Float32Array> =>
    new Map(
      [...tensors]
        .filter(([name]) => name.startsWith(`${prefix}/`))
        .map(([name, { dtype, bytes }]) => {
          if (dtype !== 'F32') throw bad(`expected F32 for ${show(name)}, got ${dtype},`);
          return [name.slice(prefix.length + 1), new Float32Array(bytes.slice().buffer)];
        }),
    );
  const networkOf = (prefix: string): Network => {
    const parameters = new Map(given.parameters);
    for (const [name, values] of valuesOf(prefix)) {
      const encoding = given.parameters.get(name);
      if (!encoding) throw bad(`parameter ${show(name)} is not of this network`);
      if (trainedCount(encoding) !== values.length)
        throw bad(`expected ${trainedCount(encoding)} values for ${show(name)}, got ${values.length},`);
      parameters.set(name, withTrainedValues(encoding, values));
    }
    return { ...given, parameters };
  };
  const network = networkOf('now');
  const bestNetwork = (epoch: number): Network => {
    if (epoch === -1) return given;
    return epoch === rows.length - 1 ? network : networkOf('best');
  };
  return {
    network,
    optimizer: valuesOf('optimizer'),
    history: rows.map(([loss, validation], epoch): EpochRecord => ({
      epoch,
      loss,
      ...(validation === null ? {} : { validation }),
    })),
    before: before ?? undefined,
    best: best === null ? undefined : { epoch: best[0], validation: best[1], network: bestNetwork(best[0]) },
  };
}

const isOptional = (value: unknown): value is number | null => value === null || typeof value === 'number';
const isRecord = (value: unknown): value is [number, number | null] =>
  Array.isArray(value) && value.length === 2 && typeof value[0] === 'number' && isOptional(value[1]);
const isBest = (value: unknown, epochs: number): value is [number, number] =>
  Array.isArray(value) &&
  value.length === 2 &&
  Number.isInteger(value[0]) &&
  value[0] >= -1 &&
  value[0] < epochs &&
  typeof value[1] === 'number';
