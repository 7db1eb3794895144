/**
 * The machine's rate of 128-bit multiply-adds in WebAssembly: the highest of loops that touch registers alone, in
 * AssemblyScript. It is the yardstick of the kernels. Multiplications and additions are counted one each, as
 * WebAssembly has no fused form without relaxed SIMD.
 */
import asc from 'assemblyscript/asc';

export interface PeakLoop {
  readonly name: string;
  /** Of one run. */
  readonly operations: number;
  run(): void;
}

const ITERATIONS = 300_000;
const COUNTS = [4, 8, 12] as const;

/** How the operations of one iteration depend on each other; n accumulators s0 ... and two constants x, y. */
const FORMS: Readonly<
  Record<string, { readonly line: (i: number, n: number) => string; readonly operations: number }>
> = {
  // Each multiplication feeds an addition and waits for the last one of its own accumulator.
  dependent: { line: (i) => `s${i} = f32x4.add(f32x4.mul(s${i}, x), y);`, operations: 2 },
  // Each multiplication feeds an addition, but takes another accumulator, as products of operands do.
  feeding: { line: (i, n) => `s${i} = f32x4.add(s${i}, f32x4.mul(s${(i + 1) % n}, x));`, operations: 2 },
  // Multiplications and additions have nothing to do with each other.
  separate: { line: (i) => (i % 2 ? `s${i} = f32x4.mul(s${i}, x);` : `s${i} = f32x4.add(s${i}, y);`), operations: 1 },
};

/** Compiles the loops: accumulators 4, 8 and 12, in each form. */
export async function peakLoops(): Promise<readonly PeakLoop[]> {
  const kinds = Object.entries(FORMS).flatMap(([form, { line, operations }]) =>
    COUNTS.map((count) => ({ name: `${form}${count}`, count, line, operations })),
  );
  const source = kinds
    .map(({ name, count, line }) => {
      const each = (text: (i: number) => string): string =>
        Array.from({ length: count }, (_, i) => text(i)).join('\n  ');
      return `export function ${name}(n: i32, at: usize): void {
  const x = f32x4.splat(0.5), y = f32x4.splat(0.25);
  ${each((i) => `let s${i} = v128.load(at, ${i * 16});`)}
  do {
  ${each((i) => line(i, count))}
  } while (--n);
  ${each((i) => `v128.store(at, s${i}, ${i * 16});`)}
}`;
    })
    .join('\n');
  const { error, binary, stderr } = await asc.compileString(source, {
    optimizeLevel: 3,
    runtime: 'stub',
    noAssert: true,
    enable: ['simd'],
    initialMemory: 1,
  });
  if (error || !binary) throw new Error(`peak: ${stderr.toString()}`);
  const { instance } = (await WebAssembly.instantiate(
    binary as BufferSource,
    {},
  )) as unknown as WebAssembly.WebAssemblyInstantiatedSource;
  return kinds.map(({ name, count, operations }) => {
    const loop = instance.exports[name] as (n: number, at: number) => void;
    return { name, operations: ITERATIONS * count * operations * 4, run: () => loop(ITERATIONS, 1024) };
  });
}
