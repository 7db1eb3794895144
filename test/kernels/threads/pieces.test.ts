import { describe, expect, it } from 'vitest';
import {
  CONTROL,
  CONTROL_WORDS,
  failureText,
  reportFailure,
  sharePieces,
} from '../../../src/kernels/threads/pieces.ts';
import { ALL_SELECTION } from '../../../src/kernels/selection/all.ts';
import { kernelTable, writePrograms, pieceCount } from '../../../src/kernels/workspace/program.ts';
import { namesOf } from '../../../src/kernels/selection/selection.ts';
import { createHeap, createPortableKernels, type Kernels } from '../../../src/kernels/index.ts';

/** A step of four pieces of which `first` is run for the first. */
function fourPieces(first: (control: Int32Array) => void) {
  const control = new Int32Array(new SharedArrayBuffer(CONTROL_WORDS * 4)),
    heap = createHeap(256);
  let calls = 0;
  const kernels: Kernels = {
    ...createPortableKernels(heap),
    multiply() {
      if (calls++ === 0) first(control);
    },
  };
  const [[step]] = writePrograms(
    heap.int,
    64,
    [
      [
        {
          kernel: 'multiply',
          pieces: [
            { a: 0, b: 0, y: 0, count: 0 },
            { a: 0, b: 0, y: 0, count: 0 },
            { a: 0, b: 0, y: 0, count: 0 },
            { a: 0, b: 0, y: 0, count: 0 },
          ],
        },
      ],
    ],
    ALL_SELECTION,
  );
  const run = (lost = (_waited: number): string | undefined => undefined): void =>
    sharePieces(
      control,
      kernelTable(kernels, namesOf(ALL_SELECTION)),
      heap.int,
      0,
      step,
      pieceCount(heap.int, step),
      lost,
    );
  return { control, run, calls: () => calls };
}

describe('sharePieces', () => {
  it('alone, runs every piece, and again', () => {
    const { control, run, calls } = fourPieces(() => undefined);
    run();
    run();
    expect(calls()).toBe(8);
    expect(failureText(control)).toBeUndefined();
  });

  it('works across the end of 32-bit counters', () => {
    const { control, run, calls } = fourPieces(() => undefined);
    for (const counter of [CONTROL.next, CONTROL.limit, CONTROL.done]) control[counter] = 2 ** 31 - 2;
    run();
    expect(calls()).toBe(4);
    expect([control[CONTROL.next], control[CONTROL.done]]).toEqual([-(2 ** 31) + 2, -(2 ** 31) + 2]);
  });

  it('asks whether a piece that another thread took is lost, until it is, and says so', () => {
    const { control, run, calls } = fourPieces((counters) => Atomics.add(counters, CONTROL.next, 1));
    const asked: number[] = [];
    run((waited) => (asked.push(waited) === 2 ? 'it is gone' : undefined));
    expect(calls()).toBe(3);
    expect(asked).toEqual([250, 750]);
    expect(failureText(control)).toBe('it is gone');
  });

  it('comes back at once when another thread has failed', () => {
    const { control, run } = fourPieces((counters) => {
      Atomics.add(counters, CONTROL.next, 1);
      reportFailure(counters, new Error('first'));
      reportFailure(counters, new Error('second'));
    });
    run();
    expect(failureText(control)).toBe('Error: first');
  });
});
