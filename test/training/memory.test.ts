/** What a step leaves behind, and what garbage it makes, in a process of its own. */
import { execFileSync } from 'node:child_process';
import { resolve } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';

type Part = 'sgd' | 'adam' | 'forward' | 'train' | 'predict';
let figures: Record<Part, { readonly growth: number; readonly buffers: number; readonly garbage: number }>;

beforeAll(() => {
  const arguments_ = [
    '--expose-gc',
    '--min-semi-space-size=64',
    '--max-semi-space-size=64',
    '--import',
    'tsx',
    resolve(import.meta.dirname, 'memory-child.ts'),
  ];
  figures = JSON.parse(execFileSync(process.execPath, arguments_, { encoding: 'utf8' })) as typeof figures;
});

describe('1000 steps', () => {
  it.each(['sgd', 'adam', 'forward', 'train', 'predict'] as const)(
    '%s: leave less than 16 kB on the heap and no array behind',
    (part) => {
      expect(figures[part].growth).toBeLessThan(16 * 1024);
      expect(figures[part].buffers).toBeLessThanOrEqual(0);
    },
  );

  it.each([
    ['sgd', 1024],
    ['adam', 1024],
    ['forward', 512],
    ['train', 3072],
    ['predict', 3072],
  ] as const)('%s: make less than %i bytes of garbage each', (part, most) => {
    expect(figures[part].garbage).toBeLessThan(most);
  });
});
