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
    "import { at, storeFloat } from './words';",
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

/** A loop for each activation; the elements behind the last four go through the same code, so that none depends on its place. */
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
      `    for (; i + 4 <= count; i += 4) v128.store(at(${to} + i), ${expression(activation, (from) => `v128.load(at(${from} + i))`)});`,
      `    for (; i < count; i++) storeFloat(${to} + i, f32x4.extract_lane(${expression(activation, (from) => `v128.load32_splat(at(${from} + i))`)}, 0));`,
      '    return;',
      '  }',
    ].join('\n'),
  );
  return `export function ${name}(scratch: i32, ${values}, count: i32, activation: i32, parameters: i32): void {
  let i = 0;
${branches.join('\n')}
  unreachable();
}
`;
}
