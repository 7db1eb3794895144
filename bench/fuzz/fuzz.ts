/** One target, fuzzed: mutate, read, judge, keep what ran new code. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { EspalierError, stream } from 'espalier';
import type { Coverage, Taken } from './coverage.ts';
import { overdrawn, startCounting } from './guard.ts';
import { mutate } from './mutate.ts';
import { Finding } from './targets.ts';
import type { Target } from './targets.ts';

export { TARGETS } from './targets.ts';

export interface FuzzOptions {
  readonly executions: number;
  readonly seed: number;
  /** Inputs beside the target's own seeds. */
  readonly corpus: readonly Uint8Array[];
  readonly coverage: Coverage;
  /** Address of a file whose code counts. Default: the library's, but for its kernels. */
  readonly covers?: (url: string) => boolean;
}

export interface FuzzResult {
  readonly executions: number;
  /** Inputs that were read without an error. */
  readonly accepted: number;
  /** Inputs that ran code that none before them had run. */
  readonly kept: readonly Uint8Array[];
  /** Functions of the library that ran. */
  readonly covered: number;
  readonly seconds: number;
  /** One of each kind. */
  readonly findings: readonly { readonly problem: string; readonly bytes: Uint8Array }[];
}

/** Milliseconds of the processor that an input may take, the fastest of three tries: none is longer than 64 kB. */
const SLOW = 250;
/** Characters of an error's text. */
const LONG = 2000;
/** Executions between two looks at the coverage. */
const BATCH = 256;
/** Of one target; then it is not worth going on. */
const ENOUGH = 20;

const isLibrary = (url: string): boolean => /\/src\/(?!kernels)/.test(url);

/** Runs `executions` mutated inputs through the target, one after the other. */
export async function fuzz(
  target: Target,
  { executions, seed, corpus, coverage, covers = isLibrary }: FuzzOptions,
): Promise<FuzzResult> {
  const started = performance.now();
  const random = stream(seed, 'fuzz', target.name);
  const words = target.words.map((word) => new TextEncoder().encode(word));
  const seeds = [...(await target.seeds()), ...corpus];
  const pool = [...seeds];
  const findings = new Map<string, Uint8Array>();
  let accepted = 0;
  let done = 0;

  const judge = async (bytes: Uint8Array): Promise<void> => {
    const { problem, isIn } = await execute(target, bytes);
    if (isIn) accepted++;
    // Numbers apart, the same words are the same finding.
    if (problem !== undefined && ![...findings.keys()].some((known) => kind(known) === kind(problem)))
      findings.set(problem, bytes);
  };

  const tracker = coverage.track(covers);
  for (const bytes of seeds) await judge(bytes);
  const run = async (batch: readonly Uint8Array[]): Promise<Taken> => {
    for (const bytes of batch) await execute(target, bytes);
    return tracker.take();
  };

  /** The inputs that ran new code, found by halves. `taken`: what all of them ran together. */
  async function newOnes(batch: readonly Uint8Array[], taken: Taken): Promise<Uint8Array[]> {
    if (!tracker.isNew(taken)) return [];
    if (batch.length > 1) {
      const middle = batch.length >> 1;
      const found: Uint8Array[] = [];
      for (const half of [batch.slice(0, middle), batch.slice(middle)])
        found.push(...(await newOnes(half, await run(half))));
      // Code that runs once in a while, whatever comes, belongs to none of them.
      tracker.add(taken);
      return found;
    }
    tracker.add(taken);
    return [...batch];
  }

  // What ran before belongs to nobody.
  tracker.take();
  tracker.add(await run(seeds));
  while (done < executions && findings.size < ENOUGH) {
    const batch = Array.from({ length: Math.min(BATCH, executions - done) }, () => {
      const mutated = mutate(pool, words, random);
      // A quarter stay as they are: the outer checks are code, too.
      return target.mend && random() < 0.75 ? target.mend(mutated) : mutated;
    });
    for (const bytes of batch) await judge(bytes);
    done += batch.length;
    pool.push(...(await newOnes(batch, tracker.take())));
  }
  return {
    executions: done,
    accepted,
    kept: pool.slice(seeds.length),
    covered: tracker.size(),
    seconds: (performance.now() - started) / 1000,
    findings: [...findings].map(([problem, bytes]) => ({ problem, bytes })),
  };
}

