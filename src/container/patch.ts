/**
 * A file as its difference from another one: what an update of a model sends, where most of the model stayed. Both are
 * taken apart to their tensors, unpacked ones; what is the same costs next to nothing, of whole numbers the differences
 * are coded, of floats the steps from one to the next representable, predicted by the size that they had in the
 * numbers before. Put together again, the result is the file bit by bit.
 *
 * A patch is a safetensors file of one tensor of bytes, 'patch'. Its bytes: the length of the result's header (32 bits,
 * little endian), 1 where the result is packed, else 0, and one run of the range coder: that header, with the base's as
 * what came before; for each piece of the tensors whether it stays, changes or is new; then the pieces that do not stay.
 *
 * Applying is bounded: what stays or changes is as long as its tensor in the base, what is new by the patch's own bytes.
 */
import { concatenateBytes } from '../base/bytes.ts';
import { EspalierError, show, withMemory } from '../base/errors.ts';
import { createCellCoder, isCountable, MODELS, partBytes } from './cells.ts';
import type { Part } from './cells.ts';
import { crc32, verifyChecksum, writeChecked } from './checksum.ts';
import { createCounter, createMixer, mix } from './mixer.ts';
import type { Mixer } from './mixer.ts';
import { assemblePacked } from './pack.ts';
import { floatParts, mostDecoded, openPacked, PACKED_KEY, PATCH_KEY, readPacked } from './packed.ts';
import { rangeDecoder, rangeEncoder } from './range-coder.ts';
import type { BitCoder } from './range-coder.ts';
import { DTYPE_BYTES, LENGTH_BYTES, readLayout, readSafetensors, steadyBytes } from './safetensors.ts';
import type { Dtype, StoredArray } from './safetensors.ts';
import { codeText } from './text-model.ts';

const PATCH_VERSION = '1';
const PATCH_TENSOR = 'patch';
/** Keys of what the patch is for and what comes of it: '<bytes> <CRC-32>'. */
const [BASE_KEY, RESULT_KEY] = ['base', 'result'];
/** Bytes in front of what is coded. */
const FRONT_BYTES = 5;

const [DIFF, APPLY] = ['diffFiles', 'applyPatch'];

/** What becomes of a piece. */
const [STAYS, CHANGES, NEW] = [0, 1, 2];

/** Part of a tensor whose differences are coded together: floats whole, numbers as they are packed. */
interface Piece extends Pick<Part, 'bits' | 'count' | 'columns' | 'first'> {
  readonly tensor: string;
  readonly dtype: Dtype;
  /** Of the tensor, of which base and result must have equally many. */
  readonly tensorBytes: number;
  /** Bytes of the piece. */
  readonly length: number;
  /** How it is coded where it is new. */
  readonly parts: readonly Part[];
}

/** A header, and which tensors follow in which order. */
interface Plan {
  readonly isPacked: boolean;
  /** As it stands in the file. */
  readonly header: Uint8Array;
  readonly tensors: readonly {
    readonly name: string;
    readonly dtype: Dtype;
    readonly length: number;
    /** Of a packed file. */
    readonly parts: readonly Part[];
  }[];
}

interface Opened extends Plan {
  readonly stored: ReadonlyMap<string, Pick<StoredArray, 'dtype' | 'bytes'>>;
}

/**
 * The patch that makes `file` of `base`: two files of espalier, packed or plain, or any safetensors files. Of a model
 * whose codewords, scales or biases alone were trained on it is a small part of the file (docs/patches.md); of unrelated
 * files it is as long as the new one, and the new one serves better. The same for the same files.
 *
 * Cost: up to a microsecond for each byte of the unpacked tensors that changed, four times.
 * @throws {TypeError} if one is not bytes
 * @throws {EspalierError} UNSUPPORTED for a packed file that was not written by this library; whatever `readSafetensors`
 *   throws; MEMORY
 * @example
 * import { applyPatch, diffFiles } from 'espalier';
 * const patch = diffFiles(before, after);   // sent to whoever has `before`
 * const same = applyPatch(before, patch);   // `after`, bit by bit
 */
