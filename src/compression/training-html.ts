/** What a training run did, as one HTML file: its curves, what it kept, how it was made. */
import { checkFinite } from '../base/errors.ts';
import { escapeHtml, svgLines } from './charts.ts';
import { definitions, page, table } from './page.ts';
import type { TrainResult } from '../training/types.ts';

export interface TrainingReportInput {
  readonly title: string;
  /** What was trained, on which data: a sentence or two. */
  readonly description: string;
  /** As `train` gives it. */
  readonly result: Pick<TrainResult, 'history' | 'before' | 'kept' | 'steps'>;
  /** How it was made, so that it can be made again: command, version, seed, machine. */
  readonly made?: readonly { readonly name: string; readonly value: string }[];
}

/**
 * A whole HTML document, self-contained, without scripts: the training loss and the validation error of every epoch as
 * charts and as a table. An epoch that was not evaluated has no error.
 * @throws {EspalierError} NONFINITE for a loss that is no number
 */
export function trainingHtml({ title, description, result, made = [] }: TrainingReportInput): string {
  const { history, before, kept, steps } = result;
  const losses = history.map(({ loss }) => loss);
  checkFinite('trainingHtml', 'result.history', Float64Array.from(losses));
  const drawn = (name: string, color: string, values: readonly number[], offset: number): string =>
    svgLines([{ name, color: `var(--${color})`, values, offset }], 'epoch', name, { width: 700 });
  // An epoch without an evaluation leaves the line where it was, so that the x stay epochs.
  const errors: number[] = before === undefined ? [] : [before];
  for (const { validation } of history)
    if (errors.length > 0 || validation !== undefined) errors.push(validation ?? errors[errors.length - 1]);
  const digits = (value: number | undefined): string => value?.toPrecision(4) ?? '';
  const rows = history.map(({ loss, validation }, i) => [
    String(i + 1),
    digits(loss),
    digits(validation),
    i === kept.epoch ? 'kept' : '',
  ]);
  const sentence =
    kept.validation === undefined
      ? `${history.length} epochs, ${steps} steps; the last state was kept.`
      : kept.epoch < 0
        ? `No epoch was better than the start, ${digits(kept.validation)} on validation, which was kept.`
        : `${before === undefined ? '' : `${digits(before)} on validation at the start, `}${digits(kept.validation)} after epoch ${kept.epoch + 1} of ${history.length}, which was kept.`;
  return page(
    title,
    `<h1>${escapeHtml(title)}</h1>
<p>${escapeHtml(sentence)}</p>
<p class="quiet">${escapeHtml(description)}</p>
<h2>Loss per epoch</h2>${drawn('training loss', 'after', losses, 1)}
${errors.length > 0 ? `<h2>Validation error per epoch</h2>${drawn('validation error', 'after', errors, history.length + 1 - errors.length)}` : ''}
<h2>Epochs</h2>
${table('narrow', ['epoch', 'loss', 'validation error', ''], rows)}
${definitions('How it was made', made)}`,
  );
}