/** Reads one input. `problem`: what is against the contract. */
async function execute(target: Target, bytes: Uint8Array): Promise<{ problem?: string; isIn: boolean }> {
  const given = bytes.slice();
  let outcome = await attempt(target, bytes);
  // What was allocated in all is not what was held: again, exactly, before anything is said.
  if (overdrawn.message !== '' && !overdrawn.isCertain)
    outcome = { ...(await attempt(target, bytes, true)), milliseconds: outcome.milliseconds };
  const tooMuch = overdrawn.message;
  for (let tries = 1; tries < 3 && tooMuch === '' && outcome.milliseconds > SLOW; tries++) {
    const again = await attempt(target, bytes);
    outcome = { ...outcome, milliseconds: Math.min(outcome.milliseconds, again.milliseconds) };
  }
  const isIn = outcome.error === undefined;
  const problem =
    tooMuch !== ''
      ? tooMuch
      : outcome.milliseconds > SLOW
        ? `it takes ${outcome.milliseconds.toFixed(0)} ms`
        : Buffer.compare(bytes, given) !== 0
          ? 'the input was changed'
          : !isIn
            ? wrongError(outcome.error)
            : undefined;
  return problem === undefined ? { isIn } : { problem, isIn };
}

/** @param exactly - what is held is counted where more was allocated than may be held; its time is not that of reading */
async function attempt(
  target: Target,
  bytes: Uint8Array,
  exactly = false,
): Promise<{ error?: unknown; milliseconds: number }> {
  const { times } = target;
  startCounting(bytes.length, { exactly, ...(times !== undefined && { times }) });
  // Not those of a clock: other programs run beside.
  const before = process.cpuUsage();
  const milliseconds = (): number => {
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1000;
  };
  try {
    const running = target.read(bytes);
    const then: unknown = running instanceof Promise ? await running : running;
    if (typeof then === 'function' && overdrawn.message === '') {
      startCounting(bytes.length, { exactly });
      (then as () => void)();
    }
    return { milliseconds: milliseconds() };
  } catch (error) {
    return { error, milliseconds: milliseconds() };
  }
}

function wrongError(error: unknown): string | undefined {
  if (error instanceof Finding) return error.message;
  if (!(error instanceof EspalierError)) return `${String(error)}${error instanceof Error ? ` ${placeOf(error)}` : ''}`;
  if (error.message.length > LONG)
    return `an error of ${error.message.length} characters: ${error.message.slice(0, 80)}`;
  // Characters that a terminal obeys, and those that turn the direction of writing; a list has lines of its own.
  if (/[\p{Cc}\u200e\u200f\u202a-\u202e\u2066-\u2069]/u.test(error.message.replaceAll('\n  ', '')))
    return `an error with raw characters: ${JSON.stringify(error.message.slice(0, 200))}`;
  return undefined;
}

const placeOf = ({ stack = '' }: Error): string => /\(?[^\s(]*(src\/[^\s)]*)/.exec(stack)?.[1] ?? '';

/** What two findings of a kind have in common: the words up to what the input brought in. */
const kind = (problem: string): string => problem.replace(/\d+/g, '0').slice(0, 48);

const corpusFile = (name: string): string => fileURLToPath(new URL(`corpus/${name}.txt`, import.meta.url));

/** Inputs kept from earlier runs: one a line, in base64. */
export function readCorpus(name: string): Uint8Array[] {
  const file = corpusFile(name);
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '');
  return lines.map((line) => new Uint8Array(Buffer.from(line, 'base64')));
}

export function writeCorpus(name: string, inputs: readonly Uint8Array[]): void {
  const lines = inputs
    .map((bytes) => Buffer.from(bytes).toString('base64'))
    .sort((a, b) => a.length - b.length || (a < b ? -1 : 1));
  mkdirSync(dirname(corpusFile(name)), { recursive: true });
  writeFileSync(corpusFile(name), `${[...new Set(lines)].join('\n')}\n`);
}
