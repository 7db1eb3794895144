/** FNV-1a over the bits: one of them changes it. A NaN counts as one NaN, whichever bits an engine gives it. */
export function digest(arrays: readonly (Float32Array | Float64Array | Int32Array)[]): string {
  let hash = 0x811c9dc5;
  for (const values of arrays) {
    const { buffer, byteOffset, byteLength } = values.map((x) => (Number.isNaN(x) ? NaN : x));
    for (const byte of new Uint8Array(buffer, byteOffset, byteLength)) hash = Math.imul(hash ^ byte, 0x01000193);
  }
  return (hash >>> 0).toString(16).padStart(8, '0');
}
