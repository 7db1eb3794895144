/** Formulas as AssemblyScript: the arithmetic whose values are names of vectors, of four floats or of two doubles. */
import type { Arithmetic } from '../src/kernels/specification/arithmetic.ts';

/** What a formula of floats may call beyond instructions, all from assembly/vector.ts. */
export const PRIMITIVES = ['exp4', 'log4', 'sigmoid4', 'tanh4', 'erf4', 'power4'] as const;

/**
 * An inline function of vectors that computes a formula; what occurs twice in it is computed once.
 * @param inputs - names of its arguments
 * @param type - of two doubles only for what consists of instructions
 */
export function inlineFunction(
  name: string,
  inputs: readonly string[],
  formula: (f: Arithmetic<string, string>) => string,
  type: 'f32x4' | 'f64x2' = 'f32x4',
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
    constant: (value) => define(`${type}.splat(${value})`),
    add: binary(`${type}.add`),
    subtract: binary(`${type}.sub`),
    multiply: binary(`${type}.mul`),
    divide: binary(`${type}.div`),
    minimum: binary(`${type}.min`),
    maximum: binary(`${type}.max`),
    negate: unary(`${type}.neg`),
    absolute: unary(`${type}.abs`),
    squareRoot: unary(`${type}.sqrt`),
    round: unary(`${type}.nearest`),
    exp: unary('exp4'),
    log: unary('log4'),
    sigmoid: unary('sigmoid4'),
    tanh: unary('tanh4'),
    erf: unary('erf4'),
    power: binary('power4'),
    less: binary(`${type}.lt`),
    greater: binary(`${type}.gt`),
    select: (condition, yes, no) => define(`v128.bitselect(${yes}, ${no}, ${condition})`),
  });
  const head = inputs.map((input) => `${input}: v128`).join(', ');
  return `// @ts-ignore: decorator\n@inline\nfunction ${name}(${head}): v128 {\n${[...lines, `  return ${result};`].join('\n')}\n}\n`;
}
