/** Activations, forward and backward, by their formulas. */
import {
  ACTIVATION,
  ACTIVATION_GRADIENTS,
  ACTIVATIONS,
  FUSED_ACTIVATION,
  type ActivationName,
  type ActivationSpecification,
} from '../specification/activations.ts';
import { nameOf } from '../specification/codes.ts';
import type { KernelName, Kernels } from '../specification/kernels.ts';
import type { Heap } from '../types.ts';
import { NUMBERS } from './arithmetic.ts';

/** The function x -> activation(x) that a kernel applies on its way out. @throws {RangeError} unless the code is of one that fuses */
export function fusedActivation(who: KernelName, heap: Heap, code: number, parameters: number): (x: number) => number {
  return bind(nameOf(who, 'activation', FUSED_ACTIVATION, code), heap, parameters);
}

function bind(name: ActivationName, heap: Heap, parameters: number): (x: number) => number {
  const { apply } = ACTIVATIONS[name];
  const values = valuesOf(name, heap, parameters);
  return (x) => apply(NUMBERS, x, values);
}

/** Values of an activation's parameters, by name. */
function valuesOf(name: ActivationName, { float }: Heap, at: number): Record<string, number> {
  const { parameters }: ActivationSpecification = ACTIVATIONS[name];
  return Object.fromEntries(Object.keys(parameters).map((parameter, i) => [parameter, float[at + i]]));
}

export function activationForward(heap: Heap): Kernels['activationForward'] {
  const { float } = heap;
  return (_scratch, x, y, count, activation, parameters) => {
    const activate = bind(nameOf('activationForward', 'activation', ACTIVATION, activation), heap, parameters);
    for (let i = 0; i < count; i++) float[y + i] = activate(float[x + i]);
  };
}

export function activationBackward(heap: Heap): Kernels['activationBackward'] {
  const { float } = heap;
  return (_scratch, from, dy, dx, count, activation, parameters) => {
    const name = nameOf('activationBackward', 'activation', ACTIVATION, activation);
    const { derivative } = ACTIVATION_GRADIENTS[name];
    const values = valuesOf(name, heap, parameters);
    for (let i = 0; i < count; i++) float[dx + i] = float[dy + i] * derivative(NUMBERS, float[from + i], values);
  };
}
