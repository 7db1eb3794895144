/** Trained values in half precision: a step of its own in a schedule, so that saving never changes a network. */
import { square } from '../base/elementary.ts';
import { ownOptions } from '../base/rules.ts';
import { encodingOperations, isDense, trainedValues } from '../encodings/index.ts';
import type { Encoding } from '../encodings/types.ts';
import type { Transform } from '../graph/transform.ts';

export interface RoundingReport {
  readonly parameter: string;
  /** 'float32': halves cannot hold a value, whatever power of two they are multiplied by, so the parameter stays as it was. */
  readonly precision: 'float16' | 'float32';
  /** Largest change of a value. */
  readonly largestChange: number;
  /** |rounded - values| / |values|. */
  readonly relativeChange: number;
}

/**
 * The encoding with every codeword rounded to the nearest half, ties to even; undefined where one would become
 * infinite, and where the kind of encoding stores no halves.
 */
export function roundEncoding<E extends Encoding>(encoding: E): E | undefined {
  return encodingOperations(encoding.kind).toHalves?.(encoding) as E | undefined;
}

export interface RoundingOptions {
  /**
   * Also numbers that are not codewords: biases, statistics, the weights of layers that stayed dense, and those that
   * sparse ones keep. Default false.
   */
  readonly dense?: boolean;
}

/**
 * Rounds the codebooks of all parameters whose encoding can store halves to half precision, which halves what they take
 * in the file. Every number keeps 11 bits if it is within 2^29 of the largest of its codebook or parameter. Report:
 * `parameters`, a {@link RoundingReport} each.
 */
export function roundCodebooks(options: RoundingOptions = {}): Transform {
  const { dense = false } = ownOptions('roundCodebooks', 'options', options, ['dense']);
  return async (network) => {
    const parameters = new Map<string, Encoding>(network.parameters);
    const reports: RoundingReport[] = [];
    for (const [parameter, encoding] of network.parameters) {
      if (!encodingOperations(encoding.kind).toHalves || (holdsWeights(encoding) && !dense)) continue;
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

/** Whether what is trained are weights, not codewords. */
function holdsWeights(encoding: Encoding): boolean {
  return isDense(encoding) || (encoding.kind === 'sparse' && isDense(encoding.values));
}

function change(before: Float32Array, after: Float32Array): { largestChange: number; relativeChange: number } {
  let largestChange = 0;
  let squares = 0;
  let norm = 0;
  before.forEach((value, i) => {
    largestChange = Math.max(largestChange, Math.abs(after[i] - value));
    squares += square(after[i] - value);
    norm += square(value);
  });
  return { largestChange, relativeChange: squares === 0 ? 0 : Math.sqrt(squares / norm) };
}
