/** A plan: what is done to each layer, as plain JSON that can be read, edited and passed back. */
import { isError } from '../base/realm.ts';
import { EspalierError, show, showAll } from '../base/errors.ts';
import { editDistance } from '../base/edit-distance.ts';
import type { Network } from '../graph/network.ts';
import { inferShapes, weightedLayers } from '../network/shapes.ts';
import { quantizerOf } from '../quantization/index.ts';
import type { Allocation, Sensitivity } from './allocate.ts';
import { compressibleLayers, resolveCompressOptions } from './options.ts';
import type { LayerSetting } from './options.ts';

/**
 * `layers` are settings as `compress` takes them, one for every layer that can be compressed; `weights` the shape of each
 * layer's weight in the network that the plan is for.
 */
export interface Plan {
  readonly version: 1;
  readonly weights: Readonly<Record<string, readonly number[]>>;
  readonly layers: Readonly<Record<string, LayerSetting>>;
}

/** The plan that an allocation stands for. */
export function planOf(network: Network, { groups }: Sensitivity, { kept, settings }: Allocation): Plan {
  const layers = Object.fromEntries(
    compressibleLayers(network).map((name): [string, LayerSetting] => {
      const group = groups.find(({ producers }) => producers.includes(name));
      const keep = group ? (kept.get(group.name) ?? group.channels) / group.channels : 1;
      const setting = settings.get(name)?.setting;
      return [name, { keep, ...(setting ? { quantize: true, ...setting } : { quantize: false }) } as LayerSetting];
    }),
  );
  return { version: 1, weights: weightShapes(network), layers };
}

function weightShapes(network: Network): Record<string, readonly number[]> {
  return Object.fromEntries(
    weightedLayers(network).map(({ name, weight }) => [name, [...network.parameters.get(weight)!.shape]]),
  );
}

const FIELDS = ['version', 'weights', 'layers'];

/**
 * A plan as it came from a file, if it is one for this network; layers that it leaves out stay as they are.
 * @throws {EspalierError} FIELD, naming the layer and the field, what was expected, and the cure
 */
export function checkPlan(network: Network, given: unknown): Plan {
  const bad = (name: string, problem: string): EspalierError =>
    new EspalierError('FIELD', `plan: ${name}: ${problem}`, { name });
  if (!isObject(given)) throw bad('version', `expected a plan { version, weights, layers }, got ${show(given)}`);
  const unknown = Object.keys(given).find((name) => !FIELDS.includes(name));
  if (unknown !== undefined) throw bad(unknown, `expected ${FIELDS.join(', ')}, got ${show(unknown)}; leave it out`);
  const { version, weights, layers } = given;
  if (version !== 1) throw bad('version', `expected 1, got ${show(version)}; make the plan anew with this version`);
  if (!isObject(weights)) throw bad('weights', `expected shapes by layer, got ${show(weights)}`);
  if (!isObject(layers)) throw bad('layers', `expected settings by layer, got ${show(layers)}`);
  const shapes = weightShapes(network);
  const names = Object.keys(shapes);
  for (const [name, shape] of Object.entries(weights)) {
    if (!Object.hasOwn(shapes, name)) throw bad(`weights.${name}`, foreign(name, names));
    if (JSON.stringify(shape) !== JSON.stringify(shapes[name]))
      throw bad(
        `weights.${name}`,
        `the plan is for a weight of ${show(shape)}, this network's is [${shapes[name].join(', ')}]; make a plan for this network`,
      );
  }
  for (const [name, setting] of Object.entries(layers)) {
    if (!Object.hasOwn(shapes, name)) throw bad(`layers.${name}`, foreign(name, names));
    if (!isObject(setting))
      throw bad(`layers.${name}`, `expected { keep, quantize, quantizer, ... }, got ${show(setting)}`);
    // Each for itself, so that it is the layer's own fields that are named.
    try {
      resolveCompressOptions(network, { layers: { [name]: setting } });
    } catch (cause) {
      if (!isError(cause) || !['TypeError', 'RangeError'].includes(cause.name)) throw cause;
      throw bad(`layers.${name}`, cause.message.replace(/^compress: /, ''));
    }
  }
  const settings = Object.fromEntries(
    names.map((name): [string, LayerSetting] => [
      name,
      Object.hasOwn(layers, name) ? (layers[name] as LayerSetting) : { keep: 1, quantize: false },
    ]),
  );
  return { version: 1, weights: shapes, layers: settings };
}

function foreign(name: string, names: readonly string[]): string {
  const near = names.find((known) => editDistance(known, name) <= 2);
  return `the network has no such layer, but ${showAll(names)}${near === undefined ? '' : `; did you mean ${show(near)}?`}`;
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** A plan as rows of cells, the first of them the head: layer, weight, share of its neurons, how it is stored. */
export function planRows(network: Network, plan: Plan): string[][] {
  inferShapes(network);
  const { layers } = resolveCompressOptions(network, { layers: plan.layers });
  return [
    ['layer', 'weight', 'keep', 'stored'],
    ...[...layers].map(([name, { keep, quantize, quantizer, options }]) => [
      name,
      plan.weights[name].join('x'),
      `${(100 * keep).toFixed(0)} %`,
      quantize ? `${quantizer} ${differing(quantizer, options)}`.trim() : 'dense',
    ]),
  ];
}

function differing(kind: Parameters<typeof quantizerOf>[0], options: Readonly<Record<string, unknown>>): string {
  const { defaults } = quantizerOf(kind) as unknown as { readonly defaults: Readonly<Record<string, unknown>> };
  // What a product quantizer is like is its length and its codewords, default or not.
  const always = ['subvectorLength', 'codewordCount'];
  return Object.entries(options)
    .filter(([name, value]) => always.includes(name) || value !== defaults[name])
    .map(([name, value]) => `${name} ${String(value)}`)
    .join(', ');
}
