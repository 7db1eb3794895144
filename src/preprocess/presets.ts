/** The ways in which most published models want their pictures, by name. */
import { checkOneOf, EspalierError } from '../base/errors.ts';
import { ownOptions } from '../base/rules.ts';
import { checkShape } from '../base/tensor.ts';
import type { Shape } from '../base/tensor.ts';
import type { Preprocessing } from '../graph/preprocessing.ts';

/** Of torchvision's models, in RGB after scaling to 0 ... 1. */
const IMAGENET = { mean: [0.485, 0.456, 0.406], deviation: [0.229, 0.224, 0.225] };

/**
 * - 'imagenet': (x / 255 - mean) / deviation with the means and deviations of ImageNet's colours, as torchvision's models.
 * - '0..1': x / 255. '-1..1': x / 127.5 - 1. '0..255': as the pixels are.
 */
export const PREPROCESSING_PRESETS = ['imagenet', '0..1', '-1..1', '0..255'] as const;
export type PreprocessingPreset = (typeof PREPROCESSING_PRESETS)[number];

export interface PresetChoices {
  /** Default 'RGB'. */
  order?: 'RGB' | 'BGR' | undefined;
}

/**
 * A preprocessing by name, for a network's input: (channels, height, width), or (height, width, channels) as networks from
 * TensorFlow have it, with 1 or 3 channels. Pictures are resized by the bilinear filter, to the input's size, whatever their
 * aspect.
 * @throws {RangeError} for another name
 * @throws {EspalierError} SHAPE for an input that is no picture, or grey where the preset is of colours
 * @example
 * import { presetPreprocessing } from 'espalier/data';
 * const preprocessing = presetPreprocessing('imagenet', network.inputs[0].shape);
 */
export function presetPreprocessing(
  name: PreprocessingPreset,
  shape: Shape,
  choices: PresetChoices = {},
): Preprocessing {
  const who = 'presetPreprocessing';
  checkOneOf(who, 'name', name, PREPROCESSING_PRESETS);
  checkShape(who, 'shape', shape);
  const { order = 'RGB' } = ownOptions(who, 'choices', choices, ['order']);
  checkOneOf(who, 'choices.order', order, ['RGB', 'BGR']);
  const isPicture = (channels: number | undefined): channels is 1 | 3 => channels === 1 || channels === 3;
  const layout = isPicture(shape[0]) ? 'first' : 'last';
  const [channels, height, width] = layout === 'first' ? shape : [shape[2], shape[0], shape[1]];
  const bad = (problem: string): EspalierError =>
    new EspalierError('SHAPE', `${who}: ${problem}`, { name: 'shape', found: shape });
  if (shape.length !== 3 || !isPicture(channels))
    throw bad(
      `the input [${shape.join(', ')}] is no picture: expected [1 or 3, height, width] or [height, width, 1 or 3]; give such inputs as they are, in arrays`,
    );
  if (channels === 1 && (name === 'imagenet' || order === 'BGR'))
    throw bad(
      `${name === 'imagenet' ? 'imagenet' : 'BGR'} is of three channels, the input has one; take 0..1, -1..1 or 0..255, or say it in full`,
    );
  const ordered = (values: readonly number[]): readonly number[] => (order === 'BGR' ? [...values].reverse() : values);
  const same = (value: number): number[] => Array.from({ length: channels }, () => value);
  return {
    width,
    height,
    channels,
    ...(order === 'BGR' && { order }),
    ...(layout === 'last' && { layout }),
    filter: 'bilinear',
    scale: name === '0..255' ? 1 : 1 / 255,
    standardize:
      name === 'imagenet'
        ? { kind: 'fixed', mean: ordered(IMAGENET.mean), deviation: ordered(IMAGENET.deviation) }
        : name === '-1..1'
          ? { kind: 'fixed', mean: same(0.5), deviation: same(0.5) }
          : { kind: 'none' },
  };
}
