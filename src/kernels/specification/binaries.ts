export const BINARIES = { add: {}, subtract: {}, multiply: {}, divide: {}, minimum: {}, maximum: {} };
export type BinaryName = keyof typeof BINARIES;
export const binaryCode = (kind: BinaryName): number => Object.keys(BINARIES).indexOf(kind);
