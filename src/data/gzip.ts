/**
 * Inflating gzip by the platform's own `DecompressionStream` (Node 18 and later, browsers), with a bound on what comes
 * out.
 */
import { EspalierError, show } from '../base/errors.ts';

/** DEFLATE cannot do better than 1032 to 1: more than this is declared falsely. */
export const GZIP_RATIO_LIMIT = 1032;

/**
 * Inflates a gzip file held in memory.
 * @param limit - most bytes that may come out. Default 1032 times the bytes that went in, DEFLATE's best, so unbounded
 *   in effect
 * @throws {EspalierError} BAD_MAGIC (no gzip), TRUNCATED (cut short or damaged), BUDGET (more than `limit` bytes)
 */
export async function gunzip(bytes: Uint8Array, limit = bytes.length * GZIP_RATIO_LIMIT): Promise<Uint8Array> {
  if (!ArrayBuffer.isView(bytes) || bytes[Symbol.toStringTag] !== 'Uint8Array')
    throw new TypeError(`gunzip: bytes: expected a Uint8Array, got ${show(bytes)}`);
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of inflate('gunzip', pieces(bytes))) {
    size += part.length;
    if (size > limit)
      throw new EspalierError(
        'BUDGET',
        `gunzip: more than ${limit} bytes come out; raise the limit if the file is trusted`,
        { limit },
      );
    parts.push(part);
  }
  const out = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/**
 * The same, piece by piece, for what is larger than memory. Stopping early releases everything; an error of `source`
 * comes through as it is.
 * @throws {EspalierError} BAD_MAGIC if it is no gzip, TRUNCATED if it is cut short or damaged
 */
export async function* inflate(
  who: string,
  source: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const stream = new DecompressionStream('gzip');
  const writer = stream.writable.getWriter();
  const reader = stream.readable.getReader();
  const ignore = (): undefined => undefined;
  let fault: { readonly error: unknown } | undefined;
  const feeding = (async () => {
    let start = true;
    try {
      for await (const part of source) {
        if (start && (part[0] !== 0x1f || (part.length > 1 && part[1] !== 0x8b))) {
          throw new EspalierError(
            'BAD_MAGIC',
            `${who}: expected gzip (1f 8b at the start), got other bytes; is the file compressed at all?`,
            { offset: 0 },
          );
        }
        start = false;
        // A copy: the stream may take the buffer over. A write that fails shows on the reading side.
        if (
          !(await writer.write(part.slice()).then(
            () => true,
            () => false,
          ))
        )
          return;
      }
    } catch (error) {
      fault = { error };
      await writer.abort(error).catch(ignore);
      return;
    }
    await writer.close().catch(ignore);
  })();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } catch (error) {
    throw fault
      ? fault.error
      : new EspalierError('TRUNCATED', `${who}: the gzip file is cut short or damaged; fetch or write it anew`, {
          cause: error,
        });
  } finally {
    await reader.cancel().catch(ignore);
    await feeding;
  }
}

/** Fed in pieces, so that a stream that swells is noticed before all of it has come out. */
function* pieces(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 65536) yield bytes.subarray(at, at + 65536);
}
