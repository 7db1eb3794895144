/** `espalier/onnx`: ONNX models in and out. */
export { isOnnx } from '../container/foreign.ts';
export { evaluateOnnx, readOnnx } from './read.ts';
export type { OnnxModel, OnnxOptions } from './read.ts';
export type { SideFiles } from './external.ts';
export type { ElementArrays, ElementName, OnnxTensor } from './tensor.ts';
export { writeOnnx } from './write.ts';
export type { OnnxWriteOptions } from './write.ts';
