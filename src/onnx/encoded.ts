/**
 * Weights that `writeOnnx` wrote in few bits, known again by the nodes that decode them (weights.ts has what is written): a
 * model that was written quantized is quantized when it is read. Nothing is computed for it but what the encoding holds,
 * and arrays are read where all else fits. Glossary: M sub-spaces of a block, d columns in each, K codewords.
 */
import { exponentOf } from '../base/elementary.ts';
import { sameShape, sizeOf } from '../base/tensor.ts';
import type { Shape } from '../base/tensor.ts';
import { packedBytes, unpackCodes } from '../encodings/bits.ts';
import type { Encoding, ProductBlock, ProductEncoding, ScalarEncoding } from '../encodings/types.ts';
import { arraysOfEncoding } from './arrays.ts';
import { ELEMENT } from './messages.ts';
import type { ElementKind } from './messages.ts';
import type { GraphProto, NodeProto } from './model.ts';
import { onnxError } from './node.ts';
import { hold } from './room.ts';
import type { Room } from './room.ts';
import type { Making, OnnxTensor } from './tensor.ts';
import { MOST_AXES } from './tensor-message.ts';

/** Encodings by the value that they decode to. */
export interface EncodedWeights {
  /** What the node yields, if it is the last of those that decode an encoding. Asked twice it answers the same. */
  find(node: NodeProto): Encoding | undefined;
  /** All that were found. */
  readonly found: ReadonlyMap<string, Encoding>;
}

/** A model whose constants are asked for one by one. */
interface Source {
  readonly graph: GraphProto;
  readonly initializer: (name: string, makes: Making) => OnnxTensor;
  readonly room: Room;
}

/** What the patterns ask of a model. */
interface Reader {
  /** The node that makes a value, of this operator and number of inputs. */
  made(value: string | undefined, operator: string, inputs?: number): NodeProto | undefined;
  /** The shape of a constant of this type. */
  shapeOf(name: string | undefined, type: ElementKind): Shape | undefined;
  /** Elements of a constant, which is there. */
  read(name: string): OnnxTensor['data'];
  /** Numbers of a constant of this type, so many of them. */
  numbers(name: string | undefined, type: ElementKind, most?: number): number[] | undefined;
  /** Whether a constant is these numbers. */
  are(name: string | undefined, type: ElementKind, numbers: readonly number[]): boolean;
  /** What a value was found to be: many nodes may read it. */
  readonly seen: Map<string, Run | undefined>;
}

function readerOf({ graph, initializer }: Source): Reader {
  const makers = new Map<string, NodeProto>();
  for (const node of graph.nodes) if (node.outputs.length === 1) makers.set(node.outputs[0], node);
  const reader: Reader = {
    seen: new Map(),
    made(value, operator, inputs) {
      const node = value === undefined ? undefined : makers.get(value);
      if (node?.operator !== operator || node.domain !== '') return undefined;
      return inputs === undefined || node.inputs.length === inputs ? node : undefined;
    },
    shapeOf(name, type) {
      const proto = name === undefined ? undefined : graph.initializers.get(name);
      return proto?.code === ELEMENT[type] ? proto.shape : undefined;
    },
    // Bytes and halves that the file has: at most twice what they take there.
    read: (name) => initializer(name, () => undefined).data,
    numbers(name, type, most = MOST_AXES) {
      const shape = reader.shapeOf(name, type);
      return name !== undefined && shape && sizeOf(shape) <= most ? Array.from(reader.read(name), Number) : undefined;
    },
    are(name, type, numbers) {
      const found = reader.numbers(name, type, numbers.length);
      return found !== undefined && sameShape(found, numbers);
    },
  };
  return reader;
}

export function encodedWeights(source: Source): EncodedWeights {
  const reader = readerOf(source);
  const outputs = new Set(source.graph.outputs.map(({ name }) => name));
  const found = new Map<string, Encoding>();
  return {
    found,
    find(node) {
      const [output] = node.outputs;
      if (node.domain !== '' || node.outputs.length !== 1 || outputs.has(output)) return undefined;
      const known = found.get(output);
      if (known) return known;
      let encoding: Encoding | undefined;
      if (node.operator === 'Reshape') encoding = productOf(reader, node);
      else if (node.operator === 'DequantizeLinear') encoding = scalarOf(reader, node);
      if (!encoding) return undefined;
      hold(source.room, arraysOfEncoding(encoding));
      found.set(output, encoding);
      return encoding;
    },
  };
}

