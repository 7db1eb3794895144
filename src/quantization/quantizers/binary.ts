/**
 * Binary weights: the sign of each, times a scale that is best in squared error, the mean of the magnitudes (Rastegari et
 * al., "XNOR-Net", ECCV 2016, section 3.1; Courbariaux et al., "Binarized neural networks", NIPS 2016, have none). With an
 * importance it is their weighted mean. Fitted without training it loses most of what a network knows: to be retrained.
 */
import { choice } from '../../base/rules.ts';
import { createRunControl } from '../../base/control.ts';
import { matrixSides } from '../../encodings/checks.ts';
import { binaryOperations, binarySize, binaryWords, type BinaryEncoding } from '../../encodings/kinds/binary.ts';
import { columnImportance, feedRows, prepareFeedback, type Choose } from '../feedback.ts';
import { checkImportance, checkMatrix, fitReport } from '../matrix.ts';
import { packSigns } from '../subvectors.ts';
import type { FitReport, Quantizer } from '../quantizer.ts';

export interface BinaryReport extends FitReport {
  readonly scales: number;
}

const OPTIONS = { magnitudes: choice('channel', 'layer') };

/** Signs and scales; see the head of this file. */
export const binaryQuantizer: Quantizer<typeof OPTIONS, BinaryEncoding, BinaryReport> = {
  kind: 'binary',
  options: OPTIONS,
  defaults: { magnitudes: 'channel' },
  words: { magnitudes: 'a magnitude per output channel, or one for the layer' },
  /** A scale per channel. */
  milder: (options) => ({ ...options, magnitudes: 'channel' }),
  estimateBits(shape, { magnitudes }) {
    const { rows, columns } = matrixSides(shape);
    return binarySize(rows * columns, magnitudes === 'layer' ? 1 : rows).total;
  },
  async fit(matrix, { magnitudes }, { signal, importance: given, moments }) {
    const values = checkMatrix('binaryQuantizer', matrix);
    const { data, shape } = values;
    const [rows, columns] = shape;
    const feedback = moments && prepareFeedback(moments, columns);
    const weights = given ?? (feedback && columnImportance(feedback, rows));
    const importance = checkImportance('binaryQuantizer', weights, values);
    const control = createRunControl(signal ? { signal } : {});
    control.check();
    const groups = magnitudes === 'layer' ? 1 : rows;
    const length = data.length / groups;
    const weightOf = (i: number): number =>
      importance ? importance.data[importance.shape.length === 1 ? i % columns : i] : 1;
    const scales = Float32Array.from({ length: groups }, (_, group) => {
      let sum = 0;
      let plain = 0;
      let weight = 0;
      for (let i = group * length; i < (group + 1) * length; i++) {
        sum += weightOf(i) * Math.abs(data[i]);
        plain += Math.abs(data[i]);
        weight += weightOf(i);
      }
      return weight > 0 ? sum / weight : plain / length;
    });
    const signsOf = (of: Float32Array): Uint8Array =>
      packSigns({ data: of, shape }, { first: 0, subspaceCount: 1, subvectorLength: columns });
    let encoding: BinaryEncoding = { kind: 'binary', shape, signs: signsOf(data), scales };
    if (feedback) {
      const decoded = binaryOperations.decode(encoding);
      const chosen = data.slice();
      const cuts = Array.from({ length: columns }, (_, first) => ({ first, count: 1 }));
      const choose: Choose = (row, j, [carried], taken, factor) => {
        const aimed = data[row * columns + j] + carried / factor[j * columns + j];
        const scale = scales[groups === 1 ? 0 : row];
        taken[j] = aimed < 0 ? -scale : scale;
      };
      const keep = (row: number, kept: Float64Array): void => chosen.set(kept, row * columns);
      await feedRows(values, feedback, cuts, decoded, choose, keep, control);
      encoding = { ...encoding, signs: signsOf(chosen) };
    }
    return { encoding, report: { ...fitReport(values, encoding), scales: groups } };
  },
  describe: ({ scales }) => binaryWords(scales),
};
