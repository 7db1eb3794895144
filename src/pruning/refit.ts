/**
 * Full least-squares repair: after channels went, each layer that hears of it gets the weights, over all its columns
 * (channels x taps), by which it answers as before. Source: He, Zhang, Sun, "Channel Pruning for Accelerating Very Deep
 * Neural Networks", ICCV 2017, from the first layer to the last, each from what the repaired layers before it give, with
 * the original's responses as targets.
 */
import { show } from '../base/errors.ts';
import { isDense } from '../encodings/index.ts';
import type { Network } from '../graph/network.ts';
import { outputsOf, parameterUsers } from '../graph/walk.ts';
import { refitWeights, REFIT_RIDGE } from '../importance/least-squares.ts';
import { momentsObstacle } from '../importance/moments.ts';
import type { MomentsMeter } from '../importance/moments.ts';
import { withBias } from '../network/bias.ts';
import { weightedLayers } from '../network/shapes.ts';

/** What was done to one layer. */
export interface RefitReport {
  readonly layer: string;
  readonly status: 'refitted' | 'left';
  /** Why it was left as it is. */
  readonly reason?: string;
}

/**
 * Refits the layers that hear of a change, first to last, so that each answers the `reference` as far as it still has the
 * outputs to.
 * @param meter - opened with the reference
 * @param rowsOf - by name of a layer: which rows of its weight in the reference are left; default: all
 * @throws {EspalierError} DATA, NONFINITE from the measurement; the signal's reason, if it is aborted
 */
export async function refitLayers(
  network: Network,
  reference: Network,
  meter: MomentsMeter,
  rowsOf: ReadonlyMap<string, ArrayLike<number>>,
  {
    ridge = REFIT_RIDGE,
    visit,
  }: { ridge?: number; visit?: (layer: string, index: number, count: number) => Promise<void> } = {},
): Promise<{ network: Network; reports: RefitReport[] }> {
  let result = network;
  const reports: RefitReport[] = [];
  const layers = listeners(network, reference);
  for (const [index, layer] of layers.entries()) {
    await visit?.(layer, index, layers.length);
    const obstacle = refitObstacle(result, layer);
    if (obstacle !== undefined) {
      reports.push({ layer, status: 'left', reason: obstacle });
      continue;
    }
    const weight = weightedLayers(result).find(({ name }) => name === layer)!.weight;
    const encoding = result.parameters.get(weight)!;
    if (!isDense(encoding)) continue;
    const rows = rowsOf.get(layer) ?? Int32Array.from({ length: encoding.shape[0] }, (_, o) => o);
    const moments = (await meter.measure(result, [{ node: layer, rows }])).get(layer)!;
    const { weights, bias } = refitWeights(encoding.data, moments, ridge);
    const parameters = new Map(result.parameters).set(weight, { ...encoding, data: Float32Array.from(weights) });
    result = withBias({ ...result, parameters }, layer, bias);
    reports.push({ layer, status: 'refitted' });
  }
  return { network: result, reports };
}

/**
 * Layers of the reference with a weight that are applied to what is not what it was, or elsewhere than they were, in
 * topological order.
 */
function listeners(network: Network, reference: Network): string[] {
  const before = new Map(reference.nodes.map((node) => [node.name, node]));
  const layers = new Set(weightedLayers(network).map(({ name }) => name));
  const changed = new Set<string>();
  return network.nodes.flatMap((node) => {
    const hears = node.inputs.some(
      (name) => changed.has(name) || network.parameters.get(name) !== reference.parameters.get(name),
    );
    const own = Object.values(node.parameters).some(
      (name) => name !== undefined && network.parameters.get(name) !== reference.parameters.get(name),
    );
    const known = before.get(node.name);
    const moved =
      known !== undefined &&
      (JSON.stringify(known.attributes) !== JSON.stringify(node.attributes) ||
        node.inputs.some((name, i) => name !== known.inputs[i]));
    if (hears || own || moved || known === undefined) for (const name of outputsOf(node)) changed.add(name);
    return (hears || moved) && known !== undefined && layers.has(node.name) ? [node.name] : [];
  });
}

function refitObstacle(network: Network, layer: string): string | undefined {
  const node = network.nodes.find(({ name }) => name === layer)!;
  const users = parameterUsers(network);
  for (const role of ['weight', 'bias'] as const) {
    const name = node.parameters[role];
    if (name === undefined) continue;
    const all = users.get(name) ?? [];
    if (all.length > 1) return `its ${role} ${show(name)} is shared by ${all.map(show).join(', ')}`;
    const encoding = network.parameters.get(name);
    if (!isDense(encoding)) return `its ${role} ${show(name)} is ${encoding?.kind}-encoded`;
  }
  return momentsObstacle(network, layer);
}
