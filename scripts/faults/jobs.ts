/** Jobs of the command line that take well under a second, and the program as a process that something happens to. */
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { stream, vgg, writeNetwork, writeNpy } from 'espalier';
import { bundleProgram } from '../bundle-program.ts';

const SIDE = 8;
/** The file system of a process fails: see preload.mjs. */
export interface Fault {
  readonly operation?: string;
  readonly n?: number;
  readonly code?: string;
  readonly kill?: 'before' | 'after';
}

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stderr: string;
  readonly milliseconds: number;
}

export interface Bench {
  /** Holds the program, data and a model. */
  readonly folder: string;
  /** Runs a job on an output in `place`, which only this job uses. */
  run(job: Job, place: string, fault?: Fault, killAfter?: number): Promise<Ended>;
  /** A place of its own for a job. */
  place(): string;
  /** Calls of each operation in an undisturbed run. */
  counts(job: Job, place: string): Promise<Readonly<Record<string, number>>>;
  close(): void;
}

export interface Job {
  readonly name: string;
  readonly args: (folder: string) => readonly string[];
}

const SMALL = ['--threads', '1', '--batch', '8', '--quiet'];

export const JOBS: readonly Job[] = [
  {
    name: 'train',
    args: (folder) => [
      ...['train', '--data', join(folder, 'data'), '--side', String(SIDE), '--widths', '4', '--hidden', '8'],
      ...['--epochs', '8', ...SMALL],
    ],
  },
  {
    name: 'compress',
    args: (folder) => [
      ...['compress', join(folder, 'start'), '--data', join(folder, 'data'), '--codewords', '4'],
      ...['--epochs-pruned', '2', '--epochs-quantized', '2', '--epochs-final', '4', ...SMALL],
    ],
  },
  {
    name: 'run',
    args: (folder) => ['run', join(folder, 'start'), '--input', join(folder, 'x.npy'), '--threads', '1', '--quiet'],
  },
];

/** What stands where the output goes, before the job. */
export const OLD = Buffer.from('the file of last week');
export const OUTPUT = 'out';

export async function openBench(): Promise<Bench> {
  const folder = mkdtempSync(join(tmpdir(), 'espalier-faults-'));
  const program = join(folder, 'espalier.mjs');
  await bundleProgram(program);
  writeData(folder);
  let places = 0;

  function run(job: Job, place: string, fault?: Fault, killAfter?: number, countsFile?: string): Promise<Ended> {
    const started = performance.now();
    const preload = fault ? ['--import', resolve(import.meta.dirname, 'preload.mjs')] : [];
    const child = spawn(process.execPath, [...preload, program, ...job.args(folder), '--output', join(place, OUTPUT)], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: {
        ...process.env,
        ...(fault ? { FAULT: JSON.stringify({ folder, ...fault }) } : {}),
        ...(countsFile === undefined ? {} : { FAULT_COUNTS: countsFile }),
      },
    });
    let stderr = '';
    child.stderr.on('data', (text: Buffer) => {
      stderr += text.toString();
    });
    const timer = killAfter === undefined ? undefined : setTimeout(() => child.kill('SIGKILL'), killAfter);
    return new Promise((done) => {
      child.on('close', (code, signal) => {
        clearTimeout(timer);
        done({ code, signal, stderr, milliseconds: performance.now() - started });
      });
    });
  }

  return {
    folder,
    run,
    place() {
      const place = join(folder, `place${places++}`);
      mkdirSync(place);
      writeFileSync(join(place, OUTPUT), OLD);
      return place;
    },
    async counts(job, place) {
      const file = join(folder, 'counts.json');
      await run(job, place, {}, undefined, file);
      return JSON.parse(readFileSync(file, 'utf8')) as Record<string, number>;
    },
    close: () => {
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Pictures with a bright spot, the quarter that it is in, and a network for them. */
function writeData(folder: string): void {
  mkdirSync(join(folder, 'data'));
  for (const [part, count] of Object.entries({ train: 32, validation: 16 })) {
    const [pixels, labels] = [new Uint8Array(count * SIDE * SIDE), new Uint8Array(count)];
    for (let i = 0; i < count; i++) {
      const random = stream(1, part, i);
      const [x, y] = [2 + 4 * random(), 2 + 4 * random()];
      labels[i] = Number(x > 4) + 2 * Number(y > 4);
      for (let p = 0; p < SIDE * SIDE; p++)
        pixels[i * SIDE * SIDE + p] =
          20 + 200 * Math.exp(-(((p % SIDE) - x) ** 2 + (Math.floor(p / SIDE) - y) ** 2) / 4);
    }
    writeFileSync(join(folder, 'data', `${part}-images.npy`), writeNpy({ data: pixels, shape: [count, SIDE, SIDE] }));
    writeFileSync(join(folder, 'data', `${part}-labels.npy`), writeNpy({ data: labels, shape: [count] }));
  }
  const preprocessing = {
    width: SIDE,
    height: SIDE,
    channels: 1,
    filter: 'area',
    scale: 1 / 255,
    standardize: { kind: 'image', epsilon: 1e-3 },
  } as const;
  const network = vgg({
    side: SIDE,
    widths: [4],
    hidden: [8],
    outputs: 4,
    task: { kind: 'classes', classes: 4 },
    preprocessing,
  });
  writeFileSync(join(folder, 'start'), writeNetwork(network));
  const inputs = Float32Array.from({ length: 40 * SIDE * SIDE }, (_, i) => Math.sin(i));
  writeFileSync(join(folder, 'x.npy'), writeNpy({ data: inputs, shape: [40, 1, SIDE, SIDE] }));
}

/** All files of a place, with those of its folders. */
export function filesOf(place: string): string[] {
  return readdirSync(place, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => entry.name)
    .sort();
}
