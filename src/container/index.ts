/** The container: safetensors in and out, checked files, saving, checkpoints. */
export { CHECKSUM_KEY, crc32, verifyChecksum, writeChecked } from './checksum.ts';
export { parseJson } from './json.ts';
export { applyPatch, diffFiles } from './patch.ts';
export type { Json, JsonOptions } from './json.ts';
export { DTYPE_BYTES, readSafetensors, steadyBytes, writeSafetensors } from './safetensors.ts';
export type { Dtype, Metadata, NamedArray, ReadLimits, SafetensorsFile, StoredArray } from './safetensors.ts';
export type { Lock } from './lock.ts';
export { checkWritable, loadFile, saveFile } from './save.ts';
export type { FileOptions, FileSystem, OpenFile } from './save.ts';
export {
  checkRunCheckpoint,
  folderStore,
  memoryStore,
  readCheckpoint,
  removeCheckpoint,
  writeCheckpoint,
} from './store.ts';
export type { Checkpoint, CheckpointPayload, CheckpointStore, Fingerprint, Restored, RunCheckpoint } from './store.ts';
