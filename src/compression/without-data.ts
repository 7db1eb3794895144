/** A compression without data: weights alone are looked at, and what needs samples is refused by name. */
import { show } from '../base/errors.ts';
import { CRITERION_NAMES } from '../importance/criteria.ts';
import { checkCriterion, criterionName, measurementsOf } from '../importance/score.ts';
import { COMPRESS_DEFAULTS } from './options.ts';
import type { CompressOptions, LayerSetting } from './options.ts';

const CURE = 'give context.training and context.validation, or leave it out';
const RETRAININGS = ['retrainPruned', 'retrainQuantized', 'final'] as const;

/**
 * The options as they are without data: no layer is pruned unless by a criterion that reads weights alone, and nothing
 * is repaired, retrained or judged.
 * @throws {TypeError | RangeError} for an option that needs data, naming it and the cure
 */
export function withoutData(options: CompressOptions): CompressOptions {
  const refuse = (name: string, value: unknown, allowed: string): RangeError =>
    new RangeError(`compress: ${name}: expected ${allowed} where there are no data, got ${show(value)}; ${CURE}`);
  for (const name of RETRAININGS) {
    const epochs = options[name]?.epochs ?? 0;
    if (epochs !== 0) throw refuse(`${name}.epochs`, epochs, '0');
  }
  const { teacherWeight = 0, retries = 0, tolerance = Infinity, repair = false, training = {}, checkpoint } = options;
  const { refit = false, feedback = 'none' } = options;
  if (teacherWeight !== 0) throw refuse('teacherWeight', teacherWeight, '0');
  if (retries !== 0) throw refuse('retries', retries, '0');
  if (tolerance !== Infinity) throw refuse('tolerance', tolerance, 'Infinity');
  if (repair !== false) throw refuse('repair', repair, 'false');
  if (refit !== false) throw refuse('refit', refit, 'false');
  if (feedback !== 'none') throw refuse('feedback', feedback, "'none'");
  const [setting] = Object.entries(training).filter(([, value]) => value !== undefined);
  if (setting) throw refuse(`training.${setting[0]}`, setting[1], 'no retraining');
  if (checkpoint !== undefined) throw refuse('checkpoint', checkpoint, 'no long run');
  checkPruning(options, refuse);
  const none = { epochs: 0, learningRate: COMPRESS_DEFAULTS.final.learningRate };
  return {
    ...options,
    settings: { ...options.settings, keep: options.settings?.keep ?? 1 } as LayerSetting,
    repair: false,
    retrainPruned: none,
    retrainQuantized: none,
    final: none,
    tolerance: Infinity,
    retries: 0,
  };
}

/** Neurons may go by a criterion on weights; one that measures activations, or that has nothing to do, is refused. */
function checkPruning(
  { criterion, scoring = {}, settings, layers = {} }: CompressOptions,
  refuse: (name: string, value: unknown, allowed: string) => RangeError,
): void {
  const [asked] = [['settings', settings] as const, ...Object.entries(layers)].filter(
    ([, setting]) => (setting?.keep ?? 1) !== 1,
  );
  const chosen = checkCriterion('compress', criterion ?? COMPRESS_DEFAULTS.criterion);
  if (!asked) {
    if (criterion !== undefined) throw refuse('criterion', criterionName(chosen), 'a keep below 1 beside it');
    const [name] = Object.keys(scoring);
    if (name !== undefined) throw refuse(`scoring.${name}`, scoring[name as never], 'a keep below 1 beside it');
    return;
  }
  if (measurementsOf(chosen, scoring).length === 0) return;
  const free = CRITERION_NAMES.filter((name) => measurementsOf(name).length === 0).join(', ');
  throw refuse(
    `${asked[0]}.keep`,
    asked[1]?.keep,
    `1, or a criterion that reads weights alone (${free}) instead of ${criterionName(chosen)},`,
  );
}
