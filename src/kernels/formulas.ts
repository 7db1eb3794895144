/** The functions of the kernels on single numbers, in double: for what is computed once and not on a heap. */
import { NUMBERS } from './portable/arithmetic.ts';
import { ACTIVATIONS } from './specification/activations.ts';
import type { ActivationName, ActivationSpecification } from './specification/activations.ts';
import { BINARIES } from './specification/binaries.ts';

/** x -> activation(x), its parameters by name. */
export function activationOf(
  name: ActivationName,
  parameters: Readonly<Record<string, number>> = {},
): (x: number) => number {
  const { apply, defaults }: ActivationSpecification = ACTIVATIONS[name];
  const values = { ...defaults, ...parameters };
  return (x) => apply(NUMBERS, x, values);
}

/** (a, b) -> operation(a, b). */
export function binaryOf(name: keyof typeof BINARIES): (a: number, b: number) => number {
  const { apply } = BINARIES[name];
  return (a, b) => apply(NUMBERS, a, b);
}
