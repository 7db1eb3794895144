/** What the tests of the command line share: a streams' stand-in, tiny data folders, the program as a child process. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deflateSync } from 'node:zlib';
import jpeg from 'jpeg-js';
import { afterAll, beforeAll, onTestFinished } from 'vitest';
import { bundleProgram } from '../../scripts/bundle-program.ts';
import { runCli } from '../../src/cli/cli.ts';
import { stream, writeNpy } from '../../src/index.ts';

export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CallOptions {
  readonly signal?: AbortSignal;
  readonly env?: Record<string, string>;
  readonly isTTY?: boolean;
  /** Is told what is written to stderr. */
  readonly onStderr?: (text: string) => void;
}

/** The command line in this process. */
export async function call(
  args: readonly string[],
  { signal = new AbortController().signal, env = {}, isTTY = false, onStderr }: CallOptions = {},
): Promise<Outcome> {
  let [stdout, stderr] = ['', ''];
  const code = await runCli(args, {
    stdout: {
      write: (text) => {
        stdout += text;
      },
    },
    stderr: {
      write: (text) => {
        stderr += text;
        onStderr?.(text);
      },
      isTTY,
      columns: 100,
    },
    signal,
    env,
  });
  return { code, stdout, stderr };
}

/** Result of a call with --json; nothing else may be on stdout. */
export function parsed({ code, stdout, stderr }: Outcome): Record<string, unknown> {
  if (code !== 0) throw new Error(`exit code ${code}: ${stderr}`);
  return JSON.parse(stdout) as Record<string, unknown>;
}

/** A folder that is gone after the test. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'espalier-cli-'));
  onTestFinished(() => {
    rmSync(folder, { recursive: true, force: true });
  });
  return folder;
}

export const SIDE = 8;
const COUNTS = { train: 24, validation: 12, test: 10 };

/** Pictures (8, 8) of a bright spot. */
function spots(part: string, count: number): { pixels: Uint8Array; centres: Float32Array } {
  const pixels = new Uint8Array(count * SIDE * SIDE);
  const centres = new Float32Array(count * 2);
  for (let i = 0; i < count; i++) {
    const random = stream(1, part, i);
    const [x, y] = [2 + 4 * random(), 2 + 4 * random()];
    centres.set([x / SIDE, y / SIDE], 2 * i);
    for (let p = 0; p < SIDE * SIDE; p++)
      pixels[i * SIDE * SIDE + p] =
        20 + 200 * Math.exp(-(((p % SIDE) + 0.5 - x) ** 2 + (Math.floor(p / SIDE) + 0.5 - y) ** 2) / 4) + 20 * random();
  }
  return { pixels, centres };
}

export type Kind = 'landmarks' | 'labels' | 'targets';

/** Targets of the spots: 68 landmarks on a line through the centre; which quarter it is in; its coordinates. */
const TARGETS: Record<Kind, (centres: Float32Array, count: number) => Uint8Array> = {
  landmarks: (centres, count) =>
    writeNpy({
      data: Float32Array.from(
        { length: count * 136 },
        (_, i) => centres[2 * Math.floor(i / 136) + (i % 2)] + (Math.floor((i % 136) / 2) - 34) * 0.005,
      ),
      shape: [count, 68, 2],
    }),
  labels: (centres, count) =>
    writeNpy({
      data: Uint8Array.from(
        { length: count },
        (_, i) => Number(centres[2 * i] > 0.5) + 2 * Number(centres[2 * i + 1] > 0.5),
      ),
      shape: [count],
    }),
  targets: (centres, count) => writeNpy({ data: centres, shape: [count, 2] }),
};

/** An array folder with the parts train, validation and test. */
export function dataFolder(parent: string, kinds: readonly Kind[], inputs: 'images' | 'inputs' = 'images'): string {
  const folder = join(parent, 'data');
  mkdirSync(folder);
  for (const [part, count] of Object.entries(COUNTS)) {
    const { pixels, centres } = spots(part, count);
    const values =
      inputs === 'images'
        ? { data: pixels, shape: [count, SIDE, SIDE] }
        : { data: Float32Array.from(pixels, (value) => value / 128 - 1), shape: [count, 1, SIDE, SIDE] };
    writeFileSync(join(folder, `${part}-${inputs}.npy`), writeNpy(values));
    for (const kind of kinds) writeFileSync(join(folder, `${part}-${kind}.npy`), TARGETS[kind](centres, count));
  }
  return folder;
}

