/** What the command line talks to: given by `main.ts`, or by a test. */

export interface Output {
  write(text: string): unknown;
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
}

/** An {@link Output} that a job survives: a reader that has gone away, or a full disk, is no reason to lose work. */
export interface SteadyOutput extends Output {
  /** Once all is written, or is not to be: the first error. */
  lost(): Promise<NodeJS.ErrnoException | undefined>;
}

/** The part of a process's stream that is used here. */
export interface OutputStream extends Output {
  write(text: string, done?: (error?: Error | null) => void): unknown;
  on(event: 'error', listener: (error: NodeJS.ErrnoException) => void): unknown;
}

export function steadyOutput(stream: OutputStream): SteadyOutput {
  let first: NodeJS.ErrnoException | undefined;
  const note = (error: unknown): void => {
    first ??= error as NodeJS.ErrnoException;
  };
  stream.on('error', note);
  return {
    // Tried again each time: a full disk may have room by then.
    write(text) {
      try {
        stream.write(text);
      } catch (error) {
        note(error);
      }
    },
    get isTTY() {
      return stream.isTTY;
    },
    get columns() {
      return stream.columns;
    },
    lost: () =>
      new Promise((resolve) => {
        const tell = (): void => {
          resolve(first);
        };
        try {
          stream.write('', (error) => {
            if (error) note(error);
            tell();
          });
        } catch (error) {
          note(error);
          tell();
        }
      }),
  };
}

/** Signals that stop a run, and the exit code that says so (128 + the signal's number). */
export const STOP_CODES = { SIGINT: 130, SIGTERM: 143 } as const;
export type StopSignal = keyof typeof STOP_CODES;

export interface Io {
  readonly stdout: Output;
  readonly stderr: Output;
  /** Aborted with the name of the signal ({@link StopSignal}) as reason. */
  readonly signal: AbortSignal;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Wrong use of the command line: exit code 2. */
export class UsageError extends Error {}
