/** Writing packed files: packed.ts says what is in them. */
import { concatenateBytes } from '../base/bytes.ts';
import { createCellCoder, isCountable, MODELS, partBytes } from './cells.ts';
import type { Cells, Part } from './cells.ts';
import { writeChecked } from './checksum.ts';
import { hasHuffman, huffmanBytes } from './huffman.ts';
import {
  floatParts,
  HUFFMAN_VERSION,
  LENGTHS_BYTES,
  mostDecoded,
  PACKED_KEY,
  PACKED_TENSOR,
  PACKED_VERSION,
} from './packed.ts';
import { rangeEncoder } from './range-coder.ts';
import { METADATA, metadataPairs } from './safetensors.ts';
import type { Metadata, NamedArray } from './safetensors.ts';
import { codeText } from './text-model.ts';

/** A tensor, and of what numbers its bytes consist, where that is known. Default: floats by dtype, else bytes. */
export interface PackableArray extends NamedArray {
  readonly cells?: readonly Cells[];
}

/**
 * 'smallest': each part by the model that makes it smallest. 'huffman': whole numbers by Huffman codes, floats as they are,
 * as Deep Compression counts files; larger, and unpacked faster.
 */
export type PackedCoding = 'smallest' | 'huffman';

/** A model must save this share to be worth its time. */
const LEAST_GAIN = 0.01;

/**
 * A packed file with its checksum: the same for the same tensors in the same order. By default each part is coded by the
 * model that makes it smallest, or stored as it is where none saves 1 %. Undefined where reading would refuse it: what becomes less
 * than a sixty-fourth of itself.
 *
 * Cost: each part is coded up to three times; see docs/performance.md.
 */
export function writePacked(
  tensors: readonly PackableArray[],
  metadata: Metadata,
  coding: PackedCoding = 'smallest',
): Uint8Array | undefined {
  const pieces = coding === 'huffman' ? huffmanModels(tensors) : chooseModels(tensors);
  const fields = [
    `"${METADATA}":{${metadataPairs(metadata)
      .map(([key, value]) => field(key, value))
      .join(',')}}`,
    ...tensors.map(({ name, dtype, shape }, i) => field(name, { dtype, shape, parts: pieces[i].flatMap(numbersOf) })),
  ];
  const header = new TextEncoder().encode(`{${fields.join(',')}}`);
  return assemblePacked(
    header,
    tensors.map(({ bytes }, i) => ({ bytes, parts: pieces[i] })),
  );
}

/** A packed file of this header, whose parts these are; undefined as of {@link writePacked}. */
export function assemblePacked(
  header: Uint8Array,
  tensors: readonly { readonly bytes: Uint8Array; readonly parts: readonly Part[] }[],
): Uint8Array | undefined {
  const raw: Uint8Array[] = [];
  const coder = rangeEncoder();
  codeText(coder, header.slice());
  const decoded = codedBytes(tensors.flatMap(({ parts }) => parts));
  const cells = createCellCoder(coder, decoded);
  for (const { bytes, parts } of tensors) {
    for (const part of parts) {
      if (part.model === MODELS.raw) raw.push(rawBytes(part, bytes));
      else if (part.model === MODELS.huffman) raw.push(huffmanBytes(rawBytes(part, bytes), part));
      else cells.code(part, bytes.slice());
    }
  }
  const coded = coder.finish();
  if (header.length + decoded > mostDecoded(coded.length)) return undefined;
  const lengths = new DataView(new ArrayBuffer(LENGTHS_BYTES));
  lengths.setUint32(0, header.length, true);
  lengths.setUint32(4, coded.length, true);
  const packed = concatenateBytes([new Uint8Array(lengths.buffer), coded, ...raw]);
  return writeChecked(
    [{ name: PACKED_TENSOR, dtype: 'U8', shape: [packed.length], bytes: packed }],
    new Map([[PACKED_KEY, tensors.some(({ parts }) => parts.some(isHuffman)) ? HUFFMAN_VERSION : PACKED_VERSION]]),
  );
}

