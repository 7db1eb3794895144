/**
 * Targets instead of knobs: the plan by which a network reaches a size, an error, or both. Sensitivities are measured once, a
 * plan is allocated for a budget of bytes, carried out without training and measured, bytes of the file and error on the
 * validation set, and the budget is corrected by what came of it.
 */
import { createRunControl, within } from '../base/control.ts';
import type { RunControl } from '../base/control.ts';
import { exp, log, power } from '../base/elementary.ts';
import { show } from '../base/errors.ts';
import { crc32 } from '../container/index.ts';
import { checkNetwork } from '../graph/check.ts';
import { resolveContext } from '../graph/context.ts';
import type { GivenContext } from '../graph/context.ts';
import type { Network } from '../graph/network.ts';
import type { Context } from '../graph/transform.ts';
import { measurementsOf } from '../importance/score.ts';
import { parameterCount } from '../network/shapes.ts';
import { writeNetwork } from '../network/write.ts';
import { digestOptions } from '../training/fingerprint.ts';
import { allocate } from './allocate.ts';
import type { Sensitivity } from './allocate.ts';
import { evaluateCandidate, UNTRAINED } from './candidate.ts';
import type { CandidateOptions, CandidateResult, CandidateTask } from './candidate.ts';
import { digestSets } from './checkpoint.ts';
import { compress } from './compress.ts';
import type { CompressResult } from './compress.ts';
import { createJudge, unitOf, yardstickOf } from './judge.ts';
import { compressOptions, resolveCompressOptions } from './options.ts';
import type { CompressOptions } from './options.ts';
import { planOf } from './plan.ts';
import type { Plan } from './plan.ts';
import { measureSensitivity } from './sensitivity.ts';
import type { LadderSetting } from './sensitivity.ts';
import { checkTarget, isMet, missOf, nearer } from './target.ts';
import type { TargetLimits, Miss, Target } from './target.ts';

/** What is added to the options of {@link compress}; keep, quantizers and layers are the search's to choose. */
export interface SearchOptions extends Omit<CompressOptions, 'settings' | 'layers' | 'stages'> {
  /**
   * Does what candidates ask for, in whatever order and wherever, and gives their results in the order of the tasks. Default:
   * one after another in this process.
   */
  readonly evaluate?: (tasks: readonly CandidateTask[]) => Promise<readonly CandidateResult[]>;
}

/** A plan that was tried. */
export interface Candidate extends CandidateResult {
  readonly plan: Plan;
  /** Bytes that it was allocated for, and what a lost neuron counted beside the noise of coarser weights. */
  readonly budget: number;
  readonly pruning: number;
  /** Bytes of its weights and biases, as estimated; what the file has beside is what it has beyond. */
  readonly estimated: number;
}

export interface SearchResult extends CompressResult {
  readonly plan: Plan;
  readonly limits: TargetLimits;
  /** By how much the file misses its target; zeros: it does not. */
  readonly miss: Miss;
  /** In the order in which they were tried. */
  readonly candidates: readonly Candidate[];
}

/**
 * Settings that are weighed. Levels by their step and sub-vectors of absolute and of signed values: at 3 bits a weight both
 * cost the same, at 1 bit sub-vectors of 8 a tenth less than levels (docs/method.md).
 */
export const LADDER: readonly LadderSetting[] = [
  undefined,
  ...[0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1, 1.2, 1.5, 2].map(
    (step) => ({ quantizer: 'scalar', scales: 'layer', step, rate: step < 0.5 ? 0.1 : 0.2 }) as const,
  ),
  { quantizer: 'product', subvectorLength: 4, codewordCount: 256, signs: 'apart' },
  { quantizer: 'product', subvectorLength: 4, codewordCount: 256, signs: 'none' },
  { quantizer: 'product', subvectorLength: 8, codewordCount: 256, signs: 'none' },
];

/** What a lost neuron's damage counts, in the candidates of the first round. */
const PRUNINGS = [0.5, 1, 2] as const;
/** A file of less than this share of the size that it may have is tried again with a larger budget. */
const ENOUGH = 0.98;
/** Share of the size that is aimed at. */
const AIM = 0.99;
/** Rounds of corrections of a budget. */
const CORRECTIONS = 3;
/** Budgets of a round of a search for an error, and how near its bounds get. */
const PER_ROUND = 3;
const NEAR = 1.06;
/** Most trials of a plan that is retrained. */
const RETRAININGS = 3;

