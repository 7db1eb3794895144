/**
 * Levels that move: behind each level of a scalar encoding lies a weight that is trained. The passes see it rounded, its
 * gradient is taken for that of the rounded one, and what is handed out is rounded (the straight-through estimator: Bengio,
 * Léonard, Courville, "Estimating or Propagating Gradients Through Stochastic Neurons", 2013, section 4; for weights
 * Jacob et al., CVPR 2018, section 3). Scales and zero points stay.
 */
import { decode, denseEncoding } from '../encodings/index.ts';
import { bitsOfLevels, encodeLevels, middle, nearestLevel } from '../encodings/kinds/scalar.ts';
import type { ScalarEncoding } from '../encodings/kinds/scalar.ts';
import type { Encoding } from '../encodings/types.ts';
import type { TrainingExecutor } from '../execution/types.ts';
import type { Network } from '../graph/network.ts';

type Encodings = ReadonlyMap<string, ScalarEncoding>;

/** The scalar encodings of a network that are not frozen, by parameter. */
export function movingLevels({ parameters }: Network, frozen: ReadonlySet<string>): Encodings {
  return new Map(
    [...parameters].flatMap(([name, encoding]) =>
      encoding.kind === 'scalar' && !frozen.has(name) ? [[name, encoding] as const] : [],
    ),
  );
}

/** The network with the weights behind the levels in their place. */
export function withoutLevels(network: Network, moving: Encodings): Network {
  return replaced(network, moving, ({ shape }, weights) => denseEncoding({ data: weights, shape }));
}

/** The network with the weights rounded, each to the level that is nearest. */
export function withLevels(network: Network, moving: Encodings): Network {
  return replaced(network, moving, (encoding, weights) => encodeLevels(weights, encoding.shape, encoding));
}

/** `store` makes an encoding of the weights that the network has now. */
function replaced(
  network: Network,
  moving: Encodings,
  store: (encoding: ScalarEncoding, weights: Float32Array) => Encoding,
): Network {
  if (moving.size === 0) return network;
  const parameters = new Map(network.parameters);
  for (const [name, encoding] of moving) parameters.set(name, store(encoding, decode(parameters.get(name)!)));
  return { ...network, parameters };
}

/** The weights of an executor that are rounded while a pass runs. Nothing is allocated after it is made. */
export interface Rounding {
  /** Puts rounded weights in the place of those that are trained, which are kept. */
  round(): void;
  /** Puts the trained ones back. */
  restore(): void;
  /**
   * After an update: takes weights towards levels that take fewer bits, as far as `rate` says, the learning rate times the
   * weight of the mean bits of a level; and brings those back that went further beyond the last level than half a step, from
   * where none returns.
   */
  settle(rate: number): void;
}

/** @param executor - of a network that {@link withoutLevels} made */
export function openRounding(executor: TrainingExecutor, moving: Encodings): Rounding {
  const weights = [...moving].map(([name, encoding]) => {
    const values = executor.values(name);
    const levels = 2 ** encoding.bits;
    return {
      encoding,
      values,
      kept: new Float32Array(values.length),
      counts: new Float64Array(levels),
      bits: new Float64Array(levels),
    };
  });
  const total = weights.reduce((sum, { values }) => sum + values.length, 0);
  return {
    round() {
      for (const { encoding, values, kept, counts } of weights) {
        kept.set(values);
        roundAll(values, encoding, counts);
      }
      executor.changed();
    },
    restore() {
      for (const { values, kept } of weights) values.set(kept);
      executor.changed();
    },
    settle(rate) {
      for (const { encoding, values, counts, bits } of weights) {
        if (rate > 0) {
          bitsOfLevels(counts, bits);
          shorten(values, encoding, bits, rate / total);
        }
        clampAll(values, encoding);
      }
      executor.changed();
    },
  };
}

/**
 * A step down the bits of each weight, straight between those of the levels beside it, in decoupled form: neither momentum nor
 * a limit of gradients takes part.
 */
function shorten(
  values: Float32Array | Float64Array,
  { bits: levelBits, scales, zeros }: ScalarEncoding,
  bits: Float64Array,
  rate: number,
): void {
  const length = values.length / scales.length;
  const last = bits.length - 2;
  for (let group = 0, i = 0; group < scales.length; group++) {
    const [scale, zero] = [scales[group], zeros ? zeros[group] : middle(levelBits)];
    for (const end = i + length; i < end; i++) {
      const below = Math.min(last, Math.max(0, Math.floor(values[i] / scale) + zero));
      values[i] -= (rate * (bits[below + 1] - bits[below])) / scale;
    }
  }
}

/** @param counts - how often each level stands, written */
function roundAll(
  values: Float32Array | Float64Array,
  { bits, scales, zeros }: ScalarEncoding,
  counts: Float64Array,
): void {
  const length = values.length / scales.length;
  counts.fill(0);
  for (let group = 0, i = 0; group < scales.length; group++) {
    const [scale, zero] = [scales[group], zeros ? zeros[group] : middle(bits)];
    for (const end = i + length; i < end; i++) {
      const level = nearestLevel(values[i], scale, zero, bits);
      counts[level]++;
      values[i] = (level - zero) * scale;
    }
  }
}

function clampAll(values: Float32Array | Float64Array, { bits, scales, zeros }: ScalarEncoding): void {
  const length = values.length / scales.length;
  for (let group = 0, i = 0; group < scales.length; group++) {
    const zero = zeros ? zeros[group] : middle(bits);
    const ends = [(-zero - 0.5) * scales[group], (2 ** bits - 1 - zero + 0.5) * scales[group]];
    const [least, most] = [Math.min(...ends), Math.max(...ends)];
    for (const end = i + length; i < end; i++) values[i] = Math.min(most, Math.max(least, values[i]));
  }
}
