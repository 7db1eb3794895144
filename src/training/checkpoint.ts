/**
 * Checkpoints of training: what moves (trained values, batch statistics, the optimizer's memory, the best state) and
 * the history, beside a fingerprint of all that decides what the run computes. Structure, codes and signs come from the
 * network given. A checkpoint is a file like any other: whatever its checksum says, every field is checked.
 */
import { parseJson, readCheckpoint, writeCheckpoint } from '../container/index.ts';
import type { Checkpoint, Fingerprint, Lock, NamedArray, RunCheckpoint } from '../container/index.ts';
import { trainedCount, trainedValues, withTrainedValues } from '../encodings/index.ts';
import { checkFinite, EspalierError, show } from '../base/errors.ts';
import type { Network } from '../graph/network.ts';
import type { Context } from '../graph/transform.ts';
import type { TrainingExecutor } from '../execution/types.ts';
import type { RunControl } from '../base/control.ts';
import type { Averages } from './averages.ts';
import { bytesOf, digestExamples, digestNetwork, digestOptions } from './fingerprint.ts';
import type { TrainSettings } from './options.ts';
import type { EpochRecord, TrainState } from './types.ts';

const HISTORY_KEY = 'espalier.train';

export interface TrainCheckpoint {
  /**
   * The last state that was saved, with the executor set to it, or undefined if there is none. @throws {EspalierError}
   * CHECKPOINT for one of another run, or where all are damaged
   */
  load(): Promise<TrainState | undefined>;
  /** @throws {EspalierError} LOCKED; IO where the run is to stop if it cannot save */
  save(state: TrainState): Promise<void>;
  /** Gives the key free. */
  close(): Promise<void>;
}

/**
 * The checkpoint of a training run: states are found again only by a run with the same network, settings and data.
 * @throws {EspalierError} LOCKED if another run uses the key
 */
export async function openCheckpoint(
  checkpoint: RunCheckpoint,
  executor: TrainingExecutor,
  settings: TrainSettings,
  context: Context,
  control: RunControl,
  averages?: Averages,
): Promise<TrainCheckpoint> {
  const { store, key } = checkpoint;
  const { network } = executor;
  const lock = await store.lock?.(key);
  try {
    const fingerprint = await fingerprintOf(network, checkpoint, settings, context, control);
    return {
      async load() {
        const found = await readCheckpoint(store, key, fingerprint, (slot) => {
          const state = readState(slot, executor, settings, averages);
          executor.restore(state.network);
          executor.restoreOptimizer(state.optimizer);
          averages?.load(state.optimizer);
          return state;
        });
        warnOfDamage('train', found?.damaged, control);
        return found?.state;
      },
      save: (state) =>
        saveOr(checkpoint, lock, control, () =>
          writeCheckpoint(store, key, {
            fingerprint,
            metadata: { [HISTORY_KEY]: JSON.stringify(describe(state)) },
            tensors: [
              ...tensorsOf('now', state.network, network),
              ...(state.best && hasOwnBest(state, settings) ? tensorsOf('best', state.best.network, network) : []),
              ...[...state.optimizer].map(([slot, values]) => floats(`optimizer/${slot}`, values)),
            ],
          }),
        ),
      close: async () => lock?.release(),
    };
  } catch (error) {
    await lock?.release();
    throw error;
  }
}

/** Tells of checkpoints that were of no use. */
export function warnOfDamage(who: string, damaged: readonly string[] | undefined, control: RunControl): void {
  for (const problem of damaged ?? [])
    control.emit({ kind: 'warning', text: `${who}: a damaged checkpoint was passed over: ${problem}` });
}

/** Writes a state; where that fails, does what the run asks for. Two runs never go on on one key. */
export async function saveOr(
  { onWriteError = 'stop' }: RunCheckpoint,
  lock: Lock | undefined,
  control: RunControl,
  write: () => Promise<void>,
): Promise<void> {
  try {
    await lock?.confirm();
    await write();
  } catch (error) {
    if (onWriteError === 'stop' || !(error instanceof EspalierError) || error.code !== 'IO') throw error;
    control.emit({
      kind: 'warning',
      text: `the state of the run could not be kept, and the run goes on without: ${error.message}`,
    });
  }
}

/** What must be the same for a run to go on: everything but the number of threads, which no result depends on. */
async function fingerprintOf(
  network: Network,
  checkpoint: RunCheckpoint,
  settings: TrainSettings,
  context: Context,
  control: RunControl,
): Promise<Fingerprint> {
  // Where the state is kept, and what happens if it cannot be, changes nothing of the run.
  const { training, validation, teacher, loss, schedule, checkpoint: _place, ...options } = settings;
  const pass = { seed: context.seed, epoch: 0 };
  return {
    network: digestNetwork(network),
    teacher: teacher ? digestNetwork(teacher) : 'none',
    // By construction all of them, those to come too. A metric is known by its function's name.
    options: digestOptions({ ...options, loss: loss.options, schedule: schedule.options }),
    data: digestOptions(
      checkpoint.data ?? [
        await digestExamples('context.training', training, { control, targets: settings.teacherWeight < 1, pass }),
        validation ? await digestExamples('context.validation', validation, { control, targets: true }) : 'none',
      ],
    ),
    seed: String(context.seed),
    kernels: context.kernels.name,
  };
}

