/**
 * Checkpoints of a schedule: the networks of the moment and how far it has come, written after every stage. A
 * checkpoint is a file like any other: whatever its checksum says, every field is checked.
 */
import type { RunControl } from '../base/control.ts';
import { EspalierError, show } from '../base/errors.ts';
import { expectation, integer, number, obeys } from '../base/rules.ts';
import type { Rule } from '../base/rules.ts';
import { parseJson, readCheckpoint, removeCheckpoint, writeCheckpoint } from '../container/index.ts';
import type { Checkpoint, Fingerprint, Json, NamedArray, RunCheckpoint } from '../container/index.ts';
import { NO_LIMITS } from '../network/limits.ts';
import { readNetwork } from '../network/read.ts';
import { toPlain } from '../network/description.ts';
import type { Network } from '../graph/network.ts';
import { writeNetwork } from '../network/write.ts';
import { saveOr, warnOfDamage } from '../training/checkpoint.ts';
import { digestExamples, digestNetwork, digestOptions } from '../training/fingerprint.ts';
import { criterionName, measurementsOf } from '../importance/score.ts';
import type { Context, TransformReport } from '../graph/transform.ts';
import type { CompressOptions, CompressSettings } from './options.ts';
import type { Stage, StageReport, StepReport } from './stage.ts';

/** Where a schedule stands. */
export interface Progress {
  /** Number of the stage to run next. */
  readonly next: number;
  /** Try of the present step, from 0. */
  readonly attempt: number;
  readonly network: Network;
  /** Validation metric of `network`. The last stage's is another's where a try was undone. */
  readonly validation: number;
  /** The network at the beginning of the present step, to go back to, and its validation metric. */
  readonly stepStart: Network;
  readonly startValidation: number;
  /** Best of the tries of the present step so far. */
  readonly best: { readonly network: Network; readonly validation: number; readonly attempt: number } | undefined;
  /** Validation metrics of the tries of the present step that were undone. */
  readonly tries: readonly number[];
  /** Of the steps before it that were judged. */
  readonly steps: readonly StepReport[];
  /** Validation metric of the original. */
  readonly baseline: number;
  readonly stages: readonly StageReport[];
}

export interface ProgressStore {
  readonly restored: Progress | undefined;
  save(progress: Progress): Promise<void>;
  /** Where the stage after `done` others may keep its own state. */
  stageCheckpoint(done: number): RunCheckpoint | undefined;
  /** Gives the key free. */
  close(): Promise<void>;
}

const KEY = 'espalier.compress';

/** Where the network is that the present step began with: often it need not be stored twice. */
const START_PLACES = ['now', 'original', 'stored'] as const;
type StartPlace = (typeof START_PLACES)[number];

type Stored = Omit<Progress, 'network' | 'stepStart' | 'best'> & {
  readonly start: StartPlace;
  readonly best: { readonly validation: number; readonly attempt: number } | null;
};

/** What stands in a checkpoint as plain numbers. */
type Numbers = Omit<Stored, 'start' | 'best' | 'stages' | 'tries' | 'steps'>;

/**
 * @throws {EspalierError} CHECKPOINT if there is a checkpoint of another run or a damaged one without a good one beside
 * it; LOCKED if another run uses the key
 */
export async function openProgress(
  network: Network,
  context: Context,
  control: RunControl,
  { checkpoint }: CompressOptions,
  settings: CompressSettings,
  plan: readonly Stage[],
): Promise<ProgressStore> {
  if (!checkpoint)
    return {
      restored: undefined,
      save: () => Promise.resolve(),
      stageCheckpoint: () => undefined,
      close: () => Promise.resolve(),
    };
  const { store, key } = checkpoint;
  const lock = await store.lock?.(key);
  try {
    const data = checkpoint.data ?? (await digestSets(context, control, settings));
    const fingerprint = fingerprintOf(network, context, settings, plan, data);
    const found = await readCheckpoint(store, key, fingerprint, (slot) => restore(slot, network, settings, plan));
    const restored = found?.state;
    // A run that was killed between the two writes of `save` has left a finished stage's own checkpoint behind.
    if (restored) await removeCheckpoint(store, stageKey(key, restored.stages.length - 1));
    warnOfDamage('compress', found?.damaged, control);
    return {
      restored,
      stageCheckpoint: (done) => ({ ...checkpoint, key: stageKey(key, done), data }),
      save: (progress) =>
        saveOr(checkpoint, lock, control, async () => {
          await writeCheckpoint(store, key, { fingerprint, ...describe(progress, network) });
          // The finished stage's own checkpoint has done its work: the next stage starts from this one.
          await removeCheckpoint(store, stageKey(key, progress.stages.length - 1));
        }),
      close: async () => lock?.release(),
    };
  } catch (error) {
    await lock?.release();
    throw error;
  }
}

