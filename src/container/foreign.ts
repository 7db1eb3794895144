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
  { magic: 'PK\x03\x04', looksLike: 'a zip file (PyTorch .pt, .npz or .keras?); export the weights as safetensors' },
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

/** A name and a cure, or undefined for bytes that look like nothing known. Reads at most the first 300 bytes. */
export function looksLike(bytes: Uint8Array): string | undefined {
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
  // ModelProto: field 1 (ir_version) as a small number, then producer name, version, domain, graph or operator set.
  if (bytes[0] === 0x08 && bytes[1] > 0 && bytes[1] < 32 && [0x12, 0x1a, 0x22, 0x3a, 0x42].includes(bytes[2])) {
    return 'an ONNX model, which is not read yet; export its weights as safetensors';
  }
  if (bytes[0] === 0x80 && bytes[1] >= 2 && bytes[1] <= 5)
    return 'a Python pickle (an old PyTorch file?); export the weights as safetensors or ONNX';
  return undefined;
}

function startsWith(bytes: Uint8Array, magic: string, at: number): boolean {
  for (let i = 0; i < magic.length; i++) {
    if (bytes[at + i] !== magic.charCodeAt(i)) return false;
  }
  return true;
}
