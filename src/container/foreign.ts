/** What a file that is not ours looks like, told by its first bytes, so that the error can say what to do about it. */

interface Signature {
  /** Bytes, as characters 0 ... 255. */
  readonly magic: string;
  /** Where they stand. Default 0. */
  readonly at?: number;
  readonly looksLike: string;
}

const SIGNATURES: readonly Signature[] = [
  { magic: 'version https://git-lfs', looksLike: 'a Git LFS pointer; fetch the file itself with `git lfs pull`' },
  { magic: '\x1f\x8b', looksLike: 'a gzip file; unpack it first' },
  { magic: '\x93NUMPY', looksLike: 'a NumPy .npy array' },
  { magic: '\x89HDF', looksLike: 'an HDF5 file (Keras .h5?)' },
  { magic: 'GGUF', looksLike: 'a GGUF model' },
  { magic: 'TFL3', at: 4, looksLike: 'a TensorFlow Lite model' },
  { magic: '\x28\xb5\x2f\xfd', looksLike: 'a zstd file; unpack it first' },
  { magic: '\xfd7zXZ', looksLike: 'an xz file; unpack it first' },
  { magic: 'BZh', looksLike: 'a bzip2 file; unpack it first' },
  { magic: 'ustar', at: 257, looksLike: 'a tar archive; unpack it first' },
  { magic: '\x89PNG', looksLike: 'a PNG picture' },
  { magic: '\xff\xd8\xff', looksLike: 'a JPEG picture' },
  { magic: '%PDF', looksLike: 'a PDF' },
  { magic: '\0asm', looksLike: 'a WebAssembly module' },
];

/**
 * A name and a cure, or undefined for bytes that look like nothing known. Reads the first 300 bytes, and of what may be
 * an ONNX file the beginnings of its fields.
 */
export function looksLike(bytes: Uint8Array): string | undefined {
  if (startsWith(bytes, 'PK\x03\x04', 0)) return zipKind(bytes);
  for (const { magic, at = 0, looksLike: name } of SIGNATURES) {
    if (startsWith(bytes, magic, at)) return name;
  }
  let first = startsWith(bytes, '\xef\xbb\xbf', 0) ? 3 : 0;
  while (
    first < 64 &&
    (bytes[first] === 0x20 || bytes[first] === 0x0a || bytes[first] === 0x0d || bytes[first] === 0x09)
  )
    first++;
  if (bytes[first] === 0x3c) return 'an HTML or XML page (an error page that was saved as the file?)';
  if (bytes[first] === 0x7b || bytes[first] === 0x5b)
    return 'JSON text (an error message, or a description without its weights?)';
  if (isOnnx(bytes)) return 'an ONNX model; read it with readOnnx of espalier/onnx';
  if (bytes[0] === 0x80 && bytes[1] >= 2 && bytes[1] <= 5)
    return 'a Python pickle (an old PyTorch file?); export the weights as safetensors';
  return undefined;
}

/** By the name of the first file in it. */
function zipKind(bytes: Uint8Array): string {
  const name = String.fromCharCode(...bytes.subarray(30, 30 + Math.min(bytes[26] + 256 * bytes[27], 100)));
  if (name.endsWith('.npy')) return 'a NumPy .npz archive; unpack it and take one of its .npy files';
  if (name.endsWith('.pkl') || name.includes('/.format_version') || name.includes('/.data/'))
    return 'a PyTorch file (.pt, .pth); save its state_dict as safetensors';
  return 'a zip file (.keras?); unpack it, or save the weights as safetensors';
}

/** Wire types of the fields of ONNX's ModelProto: 0 a number, 2 bytes behind their length. */
const MODEL_PROTO: ReadonlyMap<number, number> = new Map([
  [1, 0], // ir_version
  [2, 2], // producer_name
  [3, 2], // producer_version
  [4, 2], // domain
  [5, 0], // model_version
  [6, 2], // doc_string
  [7, 2], // graph
  [8, 2], // opset_import
  [14, 2], // metadata_props
  [20, 2], // training_info
  [25, 2], // functions
]);

/**
 * Whether the bytes are the fields of a ModelProto, in any order (protobuf promises none), the graph or the operator set
 * among them; the last may be cut.
 */
export function isOnnx(bytes: Uint8Array): boolean {
  let at = 0;
  /** A varint of up to 2^53, or NaN. */
  const number = (): number => {
    for (let value = 0, scale = 1, i = 0; i < 8 && at < bytes.length; i++, scale *= 128) {
      const byte = bytes[at++];
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
    return NaN;
  };
  let telling = false;
  for (let fields = 0; fields < 64 && at < bytes.length; fields++) {
    const tag = number();
    const field = Math.floor(tag / 8);
    const type = MODEL_PROTO.get(field);
    if (type === undefined || tag % 8 !== type) return false;
    const value = number();
    if (Number.isNaN(value) || (field === 1 && (value < 1 || value > 255))) return false;
    telling ||= field === 7 || field === 8;
    if (type === 2) at += value;
  }
  return telling;
}

function startsWith(bytes: Uint8Array, magic: string, at: number): boolean {
  for (let i = 0; i < magic.length; i++) {
    if (bytes[at + i] !== magic.charCodeAt(i)) return false;
  }
  return true;
}
