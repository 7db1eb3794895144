/**
 * Progress on stderr with the time left: one line that is redrawn on a terminal, else a line every few seconds.
 * The clock is read here to tell people, and nothing else.
 */
import { styleText } from 'node:util';
import { visible } from '../index.ts';
import type { Examples, RunEvent } from '../index.ts';
import type { Output } from './io.ts';

/** Epochs of the retraining stages of a compression, to tell how much is left. */
export interface EpochPlan {
  readonly pruned: number;
  readonly quantized: number;
  readonly final: number;
}

export interface Progress {
  onEvent(event: RunEvent): void;
  /** To be called before a compression: its stages are counted by this plan. */
  expect(plan: EpochPlan): void;
  /** So many of `total` pieces are done. */
  count(what: string, done: number, total: number): void;
  /** A line that stays. */
  note(text: string): void;
  /** Clears the line that is redrawn. */
  end(): void;
}

export interface ProgressOptions {
  readonly quiet: boolean;
  readonly color: boolean;
  /** Milliseconds. Default: `performance.now`. */
  readonly now?: () => number;
}

/** Least milliseconds between two drawings on a terminal, and between two lines elsewhere. */
const [REDRAW, LINE] = [100, 4000];

export function createProgress(
  output: Output,
  { quiet, color, now = () => performance.now() }: ProgressOptions,
): Progress {
  let origin: { readonly time: number; readonly done: number } | undefined;
  let drawn = -Infinity;
  let onScreen = false;
  let plan: EpochPlan | undefined;
  /** The stage that is running, of a schedule. */
  let stage: Extract<RunEvent, { kind: 'stage' }> | undefined;
  /** Epochs that this process has trained, and the part of the present one in batches. */
  let epochs = 0;
  let validation: number | undefined;

  function draw(line: string): void {
    const time = now();
    if (quiet || time - drawn < (output.isTTY ? REDRAW : LINE)) return;
    drawn = time;
    if (!output.isTTY) {
      output.write(`${visible(line)}\n`);
      return;
    }
    const cut = visible(line).slice(0, (output.columns ?? 80) - 1);
    output.write(`\r${color ? styleText('dim', cut, { validateStream: false }) : cut}\x1b[K`);
    onScreen = true;
  }

  function clear(): void {
    if (onScreen) output.write('\r\x1b[K');
    onScreen = false;
  }

  /**
   * Work is counted from the first time on that it is told of: what came before, such as reading the data, says nothing
   * of what is to come.
   */
  function left(done: number, total: number): string {
    origin ??= { time: now(), done };
    if (done <= origin.done || done >= total) return '';
    return `, ${duration(((now() - origin.time) / 1000) * ((total - done) / (done - origin.done)))} left`;
  }

  /**
   * Epochs that a schedule has still to train when `rest` of the present stage is left: by the mean over the stages to
   * come.
   */
  function epochsAhead(
    { pruned, quantized, final }: EpochPlan,
    { index, count, name }: { index: number; count: number; name: string },
    rest: number,
  ): number {
    if (name === 'final' || name === 'round') return rest;
    const perStep = 2 + Number(pruned > 0) + Number(quantized > 0);
    return rest + Math.max(0, count - 1 - index - Number(final > 0)) * ((pruned + quantized) / perStep) + final;
  }

  function onBatch({ epoch, epochs: all, step, steps, loss }: Extract<RunEvent, { kind: 'batch' }>): void {
    const perEpoch = steps / all;
    const place = `epoch ${epoch + 1}/${all}, step ${step + 1}/${steps}, loss ${loss.toPrecision(4)}${validation === undefined ? '' : `, validation ${validation.toPrecision(4)}`}`;
    if (!plan || !stage) {
      draw(`${place}${left(step + 1, steps)}`);
      return;
    }
    const done = epochs + ((step % perEpoch) + 1) / perEpoch;
    const ahead = epochsAhead(plan, stage, all - (step + 1) / perEpoch);
    draw(`stage ${stage.index + 1}/${stage.count}: ${stage.name} ${stage.detail}: ${place}${left(done, done + ahead)}`);
  }

  /** Stages of the schedule; pruning tells its groups by the same kind of event. */
  function isOfSchedule(event: Extract<RunEvent, { kind: 'stage' }>): boolean {
    return (
      !stage ||
      (event.count === stage.count &&
        (event.name !== 'prune' || stage.name !== 'prune' || event.index === stage.index + 1))
    );
  }

  function say(line: string): void {
    clear();
    output.write(`${visible(line)}\n`);
  }

  function note(line: string): void {
    if (!quiet) say(line);
  }

  return {
    expect(given) {
      plan = given;
    },
    onEvent(event) {
      if (event.kind === 'batch') onBatch(event);
      else if (event.kind === 'epoch') {
        epochs++;
        ({ validation } = event);
      } else if (event.kind === 'note') note(event.text);
      // What went wrong is no progress: it is told though that is not wanted.
      else if (event.kind === 'warning') say(`warning: ${event.text}`);
      else if (isOfSchedule(event)) {
        stage = event;
        draw(`stage ${event.index + 1}/${event.count}: ${event.name} ${event.detail}`.trimEnd());
      }
    },
    count(what, done, total) {
      draw(`${what} ${done}/${total}${left(done, total)}`);
    },
    note,
    end: clear,
  };
}

/** A set that tells how many of its samples were read. */
export function countedExamples(examples: Examples, progress: Progress, what: string): Examples {
  let done = 0;
  return {
    ...examples,
    async read(indices, inputs, targets, pass) {
      await examples.read(indices, inputs, targets, pass);
      done += indices.length;
      progress.count(what, done, examples.count);
    },
  };
}

/** '1 h 05 min', '3 min 20 s', '12 s' */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  if (hours > 0) return `${hours} h ${String(minutes).padStart(2, '0')} min`;
  return minutes > 0 ? `${minutes} min ${String(whole % 60).padStart(2, '0')} s` : `${whole} s`;
}