/**
 * Compresses a network to a target. Where the options ask for no epoch nothing is trained: then it takes minutes, and no
 * labels. Else the plan that was found without is carried out with them, and where it misses, up to twice more for another
 * budget.
 *
 * Reads both sets of the context. A target that cannot be met ends with the nearest file that was found; `miss` says by how
 * much. The same arguments give the same bytes, for any number of threads and wherever candidates are evaluated. With
 * `options.checkpoint` what was measured is kept, and not measured again.
 * @throws {TypeError | RangeError} for wrong arguments, before any work; as {@link compress}
 * @example
 * import { compressTo } from 'espalier/compression';
 * const { bytes, plan, miss } = await compressTo(network, context, { size: 200_000, maxError: 0.02 }, presetOptions('quick', network));
 */
export async function compressTo(
  network: Network,
  givenContext: GivenContext,
  givenTarget: Target,
  given: SearchOptions = {},
): Promise<SearchResult> {
  const who = 'compressTo';
  checkNetwork(who, 'network', network);
  const target = checkTarget(who, givenTarget);
  const { evaluate, ...others } = given;
  if (evaluate !== undefined && typeof evaluate !== 'function')
    throw new TypeError(`${who}: evaluate: expected a function of tasks, got ${show(evaluate)}`);
  for (const name of ['settings', 'layers', 'stages'])
    if (Object.hasOwn(others, name) && (others as Record<string, unknown>)[name] !== undefined)
      throw new TypeError(`${who}: ${name}: the search chooses what is done to layers; leave it out, or use compress`);
  const context = await resolveContext<Context>(who, givenContext);
  for (const set of ['training', 'validation'] as const)
    if (!context[set])
      throw new TypeError(`${who}: context.${set}: expected examples, got none; plans are measured on them`);
  const options = compressOptions(others);
  const settings = resolveCompressOptions(network, options);
  const { criterion } = settings;
  if (typeof criterion !== 'string')
    throw new TypeError(
      `${who}: criterion: expected the name of one, got ${show(criterion)}; candidates are plain data`,
    );
  if (settings.training.validationMetric)
    throw new TypeError(`${who}: training.validationMetric: candidates are plain data; leave it out`);
  const control = createRunControl(context);
  const inner = within(control, context);
  const yardstick = yardstickOf(network, context, settings);
  const baseline = await createJudge(network, inner, settings)(network);
  const original = Math.min(4 * parameterCount(network), options.originalBytes ?? Infinity);
  const limits: TargetLimits = {
    bytes: target.size ?? (target.ratio === undefined ? Infinity : Math.floor(original / target.ratio)),
    error: target.maxError === undefined ? Infinity : baseline + target.maxError * unitOf(yardstick, baseline),
  };
  const memory = await openMemory(network, inner, control, settings, options);
  const sensitivity = await memory.recall('sensitivity', () =>
    measureSensitivity(network, inner, settings, LADDER, control),
  );
  const file = writeNetwork(network);
  const shared: CandidateOptions = {
    ...{ criterion, scoring: settings.scoring, codewords: settings.codewords },
    ...{ refit: options.refit ?? true, feedback: options.feedback ?? 'full' },
    ...(options.repair !== undefined && { repair: options.repair }),
    ...(options.packed !== undefined && { packed: options.packed }),
  };
  const candidates: Candidate[] = [];
  const known = new Map<string, CandidateResult>();
  const ask = async (wanted: readonly Wanted[]): Promise<Candidate[]> => {
    const allocated = wanted.map(({ budget, pruning }) => allocate(sensitivity, budget, { pruning }));
    const plans = allocated.map((one) => planOf(network, sensitivity, one));
    // Budgets that lie near each other may come to one plan.
    const missing = new Map<string, CandidateTask>();
    for (const plan of plans) {
      const text = JSON.stringify(plan);
      if (!known.has(text)) missing.set(text, { network: file, plan, options: shared, seed: context.seed });
    }
    if (missing.size > 0) {
      control.emit({ kind: 'note', text: `trying ${missing.size} plan${missing.size === 1 ? '' : 's'}` });
      const results = await memory.evaluate([...missing.values()], (tasks) =>
        evaluate ? evaluate(tasks) : oneByOne(tasks, inner),
      );
      [...missing.keys()].forEach((text, i) => {
        known.set(text, results[i]);
        const { bytes, error } = results[i];
        control.emit({
          kind: 'note',
          text: `a plan came to ${bytes.toLocaleString('en-US')} bytes, error ${error.toPrecision(4)} (original ${baseline.toPrecision(4)})`,
        });
      });
    }
    const found = wanted.map((one, i): Candidate => ({
      ...one,
      plan: plans[i],
      estimated: allocated[i].bytes,
      ...known.get(JSON.stringify(plans[i]))!,
    }));
    candidates.push(...found);
    return found;
  };
  const best = limits.error < Infinity ? await smallestWithin(limits, original, ask) : await bestOfSize(limits, ask);
  const { result, plan } = await carryOut(network, inner, { options, shared, limits, sensitivity, best }, control);
  await control.end();
  const ended = { bytes: result.bytes.length, error: result.report.validation.after };
  return { ...result, plan, limits, miss: missOf(limits, ended), candidates };
}