export function diffFiles(base: Uint8Array | ArrayBuffer, file: Uint8Array | ArrayBuffer): Uint8Array {
  const [from, to] = [steadyBytes(DIFF, base), steadyBytes(DIFF, file)];
  return withMemory(DIFF, () => {
    const patch = writePatch(from, to);
    // What is not ours in a packed file, such as metadata around it, has no place in a patch.
    const { file: made } = rebuild(from, patch);
    if (made === undefined || !equal(made, to))
      throw new EspalierError(
        'UNSUPPORTED',
        `${DIFF}: file: a packed file that was not written by espalier as it stands; write it anew by writeNetwork(readNetwork(bytes), { packed: true })`,
      );
    return patch;
  });
}

/**
 * The file that the patch was made for, bit by bit.
 * @param base - the very file that `diffFiles` was given
 * @throws {TypeError} if one is not bytes
 * @throws {EspalierError} CHECKSUM if the patch is damaged, is for another base, or yields another file than it should;
 *   MISSING if it is no patch; UNSUPPORTED_VERSION, LAYOUT, FIELD, BUDGET, MEMORY, and whatever `readSafetensors` throws
 */
export function applyPatch(base: Uint8Array | ArrayBuffer, patch: Uint8Array | ArrayBuffer): Uint8Array {
  const [from, given] = [steadyBytes(APPLY, base), steadyBytes(APPLY, patch)];
  return withMemory(APPLY, () => {
    const { file, promised } = rebuild(from, given);
    if (file === undefined || digest(file) !== promised)
      throw new EspalierError(
        'CHECKSUM',
        `${APPLY}: patch: the result is not the file that the patch promises; it is damaged, get it anew`,
        { name: RESULT_KEY },
      );
    return file;
  });
}

function writePatch(from: Uint8Array, to: Uint8Array): Uint8Array {
  const [base, result] = [openFile(from), openFile(to)];
  const pieces = piecesOf(result);
  const fates = pieces.map((piece) => fateOf(piece, base, result));
  const coder = rangeEncoder();
  codeText(coder, concatenateBytes([base.header, result.header]), base.header.length);
  codePieces(coder, pieces, fates, base, (piece) => result.stored.get(piece.tensor)!.bytes.slice());
  const coded = coder.finish();
  const front = new Uint8Array(FRONT_BYTES);
  new DataView(front.buffer).setUint32(0, result.header.length, true);
  front[4] = result.isPacked ? 1 : 0;
  // Zeros are what a decoder finds behind the end anyway: as many as what is new may come out of.
  const decoded = newBytes(pieces, fates) + result.header.length - base.header.length;
  const short = Math.max(0, Math.ceil((decoded - mostDecoded(coded.length)) / (mostDecoded(1) - mostDecoded(0))));
  const bytes = concatenateBytes([front, coded, new Uint8Array(short)]);
  return writeChecked(
    [{ name: PATCH_TENSOR, dtype: 'U8', shape: [bytes.length], bytes }],
    new Map([
      [PATCH_KEY, PATCH_VERSION],
      [BASE_KEY, digest(from)],
      [RESULT_KEY, digest(to)],
    ]),
  );
}

function rebuild(
  from: Uint8Array,
  patch: Uint8Array,
): { readonly file: Uint8Array | undefined; readonly promised: string | undefined } {
  const { metadata, tensors } = readSafetensors(patch);
  const version = metadata.get(PATCH_KEY);
  if (version === undefined)
    throw new EspalierError('MISSING', `${APPLY}: patch: it is a safetensors file and no patch of diffFiles`, {
      name: PATCH_KEY,
    });
  if (version !== PATCH_VERSION)
    throw new EspalierError(
      'UNSUPPORTED_VERSION',
      `${APPLY}: patch: made as version ${show(version)}; this program reads version ${PATCH_VERSION}, update it`,
      { name: PATCH_KEY, found: version },
    );
  verifyChecksum(APPLY, patch);
  const wanted = metadata.get(BASE_KEY);
  if (digest(from) !== wanted)
    throw new EspalierError(
      'CHECKSUM',
      `${APPLY}: base: expected the file that the patch was made from (bytes and checksum ${show(wanted)}), got ${show(digest(from))}; find that one, or get the whole new file`,
      { name: BASE_KEY, found: digest(from) },
    );
  const { bytes = new Uint8Array(0) } = tensors.get(PATCH_TENSOR) ?? {};
  if (bytes.length < FRONT_BYTES || bytes[4] > 1)
    throw new EspalierError('LAYOUT', `${APPLY}: patch: expected a tensor '${PATCH_TENSOR}' that begins as one does`);
  const headerLength = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  const base = openFile(from);
  const limit = mostDecoded(bytes.length - FRONT_BYTES) + base.header.length;
  checkBudget(headerLength, limit);
  const coder = rangeDecoder(bytes.subarray(FRONT_BYTES));
  const text = concatenateBytes([base.header, new Uint8Array(headerLength)]);
  codeText(coder, text, base.header.length);
  const plan = planOf(text.subarray(base.header.length), bytes[4] === 1);
  const pieces = piecesOf(plan);
  const made = new Map<string, Uint8Array>();
  codePieces(
    coder,
    pieces,
    undefined,
    base,
    ({ tensor, tensorBytes }) => {
      const known = made.get(tensor) ?? new Uint8Array(tensorBytes);
      made.set(tensor, known);
      return known;
    },
    (fates) => checkBudget(newBytes(pieces, fates) + headerLength, limit),
  );
  return { file: fileOf(plan, made), promised: metadata.get(RESULT_KEY) };
}

