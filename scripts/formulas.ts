/** Formulas as AssemblyScript: the arithmetic whose values are names of vectors of four floats. */
import type { Arithmetic } from '../src/kernels/specification/arithmetic.ts';

/** What a formula may call beyond instructions, all from assembly/vector.ts. */
export const PRIMITIVES = ['exp4', 'log4', 'sigmoid4', 'tanh4', 'erf4'] as const;

/**
 * An inline function of vectors that computes a formula; what occurs twice in it is computed once.
 * @param inputs - names of its arguments
 */
export function inlineFunction(
  name: string,
  inputs: readonly string[],
  formula: (f: Arithmetic<string, string>) => string,
): string {
  const lines: string[] = [];
  const known = new Map<string, string>();
  const define = (expression: string): string => {
    let variable = known.get(expression);
    if (variable === undefined) {
      variable = `v${known.size}`;
      known.set(expression, variable);
      lines.push(`  const ${variable} = ${expression};`);
    }
    return variable;
  };
  const unary =
    (instruction: string) =>
    (x: string): string =>
      define(`${instruction}(${x})`);
  const binary =
    (instruction: string) =>
    (a: string, b: string): string =>
      define(`${instruction}(${a}, ${b})`);
  const result = formula({
    constant: (value) => define(`f32x4.splat(${value})`),
    add: binary('f32x4.add'),
    subtract: binary('f32x4.sub'),
    multiply: binary('f32x4.mul'),
    divide: binary('f32x4.div'),
    minimum: binary('f32x4.min'),
    maximum: binary('f32x4.max'),
    negate: unary('f32x4.neg'),
    absolute: unary('f32x4.abs'),
    squareRoot: unary('f32x4.sqrt'),
    exp: unary('exp4'),
    log: unary('log4'),
    sigmoid: unary('sigmoid4'),
    tanh: unary('tanh4'),
    erf: unary('erf4'),
    less: binary('f32x4.lt'),
    greater: binary('f32x4.gt'),
    select: (condition, yes, no) => define(`v128.bitselect(${yes}, ${no}, ${condition})`),
  });
  const head = inputs.map((input) => `${input}: v128`).join(', ');
  return `// @ts-ignore: decorator\n@inline\nfunction ${name}(${head}): v128 {\n${[...lines, `  return ${result};`].join('\n')}\n}\n`;
}
