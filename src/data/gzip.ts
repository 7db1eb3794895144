/**
 * gzip (RFC 1952): all members of a file, one behind the other, with a bound on what comes out. The same answer on every
 * engine: see {@link createInflater}.
 */
import { concatenateBytes } from '../base/bytes.ts';
import { EspalierError, withMemory } from '../base/errors.ts';
import { crc32 } from '../container/checksum.ts';
import { looksLike } from '../container/foreign.ts';
import { steadyBytes } from '../container/safetensors.ts';
import { createInflater } from './inflate.ts';

/** DEFLATE cannot do better than 1032 to 1: more than this is declared falsely. */
export const GZIP_RATIO_LIMIT = 1032;

/** Bytes of input between two turns of the event loop. */
const PIECE = 65536;

/**
 * Inflates a gzip file held in memory: of several members all, one behind the other, as `cat a.gz b.gz` makes them;
 * zeros behind a member are padding.
 * @param limit - most bytes that may come out. Default 1032 times the bytes that went in, DEFLATE's best, so unbounded
 *   in effect
 * @throws {TypeError} if `bytes` is not bytes
 * @throws {EspalierError} BAD_MAGIC (no gzip), TRUNCATED (cut short or damaged), LAYOUT (other bytes behind a member),
 *   BUDGET (more than `limit` bytes), INPUT (a buffer that was transferred elsewhere), MEMORY
 */
export async function gunzip(bytes: Uint8Array | ArrayBuffer, limit?: number): Promise<Uint8Array> {
  const file = steadyBytes('gunzip', bytes);
  const most = limit ?? file.length * GZIP_RATIO_LIMIT;
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of inflate('gunzip', pieces(file))) {
    size += part.length;
    if (size > most)
      throw new EspalierError(
        'BUDGET',
        `gunzip: more than ${most} bytes come out; raise the limit if the file is trusted`,
        { limit: most },
      );
    parts.push(part);
  }
  return withMemory('gunzip', () => concatenateBytes(parts));
}

/**
 * The same, piece by piece, for what is larger than memory. Stopping early releases everything; an error of `source`
 * comes through as it is.
 * @throws {EspalierError} BAD_MAGIC if it is no gzip, TRUNCATED if it is cut short or damaged, LAYOUT if other bytes
 *   stand behind a member, MEMORY
 */
export async function* inflate(
  who: string,
  source: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const { inflater, members } = createMembers(who);
  const next = (): IteratorResult<Uint8Array | 'more', undefined> => withMemory(who, () => members.next());
  for await (const bytes of source) {
    if (bytes.length === 0) continue;
    inflater.feed(bytes);
    for (let found = next(); found.value !== 'more'; found = next()) {
      if (found.done) return;
      yield found.value;
    }
  }
  inflater.end();
  for (let found = next(); !found.done; found = next()) {
    if (found.value !== 'more') yield found.value;
  }
}

/** What takes the input, and the output of all members, with 'more' where input is missing; it ends with the input. */
function createMembers(who: string) {
  /** The one that is read, from 1. */
  let member = 0;
  const fault = (what: string): EspalierError =>
    new EspalierError(
      'TRUNCATED',
      `${who}: the gzip file is cut short or damaged${member > 1 ? ` in member ${member}` : ''}: ${what}; fetch or write it anew`,
    );
  const inflater = createInflater(fault);
  const { source } = inflater;
  return { inflater, members: members() };

  /** Waits until a byte is there; false at the end of the file. */
  function* some(): Generator<'more', boolean> {
    while (source.at >= source.bytes.length && !source.isLast) yield 'more';
    return source.at < source.bytes.length;
  }
  function* byte(): Generator<'more', number> {
    if (!(yield* some())) throw fault('it is cut short');
    return source.bytes[source.at++];
  }
  function* number(count: number): Generator<'more', number> {
    let value = 0;
    let scale = 1;
    for (let i = 0; i < count; i++, scale *= 256) value += (yield* byte()) * scale;
    return value;
  }

  function* members(): Generator<Uint8Array | 'more', undefined> {
    for (;;) {
      // The whole of what is there is looked at to name it, so a little of it has to be.
      while (member === 0 && source.bytes.length - source.at < 300 && !source.isLast) yield 'more';
      if (member === 0 && source.bytes.length === source.at) throw fault('it is empty');
      if (member > 0) {
        while ((yield* some()) && source.bytes[source.at] === 0) source.at++;
        if (!(yield* some())) return undefined;
      }
      const start = source.bytes.subarray(source.at);
      const [first, second] = [yield* byte(), (yield* some()) ? source.bytes[source.at++] : undefined];
      if (first !== 0x1f || (second !== 0x8b && second !== undefined)) {
        if (member > 0)
          throw new EspalierError(
            'LAYOUT',
            `${who}: other bytes than gzip stand behind member ${member} of the file; it is not what was written`,
            { found: first },
          );
        const foreign = looksLike(start);
        throw new EspalierError(
          'BAD_MAGIC',
          `${who}: expected gzip (1f 8b at the start), got ${foreign === undefined ? 'other bytes' : `what looks like ${foreign}`}; is the file compressed at all?`,
          { offset: 0 },
        );
      }
      member++;
      const method = yield* byte();
      const flags = yield* byte();
      if (method !== 8 || flags > 31) throw fault('its header is not one of gzip');
      yield* number(6);
      if (flags & 4) for (let left = yield* number(2); left > 0; left--) yield* byte();
      if (flags & 8) while ((yield* byte()) !== 0);
      if (flags & 16) while ((yield* byte()) !== 0);
      if (flags & 2) yield* number(2);

      let crc = 0;
      let size = 0;
      inflater.restart();
      for (;;) {
        const found = inflater.next();
        if (found === 'done') break;
        if (found !== 'more') {
          crc = crc32(found, crc);
          size += found.length;
        }
        yield found;
      }
      if ((yield* number(4)) !== crc) throw fault('its checksum is that of other bytes');
      if ((yield* number(4)) !== size % 2 ** 32) throw fault('it says another length');
    }
  }
}

/** Fed in pieces, with turns of the event loop between them: a page must not stand still. */
async function* pieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += PIECE) {
    if (at > 0 && at % (16 * PIECE) === 0) await new Promise((resolve) => setTimeout(resolve, 0));
    yield bytes.subarray(at, at + PIECE);
  }
}