const integerOf = (node: NodeProto, name: string): number | undefined => {
  const value = node.attributes.get(name)?.integer;
  return value === undefined ? undefined : Number(value);
};

// Codes

/** Codes in a shape, as a number of bits each. */
interface Codes {
  readonly width: number;
  readonly shape: Shape;
  read(): Uint16Array;
}

/** The name of a constant whose elements become indices. */
function castFrom(reader: Reader, value: string | undefined, type: ElementKind): string | undefined {
  const cast = reader.made(value, 'Cast', 1);
  const [name] = cast && integerOf(cast, 'to') === ELEMENT.int32 ? cast.inputs : [];
  return reader.shapeOf(name, type) ? name : undefined;
}

function codesOf(reader: Reader, value: string): Codes | undefined {
  for (const [type, width] of [
    ['uint8', 8],
    ['uint16', 16],
  ] as const) {
    const name = castFrom(reader, value, type);
    const shape = reader.shapeOf(name, type);
    if (name !== undefined && shape)
      return { width, shape, read: () => Uint16Array.from(reader.read(name) as Uint16Array) };
  }
  return bitwiseCodesOf(reader, value) ?? wholeCodesOf(reader, value);
}

/** Codes of which a byte holds several. */
function wholeCodesOf(reader: Reader, value: string): Codes | undefined {
  const packed = bytesOf(reader, value);
  const width = packed && tableWidthOf(reader, packed.table);
  return packed && width !== undefined ? codesIn(packed, width, packed.shape) : undefined;
}

/** Codes as sums of their bits. */
function bitwiseCodesOf(reader: Reader, value: string): Codes | undefined {
  const reshape = reader.made(value, 'Reshape', 2);
  const sum = reader.made(reshape?.inputs[0], 'ReduceSum', 2);
  const product = reader.made(sum?.inputs[0], 'Mul', 2);
  const shape = sum && reader.numbers(reshape?.inputs[1], 'int64');
  if (!shape || !product || integerOf(sum, 'keepdims') !== 0) return undefined;
  const packed = bytesOf(reader, product.inputs[0]);
  const [count, width] = packed?.shape ?? [];
  if (packed?.shape.length !== 2 || !(width <= 16) || sizeOf(shape) !== count) return undefined;
  const worth = Array.from({ length: width }, (_, bit) => 2 ** bit);
  if (!reader.are(sum.inputs[1], 'int64', [1]) || !reader.are(product.inputs[1], 'int32', worth)) return undefined;
  return tableWidthOf(reader, packed.table) === 1 ? codesIn(packed, width, shape) : undefined;
}

function codesIn({ length, read }: Bytes, width: number, shape: Shape): Codes | undefined {
  const count = sizeOf(shape);
  if (shape.some((side) => !(side > 0)) || length !== packedBytes(count, width)) return undefined;
  return { width, shape, read: () => unpackCodes(withoutRest(read(), count * width), count, width) };
}

/** Bytes whose last bits, which nobody reads, are 0. */
function withoutRest(bytes: Uint8Array, used: number): Uint8Array {
  if (used % 8 > 0) bytes[bytes.length - 1] &= 2 ** (used % 8) - 1;
  return bytes;
}

/** Bytes that are looked up in a table, and the shape that is given to what is found. */
interface Bytes {
  readonly length: number;
  /** A copy. */
  read(): Uint8Array;
  readonly table: string;
  readonly shape: Shape;
}

function bytesOf(reader: Reader, value: string | undefined): Bytes | undefined {
  const reshape = reader.made(value, 'Reshape', 2);
  const slice = reader.made(reshape?.inputs[0], 'Slice', 3);
  const row = reader.made(slice?.inputs[0], 'Reshape', 2);
  const gather = reader.made(slice ? row?.inputs[0] : reshape?.inputs[0], 'Gather', 2);
  const shape = gather && reader.numbers(reshape?.inputs[1], 'int64');
  const name = gather && castFrom(reader, gather.inputs[1], 'uint8');
  if (!shape || name === undefined || (integerOf(gather, 'axis') ?? 0) !== 0) return undefined;
  if (slice) {
    const begins = reader.are(slice.inputs[1], 'int64', [0]) && reader.are(row?.inputs[1], 'int64', [-1]);
    if (!begins || !reader.are(slice.inputs[2], 'int64', [sizeOf(shape)])) return undefined;
  }
  const [length, ...rest] = reader.shapeOf(name, 'uint8') ?? [];
  if (rest.length > 0) return undefined;
  return { length, table: gather.inputs[0], shape, read: () => reader.read(name) as Uint8Array };
}