interface Wanted {
  readonly budget: number;
  readonly pruning: number;
}

type Ask = (wanted: readonly Wanted[]) => Promise<Candidate[]>;

/** One after another, each with all threads. */
async function oneByOne(tasks: readonly CandidateTask[], context: Context): Promise<CandidateResult[]> {
  const results: CandidateResult[] = [];
  for (const task of tasks) results.push(await evaluateCandidate(task, context));
  return results;
}

/** The least error of a size: several mixtures of both kinds of damage, then the best one's budget corrected. */
async function bestOfSize(limits: TargetLimits, ask: Ask): Promise<Candidate> {
  let found = await ask(PRUNINGS.map((pruning) => ({ budget: AIM * limits.bytes, pruning })));
  const overshoot = (one: Candidate): number => one.bytes / limits.bytes;
  // An error counts as it is, though a file that is a little too large has some advantage: its budget is corrected next.
  let best = found.reduce((a, b) => (b.error < a.error ? b : a));
  for (let i = 0; i < CORRECTIONS && (overshoot(best) > 1 || overshoot(best) < ENOUGH); i++) {
    const [next] = await ask([{ budget: corrected(limits, best), pruning: best.pruning }]);
    found = [...found, next];
    const isSame = next.bytes === best.bytes && next.estimated === best.estimated;
    best = next;
    if (isSame) break;
  }
  return found.reduce((a, b) => nearer(limits, a, b));
}

/** The budget that is left when what a file had beyond its estimate, header and graph, is taken off. */
const corrected = (limits: TargetLimits, { bytes, estimated }: { bytes: number; estimated: number }): number =>
  Math.max(1, AIM * limits.bytes - (bytes - estimated));

/**
 * The smallest file within an error: budgets in a geometric row until one is within and the next is not, then between the two.
 * Where the size is limited too, that is where it begins: if it is beyond the error there, no smaller file need be looked for.
 */
async function smallestWithin(limits: TargetLimits, original: number, ask: Ask): Promise<Candidate> {
  const all: Candidate[] = [];
  const tried = async (budgets: readonly number[]): Promise<void> => {
    all.push(...(await ask(budgets.map((budget) => ({ budget, pruning: 1 })))));
  };
  const isWithin = ({ error }: Candidate): boolean => error <= limits.error;
  const most = Math.min(AIM * limits.bytes, original / 4);
  await tried(Array.from({ length: PER_ROUND }, (_, i) => most / power(4, i)));
  // A network that bears next to nothing.
  if (!all.some(isWithin) && limits.bytes === Infinity) await tried([original / 2, original]);
  for (let round = 0; round < 2 * CORRECTIONS; round++) {
    const good = all.filter(isWithin).map(({ budget }) => budget);
    const bad = all.filter((one) => !isWithin(one)).map(({ budget }) => budget);
    if (good.length === 0) break;
    const high = Math.min(...good);
    const low = Math.max(0, ...bad.filter((budget) => budget < high));
    if (low === 0) {
      await tried([high / 2, high / 4]);
      // So few bytes that plans are all the same.
      if (all.at(-1)!.bytes === all.at(-2)!.bytes) break;
    } else if (high / low <= NEAR) break;
    else {
      const ratio = exp(log(high / low) / (PER_ROUND + 1));
      await tried(Array.from({ length: PER_ROUND }, (_, i) => low * power(ratio, i + 1)));
    }
  }
  return all.reduce((a, b) => nearer(limits, a, b));
}

interface Carried {
  readonly options: CompressOptions;
  readonly shared: CandidateOptions;
  readonly limits: TargetLimits;
  readonly sensitivity: Sensitivity;
  readonly best: Candidate;
}