// One by one: objects of JavaScript put names that are numbers first.
const field = (name: string, value: unknown): string => `${JSON.stringify(name)}:${JSON.stringify(value)}`;

/** A part as the header has it. */
function numbersOf({ model, stride, bits, count, columns }: Part): number[] {
  return stride > 0 ? [model] : [model, bits, count, columns];
}

const isHuffman = ({ model }: Part): boolean => model === MODELS.huffman;

/** Of coded parts in the range coder's run. */
const codedBytes = (parts: readonly Part[]): number =>
  parts.reduce((sum, part) => sum + (part.model === MODELS.raw || isHuffman(part) ? 0 : partBytes(part)), 0);

/** The parts of each tensor: whole numbers by Huffman codes where that is smaller, all else as it is. */
function huffmanModels(tensors: readonly PackableArray[]): Part[][] {
  return tensors.map((tensor) =>
    partsOf(tensor).map((part): Part => {
      const raw = { ...part, model: MODELS.raw };
      if (part.stride > 0 || part.count === 0 || !hasHuffman(part) || hasMore(raw, tensor.bytes)) return raw;
      const length = huffmanBytes(rawBytes(raw, tensor.bytes), part).length;
      return length < partBytes(raw) ? { ...part, model: MODELS.huffman } : raw;
    }),
  );
}

/** The parts of each tensor, with the models that make them smallest. */
function chooseModels(tensors: readonly PackableArray[]): Part[][] {
  const all = tensors.map((tensor) => partsOf(tensor).map((part): Part => ({ ...part, model: MODELS.mixed })));
  // One after another, since what one part teaches serves the next.
  const coder = rangeEncoder();
  const cells = createCellCoder(coder, codedBytes(all.flat()));
  return tensors.map(({ bytes }, i) =>
    all[i].map((part) => {
      let best: Part = { ...part, model: MODELS.raw };
      if (part.count === 0 || hasMore(part, bytes)) return best;
      let least = partBytes(part);
      const offer = (model: number, length: number): void => {
        if (length > (1 - LEAST_GAIN) * least) return;
        best = { ...part, model };
        least = length;
      };
      // From the fastest to the slowest: each must be worth its time.
      if (part.stride === 0 && isCountable(part)) offer(MODELS.counted, countedBytes(part, bytes));
      const before = coder.length();
      cells.code(part, bytes.slice());
      offer(MODELS.mixed, coder.length() - before);
      return best;
    }),
  );
}

function partsOf({ dtype, bytes, cells }: PackableArray): readonly Omit<Part, 'model'>[] {
  const floats = floatParts(dtype, bytes.length);
  if (floats) return floats;
  let first = 0;
  return (cells ?? [{ bits: 8, count: bytes.length, columns: bytes.length }])
    .filter(({ bits, count }) => bits * count > 0)
    .map((part) => {
      const placed = { ...part, first, stride: 0 };
      first += partBytes({ ...placed, model: MODELS.raw });
      return placed;
    });
}

/** Whether bits are set behind the last number, which no model would give back. */
function hasMore({ bits, count, first, stride }: Part, bytes: Uint8Array): boolean {
  const used = bits * count;
  return stride === 0 && used % 8 > 0 && bytes[first + (used >> 3)] >> (used % 8) !== 0;
}

function countedBytes(part: Part, bytes: Uint8Array): number {
  const coder = rangeEncoder();
  createCellCoder(coder, 0).code({ ...part, model: MODELS.counted }, bytes.slice());
  return coder.finish().length;
}

/** The bytes of a part, one behind the other. */
function rawBytes(part: Part, bytes: Uint8Array): Uint8Array {
  const { first, stride } = part;
  const length = partBytes(part);
  if (stride === 0) return bytes.subarray(first, first + length);
  return Uint8Array.from({ length }, (_, i) => bytes[first + (i >> 1) * stride + (i & 1)]);
}