/** Bits of the codes that a table has for each byte: byte / 2^(i width) mod 2^width. */
function tableWidthOf(reader: Reader, table: string | undefined): number | undefined {
  const mod = reader.made(table, 'Mod', 2);
  const div = reader.made(mod?.inputs[0], 'Div', 2);
  const column = reader.made(div?.inputs[0], 'Reshape', 2);
  const range = reader.made(column?.inputs[0], 'Range', 3);
  if (!mod || !div || !column || !range || !reader.are(column.inputs[1], 'int64', [256, 1])) return undefined;
  if (![0, 256, 1].every((number, i) => reader.are(range.inputs[i], 'int32', [number]))) return undefined;
  return [1, 2, 4].find((width) => {
    const steps = Array.from({ length: 8 / width }, (_, i) => 2 ** (i * width));
    return reader.are(mod.inputs[1], 'int32', [2 ** width]) && reader.are(div.inputs[1], 'int32', steps);
  });
}

/** Whether a table has the bits of each byte as signs: 1 - 2 bit. */
function isSignTable(reader: Reader, table: string): boolean {
  const add = reader.made(table, 'Add', 2);
  const mul = reader.made(add?.inputs[0], 'Mul', 2);
  const cast = reader.made(mul?.inputs[0], 'Cast', 1);
  if (!cast || integerOf(cast, 'to') !== ELEMENT.float) return false;
  const isLinear = reader.are(add?.inputs[1], 'float', [1]) && reader.are(mul?.inputs[1], 'float', [-2]);
  return isLinear && tableWidthOf(reader, cast.inputs[0]) === 1;
}

// Product quantization

type Block = Omit<ProductBlock, 'first'>;

/** Blocks in a row that are decoded together. */
interface Run {
  readonly rows: number;
  readonly columns: number;
  readonly blocks: readonly Block[];
  readonly precision: ProductEncoding['codewordPrecision'];
}

function productOf(reader: Reader, node: NodeProto): ProductEncoding | undefined {
  const shape = node.attributes.size === 0 ? reader.numbers(node.inputs[1], 'int64') : undefined;
  const runs = shape && runsOf(reader, node.inputs[0], shape[0] ?? 1);
  if (!runs) return undefined;
  const [{ rows, precision }] = runs;
  const columns = runs.reduce((sum, run) => sum + run.columns, 0);
  if (sizeOf(shape) !== rows * columns || runs.some((run) => run.precision !== precision)) return undefined;
  let first = 0;
  const blocks = runs.flatMap((run) =>
    run.blocks.map((block): ProductBlock => {
      const whole = { first, ...block };
      first += block.subspaceCount * block.subvectorLength;
      return whole;
    }),
  );
  return { kind: 'product', shape, blocks, codewordPrecision: precision };
}

/** The runs of a weight of so many rows, beside each other. */
function runsOf(reader: Reader, value: string, rows: number): Run[] | undefined {
  const concat = reader.made(value, 'Concat');
  if (!concat) {
    const run = knownRun(reader, value, rows);
    return run && [run];
  }
  if (integerOf(concat, 'axis') !== 1) return undefined;
  const runs: Run[] = [];
  for (const part of concat.inputs) {
    const reshape = reader.made(part, 'Reshape', 2);
    const run = reshape && knownRun(reader, reshape.inputs[0], rows);
    if (!run || !reader.are(reshape.inputs[1], 'int64', [rows, run.columns])) return undefined;
    runs.push(run);
  }
  return runs.length > 0 ? runs : undefined;
}

function knownRun(reader: Reader, value: string, rows: number): Run | undefined {
  const { seen } = reader;
  if (!seen.has(value)) seen.set(value, runOf(reader, value));
  const run = seen.get(value);
  return run?.rows === rows ? run : undefined;
}