/** Key of the training checkpoint of the n-th stage that is run (tries counted). */
function stageKey(key: string, count: number): string {
  return `${key}-stage${count}`;
}

function describe(
  { network, stepStart, best, stages, ...numbers }: Progress,
  original: Network,
): { readonly metadata: Record<string, string>; readonly tensors: readonly NamedArray[] } {
  const blob = (name: string, value: Network): NamedArray => {
    const bytes = writeNetwork(value);
    return { name, dtype: 'U8', shape: [bytes.length], bytes };
  };
  const start: StartPlace = stepStart === network ? 'now' : stepStart === original ? 'original' : 'stored';
  return {
    metadata: {
      [KEY]: JSON.stringify({
        ...numbers,
        stages,
        start,
        best: best ? { validation: best.validation, attempt: best.attempt } : null,
      } satisfies Stored),
    },
    tensors: [
      blob('network', network),
      ...(start === 'stored' ? [blob('stepStart', stepStart)] : []),
      ...(best ? [blob('best', best.network)] : []),
    ],
  };
}

/**
 * Where the run stood, of a slot that was made for it. @throws {EspalierError} CHECKPOINT, and what `parseJson` and
 * `readNetwork` throw
 */
function restore(
  { metadata, tensors }: Checkpoint,
  original: Network,
  settings: CompressSettings,
  plan: readonly Stage[],
): Progress {
  const bad = (problem: string): EspalierError => new EspalierError('CHECKPOINT', `compress: ${problem}`);
  const text = metadata.get(KEY);
  if (text === undefined) throw bad('it is not one of compress; give another key');
  const fields = parseJson(text, { who: 'compress' });
  const field = (name: string): Json | undefined => (fields instanceof Map ? fields.get(name) : undefined);
  const numbers = readNumbers(field, settings, plan, bad);
  const [start, best, reports, tries, judged] = ['start', 'best', 'stages', 'tries', 'steps'].map(field);
  if (!START_PLACES.includes(start as StartPlace))
    throw bad(`start: expected one of ${START_PLACES.join(', ')}, got ${show(start)}`);
  const kept = best === null ? undefined : readObject(best, BEST_RULES, 'best', bad);
  if (!Array.isArray(tries) || !tries.every((one) => typeof one === 'number'))
    throw bad(`tries: expected numbers, got ${show(tries)}`);
  if (!Array.isArray(judged)) throw bad(`steps: expected a list, got ${show(judged)}`);
  const steps = (judged as readonly Json[]).map((one, i) => readStep(one, `steps[${i}]`, bad));
  if (!Array.isArray(reports)) throw bad(`stages: expected a list, got ${show(reports)}`);
  const stages = (reports as readonly Json[]).map((report, i) => readStage(report, `stages[${i}]`, bad));
  const network = (name: string): Network => {
    const found = tensors.get(name);
    if (!found) throw bad(`its network ${name} is missing`);
    // No limits: the run that goes on was given the original whole, whatever it takes, and lays it out first; held to the
    // smaller bytes of what became of it, a sound run could be refused at its own checkpoint.
    return readNetwork(found.bytes, { limits: NO_LIMITS });
  };
  const now = network('network');
  return {
    ...numbers,
    stages,
    network: now,
    stepStart: start === 'now' ? now : start === 'original' ? original : network('stepStart'),
    tries,
    steps,
    best: kept && { ...(kept as { validation: number; attempt: number }), network: network('best') },
  };
}

type Bad = (problem: string) => EspalierError;

const BEST_RULES = { validation: number(), attempt: integer(0) };
const STEP_RULES = { start: number(), kept: integer(0) };

