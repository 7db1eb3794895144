/**
 * Pooling removed, the stride of the convolution before it raised: a quarter of that convolution's multiply-adds for a pool of
 * 2 x 2. Source: Zeng, Zhao, Bao, Cognitive Computation 10(2), 2018 (all pooling layers of their network, before retraining);
 * Springenberg et al., "Striving for Simplicity", 2015. The repair is ours, and needs no labels: the convolution is fitted
 * by least squares to the pool of what it answered at all places, the layers behind it to what they answered before.
 */
import { createRunControl } from '../base/control.ts';
import { EspalierError, show } from '../base/errors.ts';
import { ownOptions } from '../base/rules.ts';
import { checkNetwork } from '../graph/check.ts';
import type { GivenContext } from '../graph/context.ts';
import { freshName, namesIn, namesOf } from '../graph/names.ts';
import type { Network, Node } from '../graph/network.ts';
import type { Transform, TransformReport } from '../graph/transform.ts';
import { consumersOf, outputsOf, producersOf } from '../graph/walk.ts';
import { REFIT_RIDGE } from '../importance/least-squares.ts';
import { openMoments } from '../importance/moments.ts';
import type { MomentsOptions } from '../importance/moments.ts';
import { inferShapes, nodeCosts } from '../network/shapes.ts';
import { operatorOf } from '../operators/table.ts';
import { refitLayers } from './refit.ts';
import type { RefitReport } from './refit.ts';

export interface PoolToStrideOptions extends Pick<MomentsOptions, 'samples' | 'positions' | 'batch'> {
  /** Names of pooling nodes. Default: all that can go; the others are told of in the report. */
  pools?: readonly string[];
  /** Least-squares repair. Default: where the context has a training set (labels are not read). */
  refit?: boolean;
  /** Of the refit. Default {@link REFIT_RIDGE}. */
  ridge?: number;
}

export interface PoolToStrideReport extends TransformReport {
  readonly transform: 'poolToStride';
  readonly replaced: readonly { readonly pool: string; readonly conv: string; readonly stride: readonly number[] }[];
  readonly skipped: readonly { readonly pool: string; readonly reason: string }[];
  /** What was refitted, and what was not, with the reason; only with `refit`. */
  readonly refitted?: readonly RefitReport[];
  /** Per sample. */
  readonly multiplyAddsBefore: number;
  readonly multiplyAddsAfter: number;
}

interface Pool {
  readonly size: readonly number[];
  readonly stride: readonly number[];
  readonly padding: readonly number[];
  readonly dilation?: readonly number[];
}
interface Convolution {
  readonly stride: readonly number[];
  readonly padding: readonly number[];
  readonly dilation: readonly number[];
}

/** One pool with what is to become of its convolution. */
interface Step {
  readonly pool: Node;
  readonly conv: Node;
  readonly attributes: Node['attributes'];
}

/**
 * Takes pools away and raises the stride of the convolutions before them. Shapes stay as they are: each output of the
 * convolution is computed where the middle of the pool's window was, as far as its padding lets it, and padding
 * makes up for what is left over at the end.
 *
 * Between convolution and pool there may be what works element by element (activations, normalization, dropout).
 * @returns a {@link Transform}; its report is a {@link PoolToStrideReport}
 * @throws {EspalierError} (from the transform) COUPLING if a named pool cannot go, with the reason; DATA from the measurement
 * @example
 * import { poolToStride } from 'espalier/pruning';
 * const { network: faster } = await poolToStride()(network, { training });
 */
export function poolToStride(
  given: PoolToStrideOptions = {},
): (network: Network, context: GivenContext) => Promise<{ network: Network; report: PoolToStrideReport }> {
  const options = ownOptions('poolToStride', 'options', given, [
    'pools',
    'refit',
    'ridge',
    'samples',
    'positions',
    'batch',
  ]);
  const step = async (
    network: Network,
    context: GivenContext,
  ): Promise<{ network: Network; report: PoolToStrideReport }> => {
    checkNetwork('poolToStride', 'network', network);
    const control = createRunControl(context);
    const steps: Step[] = [];
    const skipped: { pool: string; reason: string }[] = [];
    for (const pool of poolsOf(network, options.pools)) {
      const planned = planStep(network, pool);
      if (typeof planned !== 'string') steps.push(planned);
      else if (options.pools === undefined) skipped.push({ pool: pool.name, reason: planned });
      else
        throw new EspalierError('COUPLING', `poolToStride: ${show(pool.name)} cannot go: ${planned}`, {
          name: pool.name,
        });
    }
    let result = steps.reduce(withoutPool, network);
    let refitted: RefitReport[] | undefined;
    if ((options.refit ?? context.training !== undefined) && steps.length > 0) {
      const { reference, targets } = withTargets(network, steps);
      const { samples, positions, batch } = options;
      const meter = await openMoments('poolToStride', reference, context, {
        ...(samples !== undefined && { samples }),
        ...(positions !== undefined && { positions }),
        ...(batch !== undefined && { batch }),
        targets,
      });
      const visit = async (layer: string, index: number, count: number): Promise<void> => {
        await control.pause();
        control.emit({ kind: 'stage', name: 'refit', index, count, detail: layer });
      };
      ({ network: result, reports: refitted } = await refitLayers(result, network, meter, new Map(), {
        visit,
        ridge: options.ridge ?? REFIT_RIDGE,
      }));
    }
    await control.end();
    const cost = (of: Network): number => nodeCosts(of).reduce((sum, { multiplyAdds }) => sum + multiplyAdds, 0);
    return {
      network: result,
      report: {
        transform: 'poolToStride',
        replaced: steps.map(({ pool, conv, attributes }) => ({
          pool: pool.name,
          conv: conv.name,
          stride: attributes['stride'] as readonly number[],
        })),
        skipped,
        ...(refitted && { refitted }),
        multiplyAddsBefore: cost(network),
        multiplyAddsAfter: cost(result),
      },
    };
  };
  return step satisfies Transform;
}

