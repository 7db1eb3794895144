/** espalier/quantization: k-means, product quantization of matrices and networks, and the encodings that it makes. */
export {
  KMEANS_DEFAULTS,
  kmeans,
  kmeansAsync,
  type KMeansAsyncOptions,
  type KMeansIteration,
  type KMeansOptions,
  type KMeansResult,
} from './kmeans.ts';
export {
  MATRIX_DEFAULTS,
  encode,
  quantizeMatrix,
  quantizeMatrixAsync,
  type MatrixAsyncOptions,
  type MatrixOptions,
  type MatrixReport,
} from './quantizers/product.ts';
export { reconstructionError } from './matrix.ts';
export type { FitContext, FitReport, Quantizer } from './quantizer.ts';
export {
  DEFAULT_QUANTIZER,
  QUANTIZER_NAMES,
  QUANTIZERS,
  quantizerOf,
  resolveQuantizer,
  type QuantizerName,
  type QuantizerSettings,
  type ResolvedQuantizer,
} from './settings.ts';
export {
  describeParameter,
  FEEDBACKS,
  quantize,
  quantizeLayer,
  quantizeParameterAsync,
  type Feedback,
  type LayerOptions,
  type ParameterOptions,
  type ParameterReport,
  type QuantizeOptions,
} from './network.ts';
export { readEncodings, writeEncodings, type ReadEncodingsOptions } from './files.ts';
export { nearestRows, recall, type NearestRows } from './search.ts';
export { roundCodebooks, roundEncoding, type RoundingOptions, type RoundingReport } from './round.ts';
export {
  canonicalSigns,
  codeWidth,
  decode,
  denseEncoding,
  encodingSize,
  halfToNumber,
  numberToHalf,
  packCodes,
  packedBytes,
  pullback,
  readEncoding,
  trainedCount,
  trainedValues,
  unpackCodes,
  withTrainedValues,
  writeEncoding,
  type Encoding,
  type EncodingHeader,
  type EncodingSize,
  type StoredTensor,
} from '../encodings/index.ts';
export type * from '../encodings/kinds.generated.ts';