function readObject(value: Json | undefined, rules: Readonly<Record<string, Rule>>, where: string, bad: Bad): object {
  if (!(value instanceof Map)) throw bad(`${where}: expected an object, got ${show(value)}`);
  const plain = toPlain(value as ReadonlyMap<string, Json>) as Readonly<Record<string, unknown>>;
  ruled((key) => plain[key], rules, `${where}.`, bad);
  return plain;
}

function readStep(step: Json, where: string, bad: Bad): StepReport {
  const plain = readObject(step, STEP_RULES, where, bad) as Partial<StepReport>;
  const { layers, limit = 0, tries, within } = plain;
  if (!Array.isArray(layers) || !layers.every((layer) => typeof layer === 'string'))
    throw bad(`${where}.layers: expected names, got ${show(layers)}`);
  if (!Array.isArray(tries) || !tries.every((one) => typeof one === 'number'))
    throw bad(`${where}.tries: expected numbers, got ${show(tries)}`);
  if (typeof limit !== 'number') throw bad(`${where}.limit: expected a number, got ${show(limit)}`);
  if (typeof within !== 'boolean') throw bad(`${where}.within: expected true or false, got ${show(within)}`);
  return plain as StepReport;
}

function readNumbers(
  field: (name: string) => unknown,
  { retries }: CompressSettings,
  plan: readonly Stage[],
  bad: Bad,
): Numbers {
  const rules: Record<keyof Numbers, Rule> = {
    next: integer(0, plan.length),
    attempt: integer(0, retries),
    validation: number(),
    startValidation: number(),
    baseline: number(),
  };
  return ruled(field, rules, '', bad) as unknown as Numbers;
}

function readStage(report: Json, where: string, bad: Bad): StageReport {
  const rules = { attempt: integer(0), parameters: integer(0, Number.MAX_SAFE_INTEGER), validation: number() };
  const plain = readObject(report, rules, where, bad) as Partial<StageReport>;
  const { name, layers, changed, report: own } = plain;
  if (typeof name !== 'string') throw bad(`${where}.name: expected a string, got ${show(name)}`);
  if (!Array.isArray(layers) || !layers.every((layer) => typeof layer === 'string'))
    throw bad(`${where}.layers: expected names, got ${show(layers)}`);
  if (typeof changed !== 'boolean') throw bad(`${where}.changed: expected true or false, got ${show(changed)}`);
  if (typeof (own as Partial<TransformReport> | null | undefined)?.transform !== 'string')
    throw bad(`${where}.report: expected { transform, ... }, got ${show(own)}`);
  return plain as StageReport;
}

function ruled(
  field: (name: string) => unknown,
  rules: Readonly<Record<string, Rule>>,
  where: string,
  bad: Bad,
): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(rules).map(([name, rule]) => {
      const value = field(name);
      if (!obeys(rule, value)) throw bad(`${where}${name}: expected ${expectation(rule)}, got ${show(value)}`);
      return [name, value];
    }),
  );
}

/** All samples of both sets; labels where the run looks at them. */
export async function digestSets(
  { training, validation, seed }: Context,
  control: RunControl,
  { teacherWeight, criterion, scoring }: CompressSettings,
): Promise<string> {
  const targets = teacherWeight < 1 || measurementsOf(criterion, scoring).includes('gradients');
  return digestOptions([
    await digestExamples('context.training', training!, { control, targets, pass: { seed, epoch: 0 } }),
    await digestExamples('context.validation', validation!, { control, targets: true }),
  ]);
}

function fingerprintOf(
  network: Network,
  { seed, kernels }: Context,
  { training, criterion, ...rest }: CompressSettings,
  plan: readonly Stage[],
  data: string,
): Fingerprint {
  const { loss, schedule, ...others } = training;
  return {
    network: digestNetwork(network),
    // By construction all of them, those to come too. Functions are known by their names.
    options: digestOptions({
      ...rest,
      training: { ...others, loss: loss?.options, schedule: schedule?.options },
      criterion: [typeof criterion, criterionName(criterion)],
      stages: plan.map(({ name, step, layers }) => [name, step, layers]),
    }),
    data,
    seed: String(seed),
    kernels: kernels.name,
  };
}
