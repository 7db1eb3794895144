/** The messages of tensors, dense and sparse: where their data are, without reading them. */
import { EspalierError, show } from '../base/errors.ts';
import type { Shape } from '../base/tensor.ts';
import { checkExternalPath } from './external.ts';
import type { ExternalPlace } from './external.ts';
import { count, eachField, readEntry, sourceOf } from './source.ts';
import type { Range, Source } from './source.ts';
import { countField, eachInteger, fixedRange, rangeField, signedVarint, textField } from './wire.ts';
import type { Field } from './wire.ts';

/** Axes of a tensor: more than any model has, and few enough to look at each for every element. */
export const MOST_AXES = 32;

/** A range of the file, with the field that it stood in. */
export interface TypedRange {
  readonly field: string;
  readonly start: number;
  readonly end: number;
}

export interface TensorProto {
  readonly name: string;
  /** Number of its element type. */
  readonly code: number;
  readonly shape: Shape;
  readonly raw?: readonly [start: number, end: number];
  readonly typed: readonly TypedRange[];
  readonly external?: ExternalPlace;
  readonly at: number;
}

/** Dimensions that could be those of data in memory. */
const LARGEST_SIZE = 2 ** 53;

/** A tensor: also the whole of a file that holds one alone. */
export function readTensorProto(bytes: Uint8Array, [start, end]: Range, source = sourceOf(bytes)): TensorProto {
  count(source, { at: start }, 'tensor');
  let name = '';
  let code = 0;
  let raw: Range | undefined;
  let isOutside = false;
  const shape: number[] = [];
  const typed: TypedRange[] = [];
  const entries = new Map<string, string>();
  const packed = (name: string) => (field: Field) => {
    // Alone or packed: a range of varints in both cases.
    eachInteger(bytes, field, name, () => undefined);
    count(source, field, 'number');
    typed.push({ field: name, start: field.start, end: field.end });
  };
  const fixed = (name: string, size: 4 | 8) => (field: Field) => {
    const [from, to] = fixedRange(field, size, name);
    count(source, field, 'number');
    typed.push({ field: name, start: from, end: to });
  };
  const sides: bigint[] = [];
  eachField(bytes, [start, end], {
    1: (field) =>
      eachInteger(bytes, field, 'dims', (from, to) => {
        if (sides.push(signedVarint(bytes, from, to)) <= MOST_AXES) return;
        const text = `readOnnx: byte ${field.at}: a tensor of more than ${MOST_AXES} axes`;
        throw new EspalierError('TENSOR', text, { name, offset: field.at, limit: MOST_AXES });
      }),
    2: (field) => (code = countField(bytes, field, 'data_type')),
    4: fixed('float_data', 4),
    5: packed('int32_data'),
    6: (field) => {
      count(source, field, 'number');
      typed.push({ field: 'string_data', start: field.start, end: field.end });
    },
    7: packed('int64_data'),
    8: (field) => (name = textField(bytes, field, 'tensor name')),
    9: (field) => (raw = rangeField(field, 'raw_data')),
    10: fixed('double_data', 8),
    11: packed('uint64_data'),
    13: (field) => {
      const { key, value } = readEntry(bytes, field, 'external_data');
      if (entries.has(key))
        throw new EspalierError(
          'DUPLICATE',
          `readOnnx: byte ${field.at}: tensor ${show(name)}: ${show(key)} of its outside data is said twice`,
          { name, offset: field.at },
        );
      count(source, field, 'value');
      entries.set(key, value);
    },
    14: (field) => (isOutside = countField(bytes, field, 'data_location') === 1),
  });
  let size = 1n;
  for (const side of sides) {
    size *= side;
    // Beside a side of 0 another may be of any size.
    if (side < 0n || side > BigInt(LARGEST_SIZE) || size > BigInt(LARGEST_SIZE)) {
      const text = `readOnnx: tensor ${show(name)}: dimensions [${sides.slice(0, 16).join(', ')}]: expected numbers from 0 whose product is below 2^53`;
      throw new EspalierError('TENSOR', text, { name, offset: start });
    }
    shape.push(Number(side));
  }
  const external = isOutside || entries.size > 0 ? readPlace(name, entries, start) : undefined;
  return {
    name,
    code,
    shape,
    typed: typed.filter((part) => part.end > part.start),
    at: start,
    ...(raw && { raw }),
    ...(external && { external }),
  };
}

/** Keys of outside data; the checksum is not looked at. */
const PLACE_KEYS: readonly string[] = ['location', 'offset', 'length', 'checksum'];

/** Where the data of a tensor are; keys that are not known are passed over, and said. */
function readPlace(name: string, entries: ReadonlyMap<string, string>, at: number): ExternalPlace {
  const location = entries.get('location') ?? '';
  checkExternalPath(name, location);
  const number = (key: string): number | undefined => {
    const text = entries.get(key);
    if (text === undefined) return undefined;
    const value = /^\d{1,16}$/.test(text) ? Number(text) : NaN;
    if (Number.isSafeInteger(value)) return value;
    throw new EspalierError(
      'EXTERNAL',
      `readOnnx: tensor ${show(name)}: ${key} of its outside data: expected a whole number from 0, got ${show(text)}`,
      { name, offset: at },
    );
  };
  const length = number('length');
  const unknown = [...entries.keys()].filter((key) => !PLACE_KEYS.includes(key));
  return { location, offset: number('offset') ?? 0, ...(length !== undefined && { length }), unknown };
}

/** The name of a sparse tensor: its parts are checked as any tensor's, and it is not read. */
export function readSparse(source: Source, range: Range): string {
  const { bytes } = source;
  let name = '';
  eachField(bytes, range, {
    1: (field) => (name = readTensorProto(bytes, rangeField(field, 'values'), source).name),
    2: (field) => readTensorProto(bytes, rangeField(field, 'indices'), source),
  });
  return name;
}
