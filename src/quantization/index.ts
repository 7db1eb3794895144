/** espalier/quantization: k-means, product quantization of matrices and networks, and the encodings that it makes. */
export { KMEANS_DEFAULTS, kmeans, kmeansAsync, type KMeansAsyncOptions, type KMeansIteration, type KMeansOptions, type KMeansResult } from './kmeans.ts';
export { MATRIX_DEFAULTS, encode, quantizeMatrix, quantizeMatrixAsync, reconstructionError, type MatrixAsyncOptions, type MatrixOptions, type MatrixReport } from './product.ts';
export { quantize, quantizeLayer, quantizeParameter, quantizeParameterAsync, type LayerOptions, type ParameterReport, type QuantizeOptions } from './network.ts';
export { roundCodebooks, roundEncoding, type RoundingReport } from './round.ts';
export {
  canonicalSigns, codeWidth, decode, denseEncoding, encodingSize, halfToNumber, numberToHalf, packCodes, packedBytes, pullback, readEncoding,
  trainedCount, trainedValues, unpackCodes, withTrainedValues, writeEncoding,
  type DenseEncoding, type Encoding, type EncodingHeader, type EncodingSize, type ProductBlock, type ProductEncoding, type StoredTensor,
} from '../encodings/index.ts';