/** Flags of a network that trains in milliseconds. */
export const TINY = ['--side', '8', '--widths', '4', '--hidden', '8', '--threads', '1', '--batch', '8'];

/** The program as one file, or another module of the source: for all tests of a file. Its path is known when the tests run. */
export function bundled(source?: string): () => string {
  let folder = '';
  const path = (): string => join(folder, 'program.mjs');
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'espalier-program-'));
    await bundleProgram(path(), source);
  });
  afterAll(() => {
    rmSync(folder, { recursive: true, force: true });
  });
  return path;
}

/** The program itself. */
export function start(
  program: string,
  args: readonly string[],
): ChildProcess & { readonly ended: Promise<Outcome & { readonly signal: NodeJS.Signals | null }> } {
  const child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  const ended = new Promise<Outcome & { signal: NodeJS.Signals | null }>((done) => {
    child.on('close', (code, signal) => {
      done({ code: code ?? -1, signal, stdout, stderr });
    });
  });
  return Object.assign(child, { ended });
}

export function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let k = 0; k < 8; k++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return (crc ^ 0xffffffff) >>> 0;
}

export interface PngForm {
  readonly depth: number;
  /** Type of colour in the header: 0 grey, 2 RGB, 3 palette. */
  readonly type: number;
  /** A byte of the filter in front of each row. */
  readonly raw: ArrayLike<number>;
  readonly palette?: readonly number[];
}

/** A PNG file of any form, also one that no encoder would write. */
export function pngBytes(width: number, height: number, { depth, type, raw, palette }: PngForm): Uint8Array {
  const chunk = (name: string, data: Uint8Array): Uint8Array => {
    const body = Buffer.concat([Buffer.from(name, 'latin1'), data]);
    const [length, crc] = [Buffer.alloc(4), Buffer.alloc(4)];
    length.writeUInt32BE(data.length);
    crc.writeUInt32BE(crc32(body));
    return Buffer.concat([length, body, crc]);
  };
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([depth, type], 8);
  return new Uint8Array(
    Buffer.concat([
      Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a),
      chunk('IHDR', header),
      ...(palette ? [chunk('PLTE', Uint8Array.from(palette))] : []),
      chunk('IDAT', deflateSync(Uint8Array.from(raw))),
      chunk('IEND', new Uint8Array(0)),
    ]),
  );
}

/** A JPEG of the colours that `colour` gives. */
export function jpegBytes(
  width: number,
  height: number,
  colour: (x: number, y: number) => readonly [number, number, number],
): Uint8Array {
  const data = Uint8Array.from({ length: width * height * 4 }, (_, i) => {
    const pixel = i >> 2;
    return [...colour(pixel % width, Math.floor(pixel / width)), 255][i & 3];
  });
  return new Uint8Array(jpeg.encode({ width, height, data }, 95).data);
}

/** The file with an EXIF segment that says how the camera was held. */
export function withOrientation(file: Uint8Array, orientation: number, little: boolean): Uint8Array {
  const tiff = new DataView(new ArrayBuffer(26));
  tiff.setUint16(0, little ? 0x4949 : 0x4d4d);
  tiff.setUint16(2, 42, little);
  tiff.setUint32(4, 8, little);
  tiff.setUint16(8, 1, little);
  tiff.setUint16(10, 0x0112, little);
  tiff.setUint16(12, 3, little);
  tiff.setUint32(14, 1, little);
  tiff.setUint16(18, orientation, little);
  const body = Buffer.concat([Buffer.from('Exif\0\0', 'latin1'), Buffer.from(tiff.buffer)]);
  const length = Buffer.alloc(2);
  length.writeUInt16BE(body.length + 2);
  return new Uint8Array(
    Buffer.concat([file.subarray(0, 2), Uint8Array.of(0xff, 0xe1), length, body, file.subarray(2)]),
  );
}
