/** The SIMD kernels of activations, from the formulas of specification/activations.ts. */
import {
  ACTIVATION,
  ACTIVATION_GRADIENTS,
  ACTIVATIONS,
  FUSED_ACTIVATION,
  type ActivationName,
  type ActivationSpecification,
} from '../src/kernels/specification/activations.ts';
import { inlineFunction, PRIMITIVES } from './formulas.ts';

const names = Object.keys(ACTIVATIONS) as ActivationName[];
const constantOf = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();

/** Text of assembly/activations.generated.ts. */
export function activationsModule(): string {
  const functions = names.flatMap((name) => {
    const inputs = parametersOf(name);
    const parameters = Object.fromEntries(inputs.map((input) => [input, input]));
    return [
      inlineFunction(`${name}Of`, ['x', ...inputs], (f) => ACTIVATIONS[name].apply(f, 'x', parameters)),
      inlineFunction(`${name}Derivative`, ['from', ...inputs], (f) =>
        ACTIVATION_GRADIENTS[name].derivative(f, 'from', parameters),
      ),
    ];
  });
  return [
    '/** Made by scripts/generate.ts from specification/activations.ts. */',
    "import { at, copyWords } from './words';",
    `import { ${PRIMITIVES.join(', ')} } from './vector';`,
    '',
    ...names.map((name) => `export const ${constantOf(name)} = ${ACTIVATION[name]};`),
    '',
    '/** Whether a product, a convolution or a sum can apply it on its way out. */',
    '// @ts-ignore: decorator',
    '@inline',
    'export function fuses(activation: i32): bool {',
    `  return ${Object.keys(FUSED_ACTIVATION)
      .map((name) => `activation == ${constantOf(name)}`)
      .join(' || ')};`,
    '}',
    '',
    ...functions,
    kernel('activationForward', 'x: i32, y: i32', 'y', (name, load) =>
      call(`${name}Of`, [load('x'), ...parametersOf(name)]),
    ),
    kernel('activationBackward', 'from: i32, dy: i32, dx: i32', 'dx', (name, load) => {
      const derivative = call(`${name}Derivative`, [load('from'), ...parametersOf(name)]);
      return `f32x4.mul(${load('dy')}, ${derivative})`;
    }),
  ].join('\n');
}

function parametersOf(name: ActivationName): string[] {
  const { parameters }: ActivationSpecification = ACTIVATIONS[name];
  return Object.keys(parameters);
}

const call = (name: string, inputs: readonly string[]): string => `${name}(${inputs.join(', ')})`;

/**
 * A loop of whole vectors for each activation; the elements behind the last four go through the same code in scratch, so
 * that none depends on its place and no formula is there twice.
 */
function kernel(
  name: string,
  values: string,
  to: string,
  expression: (name: ActivationName, load: (from: string) => string) => string,
): string {
  const branches = names.map((activation) =>
    [
      `  if (activation == ${constantOf(activation)}) {`,
      ...parametersOf(activation).map(
        (parameter, i) => `    const ${parameter} = v128.load32_splat(at(parameters + ${i}));`,
      ),
      `    for (let i = 0; i < count; i += 4) v128.store(at(${to} + i), ${expression(activation, (from) => `v128.load(at(${from} + i))`)});`,
      '    return;',
      '  }',
    ].join('\n'),
  );
  const all = [...values.matchAll(/(\w+): i32/g)].map(([, value]) => value),
    from = all.filter((value) => value !== to);
  const place = (value: string): string => (value === to ? 'scratch' : `scratch + ${4 * from.indexOf(value)}`);
  return `export function ${name}(scratch: i32, ${values}, count: i32, activation: i32, parameters: i32): void {
  const whole = count & ~3,
    rest = count & 3;
  ${name}4(${all.join(', ')}, whole, activation, parameters);
  if (rest == 0) return;
${from.map((value) => `  copyWords(at(${value} + whole), at(${place(value)}), rest);`).join('\n')}
  ${name}4(${all.map(place).join(', ')}, 4, activation, parameters);
  copyWords(at(scratch), at(${to} + whole), rest);
}

function ${name}4(${values}, count: i32, activation: i32, parameters: i32): void {
${branches.join('\n')}
  unreachable();
}
`;
}
