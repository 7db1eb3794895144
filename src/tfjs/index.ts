/** `espalier/tfjs`: models of TensorFlow.js in. */
export { readTfjs, readTfjsWeights } from './read.ts';
export type { TfjsModel, TfjsOptions } from './read.ts';
export type { TfjsWeights } from './weights.ts';
