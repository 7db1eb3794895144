/** The kernels are what the table says: names and arguments, in every set and selection. */
import { describe, expect, it } from 'vitest';
import { createHeap, createPortableKernels } from '../../../src/kernels/index.ts';
import { KERNELS, type KernelName } from '../../../src/kernels/specification/kernels.ts';
import { assemblyEntry } from '../../../scripts/assembly.ts';

const portable = createPortableKernels(createHeap(8));
const names = Object.keys(KERNELS) as KernelName[];

/** Names of a function's parameters; those that it does not use begin with _. */
function parametersOf(call: (...row: never[]) => void): string[] {
  const text = /^\s*(?:async\s*)?\(?([^)]*?)\)?\s*=>/.exec(call.toString())?.[1] ?? '';
  return text
    .split(',')
    .map((name) => name.trim().replace(/^_/, ''))
    .filter(Boolean);
}

describe('the table of kernels', () => {
  it('names the portable kernels, and they are all', () => {
    expect(Object.keys(portable).sort()).toEqual([...names].sort());
  });

  it.each(names)('%s: the portable kernel takes scratch and the arguments of the table, in their order', (name) => {
    expect(parametersOf(portable[name])).toEqual(['scratch', ...KERNELS[name].arguments]);
  });

  it.each(names)('%s: no argument twice', (name) => {
    const { arguments: row } = KERNELS[name];
    expect(new Set(row).size).toBe(row.length);
  });

  it('fails where the assembly has other arguments, or no such kernel', async () => {
    const { multiply } = KERNELS;
    await expect(assemblyEntry({ multiply: { arguments: ['a', 'b', 'count', 'y'] } }, false)).rejects.toThrow(
      /elementwise\.ts: multiply: expected the arguments a, b, count, y, got a, b, y, count/,
    );
    await expect(assemblyEntry({ multiplied: multiply } as never, false)).rejects.toThrow(
      /multiplied: expected one definition, got 0/,
    );
  });
});