function runOf(reader: Reader, value: string): Run | undefined {
  const mul = reader.made(value, 'Mul', 2);
  const signs = mul && bytesOf(reader, mul.inputs[1]);
  if (mul && !(signs && isSignTable(reader, signs.table))) return undefined;
  const source = mul ? mul.inputs[0] : value;
  const codewords = codewordsOf(
    reader,
    (reader.made(source, 'Gather', 2) ?? reader.made(source, 'Expand', 2))?.inputs[0],
  );
  const indices = codewords && indicesOf(reader, source, codewords.shape);
  if (!codewords || !indices) return undefined;
  const { rows, subspaces: M, counts } = indices;
  const [total, d] = codewords.shape;
  const exponents = counts.map((_, b) => codewords.exponents[codewords.exponents.length === 1 ? 0 : b]);
  const alike = codewords.exponents.length === 1 || counts.every(({ K }) => K === total / counts.length);
  if (!alike || exponents.some((exponent) => exponent === undefined)) return undefined;
  if (signs && !(sameShape(signs.shape, [rows, M, d]) && signs.length === packedBytes(rows * M * d, 1)))
    return undefined;
  const [values, codes] = [codewords.read(), indices.read()];
  const bits = signs && withoutRest(signs.read(), rows * M * d);
  let [codeword, before] = [0, 0];
  const blocks = counts.map(({ K, M: own }, b): Block => {
    const block: Block = {
      subspaceCount: own,
      subvectorLength: d,
      codewordCount: K,
      codewords: values.slice(codeword * d, (codeword + K) * d),
      ...(codewords.precision === 'float16' && exponents[b] !== 0 && { codewordExponent: exponents[b] }),
      codes: counts.length === 1 ? codes : columnsOf(codes, rows, M, before, own),
      ...(bits && { signs: counts.length === 1 ? bits : bitColumns(bits, rows, M * d, before * d, own * d) }),
    };
    const wrong = block.codes.find((code) => code >= K);
    if (wrong !== undefined)
      throw onnxError(
        'ATTRIBUTE',
        reader.made(source, 'Gather') as NodeProto,
        `indices: expected 0 to ${K - 1}, got ${wrong}`,
      );
    codeword += K;
    before += own;
    return block;
  });
  return { rows, columns: M * d, blocks, precision: codewords.precision };
}

/** Columns [from, from + count) of a matrix. */
function columnsOf(data: Uint16Array, rows: number, columns: number, from: number, count: number): Uint16Array {
  const part = new Uint16Array(rows * count);
  for (let r = 0; r < rows; r++) part.set(data.subarray(r * columns + from, r * columns + from + count), r * count);
  return part;
}

/** The same of a matrix of bits, lowest bit first. */
function bitColumns(bits: Uint8Array, rows: number, columns: number, from: number, count: number): Uint8Array {
  const part = new Uint8Array(packedBytes(rows * count, 1));
  for (let r = 0, to = 0; r < rows; r++) {
    for (let i = r * columns + from; i < r * columns + from + count; i++, to++)
      if ((bits[i >> 3] >> (i & 7)) & 1) part[to >> 3] |= 1 << (to & 7);
  }
  return part;
}

/** Codes (rows, M) among all codewords, and of each block how many codewords and sub-spaces it has. */
function indicesOf(
  reader: Reader,
  value: string,
  [total, d]: Shape,
): { rows: number; subspaces: number; counts: readonly { K: number; M: number }[]; read(): Uint16Array } | undefined {
  const expand = reader.made(value, 'Expand', 2);
  if (expand) {
    // A single codeword is everywhere.
    const [rows, M, last] = reader.numbers(expand.inputs[1], 'int64', 3) ?? [];
    if (total !== 1 || last !== d || !(rows > 0 && M > 0)) return undefined;
    return { rows, subspaces: M, counts: [{ K: 1, M }], read: () => new Uint16Array(rows * M) };
  }
  const gather = reader.made(value, 'Gather', 2);
  if (!gather || (integerOf(gather, 'axis') ?? 0) !== 0) return undefined;
  const add = reader.made(gather.inputs[1], 'Add', 2);
  const codes = codesOf(reader, add ? add.inputs[0] : gather.inputs[1]);
  const [rows, M] = codes?.shape ?? [];
  if (codes?.shape.length !== 2 || !(rows > 0 && M > 0)) return undefined;
  const firsts = add ? reader.numbers(add.inputs[1], 'int32', M) : new Array<number>(M).fill(0);
  if (firsts?.length !== M || firsts[0] !== 0) return undefined;
  const begins = firsts.flatMap((first, m) => (m === 0 || first !== firsts[m - 1] ? [m] : []));
  const counts = begins.map((begin, b) => ({
    K: (begins.length > b + 1 ? firsts[begins[b + 1]] : total) - firsts[begin],
    M: (begins[b + 1] ?? M) - begin,
  }));
  return counts.every(({ K }) => K > 0) ? { rows, subspaces: M, counts, read: codes.read } : undefined;
}

