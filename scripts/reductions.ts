/** The SIMD loops of reductions, from the formulas of specification/reductions.ts. */
import {
  REDUCTION,
  REDUCTION_GRADIENTS,
  REDUCTIONS,
  type ReductionName,
} from '../src/kernels/specification/reductions.ts';
import { inlineFunction, PRIMITIVES } from './formulas.ts';

const names = Object.keys(REDUCTIONS) as ReductionName[];

/** Text of assembly/reductions.generated.ts. */
export function reductionsModule(): string {
  return [
    '/** Made by scripts/generate.ts from specification/reductions.ts. */',
    "import { at, loadLanes, storeFloat } from './words';",
    `import { fromHalves, highHalf, lowHalf, ${PRIMITIVES.join(', ')} } from './vector';`,
    '',
    '/** Whether there is a reduction of this code. */',
    'export function isReduction(operation: i32): bool {',
    `  return operation >= 0 && operation < ${names.length};`,
    '}',
    '',
    ...names.flatMap((name) => [
      inlineFunction(`${name}Combined`, ['a', 'b'], (f) => REDUCTIONS[name].combine(f, 'a', 'b'), 'f64x2'),
      inlineFunction(`${name}Finished`, ['all', 'n'], (f) => REDUCTIONS[name].finish(f, 'all', 'n'), 'f64x2'),
      inlineFunction(`${name}Derivative`, ['x', 'y', 'n'], (f) =>
        REDUCTION_GRADIENTS[name].derivative(f, 'x', 'y', 'n'),
      ),
    ]),
    `/** What the others are combined with. */
export function startOf(operation: i32): f32 {
${branches((name) => `  return ${REDUCTIONS[name].start};`)}
  return 0;
}
`,
    combineRow(),
    `/** Combines four lanes to the first of them. */
export function combineLanes(operation: i32, sums: usize): void {
  let low = v128.load(sums),
    other = v128.load(sums, 16);
  for (let i = 0; i < 2; i++) {
${branches((name) => `  low = ${name}Combined(low, other);`, sameCombination)}
    other = v128.shuffle<f64>(low, low, 1, 0);
  }
  v128.store(sums, low);
}
`,
    `/** Four results of \`parts\` elements each. */
export function finished(operation: i32, sums: usize, parts: i32): v128 {
  let low = v128.load(sums),
    high = v128.load(sums, 16);
  const n = f64x2.splat(<f64>parts);
${branches((name) => `  low = ${name}Finished(low, n);\n  high = ${name}Finished(high, n);`, sameFinish)}
  return fromHalves(low, high);
}
`,
    `/** Whether all of a gradient goes to the first element that is the result. */
export function onlyFirst(operation: i32): bool {
  return ${
    names
      .filter((name) => REDUCTION_GRADIENTS[name].onlyFirst)
      .map((name) => `operation == ${REDUCTION[name]}`)
      .join(' || ') || 'false'
  };
}
`,
    spreadRow(),
  ].join('\n');
}

const sameCombination = (name: ReductionName): string =>
  inlineFunction('', [], (f) => REDUCTIONS[name].combine(f, 'a', 'b'));
const sameFinish = (name: ReductionName): string =>
  inlineFunction('', [], (f) => REDUCTIONS[name].finish(f, 'all', 'n'));
const sameGradient = (name: ReductionName): string => {
  const { onlyFirst, readsValues, derivative } = REDUCTION_GRADIENTS[name];
  return [onlyFirst, readsValues, inlineFunction('', [], (f) => derivative(f, 'x', 'y', 'n'))].join();
};

/** A branch for each operation, or for all of those of which the same is to be done. */
function branches(body: (name: ReductionName) => string, alike: (name: ReductionName) => string = body): string {
  const groups = new Map<string, ReductionName[]>();
  for (const name of names) groups.set(alike(name), [...(groups.get(alike(name)) ?? []), name]);
  return [...groups.values()]
    .map((group) => {
      const condition = group.map((name) => `operation == ${REDUCTION[name]}`).join(' || ');
      return `  if (${condition}) {\n${body(group[0])}\n  }`;
    })
    .join('\n');
}

function combineRow(): string {
  return `/** Combines \`count\` times four elements, \`step\` apart, whose lanes lie \`stride\` apart, with four doubles. */
export function combineRow(operation: i32, x: i32, stride: i32, step: i32, count: i32, sums: usize): void {
  let low = v128.load(sums),
    high = v128.load(sums, 16);
  for (let i = 0; i < count; i++) {
    const lanes = loadLanes(x, stride),
      lowLanes = lowHalf(lanes),
      highLanes = highHalf(lanes);
${branches((name) => `  low = ${name}Combined(low, lowLanes);\n  high = ${name}Combined(high, highLanes);`, sameCombination)}
    x += step;
  }
  v128.store(sums, low);
  v128.store(sums, high, 16);
}
`;
}

function spreadRow(): string {
  const term = (name: ReductionName, x: string): string => `f32x4.mul(dy, ${name}Derivative(${x}, y, n))`;
  const loop = (before: readonly string[], value: string): string =>
    `    for (let i = 0; i < count; i++) {
${before.map((line) => `      ${line}\n`).join('')}      if (four) v128.store(at(x + toDx), ${value});
      else storeFloat(x + toDx, f32x4.extract_lane(${value}, 0));
      x += step;
    }`;
  const load = 'const lanes = four ? v128.load(at(x)) : v128.load32_splat(at(x));';
  const body = (name: ReductionName): string => {
    const { onlyFirst, readsValues } = REDUCTION_GRADIENTS[name];
    if (onlyFirst) {
      const lines = [
        load,
        'const isResult = v128.or(f32x4.eq(lanes, y), v128.and(f32x4.ne(lanes, lanes), f32x4.ne(y, y)));',
        'const first = v128.and(left, isResult);',
        `const share = v128.and(first, ${term(name, 'lanes')});`,
        'left = v128.andnot(left, first);',
      ];
      return `    let left = v128.load(open);\n${loop(lines, 'share')}\n    v128.store(open, left);`;
    }
    if (readsValues) return loop([load, `const share = ${term(name, 'lanes')};`], 'share');
    return `    const share = ${term(name, 'y')};\n${loop([], 'share')}`;
  };
  return `/**
 * Shares of dy for \`count\` times four elements in a row, or one, \`step\` apart, of results y of n elements each. open:
 * which of the results have not met their first element.
 */
export function spreadRow(operation: i32, x: i32, toDx: i32, step: i32, count: i32, four: bool, y: v128, dy: v128, n: v128, open: usize): void {
${branches(body, sameGradient)}
}
`;
}
