/** `espalier/onnx`: ONNX models in. */
export { evaluateOnnx, readOnnx } from './read.ts';
export type { OnnxModel, OnnxOptions } from './read.ts';
export type { SideFiles } from './external.ts';
export type { ElementArrays, ElementName, OnnxTensor } from './tensor.ts';
