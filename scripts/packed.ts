/** What scripts/generate.ts has packed into a program, found again: for the checks of what is published. */
import { inflateRawSync } from 'node:zlib';

/** What lies packed in a program: long strings of base64, inflated. */
export function packedIn(text: string): Uint8Array<ArrayBuffer>[] {
  return [...text.matchAll(/["'`]([\w+/=]{500,})["'`]/g)].map(
    ([, base64]) => new Uint8Array(inflateRawSync(Buffer.from(base64, 'base64'))),
  );
}

/** Of these the WebAssembly modules: they begin with the magic number. */
export function modulesIn(text: string): Uint8Array<ArrayBuffer>[] {
  return packedIn(text).filter((bytes) => bytes[0] === 0 && String.fromCharCode(...bytes.subarray(1, 4)) === 'asm');
}
