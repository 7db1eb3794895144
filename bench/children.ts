/** The parent's side of serve.ts: contenders as processes that are asked for one call at a time. */
import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { readArray } from './exchange.ts';
import type { Job, Memory, Request } from './serve.ts';

export interface Command {
  readonly file: string;
  readonly arguments: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
}

export interface Contender {
  readonly who: string;
  /** Seconds that its first job took to prepare. */
  readonly opened: number;
  /** Takes another job in the place of the one before. */
  prepare(job: Job): Promise<number>;
  /** Seconds of one call. */
  run(): Promise<number>;
  /** Values of the last call. */
  output(): Promise<Float32Array>;
  memory(): Promise<Memory>;
  close(): void;
}

/** Intermediate files: git does not know them. */
export const SCRATCH = fileURLToPath(new URL('../out/bench/', import.meta.url));

/** Starts a contender and prepares its job. @throws {Error} with what it printed, if it fails */
export async function startContender(who: string, command: Command, job: Job, variant = ''): Promise<Contender> {
  const child = spawn(command.file, command.arguments, {
    env: { ...process.env, ...command.environment },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const printed: string[] = [];
  const waiting: { resolve(value: unknown): void; reject(error: Error): void }[] = [];
  const fail = (text: string): void => {
    for (const { reject } of waiting.splice(0)) reject(new Error(`${who}: ${text}\n${printed.slice(-40).join('\n')}`));
  };
  createInterface({ input: child.stderr }).on('line', (line) => printed.push(line));
  createInterface({ input: child.stdout }).on('line', (line) => {
    if (!line.startsWith('@bench ')) return void printed.push(line);
    const { value, error } = JSON.parse(line.slice('@bench '.length)) as { value?: unknown; error?: string };
    if (error === undefined) waiting.shift()?.resolve(value);
    else waiting.shift()?.reject(new Error(`${who}: ${error}`));
  });
  child.on('error', (error) => fail(error.message)).on('close', (code) => fail(`ended with code ${code}`));
  child.stdin.on('error', () => fail('takes no requests'));
  const ask = <T>(request: Request): Promise<T> =>
    new Promise<T>((resolve, reject) => {
      waiting.push({ resolve: resolve as (value: unknown) => void, reject });
      child.stdin.write(`${JSON.stringify(request)}\n`);
    });
  const prepare = (next: Job): Promise<number> => ask<number>({ prepare: next, variant });
  const opened = await prepare(job);
  return {
    who,
    opened,
    prepare,
    run: () => ask<number>({ run: true }),
    async output() {
      const path = join(SCRATCH, `output-${child.pid}.f32`);
      await ask({ output: path });
      return readArray(path);
    },
    memory: () => ask<Memory>({ memory: true }),
    close: () => void child.stdin.end(),
  };
}

let bundled: Promise<Command> | undefined;

/**
 * espalier's own contender: one file without a loader of TypeScript in its process, as a user's bundle has it. Built
 * once.
 */
export function espalierCommand(): Promise<Command> {
  mkdirSync(SCRATCH, { recursive: true });
  const outfile = join(SCRATCH, 'espalier.mjs');
  bundled ??= build({
    entryPoints: [fileURLToPath(new URL('espalier.ts', import.meta.url))],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    logLevel: 'error',
    banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
  }).then(() => ({ file: process.execPath, arguments: [outfile] }));
  return bundled;
}

/** A contender in TypeScript beside this file. */
export function scriptCommand(path: string): Command {
  return { file: process.execPath, arguments: ['--import', 'tsx', fileURLToPath(new URL(path, import.meta.url))] };
}

/** A contender in Debian's Python, kept to one thread. */
export function pythonCommand(path: string): Command {
  const environment = { OMP_NUM_THREADS: '1', OPENBLAS_NUM_THREADS: '1', MKL_NUM_THREADS: '1' };
  return { file: '/usr/bin/python3', arguments: [fileURLToPath(new URL(path, import.meta.url))], environment };
}

/** Ends all contenders that were started, whatever happened in between. */
export async function withContenders<T>(
  start: (add: (starting: Promise<Contender>) => Promise<Contender>) => Promise<T>,
): Promise<T> {
  const started: Contender[] = [];
  try {
    return await start(async (starting) => {
      const contender = await starting;
      started.push(contender);
      return contender;
    });
  } finally {
    for (const contender of started) contender.close();
  }
}
