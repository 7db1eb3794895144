/**
 * Which code has run, by V8's own block coverage: an input that runs new code is worth mutating. Looking costs some
 * milliseconds, so one looks after many inputs and searches among them by halves. V8 counts blocks only in functions
 * that it compiles after the start: start before the first call of what is to be covered.
 */
import { Session } from 'node:inspector';
import type { Profiler } from 'node:inspector';

type Range = readonly [from: number, to: number];

/** Functions that ran, by place, and the blocks in each that did not. */
export type Taken = ReadonlyMap<string, readonly Range[]>;

/** What ran in the files that are looked at. */
export interface Tracker {
  /** What ran since the last call of any tracker. */
  take(): Taken;
  /** Whether there is code in it that nothing added before had run. */
  isNew(taken: Taken): boolean;
  add(taken: Taken): void;
  /** Functions in all that was added. */
  size(): number;
}

export interface Coverage {
  /** @param covers - address of a file that is looked at */
  track(covers: (url: string) => boolean): Tracker;
  stop(): void;
}

export function startCoverage(): Coverage {
  const session = new Session();
  session.connect();
  session.post('Profiler.enable');
  session.post('Profiler.startPreciseCoverage', { callCount: false, detailed: true });

  function scripts(): Profiler.ScriptCoverage[] {
    let found: Profiler.ScriptCoverage[] = [];
    // Within one process the answer comes before `post` returns.
    session.post('Profiler.takePreciseCoverage', (error, { result }) => {
      if (error) throw error;
      found = result;
    });
    return found;
  }

  return {
    track: (covers) => tracker(() => scripts().filter(({ url }) => covers(url))),
    stop() {
      session.post('Profiler.stopPreciseCoverage');
      session.disconnect();
    },
  };
}

function tracker(scripts: () => readonly Profiler.ScriptCoverage[]): Tracker {
  const functions = new Map<string, readonly Range[]>();

  /** What is missing when both have run. */
  function joined(key: string, missing: readonly Range[]): readonly Range[] {
    const known = functions.get(key);
    return known === undefined ? missing : common(known, missing);
  }

  return {
    take() {
      const ran = scripts().flatMap(({ url, functions: all }) =>
        all
          .filter(({ ranges: [whole] }) => whole.count > 0)
          .map(({ ranges: [whole, ...blocks] }) => {
            const missing = blocks.filter(({ count }) => count === 0).map((b): Range => [b.startOffset, b.endOffset]);
            return [`${url}:${whole.startOffset}-${whole.endOffset}`, missing] as const;
          }),
      );
      return new Map(ran);
    },
    isNew: (taken) =>
      [...taken].some(([key, missing]) => {
        const known = functions.get(key);
        return known === undefined || total(joined(key, missing)) < total(known);
      }),
    add(taken) {
      for (const [key, missing] of taken) functions.set(key, joined(key, missing));
    },
    size: () => functions.size,
  };
}

function common(one: readonly Range[], other: readonly Range[]): readonly Range[] {
  return one.flatMap(([from, to]) =>
    other.map(([a, b]): Range => [Math.max(from, a), Math.min(to, b)]).filter(([a, b]) => a < b),
  );
}

const total = (ranges: readonly Range[]): number => ranges.reduce((sum, [from, to]) => sum + to - from, 0);