function checkBudget(decoded: number, limit: number): void {
  if (decoded > limit)
    throw new EspalierError(
      'BUDGET',
      `${APPLY}: patch: ${decoded} bytes would come out of it, at most ${limit} are let out; it is damaged or hostile`,
      { limit, found: decoded },
    );
}

const digest = (file: Uint8Array): string => `${file.length} ${crc32(file).toString(16).padStart(8, '0')}`;

const equal = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && a.every((byte, i) => byte === b[i]);

function openFile(file: Uint8Array): Opened {
  const read = readSafetensors(file);
  if (read.metadata.has(PACKED_KEY)) {
    const { text, tensors } = openPacked(read);
    return { isPacked: true, header: text, tensors, stored: new Map(tensors.map((tensor) => [tensor.name, tensor])) };
  }
  const length = new DataView(file.buffer, file.byteOffset).getUint32(0, true);
  const header = file.subarray(LENGTH_BYTES, LENGTH_BYTES + length);
  return { ...planOf(header, false), stored: read.tensors };
}

function planOf(header: Uint8Array, isPacked: boolean): Plan {
  if (isPacked) return { isPacked, header, tensors: readPacked(header) };
  const tensors = readLayout(header).map(({ name, dtype, begin, end }) => ({
    name,
    dtype,
    length: end - begin,
    parts: [],
  }));
  return { isPacked, header, tensors };
}

function fileOf({ isPacked, header, tensors }: Plan, made: ReadonlyMap<string, Uint8Array>): Uint8Array | undefined {
  const bytesOf = (name: string): Uint8Array => made.get(name) ?? new Uint8Array(0);
  if (isPacked)
    return assemblePacked(
      header,
      tensors.map(({ name, parts }) => ({ bytes: bytesOf(name), parts })),
    );
  const length = new Uint8Array(LENGTH_BYTES);
  new DataView(length.buffer).setUint32(0, header.length, true);
  return concatenateBytes([length, header, ...tensors.map(({ name }) => bytesOf(name))]);
}

function piecesOf({ tensors }: Plan): Piece[] {
  return tensors.flatMap(({ name: tensor, dtype, length, parts }): Piece[] => {
    const of = { tensor, dtype, tensorBytes: length };
    const halves = floatParts(dtype, length)?.map((half) => ({ ...half, model: MODELS.mixed }));
    if (length === 0) return [];
    if (halves) {
      const bits = 8 * DTYPE_BYTES[dtype];
      return [{ ...of, bits, count: halves[0].count, columns: 1, first: 0, length, parts: halves }];
    }
    const all = parts.length > 0 ? parts : [asBytesPart(0, length)];
    return all.map((part) => {
      const bytes = partBytes(part);
      // Of what is stored as it is, bits may be set behind the last number.
      const taken = part.model === MODELS.raw ? asBytesPart(part.first, bytes) : part;
      const { bits, count, columns, first } = taken;
      return { ...of, bits, count, columns, first, length: bytes, parts: [taken] };
    });
  });
}

function asBytesPart(first: number, count: number): Part {
  const part = { bits: 8, count, columns: count, first, stride: 0 };
  return { ...part, model: isCountable(part) ? MODELS.counted : MODELS.mixed };
}