interface Codewords {
  /** (all K, d) */
  readonly shape: Shape;
  /** Of two, by which halves are multiplied: one, or one for each block. */
  readonly exponents: readonly number[];
  readonly precision: ProductEncoding['codewordPrecision'];
  read(): Float32Array;
}

/** The exponent of a power of two; NaN of what is none. */
function powerOfTwo(value: number): number {
  if (!(value > 0 && value < Infinity)) return NaN;
  const exponent = exponentOf(value);
  return 2 ** exponent === value ? exponent : NaN;
}

function codewordsOf(reader: Reader, value: string | undefined): Codewords | undefined {
  const shape = reader.shapeOf(value, 'float');
  if (value !== undefined && shape?.length === 2)
    return { shape, exponents: [0], precision: 'float32', read: () => reader.read(value) as Float32Array };
  const reshape = reader.made(value, 'Reshape', 2);
  let of = reshape ? reshape.inputs[0] : value;
  const powers: number[][] = [];
  // Powers beyond those of normal numbers are two factors.
  for (let mul = reader.made(of, 'Mul', 2); mul && powers.length < 2; mul = reader.made(of, 'Mul', 2)) {
    powers.unshift(reader.numbers(mul.inputs[1], 'float', Infinity) ?? []);
    [of] = mul.inputs;
  }
  const cast = reader.made(of, 'Cast', 1);
  const stored = reader.shapeOf(cast?.inputs[0], 'float16');
  if (!cast || stored?.length !== 2 || integerOf(cast, 'to') !== ELEMENT.float) return undefined;
  const shown = reshape ? reader.numbers(reshape.inputs[1], 'int64', 2) : stored;
  const count = powers[0]?.length ?? 1;
  const exponents = Array.from({ length: count }, (_, b) => powers.reduce((sum, of) => sum + powerOfTwo(of[b]), 0));
  const isOne = count === 1 && !reshape;
  if (shown?.length !== 2 || sizeOf(shown) !== sizeOf(stored) || !exponents.every(Number.isInteger)) return undefined;
  if (powers.some((of) => of.length !== count) || (!isOne && (!reshape || stored[0] !== count))) return undefined;
  const perBlock = sizeOf(stored) / count;
  const name = cast.inputs[0];
  return {
    shape: shown,
    exponents,
    precision: 'float16',
    read: () =>
      (reader.read(name) as Float32Array).map((half, i) => half * 2 ** exponents[isOne ? 0 : Math.floor(i / perBlock)]),
  };
}

// Levels

function scalarOf(reader: Reader, node: NodeProto): ScalarEncoding | undefined {
  const [value, scaleName, zeroName] = node.inputs;
  const isPlain = [...node.attributes.keys()].every((name) => name === 'axis') && integerOf(node, 'axis') === 0;
  const sub = reader.made(value, 'Sub', 2);
  const cast = reader.made(value, 'Cast', 1);
  const isByte = cast !== undefined && integerOf(cast, 'to') === ELEMENT.uint8;
  const source = sub ?? (isByte ? cast : undefined);
  if (!isPlain || !source || (sub !== undefined) !== (zeroName === undefined)) return undefined;
  const codes = codesOf(reader, source.inputs[0]);
  const rows = codes?.shape[0] ?? 1;
  const bits = codes?.width ?? 0;
  if (!codes || bits < 2 || bits > 8 || (sub && !reader.are(sub.inputs[1], 'int32', [2 ** (bits - 1)])))
    return undefined;
  const scales = reader.shapeOf(scaleName, 'float');
  if (!scales || scales.length > 1 || ![1, rows].includes(sizeOf(scales))) return undefined;
  const zeroShape = reader.shapeOf(zeroName, 'uint8');
  if (zeroName !== undefined && !(zeroShape && sameShape(zeroShape, scales))) return undefined;
  const zeros = zeroName === undefined ? undefined : (reader.read(zeroName) as Uint8Array);
  if (zeros?.some((zero) => zero >= 2 ** bits)) return undefined;
  return {
    kind: 'scalar',
    shape: codes.shape,
    bits,
    levels: Uint8Array.from(codes.read()),
    scales: reader.read(scaleName) as Float32Array,
    ...(zeros && { zeros }),
  };
}
