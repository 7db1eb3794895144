import { number } from '../../base/rules.ts';
export const ACTIVATIONS = {
  none: { parameters: {}, defaults: {}, fuses: true },
  relu: { parameters: {}, defaults: {}, fuses: true },
  leakyRelu: { parameters: { slope: number(0, Infinity, 'from') }, defaults: { slope: 0.01 }, fuses: true },
  sigmoid: { parameters: {}, defaults: {}, fuses: false },
  tanh: { parameters: {}, defaults: {}, fuses: false },
};
export const ACTIVATION_GRADIENTS: Record<string, { reads: 'input' | 'output' }> = {
  relu: { reads: 'output' },
  leakyRelu: { reads: 'output' },
  sigmoid: { reads: 'output' },
  tanh: { reads: 'output' },
};
export const activationCode = (kind: string): number => Object.keys(ACTIVATIONS).indexOf(kind);
export type ActivationName = keyof typeof ACTIVATIONS;