const isPool = ({ kind }: Node): boolean => kind === 'maxPool' || kind === 'averagePool';

function poolsOf({ nodes }: Network, names: readonly string[] | undefined): Node[] {
  if (names === undefined) return nodes.filter(isPool);
  return names.map((name) => {
    const node = nodes.find((one) => one.name === name);
    if (node && isPool(node)) return node;
    const known = nodes.filter(isPool).map((one) => show(one.name));
    throw new RangeError(
      `poolToStride: pools: expected names of pools (${known.join(', ') || 'there are none'}), got ${show(name)}`,
    );
  });
}

/** The step, or why there is none. */
function planStep(network: Network, pool: Node): Step | string {
  const producers = producersOf(network);
  const consumers = consumersOf(network);
  const shapes = inferShapes(network);
  const { size, stride, padding, dilation = [1, 1] } = pool.attributes as unknown as Pool;
  if (dilation.some((one) => one !== 1)) return 'its window has gaps (dilation)';
  if (stride.every((one) => one === 1)) return 'its stride is 1: there is nothing to raise';
  let value = pool.inputs[0];
  let conv: Node | undefined;
  while (!conv) {
    if (network.outputs.includes(value) || (consumers.get(value)?.length ?? 0) !== 1)
      return `${show(value)} is read by others too, at its full size`;
    const node = network.nodes.at(producers.get(value) ?? -1);
    if ((producers.get(value) ?? -1) < 0 || !node) return 'no convolution stands before it';
    if (node.kind === 'conv') conv = node;
    else if (isElementwise(node)) value = node.inputs[0];
    else return `between it and a convolution stands ${show(node.name)}, a ${node.kind}`;
  }
  const before = conv.attributes as unknown as Convolution;
  const kernel = (network.parameters.get(conv.parameters.weight ?? '')?.shape ?? []).slice(2);
  const input = (shapes.get(conv.inputs[0]) ?? []).slice(1);
  const output = (shapes.get(outputsOf(pool)[0]) ?? []).slice(1);
  const newStride = [0, 1].map((axis) => before.stride[axis] * stride[axis]);
  const newPadding = [...before.padding];
  for (const axis of [0, 1]) {
    // Padding: top, left, bottom, right. The middle of the pool's first window, among the convolution's outputs.
    const reach = (kernel[axis] - 1) * before.dilation[axis] + 1;
    const middle = Math.floor((size[axis] - 1) / 2) - padding[axis];
    const shift = Math.min(middle, Math.floor(before.padding[axis] / before.stride[axis]));
    const first = before.padding[axis] - shift * before.stride[axis];
    const needed = (output[axis] - 1) * newStride[axis] + reach;
    const last = Math.max(0, needed - input[axis] - first);
    const found = Math.floor((input[axis] + first + last - reach) / newStride[axis]) + 1;
    if (found !== output[axis])
      return `${show(conv.name)} would yield ${found} in place of ${output[axis]} along axis ${axis}: it has no padding to leave out`;
    newPadding[axis] = first;
    newPadding[axis + 2] = last;
  }
  return { pool, conv, attributes: { ...conv.attributes, stride: newStride, padding: newPadding } };
}

/** Works on each element, or on each channel's elements, by itself. */
function isElementwise(node: Node): boolean {
  const isKnown = ['affine', 'batchNorm', 'dropout'].includes(node.kind);
  return node.inputs.length === 1 && (isKnown || operatorOf(node).pointwise === 'nonlinearity');
}

/** The convolution strides; who read the pool reads what the pool read. */
function withoutPool(network: Network, { pool, conv, attributes }: Step): Network {
  const [gone] = outputsOf(pool);
  const [value] = network.nodes.find(({ name }) => name === pool.name)!.inputs;
  const heir = (name: string): string => (name === gone ? value : name);
  const nodes = network.nodes.flatMap((node): Node[] => {
    if (node.name === pool.name) return [];
    if (node.name === conv.name) return [{ ...node, attributes }];
    return node.inputs.includes(gone) ? [{ ...node, inputs: node.inputs.map(heir) }] : [node];
  });
  return { ...network, nodes, outputs: network.outputs.map(heir) };
}

/** The network with each convolution's own outputs pooled beside: what it should answer where it strides. */
function withTargets(
  network: Network,
  steps: readonly Step[],
): { reference: Network; targets: ReadonlyMap<string, string> } {
  const names = namesOf(namesIn(network));
  const targets = new Map<string, string>();
  const added = new Map<string, Node>();
  for (const { pool, conv } of steps) {
    const [output] = outputsOf(conv);
    const name = freshName(names, `${conv.name}_pooled`);
    targets.set(conv.name, name);
    const { outputs: _, ...rest } = pool;
    added.set(conv.name, { ...rest, name, inputs: [output] });
  }
  const nodes = network.nodes.flatMap((node) => [node, ...(added.has(node.name) ? [added.get(node.name)!] : [])]);
  return { reference: { ...network, nodes }, targets };
}
