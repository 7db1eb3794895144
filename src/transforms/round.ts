/** Codebooks in half precision: a step of its own in a schedule, so that saving never changes a network. */
import { roundToHalves, trainedValues, withTrainedValues } from '../encodings/index.ts';
import type { Encoding, ProductEncoding } from '../encodings/types.ts';
import type { Transform } from '../graph/transform.ts';

export interface RoundingReport {
  readonly parameter: string;
  /** 'float32': a codeword is beyond the largest half, 65504, so the codebooks of this parameter stay as they were. */
  readonly precision: 'float16' | 'float32';
  /** Largest change of a codeword coordinate. */
  readonly largestChange: number;
  /** |rounded - codewords| / |codewords|. */
  readonly relativeChange: number;
}

/**
 * The encoding with every codeword rounded to the nearest half, ties to even; undefined where one would become
 * infinite.
 */
export function roundEncoding(encoding: ProductEncoding): ProductEncoding | undefined {
  const rounded = roundToHalves(trainedValues(encoding));
  return rounded.every(Number.isFinite)
    ? { ...withTrainedValues(encoding, rounded), codewordPrecision: 'float16' }
    : undefined;
}

/**
 * Rounds the codebooks of all product-quantized parameters to half precision, which halves what they take in the file.
 * Report: `parameters`, a {@link RoundingReport} each.
 */
export function roundCodebooks(): Transform {
  return async (network) => {
    const parameters = new Map<string, Encoding>(network.parameters),
      reports: RoundingReport[] = [];
    for (const [parameter, encoding] of network.parameters) {
      if (encoding.kind !== 'product') continue;
      const rounded = roundEncoding(encoding);
      if (rounded) parameters.set(parameter, rounded);
      reports.push({
        parameter,
        precision: rounded ? 'float16' : 'float32',
        ...change(trainedValues(encoding), trainedValues(rounded ?? encoding)),
      });
    }
    return { network: { ...network, parameters }, report: { transform: 'roundCodebooks', parameters: reports } };
  };
}

function change(before: Float32Array, after: Float32Array): { largestChange: number; relativeChange: number } {
  let largestChange = 0,
    squares = 0,
    norm = 0;
  before.forEach((value, i) => {
    largestChange = Math.max(largestChange, Math.abs(after[i] - value));
    squares += (after[i] - value) ** 2;
    norm += value ** 2;
  });
  return { largestChange, relativeChange: squares === 0 ? 0 : Math.sqrt(squares / norm) };
}