function describe({ history, before, best }: TrainState): unknown {
  return {
    history: history.map(({ loss, validation }) => [loss, validation ?? null]),
    before: before ?? null,
    best: best ? [best.epoch, best.validation] : null,
  };
}

/** Whether the best state is wanted and is neither the present one, as its averages are not, nor the network as given. */
function hasOwnBest(
  { best, history }: Pick<TrainState, 'history'> & { readonly best: { readonly epoch: number } | undefined },
  { keep, average }: TrainSettings,
): boolean {
  return keep === 'best' && best !== undefined && best.epoch >= 0 && (average > 0 || best.epoch < history.length - 1);
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

/**
 * The state that a checkpoint describes. Its history is one that a run with these settings has: as many epochs at most,
 * judged when they are due, the best one among them with its own value.
 * @throws {EspalierError} CHECKPOINT, HEADER, NONFINITE for what is none of this run
 */
function readState(
  { metadata, tensors }: Checkpoint,
  executor: TrainingExecutor,
  settings: TrainSettings,
  averages: Averages | undefined,
): TrainState {
  const { network: given } = executor;
  const bad = (problem: string): EspalierError => new EspalierError('CHECKPOINT', `train: ${problem}`);
  const description = parseJson(metadata.get(HISTORY_KEY) ?? 'null', { who: 'train' });
  if (!(description instanceof Map)) throw bad('expected a history');
  const { history, before, best } = checkedHistory(description, settings, bad);

  const wanted = (prefix: string, names: Iterable<string>): Map<string, Float32Array> =>
    new Map(
      [...names].map((name) => {
        const stored = tensors.get(`${prefix}/${name}`);
        if (stored?.dtype !== 'F32')
          throw bad(`expected F32 for ${show(`${prefix}/${name}`)}, got ${stored?.dtype ?? 'nothing'}`);
        const values = new Float32Array(Uint8Array.from(stored.bytes).buffer);
        checkFinite('train', `${prefix}/${name}`, values);
        return [name, values];
      }),
    );
  const moving = [...executor.snapshot().parameters].filter(([name, own]) => own !== given.parameters.get(name));
  const networkOf = (prefix: string): Network => {
    const parameters = new Map(given.parameters);
    const names = moving.map(([name]) => name);
    for (const [name, values] of wanted(prefix, names)) {
      const encoding = given.parameters.get(name)!;
      if (trainedCount(encoding) !== values.length)
        throw bad(`expected ${trainedCount(encoding)} values for ${show(`${prefix}/${name}`)}, got ${values.length}`);
      parameters.set(name, withTrainedValues(encoding, values));
    }
    return { ...given, parameters };
  };
  const network = networkOf('now');
  const optimizer = wanted('optimizer', [...executor.optimizerState().keys(), ...(averages?.state().keys() ?? [])]);
  let bestNetwork = network;
  if (best?.epoch === -1) bestNetwork = given;
  else if (hasOwnBest({ history, best }, settings)) bestNetwork = networkOf('best');
  return { network, optimizer, history, before, best: best && { ...best, network: bestNetwork } };
}

interface History extends Pick<TrainState, 'history' | 'before'> {
  readonly best: { readonly epoch: number; readonly validation: number } | undefined;
}

function checkedHistory(
  description: ReadonlyMap<string, unknown>,
  { epochs, evaluateEvery, validation: set }: TrainSettings,
  bad: (problem: string) => EspalierError,
): History {
  const [rows, before, best] = ['history', 'before', 'best'].map((field) => description.get(field));
  const isMetric = (value: unknown, isDue: boolean): boolean => (isDue ? typeof value === 'number' : value === null);
  const isRow = (row: unknown, epoch: number): boolean =>
    Array.isArray(row) &&
    row.length === 2 &&
    typeof row[0] === 'number' &&
    isMetric(row[1], set !== undefined && ((epoch + 1) % evaluateEvery === 0 || epoch + 1 === epochs));
  if (!Array.isArray(rows) || rows.length < 1 || rows.length > epochs || !rows.every(isRow))
    throw bad(`expected the losses of 1 to ${epochs} epochs, each with its validation where that is due`);
  if (!isMetric(before, set !== undefined)) throw bad(`expected the validation at the start, got ${show(before)}`);
  const history = (rows as readonly (readonly [number, number | null])[]).map(
    ([loss, validation], epoch): EpochRecord => ({ epoch, loss, ...(validation === null ? {} : { validation }) }),
  );
  if (set === undefined && best === null) return { history, before: undefined, best: undefined };
  const [epoch, validation] = (Array.isArray(best) ? best : []) as unknown[];
  const found = epoch === -1 ? before : history.find((one) => one.epoch === epoch)?.validation;
  if (set === undefined || typeof found !== 'number' || validation !== found)
    throw bad(`expected the best epoch and its validation, got ${show(best)}`);
  return { history, before: before as number, best: { epoch: epoch as number, validation: found } };
}
