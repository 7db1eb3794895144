/**
 * Which neurons stay and how each layer is stored, so that the outputs lose least for so many bytes. For a price per byte each
 * choice is made for itself (Everett, "Generalized Lagrange multiplier method", Operations Research, 1963; Shoham, Gersho,
 * "Efficient bit allocation for an arbitrary set of quantizers", IEEE ASSP, 1988), and the price is found by bisection. Layers
 * are tied where one reads what another yields: bytes are the product of both shares, so choices go round until none changes.
 */
import { exp } from '../base/elementary.ts';
import type { QuantizerSettings } from '../quantization/index.ts';

/** Neurons that can go together. */
export interface GroupSensitivity {
  /** Of its first producer. */
  readonly name: string;
  readonly producers: readonly string[];
  readonly channels: number;
}

/** A way to store a layer's weights, and what it costs. */
export interface SettingSensitivity {
  /** undefined: the weights stay dense, in halves. */
  readonly setting: QuantizerSettings | undefined;
  readonly bitsPerWeight: number;
  /** Bytes whatever the number of weights: codebooks, scales. */
  readonly fixedBytes: number;
  /**
   * (channels + 1) of the group that the layer reads (1 where it reads none): squared error of the outputs, in units of their
   * spread, when so many stay.
   */
  readonly noise: readonly number[];
}

export interface LayerSensitivity {
  readonly name: string;
  /** Rows and columns of its weight matrix. */
  readonly rows: number;
  readonly columns: number;
  /** Group whose channels its rows are, and the one that it reads; undefined: nothing of it can go. */
  readonly yields: string | undefined;
  readonly reads: string | undefined;
  /** Columns that are read from that group; the others stay. */
  readonly cut: number;
  /** As `noise`: what is lost with the channels that go. */
  readonly lost: readonly number[];
  readonly settings: readonly SettingSensitivity[];
}

/** What choices cost, as `measureSensitivity` finds it. */
export interface Sensitivity {
  readonly groups: readonly GroupSensitivity[];
  readonly layers: readonly LayerSensitivity[];
}

/** What is chosen. */
export interface Allocation {
  /** By name of a group: how many of its channels stay. */
  readonly kept: ReadonlyMap<string, number>;
  /** By name of a layer: how it is stored. */
  readonly settings: ReadonlyMap<string, SettingSensitivity>;
  /** As estimated: of weights and biases, and squared error of the outputs in units of their spread. */
  readonly bytes: number;
  readonly damage: number;
}

export interface AllocateOptions {
  /** What a lost neuron's damage counts beside that of coarser weights. Default 1. */
  readonly pruning?: number;
  /** Shares of channels that are weighed. Default {@link SHARES}. */
  readonly shares?: readonly number[];
}

/** Shares of a group's channels that are weighed. */
export const SHARES: readonly number[] = [
  ...[1, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.5, 0.45, 0.4, 0.35, 0.3, 0.25, 0.2, 0.17, 0.14, 0.12, 0.1],
];

/** Of a bias or a scale that is stored in halves. */
const BYTES_OF_VALUE = 2;
const BISECTIONS = 40;
const MOST_ROUNDS = 50;

/**
 * The allocation of least damage that takes at most `budget` bytes, among those that are best for some price; where none
 * takes so few, the smallest.
 */
export function allocate(sensitivity: Sensitivity, budget: number, options: AllocateOptions = {}): Allocation {
  let [low, high] = [-60, 40];
  let best = atPrice(sensitivity, exp(high * Math.LN2), options);
  for (let i = 0; i < BISECTIONS && best.bytes <= budget; i++) {
    const middle = (low + high) / 2;
    const found = atPrice(sensitivity, exp(middle * Math.LN2), options);
    if (found.bytes <= budget) {
      high = middle;
      if (found.damage <= best.damage) best = found;
    } else low = middle;
  }
  return best;
}

/**
 * The least of damage + price x bytes. Exact where no layer reads what another yields; else the best of two starts, from
 * which no single choice can be bettered.
 */
export function atPrice(sensitivity: Sensitivity, price: number, options: AllocateOptions = {}): Allocation {
  const starts = [1, 0].map((share) => descend(sensitivity, price, share, options));
  return starts.reduce((a, b) => (b.cost < a.cost ? b : a)).allocation;
}

function descend(
  { groups, layers }: Sensitivity,
  price: number,
  start: number,
  { pruning = 1, shares = SHARES }: AllocateOptions,
): { readonly allocation: Allocation; readonly cost: number } {
  const channels = new Map(groups.map(({ name, channels: count }) => [name, count]));
  const kept = new Map(
    groups.map(({ name, channels: count }) => [name, start === 1 ? count : keptOf(count, Math.min(...shares))]),
  );
  const chosen = new Map(layers.map((layer) => [layer.name, layer.settings[0]]));
  const costOf = (layer: LayerSensitivity, setting: SettingSensitivity): number =>
    damageOf(layer, setting, kept, pruning) + price * bytesOf(layer, setting, kept, channels);
  for (let round = 0, changed = true; changed && round < MOST_ROUNDS; round++) {
    changed = false;
    for (const layer of layers) {
      const best = leastOf(layer.settings, (setting) => costOf(layer, setting));
      if (best === chosen.get(layer.name)) continue;
      chosen.set(layer.name, best);
      changed = true;
    }
    for (const { name, channels: count } of groups) {
      const now = kept.get(name)!;
      const touched = layers.filter(({ reads, yields }) => reads === name || yields === name);
      const best = leastOf([...new Set(shares.map((share) => keptOf(count, share)))], (number) => {
        kept.set(name, number);
        // The settings follow, or a group would never move away from the ones that were chosen for it as it was.
        return touched.reduce(
          (sum, layer) => sum + Math.min(...layer.settings.map((setting) => costOf(layer, setting))),
          0,
        );
      });
      kept.set(name, best);
      if (best !== now) changed = true;
    }
  }
  let [bytes, damage] = [0, 0];
  for (const layer of layers) {
    bytes += bytesOf(layer, chosen.get(layer.name)!, kept, channels);
    damage += damageOf(layer, chosen.get(layer.name)!, kept, pruning);
  }
  return { allocation: { kept, settings: chosen, bytes, damage }, cost: damage + price * bytes };
}

/** Channels of so many that stay. */
export const keptOf = (channels: number, share: number): number => Math.max(1, Math.round(share * channels));

function damageOf(
  { reads, lost }: LayerSensitivity,
  { noise }: SettingSensitivity,
  kept: ReadonlyMap<string, number>,
  pruning: number,
): number {
  const place = reads === undefined ? lost.length - 1 : (kept.get(reads) ?? lost.length - 1);
  return pruning * lost[place] + noise[place];
}

function bytesOf(
  { rows, columns, cut, reads, yields }: LayerSensitivity,
  { bitsPerWeight, fixedBytes }: SettingSensitivity,
  kept: ReadonlyMap<string, number>,
  channels: ReadonlyMap<string, number>,
): number {
  const share = (name: string | undefined): number =>
    name === undefined ? 1 : (kept.get(name) ?? 1) / (channels.get(name) ?? 1);
  const left = share(yields) * rows;
  return (left * (columns - cut + share(reads) * cut) * bitsPerWeight) / 8 + fixedBytes + BYTES_OF_VALUE * left;
}

/** The first of the least. */
function leastOf<T>(choices: readonly T[], costOf: (choice: T) => number): T {
  let [best, least] = [choices[0], Infinity];
  for (const choice of choices) {
    const cost = costOf(choice);
    if (cost < least) [best, least] = [choice, cost];
  }
  return best;
}
