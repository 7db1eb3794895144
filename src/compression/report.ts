/** What a compression did, as plain data: the stages as they went, and the layers before and after. */
import { describeEncoding, encodingSize, isDense } from '../encodings/index.ts';
import type { Encoding, EncodingSize } from '../encodings/types.ts';
import type { Network } from '../graph/network.ts';
import { parametersOf } from '../graph/walk.ts';
import { findGroups } from '../pruning/index.ts';
import { nodeCosts, weightedLayers } from '../network/shapes.ts';
import type { Shape } from '../base/tensor.ts';
import type { Yardstick } from './judge.ts';
import { milder } from './options.ts';
import type { CompressSettings, LayerPlan } from './options.ts';
import type { StageReport, StepReport } from './stage.ts';

/** A node with parameters. Bytes are those of its parameters as stored, without headers. */
export interface LayerReport {
  readonly name: string;
  readonly kind: string;
  readonly before: LayerState;
  readonly after: LayerState;
}

export interface LayerState {
  /** Weight's shape; empty where there is none. */
  readonly shape: Shape;
  /** Trained parameters. */
  readonly parameters: number;
  /** Per sample. */
  readonly multiplyAdds: number;
  readonly bytes: number;
  /** 'dense', or '256 codewords of 4, signs apart': {@link describeEncoding}. */
  readonly encoding: string;
}

/** A layer's setting, and what came of it. */
export interface PlanReport {
  readonly layer: string;
  readonly asked: LayerPlan;
  readonly got: {
    /** Share of its neurons that stayed. */
    readonly keep: number;
    readonly quantize: boolean;
    /** Options of the quantizer as they were in the try that stayed. */
    readonly options: LayerPlan['options'];
    /** Number of that try: above 0 where its step was tried milder. */
    readonly attempt: number;
  };
}

export interface CompressionReport {
  readonly bytes: number;
  /** The smaller of 4 bytes per trained parameter and the bytes as given. */
  readonly originalBytes: number;
  readonly ratio: number;
  /**
   * Bytes of the compressed file by content, as they lie in a plain file; `rest` is header, graph and padding, and `packing`,
   * of a packed file alone, what that takes off, below 0. Together they are the file.
   */
  readonly split: {
    readonly codes: number;
    readonly signs: number;
    readonly codebooks: number;
    readonly values: number;
    readonly rest: number;
    readonly packing?: number;
  };
  readonly parameters: { readonly before: number; readonly after: number };
  readonly multiplyAdds: { readonly before: number; readonly after: number };
  /**
   * Validation metric, before and after, and what it is. NaN and 'none' without data: unknown. In words:
   * `describeValidation`.
   */
  readonly validation: { readonly before: number; readonly after: number; readonly yardstick: Yardstick };
  /** What the whole was allowed to cost, as the option says; absent: anything. */
  readonly tolerance?: number;
  readonly layers: readonly LayerReport[];
  /** What was asked of each layer that can be compressed, and what became of it. In words: `describePlan`. */
  readonly plans: readonly PlanReport[];
  /** The steps that were judged, in order. */
  readonly steps: readonly StepReport[];
  readonly stages: readonly StageReport[];
}

/** Bytes of a parameter by content: each part is a tensor of whole bytes in the file. */
function storedBytes(encoding: Encoding): Record<keyof EncodingSize, number> {
  const { codes, signs, codebooks, values } = encodingSize(encoding);
  const parts = { codes: bytes(codes), signs: bytes(signs), codebooks: bytes(codebooks), values: bytes(values) };
  return { ...parts, total: parts.codes + parts.signs + parts.codebooks + parts.values };
}

const bytes = (bits: number): number => Math.ceil(bits / 8);

function layerStates(network: Network): Map<string, LayerState & { kind: string }> {
  const states = new Map<string, LayerState & { kind: string }>();
  const counted = new Set<string>();
  nodeCosts(network).forEach((cost, i) => {
    const node = network.nodes[i];
    let stored = 0;
    for (const name of parametersOf(node)) {
      const encoding = network.parameters.get(name);
      if (!encoding || counted.has(name)) continue;
      counted.add(name);
      stored += storedBytes(encoding).total;
    }
    const weight = network.parameters.get(node.parameters.weight ?? '');
    states.set(node.name, {
      kind: node.kind,
      shape: weight?.shape ?? [],
      parameters: cost.parameters,
      multiplyAdds: cost.multiplyAdds,
      bytes: stored,
      encoding: weight ? describeEncoding(weight) : '',
    });
  });
  return states;
}

/** Layers with parameters, side by side. */
export function compareLayers(before: Network, after: Network): LayerReport[] {
  const now = layerStates(after);
  return [...layerStates(before)].flatMap(([name, { kind, ...state }]) => {
    const found = now.get(name);
    if (state.bytes === 0 || !found) return [];
    const { kind: _kind, ...rest } = found;
    return [{ name, kind, before: state, after: rest }];
  });
}

/** What was asked of the layers beside what they are now, in the order of the network. */
export function comparePlans(
  before: Network,
  after: Network,
  { layers: plans }: CompressSettings,
  steps: readonly StepReport[],
): PlanReport[] {
  const weights = new Map(weightedLayers(after).map(({ name, weight }) => [name, weight]));
  // A share for all is asked of those whose neurons can go: not of the output, nor of what is joined to it.
  const removable = new Set(findGroups(before).flatMap(({ prunable, producers }) => (prunable ? producers : [])));
  return weightedLayers(before).flatMap(({ name, weight }): PlanReport[] => {
    const plan = plans.get(name);
    const asked = plan && (plan.keepIsOwn || removable.has(name) ? plan : { ...plan, keep: 1 });
    const now = after.parameters.get(weights.get(name) ?? '');
    if (!asked || !now) return [];
    // The step of a layer is the first that names it; the last, of rounding, names all.
    const attempt = steps.find(({ layers }) => layers.includes(name))?.kept ?? 0;
    const keep = now.shape[0] / before.parameters.get(weight)!.shape[0];
    return [
      { layer: name, asked, got: { keep, quantize: !isDense(now), options: milder(asked, attempt).options, attempt } },
    ];
  });
}

/**
 * Bytes by content over all parameters, and what the file has besides.
 * @param plainBytes - of the file were it not packed; default: it is not
 */
export function splitBytes(network: Network, fileBytes: number, plainBytes = fileBytes): CompressionReport['split'] {
  const split = { codes: 0, signs: 0, codebooks: 0, values: 0, rest: plainBytes };
  for (const encoding of network.parameters.values()) {
    const { codes, signs, codebooks, values, total } = storedBytes(encoding);
    split.codes += codes;
    split.signs += signs;
    split.codebooks += codebooks;
    split.values += values;
    split.rest -= total;
  }
  return plainBytes > fileBytes ? { ...split, packing: fileBytes - plainBytes } : split;
}
