/** `espalier/network`: networks as plain data, builders, initializers, shapes and costs. */
export type * from '../graph/network.ts';
export type * from '../graph/preprocessing.ts';
export type * from '../graph/examples.ts';
export {
  add,
  affine,
  averagePool,
  batchNorm,
  concat,
  conv,
  dense,
  dropout,
  flatten,
  globalAveragePool,
  graph,
  leakyRelu,
  maxPool,
  relu,
  sequential,
  sigmoid,
  softmax,
  tanh,
} from './build.ts';
export type {
  ConvOptions,
  GraphBuilder,
  Layer,
  NamedOptions,
  NetworkOptions,
  PoolOptions,
  WeightOptions,
} from './build.ts';
export { constantInitializer, glorotUniform, heNormal, normalInitializer } from './initializers.ts';
export type { Initializer } from './initializers.ts';
export { vgg } from './vgg.ts';
export type { VggOptions } from './vgg.ts';
export { inferShapes, multiplyAdds, nodeCosts, parameterCount } from '../operators/shapes.ts';
export type { NodeCost } from '../operators/shapes.ts';
export { plainWeights, readPlain, withWeights } from './plain.ts';
export type { PlainOptions } from './plain.ts';
export { readNetwork } from './read.ts';
export type { ReadOptions } from './read.ts';
export { withOutputUnit } from '../transforms/unit.ts';
export type { OutputUnit } from '../transforms/unit.ts';
export { writeNetwork } from './write.ts';
export type { WriteOptions } from './write.ts';
