/**
 * Public entries: sub-path of the package -> source file. package.json lists the same; the package check compares the
 * two.
 */
export const entries = {
  index: 'src/index.ts',
  tensor: 'src/base/tensor.ts',
  kernels: 'src/kernels/index.ts',
  operators: 'src/operators/index.ts',
  network: 'src/network/index.ts',
  data: 'src/data/index.ts',
  importance: 'src/importance/index.ts',
  pruning: 'src/pruning/index.ts',
  quantization: 'src/quantization/index.ts',
  training: 'src/training/index.ts',
  compression: 'src/compression/index.ts',
  onnx: 'src/onnx/index.ts',
  tfjs: 'src/tfjs/index.ts',
  runtime: 'src/runtime/index.ts',
  ndarray: 'src/data/ndarray.ts',
  cli: 'src/cli/main.ts',
};