/** Bytes of the same place in the base; undefined where its tensor is another one. */
function inBase({ tensor, dtype, tensorBytes }: Piece, base: Opened): Uint8Array | undefined {
  const found = base.stored.get(tensor);
  return found?.bytes.length === tensorBytes && found.dtype === dtype ? found.bytes : undefined;
}

function fateOf(piece: Piece, base: Opened, result: Opened): number {
  const before = inBase(piece, base);
  if (!before) return NEW;
  const after = result.stored.get(piece.tensor)!.bytes;
  const end = piece.first + piece.length;
  if (equal(before.subarray(piece.first, end), after.subarray(piece.first, end))) return STAYS;
  const lengthOf = (code: (coder: BitCoder, bytes: Uint8Array) => void): number => {
    const coder = rangeEncoder();
    code(coder, after.slice());
    return coder.length();
  };
  const changed = lengthOf((coder, bytes) => {
    codeChange(changeMixer(coder, piece.length), piece, 0, before, bytes);
  });
  const anew = lengthOf((coder, bytes) => {
    const cells = createCellCoder(coder, piece.length);
    for (const part of piece.parts) cells.code(part, bytes);
  });
  return changed <= anew ? CHANGES : NEW;
}

const newBytes = (pieces: readonly Piece[], fates: readonly number[]): number =>
  pieces.reduce((sum, { length }, i) => sum + (fates[i] === NEW ? length : 0), 0);

/**
 * Fates and contents of the pieces, one after another.
 * @param given - fates, of an encoder; a decoder finds them
 * @param bytesOf - of the piece's tensor: a decoder fills them
 * @param onFates - before the first content
 * @throws {EspalierError} LAYOUT where a piece is to come from a base that has none such
 */
function codePieces(
  coder: BitCoder,
  pieces: readonly Piece[],
  given: readonly number[] | undefined,
  base: Opened,
  bytesOf: (piece: Piece) => Uint8Array,
  onFates?: (fates: readonly number[]) => void,
): void {
  const fate = createCounter(coder, 2);
  const fates = pieces.map((piece, i) => {
    const found = fate(given?.[i] ?? 0);
    if (found > NEW || (found !== NEW && !inBase(piece, base)))
      throw new EspalierError(
        'LAYOUT',
        `${APPLY}: patch: ${show(piece.tensor)} is to come from the base, whose tensor of that name is another one; it is damaged`,
        { name: piece.tensor },
      );
    return found;
  });
  onFates?.(fates);
  const changed = pieces.reduce((sum, { length }, i) => sum + (fates[i] === CHANGES ? length : 0), 0);
  const mixer = changeMixer(coder, changed);
  const cells = createCellCoder(coder, newBytes(pieces, fates));
  pieces.forEach((piece, i) => {
    const bytes = bytesOf(piece);
    if (fates[i] === NEW) {
      for (const part of piece.parts) cells.code(part, bytes);
      return;
    }
    const before = inBase(piece, base)!;
    if (fates[i] === CHANGES) codeChange(mixer, piece, i, before, bytes);
    else bytes.set(before.subarray(piece.first, piece.first + piece.length), piece.first);
  });
}

/** Sets of weights: of the size of a step, its sign, its bits, and of numbers of 1 to 16 bits. */
const [SIZES, SIGNS, BITS, NUMBERS] = [0, 1, 2, 2];

function changeMixer(coder: BitCoder, changed: number): Mixer {
  const stateBits = Math.min(20, Math.max(14, 37 - Math.clz32(changed)));
  return createMixer(coder, { inputs: 4, sets: NUMBERS + 17, rate: 12, memory: 255, stateBits });
}

function codeChange(mixer: Mixer, piece: Piece, number: number, before: Uint8Array, bytes: Uint8Array): void {
  if (floatParts(piece.dtype, piece.tensorBytes)) codeSteps(mixer, piece, number, before, bytes);
  else codeDifferences(mixer, piece, number, before, bytes);
}

