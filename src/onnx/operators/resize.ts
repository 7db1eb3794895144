/** Resize and its older forms. */
import type { Building, Value } from '../building.ts';
import type { NodeView } from '../node.ts';
import { toFloats } from '../tensor.ts';
import { axisFrom } from '../arrays.ts';
import { rankOf } from './define.ts';
import type { OnnxOperator } from './define.ts';

const COORDINATES = {
  half_pixel: 'halfPixel',
  half_pixel_symmetric: 'halfPixelSymmetric',
  pytorch_half_pixel: 'pytorchHalfPixel',
  align_corners: 'alignCorners',
  asymmetric: 'asymmetric',
  tf_crop_and_resize: 'tfCropAndResize',
  tf_half_pixel_for_nn: 'halfPixel',
} as const;
const ROUNDING = {
  round_prefer_floor: 'roundPreferFloor',
  round_prefer_ceil: 'roundPreferCeil',
  floor: 'floor',
  ceil: 'ceil',
} as const;
const KEYS = <T extends object>(of: T): (keyof T & string)[] => Object.keys(of) as (keyof T & string)[];

interface Spatial {
  readonly axis: number;
  readonly size: number;
  readonly scale: number;
  readonly region: readonly [number, number];
}

/** The axes that change, with their new sides and scales. */
function spatialAxes(node: NodeView, graph: Building, x: Value): Spatial[] {
  const rank = rankOf(graph, 0);
  const lead = graph.layout === 'batched' ? 1 : 0;
  const axes = (node.integers('axes') ?? Array.from({ length: rank }, (_, axis) => axis)).map((axis) =>
    axisFrom(axis, rank),
  );
  const old = axes.map((axis) => (axis < lead ? 1 : x.shape[axis - lead]));
  const isPlain = node.opset < 11;
  const floats = (i: number): readonly number[] | undefined => {
    const tensor = graph.constant(i);
    return tensor && tensor.data.length > 0 ? [...toFloats(node.proto.inputs[i], tensor)] : undefined;
  };
  const scalesAt = isPlain ? 1 : 2;
  const named = floats(scalesAt) ?? (node.opset < 9 ? node.floats('scales') : undefined);
  const wanted = isPlain ? undefined : sizesOf(node, graph, lead);
  const region = isPlain ? undefined : floats(1);
  const policy = node.text('keep_aspect_ratio_policy', ['stretch', 'not_larger', 'not_smaller'], 'stretch');
  if (!named && !wanted) node.fail('ATTRIBUTE', 'scales or sizes: one of them must be there');
  const found = (named ?? wanted) as readonly number[];
  if (found.length !== axes.length)
    node.fail('ATTRIBUTE', `scales or sizes: expected ${axes.length} numbers, got ${found.length}`);
  let scales = named ? [...named] : found.map((size, i) => size / old[i]);
  let sizes = named ? scales.map((scale, i) => Math.floor(old[i] * scale)) : [...found];
  if (wanted && policy !== 'stretch') {
    const scale = policy === 'not_larger' ? Math.min(...scales) : Math.max(...scales);
    scales = scales.map(() => scale);
    sizes = old.map((side) => Math.floor(side * scale + 0.5));
  }
  const count = axes.length;
  return axes.flatMap((axis, i): Spatial[] => {
    const [size, scale] = [sizes[i], scales[i]];
    if (!(scale > 0 && size >= 1)) node.fail('ATTRIBUTE', `scales or sizes: expected numbers above 0, got ${scale}`);
    if (axis < lead) {
      if (scale !== 1 && size !== 1) graph.acrossBatch('it resizes the batch');
      return [];
    }
    const part: readonly [number, number] = region ? [region[i], region[i + count]] : [0, 1];
    const same = size === old[i] && scale === 1 && part[0] === 0 && part[1] === 1;
    return same ? [] : [{ axis: axis - lead, size, scale, region: part }];
  });
}

/** The sizes that are asked for; that of the batch may be whatever it is. */
function sizesOf(node: NodeView, graph: Building, lead: number): number[] | undefined {
  const sides = graph.sides(3);
  if (!sides || sides.length === 0) return undefined;
  return sides.map((side, i) => {
    if ('fixed' in side) return i < lead && side.fixed === graph.batch ? 1 : side.fixed;
    return i < lead && side.batches === 1 ? 1 : node.fail('UNSUPPORTED', 'sizes: they depend on the batch');
  });
}

function buildResize(
  node: NodeView,
  graph: Building,
  fixed: { coordinates?: keyof typeof COORDINATES; rounding?: keyof typeof ROUNDING },
): void {
  const x = graph.value(0);
  const mode = node.text('mode', ['nearest', 'linear', 'cubic', 'bilinear'], 'nearest');
  const named = fixed.coordinates ?? node.text('coordinate_transformation_mode', KEYS(COORDINATES), 'half_pixel');
  let rounding: (typeof ROUNDING)[keyof typeof ROUNDING] =
    ROUNDING[fixed.rounding ?? node.text('nearest_mode', KEYS(ROUNDING), 'round_prefer_floor')];
  if (named === 'tf_half_pixel_for_nn') {
    // (x + 1/2) / scale rounded down is (x + 1/2) / scale - 1/2 rounded to the nearest, halves up.
    if (mode !== 'nearest' || rounding !== 'floor')
      node.fail('UNSUPPORTED', 'tf_half_pixel_for_nn: expected the mode nearest with floor');
    rounding = 'roundPreferCeil';
  }
  const cubicCoefficient = node.float('cubic_coeff_a', -0.75);
  const excludeOutside = node.integer('exclude_outside', 0) !== 0;
  const antialias = node.integer('antialias', 0) !== 0;
  const extrapolation = node.float('extrapolation_value', 0);
  const spatial = spatialAxes(node, graph, x);
  if (spatial.length === 0) {
    graph.yields(0, x);
    return;
  }
  const isCrop = named === 'tf_crop_and_resize';
  const sorted = [...spatial].sort((a, b) => a.axis - b.axis);
  const attributes = {
    axes: sorted.map(({ axis }) => axis),
    sizes: sorted.map(({ size }) => size),
    scales: sorted.map(({ scale }) => scale),
    mode: mode === 'bilinear' ? 'linear' : mode,
    coordinates: COORDINATES[named],
    rounding,
    cubicCoefficient,
    excludeOutside,
    antialias,
    extrapolation,
    region: isCrop ? [...sorted.map(({ region }) => region[0]), ...sorted.map(({ region }) => region[1])] : [],
  };
  graph.yields(0, graph.node('resize', attributes, [x]));
}

export const RESIZE: Readonly<Record<string, OnnxOperator>> = {
  Resize: {
    build: (node, graph) =>
      buildResize(node, graph, node.opset < 11 ? { coordinates: 'asymmetric', rounding: 'floor' } : {}),
  },
  Upsample: { build: (node, graph) => buildResize(node, graph, { coordinates: 'asymmetric', rounding: 'floor' }) },
};
