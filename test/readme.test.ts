/** The examples of README.md run as they stand, one after another, and do what is said of them. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { codeBlocks, runCode } from './blocks.ts';
import * as espalier from '../src/index.ts';
import * as runtime from '../src/runtime/index.ts';

const text = await readFile(join(import.meta.dirname, '../README.md'), 'utf8');
const blocks = codeBlocks(text);
const runBlock = (code: string, gives: string, given: Readonly<Record<string, unknown>>): Promise<unknown> =>
  runCode(code, gives, given, { espalier, 'espalier/runtime': runtime });

describe('README.md', () => {
  let folder: string;
  const lines: string[] = [];
  let made: { network: espalier.Network; bytes: Uint8Array; report: espalier.CompressionReport };
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'espalier-readme-'));
    const code = blocks[0].replaceAll('small.safetensors', join(folder, 'small.safetensors'));
    const console = { log: (line: string) => lines.push(line) };
    made = (await runBlock(code, '{ network, bytes, report }', { console })) as typeof made;
  }, 120_000);
  afterAll(() => rm(folder, { recursive: true }));

  it('has no block of code that is not run here', () => {
    expect(blocks).toHaveLength(3);
  });

  it('the ten lines learn, compress, and print what stands below them, within 15 %', () => {
    // Always naming the mean of numbers from 0.2 to 0.8: 0.6 / sqrt(12).
    expect(made.report.validation.before).toBeLessThan(0.05);
    expect(made.report.validation.after).toBeLessThan(0.05);
    const numbers = (line: string): number[] => [...line.matchAll(/\d+\.\d+/g)].map(Number);
    const [ratio, before, after] = numbers(lines.join('\n'));
    const said = numbers(/^\/\/ (.*) \(/m.exec(blocks[0])![1]);
    for (const [i, value] of [ratio, before, after].entries()) {
      expect(said[i] / value, lines.join('; ')).toBeGreaterThan(0.85);
      expect(said[i] / value).toBeLessThan(1.15);
    }
  });

  it('the lines of the page find the spot with the file that the ten lines wrote', async () => {
    const bytes = await readFile(join(folder, 'small.safetensors'));
    const side = 96;
    const data = new Uint8ClampedArray(4 * side * side).fill(255);
    for (let y = 0; y < side; y++) {
      for (let x = 0; x < side; x++) {
        const light = 255 * (0.15 + 0.7 * Math.exp(-60 * ((x / side - 0.3) ** 2 + (y / side - 0.6) ** 2)));
        data.fill(light, 4 * (y * side + x), 4 * (y * side + x) + 3);
      }
    }
    const page = {
      fetch: async () => ({ arrayBuffer: async () => new Uint8Array(bytes).buffer }),
      context2d: { getImageData: (_x: number, _y: number, width: number, height: number) => ({ data, width, height }) },
    };
    const [x, y] = (await runBlock(blocks[1], 'data', page)) as Float32Array;
    expect(Math.abs(x - 0.3)).toBeLessThan(0.08);
    expect(Math.abs(y - 0.6)).toBeLessThan(0.08);
  });

  it('the transform of three lines is one', async () => {
    const transform = (await runBlock(blocks[2], 'halveTheBiases', {})) as espalier.Transform;
    const { network } = await transform(made.network, {} as espalier.Context);
    const [before, after] = [made.network, network].map(({ parameters }) => parameters.get('dense1.bias'));
    expect(espalier.decode(after!)).toEqual(espalier.decode(before!).map((value) => value / 2));
  });

  it('every file that it links to is there', async () => {
    const links = [...text.matchAll(/\]\((?!https?:)([^)#]+)\)/g)].map(([, path]) => path);
    expect(links.length).toBeGreaterThan(4);
    for (const path of links) await readFile(join(import.meta.dirname, '..', path));
  });
});
