/**
 * The VGG-like landmark network of the experiments: pairs of 3x3 convolutions, each pair followed by pooling, then
 * dense layers.
 */
import { ownOptions } from '../base/rules.ts';
import { NETWORK_NAMES, sequential } from './build.ts';
import type { NetworkOptions } from './build.ts';
import { relu } from './functions.ts';
import { affine, conv, dense, dropout, flatten, maxPool } from './layers.ts';
import type { Layer } from './layers.ts';
import { normalInitializer } from './initializers.ts';
import type { Network } from '../graph/network.ts';
import type { OutputUnit } from './unit.ts';

export interface VggOptions extends NetworkOptions {
  /** Height and width of the one-channel or three-channel input. Default 64. */
  side?: number;
  /** Default 1. */
  channels?: 1 | 3;
  /** Filters of each stage, two convolutions a stage. Default [32, 64, 128, 256]. */
  widths?: readonly number[];
  /** Units of the hidden dense layers. Default [1024]. */
  hidden?: readonly number[];
  /** Outputs. Default 136: 68 landmarks. */
  outputs?: number;
  /** Dropout behind each hidden dense layer. Default 0: none. */
  dropout?: number;
  /**
   * true: no pooling; the second convolution of a stage has stride 2 instead (the journal version's acceleration).
   * Default false.
   */
  strided?: boolean;
  /**
   * The last dense layer yields (y - shift) / scale, and a constant node brings that to the unit of the targets.
   * Default: no such node.
   */
  unit?: OutputUnit;
}

/**
 * Names: conv1_1, conv1_2, pool1, ..., flatten, dense1, ...; the output is the last dense layer, or with `unit` the
 * node 'output' behind it. Dense weights He normal, the last layer N(0, 0.01^2).
 */
export function vgg(given: VggOptions = {}): Network {
  const options = ownOptions('vgg', 'options', given, [
    ...NETWORK_NAMES,
    'side',
    'channels',
    'widths',
    'hidden',
    'outputs',
    'dropout',
    'strided',
    'unit',
  ]);
  const {
    side = 64,
    channels = 1,
    widths = [32, 64, 128, 256],
    hidden = [1024],
    outputs = 136,
    strided = false,
    unit,
    dropout: rate = 0,
    name = 'vgg',
    seed,
    preprocessing,
    task,
  } = options;
  const stages = widths.flatMap((width, i): Layer[] => [
    conv(width, 3, { name: `conv${i + 1}_1` }),
    relu({ name: `relu${i + 1}_1` }),
    conv(width, 3, { name: `conv${i + 1}_2`, stride: strided ? 2 : 1 }),
    relu({ name: `relu${i + 1}_2` }),
    ...(strided ? [] : [maxPool(2, { name: `pool${i + 1}` })]),
  ]);
  const denses = hidden.flatMap((units, i): Layer[] => [
    dense(units, { name: `dense${i + 1}` }),
    relu({ name: `relu_dense${i + 1}` }),
    ...(rate !== 0 ? [dropout(rate, { name: `dropout${i + 1}` })] : []),
  ]);
  const last = dense(outputs, { name: `dense${hidden.length + 1}`, initializer: normalInitializer(0.01) });
  const described: NetworkOptions = {
    name,
    ...(seed === undefined ? {} : { seed }),
    ...(preprocessing && { preprocessing }),
    ...(task && { task }),
  };
  return sequential({ ...described, input: [channels, side, side], inputName: 'image' }, [
    ...stages,
    flatten({ name: 'flatten' }),
    ...denses,
    last,
    ...(unit ? [affine(unit.scale, unit.shift, { name: 'output' })] : []),
  ]);
}
