/** Checkpoints of a schedule: the networks of the moment and how far it has come, written after every stage. */
import { readCheckpoint, removeCheckpoint, writeCheckpoint } from '../container/index.ts';
import type { Fingerprint, NamedArray } from '../container/index.ts';
import { EspalierError } from '../base/errors.ts';
import { NO_LIMITS } from '../network/limits.ts';
import { readNetwork } from '../network/read.ts';
import type { Network } from '../graph/network.ts';
import { writeNetwork } from '../network/write.ts';
import { digestExamples, digestNetwork } from '../training/checkpoint.ts';
import { criterionName } from '../importance/score.ts';
import { createRunControl } from '../base/control.ts';
import type { Context } from '../graph/transform.ts';
import type { CompressOptions, CompressSettings } from './options.ts';
import type { Stage, StageReport } from './stage.ts';

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
  readonly best: { readonly network: Network; readonly validation: number } | undefined;
  /** Validation metric of the original. */
  readonly baseline: number;
  readonly stages: readonly StageReport[];
}

export interface ProgressStore {
  readonly restored: Progress | undefined;
  save(progress: Progress): Promise<void>;
}

const KEY = 'espalier.compress';

/** Where the network is that the present step began with: often it need not be stored twice. */
type StartPlace = 'now' | 'original' | 'stored';

type Stored = Omit<Progress, 'network' | 'stepStart' | 'best'> & {
  readonly start: StartPlace;
  readonly best: number | null;
};

/**
 * @throws {EspalierError} CHECKPOINT if there is a checkpoint of another run or a damaged one without a good one beside
 * it
 */
export async function openProgress(
  network: Network,
  context: Context,
  options: CompressOptions,
  settings: CompressSettings,
  plan: readonly Stage[],
): Promise<ProgressStore> {
  const { checkpoint } = options;
  if (!checkpoint) return { restored: undefined, save: () => Promise.resolve() };
  const { store, key } = checkpoint;
  const fingerprint = await fingerprintOf(network, context, settings, plan);
  const found = await readCheckpoint(store, key, fingerprint);
  const restored = found && restore(found.metadata, found.tensors, network, key);
  // A run that was killed between the two writes of `save` has left a finished stage's own checkpoint behind.
  if (restored) await removeCheckpoint(store, stageKey(key, restored.stages.length - 1));
  for (const problem of found?.damaged ?? [])
    context.onEvent?.({ kind: 'note', text: `compress: a damaged checkpoint was passed over: ${problem}` });
  return {
    restored,
    async save(progress) {
      const { network: now, stepStart, best, stages, ...rest } = progress;
      const blob = (name: string, value: Network): NamedArray => {
        const bytes = writeNetwork(value);
        return { name, dtype: 'U8', shape: [bytes.length], bytes };
      };
      const start: StartPlace = stepStart === now ? 'now' : stepStart === network ? 'original' : 'stored';
      await writeCheckpoint(store, key, {
        fingerprint,
        metadata: {
          [KEY]: JSON.stringify({ ...rest, stages, start, best: best?.validation ?? null } satisfies Stored),
        },
        tensors: [
          blob('network', now),
          ...(start === 'stored' ? [blob('stepStart', stepStart)] : []),
          ...(best ? [blob('best', best.network)] : []),
        ],
      });
      // The finished stage's own checkpoint has done its work: the next stage starts from this one.
      await removeCheckpoint(store, stageKey(key, progress.stages.length - 1));
    },
  };
}

/** Key of the training checkpoint of the n-th stage that is run (tries counted). */
export function stageKey(key: string, count: number): string {
  return `${key}-stage${count}`;
}

function restore(
  metadata: ReadonlyMap<string, string>,
  tensors: ReadonlyMap<string, { bytes: Uint8Array }>,
  original: Network,
  key: string,
): Progress {
  const text = metadata.get(KEY);
  if (text === undefined)
    throw new EspalierError('CHECKPOINT', `compress: the checkpoint ${key} is not one of compress; give another key`, {
      name: key,
    });
  // Covered by the checkpoint's checksum and by its fingerprint, so its form is ours.
  const { best, start, ...rest } = JSON.parse(text) as Stored;
  if (typeof rest.validation !== 'number')
    throw new EspalierError(
      'CHECKPOINT',
      `compress: the checkpoint ${key} is of an earlier version of this program; go on with that, or remove it to start anew`,
      { name: key },
    );
  const network = (name: string): Network => {
    const found = tensors.get(name);
    if (!found)
      throw new EspalierError(
        'CHECKPOINT',
        `compress: the checkpoint ${key} lacks its network ${name}; remove it to start anew`,
        { name: key },
      );
    // The run that goes on had let the network in; smaller now, it would be held to less.
    return readNetwork(found.bytes, { limits: NO_LIMITS });
  };
  const now = network('network');
  return {
    ...rest,
    network: now,
    stepStart: start === 'now' ? now : start === 'original' ? original : network('stepStart'),
    best: best === null ? undefined : { network: network('best'), validation: best },
  };
}

async function fingerprintOf(
  network: Network,
  context: Context,
  settings: CompressSettings,
  plan: readonly Stage[],
): Promise<Fingerprint> {
  const { training, criterion, layers, ...rest } = settings;
  const { loss, schedule, validationMetric, ...numbers } = training;
  const control = createRunControl(context);
  return {
    network: digestNetwork(network),
    options: JSON.stringify([
      rest,
      plan.map(({ name, step, layers: names }) => [name, step, names]),
      [...layers],
      typeof criterion === 'string' ? criterion : `${typeof criterion} ${criterionName(criterion)}`,
      numbers,
      loss?.options ?? null,
      schedule?.options ?? null,
      validationMetric !== undefined,
    ]),
    data: JSON.stringify(
      await Promise.all(
        (['training', 'validation'] as const).map(
          (name) => context[name] && digestExamples(`context.${name}`, context[name], control),
        ),
      ),
    ),
    seed: String(context.seed),
    kernels: context.kernels.name,
  };
}
