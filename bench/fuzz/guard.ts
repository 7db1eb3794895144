/**
 * Counts what is allocated as array buffers, so that a file of 300 bytes that asks for a gigabyte is found although the
 * machine would give it. The global constructors are replaced: import this before anything that keeps one of them.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** What one run may hold: this many bytes ... */
const FREE_BYTES = 2 ** 26;
/** ... and, of a target that says nothing else, this many times its input, copies and temporaries included. */
const TIMES = 64;

let allocated = 0;
let allowed = Infinity;
/** Bytes of array buffers before the run; undefined: all that is allocated counts as held. */
let before: number | undefined;

/** An allocation beyond what a run may have. Not an error that a reader may turn into one of its own. */
export const overdrawn = { message: '', isCertain: false };

export const allowedBytes = (inputBytes: number, times = TIMES): number => FREE_BYTES + times * inputBytes;

/**
 * Counts from nothing. All that is allocated counts, which is quick; with `exactly` what is held counts where that was too
 * much: garbage is collected before anything is refused.
 */
export function startCounting(inputBytes: number, { times = TIMES, exactly = false } = {}): void {
  before = exactly ? heldBytes() : undefined;
  allocated = 0;
  overdrawn.message = '';
  overdrawn.isCertain = false;
  allowed = allowedBytes(inputBytes, times);
}

function count(bytes: number): void {
  allocated += bytes;
  if (allocated <= allowed || overdrawn.message !== '') return;
  if (before !== undefined) {
    allocated = heldBytes() - before + bytes;
    if (allocated <= allowed) return;
  }
  // One piece that is larger than all is too much whatever is held beside it.
  overdrawn.isCertain = before !== undefined || bytes > allowed;
  overdrawn.message = `${allocated} bytes ${overdrawn.isCertain ? 'held' : 'allocated'}, ${allowed} allowed`;
  throw new RangeError(overdrawn.message);
}

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Twice: the memory of what the first finds is given back while it goes on. */
function heldBytes(): number {
  collect();
  collect();
  return process.memoryUsage().arrayBuffers;
}

const global = globalThis as unknown as Record<string, unknown>;

for (const name of [
  'Int8Array',
  'Uint8Array',
  'Uint8ClampedArray',
  'Int16Array',
  'Uint16Array',
  'Int32Array',
  'Uint32Array',
  'Float32Array',
  'Float64Array',
  'BigInt64Array',
  'BigUint64Array',
]) {
  const original = global[name] as { readonly BYTES_PER_ELEMENT: number } & (new (...values: unknown[]) => object);
  global[name] = new Proxy(original, {
    construct(target, values, newTarget) {
      const [first] = values as unknown[];
      const length = typeof first === 'number' ? first : isList(first) ? first.length : 0;
      count(length * target.BYTES_PER_ELEMENT);
      return Reflect.construct(target, values, newTarget);
    },
  });
}

global.ArrayBuffer = new Proxy(ArrayBuffer, {
  construct(target, values: unknown[], newTarget) {
    count(Number(values[0]));
    return Reflect.construct(target, values, newTarget);
  },
});

/** A list that is copied; a buffer is only looked at. */
function isList(value: unknown): value is { readonly length: number } {
  return typeof value === 'object' && value !== null && typeof (value as { length?: unknown }).length === 'number';
}