/** The plan as the options say, with their epochs; where it misses with them, for another budget. */
async function carryOut(
  network: Network,
  context: Context,
  { options, shared, limits, sensitivity, best }: Carried,
  control: RunControl,
): Promise<{ readonly result: CompressResult; readonly plan: Plan }> {
  const epochs = [options.retrainPruned, options.retrainQuantized, options.final].map((one) => one?.epochs ?? 0);
  const isTrained = epochs.some((count) => count > 0);
  const ran: { result: CompressResult; plan: Plan; bytes: number; error: number; budget: number }[] = [];
  let { plan, budget, estimated } = best;
  for (let i = 0; i < (isTrained ? RETRAININGS : 1); i++) {
    if (isTrained)
      control.emit({
        kind: 'note',
        text: `retraining, ${epochs.reduce((sum, count) => sum + count)} epochs a step, try ${i + 1} of at most ${RETRAININGS}`,
      });
    const result = await compress(network, context, {
      ...(isTrained ? { layersPerStep: Infinity, retries: 0 } : UNTRAINED),
      ...options,
      ...shared,
      ...(isTrained ? {} : UNTRAINED),
      // Each try keeps a state of its own.
      ...(options.checkpoint && { checkpoint: { ...options.checkpoint, key: `${options.checkpoint.key}-try${i}` } }),
      layers: plan.layers,
    });
    const { bytes, error } = { bytes: result.bytes.length, error: result.report.validation.after };
    ran.push({ result, plan, bytes, error, budget });
    const miss = missOf(limits, { bytes, error });
    if (isMet(miss)) break;
    // With a limit of both nothing is left to give.
    if (miss.bytes === 0 && limits.bytes < Infinity && bytes > ENOUGH * limits.bytes) break;
    budget = miss.bytes > 0 ? corrected(limits, { bytes, estimated }) : 1.25 * budget;
    const allocation = allocate(sensitivity, budget, { pruning: best.pruning });
    plan = planOf(network, sensitivity, allocation);
    estimated = allocation.bytes;
  }
  return ran.reduce((a, b) => nearer(limits, a, b));
}

/** What was measured, and need not be again. */
interface Memory {
  recall<T>(name: string, make: () => Promise<T>): Promise<T>;
  evaluate(
    tasks: readonly CandidateTask[],
    run: (missing: readonly CandidateTask[]) => Promise<readonly CandidateResult[]>,
  ): Promise<CandidateResult[]>;
}

async function openMemory(
  network: Network,
  context: Context,
  control: RunControl,
  settings: ReturnType<typeof resolveCompressOptions>,
  { checkpoint }: CompressOptions,
): Promise<Memory> {
  const identity =
    checkpoint &&
    digestOptions([
      crc32(writeNetwork(network)),
      checkpoint.data ?? (await digestSets(context, control, settings)),
      ...[context.seed, context.kernels.name, measurementsOf(settings.criterion, settings.scoring)],
    ]);
  const place = (what: unknown, label: string): { readonly of: string; readonly name: string } => {
    const of = digestOptions([identity, what]);
    return { of, name: `${checkpoint?.key}-${label}-${crc32(new TextEncoder().encode(of)).toString(16)}.json` };
  };
  async function find(what: unknown, label: string): Promise<unknown> {
    if (!checkpoint) return undefined;
    const { of, name } = place(what, label);
    const bytes = await checkpoint.store.read(name);
    return bytes && parsed(new TextDecoder().decode(bytes), of);
  }
  async function keep(what: unknown, label: string, value: unknown): Promise<void> {
    if (!checkpoint) return;
    const { of, name } = place(what, label);
    await checkpoint.store
      .write(name, new TextEncoder().encode(JSON.stringify({ of, value })))
      .catch((error: unknown) => {
        if (checkpoint.onWriteError !== 'goOn') throw error;
        control.emit({ kind: 'warning', text: `compressTo: ${(error as Error).message}` });
      });
  }
  return {
    async recall<T>(name: string, make: () => Promise<T>): Promise<T> {
      const what = [name, LADDER, settings.criterion, settings.scoring];
      const kept = await find(what, name);
      if (kept !== undefined) return kept as T;
      const made = await make();
      await keep(what, name, made);
      return made;
    },
    async evaluate(tasks, run) {
      const results = new Map<CandidateTask, CandidateResult>();
      for (const task of tasks) {
        const kept = await find([task.plan, task.options], 'candidate');
        if (kept !== undefined) results.set(task, kept as CandidateResult);
      }
      const missing = tasks.filter((task) => !results.has(task));
      const found = missing.length === 0 ? [] : await run(missing);
      if (!Array.isArray(found) || found.length !== missing.length || !found.every(isResult))
        throw new TypeError(
          `compressTo: evaluate: expected a result { bytes, error } for each of ${missing.length} tasks, got ${show(found)}`,
        );
      for (const [i, task] of missing.entries()) {
        results.set(task, found[i] as CandidateResult);
        await keep([task.plan, task.options], 'candidate', found[i]);
      }
      return tasks.map((task) => results.get(task)!);
    },
  };
}

const isResult = (value: unknown): value is CandidateResult => {
  const { bytes, error } = (value ?? {}) as Partial<CandidateResult>;
  return typeof bytes === 'number' && bytes > 0 && typeof error === 'number' && Number.isFinite(error);
};

/** What a file holds of this very question; undefined of a damaged one, or another's. */
function parsed(text: string, of: string): unknown {
  try {
    const found = JSON.parse(text) as { readonly of?: unknown; readonly value?: unknown } | null;
    return found?.of === of ? found.value : undefined;
  } catch {
    return undefined;
  }
}
