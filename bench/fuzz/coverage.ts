/**
 * Which code has run, by V8's own block coverage: an input that runs new code is worth mutating. Looking costs some
 * milliseconds, so one looks after many inputs and searches among them by halves.
 */
import { Session } from 'node:inspector';
import type { Profiler } from 'node:inspector';

type Range = readonly [from: number, to: number];

/** Functions that ran, by place, and the blocks in each that did not. */
export type Taken = ReadonlyMap<string, { readonly length: number; readonly missing: readonly Range[] }>;

export interface Coverage {
  /** What ran since the last call. */
  take(): Taken;
  /** Whether there is code in it that nothing added before had run. */
  isNew(taken: Taken): boolean;
  add(taken: Taken): void;
  /** Characters of source in all that was added. */
  size(): number;
  close(): void;
}

/** Coverage of the files whose address `isOurs`. Load them before. */
export function startCoverage(isOurs: (url: string) => boolean): Coverage {
  const session = new Session();
  session.connect();
  session.post('Profiler.enable');
  session.post('Profiler.startPreciseCoverage', { callCount: false, detailed: true });
  const functions = new Map<string, { readonly length: number; readonly missing: readonly Range[] }>();

  function scripts(): Profiler.ScriptCoverage[] {
    let found: Profiler.ScriptCoverage[] = [];
    // Within one process the answer comes before `post` returns.
    session.post('Profiler.takePreciseCoverage', (error, { result }) => {
      if (error) throw error;
      found = result;
    });
    return found.filter(({ url }) => isOurs(url));
  }

  /** What is missing when both have run. */
  function joined(key: string, missing: readonly Range[]): readonly Range[] {
    const known = functions.get(key);
    return known === undefined ? missing : common(known.missing, missing);
  }

  return {
    take() {
      const ran = scripts().flatMap(({ url, functions: all }) =>
        all
          .filter(({ ranges: [whole] }) => whole.count > 0)
          .map(({ ranges: [whole, ...blocks] }) => {
            const missing = blocks.filter(({ count }) => count === 0).map((b): Range => [b.startOffset, b.endOffset]);
            const length = whole.endOffset - whole.startOffset;
            return [`${url}:${whole.startOffset}-${whole.endOffset}`, { length, missing }] as const;
          }),
      );
      return new Map(ran);
    },
    isNew: (taken) =>
      [...taken].some(([key, { missing }]) => {
        const known = functions.get(key);
        return known === undefined || total(joined(key, missing)) < total(known.missing);
      }),
    add(taken) {
      for (const [key, { length, missing }] of taken) functions.set(key, { length, missing: joined(key, missing) });
    },
    size: () => [...functions.values()].reduce((sum, { length, missing }) => sum + length - total(missing), 0),
    close() {
      session.post('Profiler.stopPreciseCoverage');
      session.disconnect();
    },
  };
}

function common(one: readonly Range[], other: readonly Range[]): readonly Range[] {
  return one.flatMap(([from, to]) =>
    other.map(([a, b]): Range => [Math.max(from, a), Math.min(to, b)]).filter(([a, b]) => a < b),
  );
}

const total = (ranges: readonly Range[]): number => ranges.reduce((sum, [from, to]) => sum + to - from, 0);
