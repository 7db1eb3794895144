/**
 * What long runs share: augmentation, the unit of the output, where they keep their state and how they go on from it.
 */
import { augmentLandmarks, EspalierError, meanTarget, withOutputUnit } from '../index.ts';
import type { Dataset, Examples, Network, OutputUnit, Task } from '../index.ts';
import { checkpointFolder, holdsCheckpoint } from './files.ts';
import type { CheckpointPlace } from './files.ts';
import { UsageError } from './io.ts';
import type { OpenedModel } from './model.ts';
import { choice, defaultShown, number, orWord, text, withDefault } from './options.ts';

export const AUGMENT_OPTION = {
  augment: defaultShown(
    'landmarks for landmarks',
    choice(['none', 'landmarks'], 'rotate, scale, shift and mirror images with their landmarks'),
  ),
};

/** The set as training reads it. */
export function augmented(
  choice: 'none' | 'landmarks' | undefined,
  examples: Dataset,
  task: Task | undefined,
): Examples {
  const isImage = examples.inputShape.length === 3 && examples.preprocessing?.layout !== 'last';
  if (choice === 'landmarks' && (task?.kind !== 'landmarks' || !isImage)) {
    throw new UsageError(
      `--augment: landmarks are augmented with images of [channels, height, width]; here the task is ${task?.kind ?? 'unknown'}, inputs are [${examples.inputShape.join(', ')}]; use none`,
    );
  }
  return choice !== 'none' && task?.kind === 'landmarks' && isImage
    ? augmentLandmarks(examples, { mirror: task.mirror })
    : examples;
}

export const UNIT_OPTION = {
  unit: defaultShown(
    '0.1 for landmarks',
    orWord(
      'none',
      null,
      number('SCALE', 'the last dense layer yields (target - mean target) / SCALE', { from: 0, exclusive: true }),
    ),
  ),
};

/**
 * The unit that `--unit` asks for (null: none), by default that of the recipe; undefined: the network yields targets as
 * they are.
 */
export async function outputUnit(
  given: number | null | undefined,
  examples: Dataset,
  task: Task | undefined,
): Promise<OutputUnit | undefined> {
  if (typeof given === 'number' && (task?.kind === 'classes' || !examples.targetShape))
    throw new UsageError(`--unit: needs targets that are numbers, got ${task?.kind ?? 'none'}; leave the option out`);
  const scale = given === undefined && task?.kind === 'landmarks' && examples.targetShape ? 0.1 : (given ?? undefined);
  return scale === undefined ? undefined : { scale, shift: await meanTarget(examples) };
}

/** A network that was opened, with the unit that `--unit` asks for; a model has its own already. */
export async function inUnit(
  given: number | null | undefined,
  { isPlain }: OpenedModel,
  network: Network,
  examples: Dataset,
): Promise<Network> {
  if (!isPlain && given !== undefined)
    throw new UsageError('--unit: the model has a unit of its own; the option is for plain weights');
  const unit = isPlain ? await outputUnit(given, examples, network.task) : undefined;
  return unit ? withOutputUnit(network, unit) : network;
}

export const CHECKPOINT_OPTION = {
  checkpoint: text('DIR|none', 'folder that keeps the state of the run until it is done'),
};

export const CHECKPOINT_ERROR_OPTION = {
  onCheckpointError: withDefault(
    'stop',
    choice(['stop', 'go-on'], 'when the state cannot be written, the disk being full: end the run, or tell and go on'),
  ),
};

/** The word of the API for what the flag says. */
export const onWriteError = (choice: 'stop' | 'go-on'): 'stop' | 'goOn' => (choice === 'stop' ? 'stop' : 'goOn');

/** What to say when a run was stopped. */
export async function howToGoOn({
  checkpoint,
  output,
}: {
  readonly checkpoint: string | undefined;
  readonly output: string;
}): Promise<string> {
  const folder = checkpointFolder(checkpoint, output);
  if (folder === undefined) return 'nothing was saved (--checkpoint none)';
  return (await holdsCheckpoint(folder))
    ? `run the same command again to go on from the last epoch, which is kept in ${folder}`
    : 'the first epoch was not done, so there is nothing to go on from';
}

/** A run whose errors about its checkpoint say where that is. */
export async function inCheckpoint<T>(place: CheckpointPlace | undefined, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    if (!place || !(error instanceof EspalierError) || error.code !== 'CHECKPOINT') throw error;
    throw new EspalierError('CHECKPOINT', `${error.message}; checkpoints are in ${place.folder}`, {
      ...error.details,
      cause: error,
    });
  }
}