/** Whole numbers: their differences modulo 2^bits. */
function codeDifferences(
  mixer: Mixer,
  { bits, count, columns, first }: Piece,
  number: number,
  before: Uint8Array,
  bytes: Uint8Array,
): void {
  const { contexts } = mixer;
  const mask = 2 ** bits - 1;
  let history = 0;
  for (let i = 0; i < count; i++) {
    const at = 8 * first + i * bits;
    const old = bitsAt(before, at, bits);
    contexts[0] = mix(number, 1);
    contexts[1] = mix(mix(number, old), 2);
    contexts[2] = mix(mix(number, i % columns), 3);
    contexts[3] = mix(mix(history & 15, bits), 4);
    const step = mixer.code(bits, NUMBERS + bits, (bitsAt(bytes, at, bits) - old) & mask);
    putBits(bytes, at, bits, (old + step) & mask);
    history = (history << 1) | (step === 0 ? 0 : 1);
  }
}

function bitsAt(bytes: Uint8Array, at: number, bits: number): number {
  const first = at >> 3;
  const three = bytes[first] | ((bytes[first + 1] ?? 0) << 8) | ((bytes[first + 2] ?? 0) << 16);
  return (three >> (at & 7)) & (2 ** bits - 1);
}

function putBits(bytes: Uint8Array, at: number, bits: number, value: number): void {
  let mask = (2 ** bits - 1) << (at & 7);
  let moved = value << (at & 7);
  for (let i = at >> 3; mask !== 0; i++, mask >>>= 8, moved >>>= 8) {
    bytes[i] = (bytes[i] & ~mask) | (moved & mask);
  }
}

/**
 * Floats by how many representable numbers lie between: bits of that count, sign, then the bits below the highest. What
 * moved as far as its neighbour did, but is half as large, moved twice as many numbers: so the exponent predicts.
 */
function codeSteps(
  mixer: Mixer,
  { bits, count, first }: Piece,
  number: number,
  before: Uint8Array,
  bytes: Uint8Array,
): void {
  const { contexts } = mixer;
  const width = bits / 8;
  const [fraction, shift] = bits === 32 ? [23, 0] : [10, 16];
  /** Size of the last step plus exponent: of its distance. */
  let distance = 0;
  let history = 0;
  for (let i = 0; i < count; i++) {
    const at = first + i * width;
    const old = readBits(before, at, width);
    const exponent = (old >>> fraction) & (bits === 32 ? 255 : 31);
    const from = inOrder(old, bits);
    const step = ((inOrder(readBits(bytes, at, width), bits) - from) << shift) >> shift;
    const magnitude = Math.abs(step) >>> 0;
    contexts[0] = mix(number, 1);
    contexts[1] = mix(mix(number, exponent), 2);
    contexts[2] = mix(mix(number, distance - exponent), 3);
    contexts[3] = mix(mix(number, history & 0xfff), 4);
    const size = mixer.code(6, SIZES, 32 - Math.clz32(magnitude));
    let steps = 0;
    if (size > 0) {
      const isDown = old >>> (bits - 1);
      contexts[0] = mix(number, 5);
      contexts[1] = mix(mix(number, isDown), 6);
      contexts[2] = mix(size, 7);
      contexts[3] = mix(mix(isDown, exponent), 8);
      const sign = mixer.code(1, SIGNS, step < 0 ? 1 : 0);
      let value = 1;
      for (let place = size - 2; place >= 0; place--) {
        contexts[0] = mix(size, 9 + place);
        contexts[1] = mix(mix(number, size), 41 + place);
        // The first places behind the highest; the others are even.
        contexts[2] = mix(place > size - 5 ? value : 0, 73 + place);
        contexts[3] = mix(number, 105);
        value = 2 * value + mixer.code(1, BITS, (magnitude >>> place) & 1);
      }
      steps = sign === 1 ? -value : value;
    }
    distance = size + exponent;
    history = (history << 6) | size;
    writeBits(bytes, at, width, inOrder(from + steps, bits, true));
  }
}

function readBits(bytes: Uint8Array, at: number, width: number): number {
  let value = 0;
  for (let i = 0; i < width; i++) value |= bytes[at + i] << (8 * i);
  return value >>> 0;
}

function writeBits(bytes: Uint8Array, at: number, width: number, value: number): void {
  for (let i = 0; i < width; i++) bytes[at + i] = value >>> (8 * i);
}

/** Bits of a float as a whole number in the order of the floats, modulo 2^bits; back again. */
function inOrder(value: number, bits: number, back = false): number {
  const top = 2 ** (bits - 1);
  const whole = bits === 32 ? value >>> 0 : value & 0xffff;
  const isNegative = whole >= top !== back;
  return isNegative ? 2 * top - 1 - whole : (whole ^ top) >>> 0;
}
