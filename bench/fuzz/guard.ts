/**
 * Counts what is allocated as array buffers, so that a file of 300 bytes that asks for a gigabyte is found although the
 * machine would give it. The global constructors are replaced: import this before anything that keeps one of them.
 */

/** What one run may allocate: this many bytes ... */
const FREE_BYTES = 2 ** 26;
/** ... and this many times its input, copies and temporaries included. */
const TIMES = 64;

let allocated = 0;
let allowed = Infinity;

/** An allocation beyond what a run may have. Not an error that a reader may turn into one of its own. */
export const overdrawn = { message: '' };

export function startCounting(inputBytes: number): void {
  allocated = 0;
  overdrawn.message = '';
  allowed = FREE_BYTES + TIMES * inputBytes;
}

function count(bytes: number): void {
  allocated += bytes;
  if (allocated <= allowed || overdrawn.message !== '') return;
  overdrawn.message = `${allocated} bytes allocated, ${allowed} allowed`;
  throw new RangeError(overdrawn.message);
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
