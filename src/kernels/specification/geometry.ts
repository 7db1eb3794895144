/** The geometry of a convolution or pooling, and how it lies on the heap. */

/**
 * Geometry of a convolution or pooling, as GEOMETRY_WORDS integers on the heap in this order (pooling leaves
 * the channel fields equal and groups at that number). Bottom and right padding follow from the output size.
 */
export interface Geometry {
  channelsIn: number;
  heightIn: number;
  widthIn: number;
  channelsOut: number;
  heightOut: number;
  widthOut: number;
  kernelHeight: number;
  kernelWidth: number;
  strideY: number;
  strideX: number;
  paddingTop: number;
  paddingLeft: number;
  dilationY: number;
  dilationX: number;
  groups: number;
}
/** The fields of a geometry in the order in which they lie on the heap. */
export const GEOMETRY_FIELDS = [
  'channelsIn',
  'heightIn',
  'widthIn',
  'channelsOut',
  'heightOut',
  'widthOut',
  'kernelHeight',
  'kernelWidth',
  'strideY',
  'strideX',
  'paddingTop',
  'paddingLeft',
  'dilationY',
  'dilationX',
  'groups',
] as const satisfies readonly (keyof Geometry)[];
/** Words that a geometry takes there. */
export const GEOMETRY_WORDS = GEOMETRY_FIELDS.length;

/** A geometry as it is written to the heap: {@link GEOMETRY_WORDS} integers. */
export function geometryWords(geometry: Geometry): number[] {
  return GEOMETRY_FIELDS.map((field) => geometry[field]);
}

/** The geometry that lies at `offset`. */
export function readGeometry(int: Int32Array, offset: number): Geometry {
  return Object.fromEntries(GEOMETRY_FIELDS.map((field, i) => [field, int[offset + i]])) as unknown as Geometry;
}
