/** The SIMD loops of binary operations, from the formulas of specification/binaries.ts. */
import { BINARIES, BINARY, BINARY_GRADIENTS, SIDE, type BinaryName } from '../src/kernels/specification/binaries.ts';
import { inlineFunction, PRIMITIVES } from './formulas.ts';

const names = Object.keys(BINARIES) as BinaryName[];
const sides = Object.keys(SIDE) as (keyof typeof SIDE)[];

/** Text of assembly/binaries.generated.ts. */
export function binariesModule(): string {
  return [
    '/** Made by scripts/generate.ts from specification/binaries.ts. */',
    "import { at, copyWords, lanesOf, LANES_WORDS, loadLanes } from './words';",
    `import { highHalf, lowHalf, ${PRIMITIVES.join(', ')} } from './vector';`,
    '',
    '/** Whether there is an operation of this code. */',
    'export function isBinary(operation: i32): bool {',
    `  return operation >= 0 && operation < ${names.length};`,
    '}',
    '',
    ...names.map((name) => inlineFunction(`${name}Of`, ['a', 'b'], (f) => BINARIES[name].apply(f, 'a', 'b'))),
    ...names.flatMap((name) =>
      sides.map((side) =>
        inlineFunction(`${name}Derivative_${side}`, ['a', 'b'], (f) => BINARY_GRADIENTS[name][side](f, 'a', 'b')),
      ),
    ),
    forwardRow(),
    sumTerms(),
  ].join('\n');
}

/** A loop for each operation; the elements behind the last four go through the same code in scratch. */
function forwardRow(): string {
  const branches = names.map(
    (name) => `  if (operation == ${BINARY[name]}) {
    for (; y < end; y += 16) {
      v128.store(y, ${name}Of(v128.load(a), v128.load(b)));
      a += aStep;
      b += bStep;
    }
  }`,
  );
  return `/**
 * y = operation(a, b) along one side, in pieces where elements of an operand lie apart and are brought together first.
 * Scratch: LANES_WORDS for either operand.
 */
export function forwardRow(operation: i32, a: i32, aStride: i32, b: i32, bStride: i32, y: i32, count: i32, scratch: i32): void {
  const most = (aStride | bStride) > 1 ? LANES_WORDS : count,
    aPlace = at(scratch),
    bPlace = at(scratch + LANES_WORDS);
  while (count > 0) {
    const words = min(most, count),
      whole = at(words & ~3),
      rest = words & 3;
    const left = lanesOf(a, aStride, words, aPlace),
      right = lanesOf(b, bStride, words, bPlace);
    const aStep: usize = aStride == 0 ? 0 : 16,
      bStep: usize = bStride == 0 ? 0 : 16;
    forward4(operation, left, aStep, right, bStep, at(y), at(y) + whole);
    if (rest) {
      if (aStride == 1) copyWords(left + whole, aPlace, rest);
      if (bStride == 1) copyWords(right + whole, bPlace, rest);
      const aLast = aStride > 1 ? left + whole : aPlace;
      forward4(operation, aLast, 0, bStride > 1 ? right + whole : bPlace, 0, aLast, aLast + 16);
      copyWords(aLast, at(y) + whole, rest);
    }
    a += words * aStride;
    b += words * bStride;
    y += words;
    count -= words;
  }
}

function forward4(operation: i32, a: usize, aStep: usize, b: usize, bStep: usize, y: usize, end: usize): void {
${branches.join('\n')}
}
`;
}

/** A loop for each operation and side. */
function sumTerms(): string {
  const branches = names.flatMap((name) =>
    sides.map(
      (side) => `  if (which == ${2 * BINARY[name] + SIDE[side]}) {
    for (let i = 0; i < count; i++) {
      const term = f32x4.mul(loadLanes(dy, dyStride), ${name}Derivative_${side}(loadLanes(a, aStride), loadLanes(b, bStride)));
      low = f64x2.add(low, lowHalf(term));
      high = f64x2.add(high, highHalf(term));
      a += aStep;
      b += bStep;
      dy += dyStep;
    }
  }`,
    ),
  );
  return `/**
 * Adds the terms of four elements of dx, whose lanes lie a stride apart, over \`count\` steps to four doubles. which: twice
 * the operation's code, and 1 for the gradient to b.
 */
export function sumTerms(which: i32, a: i32, aStride: i32, aStep: i32, b: i32, bStride: i32, bStep: i32, dy: i32, dyStride: i32, dyStep: i32, count: i32, sums: usize): void {
  let low = v128.load(sums),
    high = v128.load(sums, 16);
${branches.join('\n')}
  v128.store(sums, low);
  v128.store(sums, high, 16);
}
`;
}
