/** What the command line talks to: given by `main.ts`, or by a test. */

export interface Output {
  write(text: string): unknown;
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
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
