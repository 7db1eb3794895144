/**
 * Errors. A wrong kind of argument is a `TypeError`, a wrong value a `RangeError`; what is wrong with a file, a model,
 * data or a run is an {@link EspalierError} with a stable code. Every text says who, which argument, what was
 * expected, what came, and the cure.
 */
import { arrayName, isError } from './realm.ts';

/** Stable codes: a program may switch on them; their meaning does not change between versions. */
export type ErrorCode =
  // Files and containers.
  | 'TRUNCATED'
  | 'BAD_MAGIC'
  | 'UNSUPPORTED_VERSION'
  | 'CHECKSUM'
  | 'LAYOUT'
  | 'RANGE'
  | 'SHAPE'
  | 'BUDGET'
  | 'PQ_PARAM'
  | 'FIELD'
  | 'NONFINITE'
  | 'HEADER'
  | 'DUPLICATE'
  | 'UNSUPPORTED'
  | 'NPY_HEADER'
  | 'MISSING'
  | 'INPUT'
  | 'TOO_LARGE'
  // Files of other programs.
  | 'PROTO'
  | 'DEPTH'
  | 'TENSOR'
  | 'PATH'
  | 'EXTERNAL'
  | 'ZIP'
  // Networks.
  | 'GRAPH'
  | 'ATTRIBUTE'
  | 'COUPLING'
  // Runs.
  | 'DIVERGED'
  | 'DATA'
  | 'CHECKPOINT'
  | 'LOCKED'
  | 'IO'
  | 'WORKER'
  | 'MEMORY'
  | 'DISPOSED';

/** Where in the file, model or run it went wrong; each field only where it means something. */
export interface ErrorDetails {
  /** Byte offset in the file. */
  offset?: number;
  /** Tensor, node, field or file concerned. */
  name?: string;
  /** The bound that was exceeded. */
  limit?: number;
  /** What was found instead. */
  found?: unknown;
  /** Training or schedule step. */
  step?: number;
  /** DIVERGED: the network with its last finite values; `lastGoodNetwork` of espalier/training gives it its type. */
  lastGood?: unknown;
  cause?: unknown;
}

/** Longest text of an error: room for a list of twenty names, and none for a file's contents. */
const MOST_MESSAGE = 4000;
/** Longest text of one value in it. */
const MOST_SHOWN = 240;
/** Arrays within each other that are shown; deeper ones are '[...]'. */
const MOST_DEPTH = 2;

/**
 * What is wrong with a file, a model, data or a run; `code` says which kind, `details` where. The text is bounded and
 * safe to print, whatever the file holds ({@link visible}); `details` has names as they are.
 */
export class EspalierError extends Error {
  // As a field of its own: where a host has frozen Error.prototype, nothing inherited can be assigned.
  override readonly name = 'EspalierError';
  readonly code: ErrorCode;
  readonly details: Readonly<ErrorDetails>;
  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(
      clipped(visibleLines(message), MOST_MESSAGE),
      details.cause === undefined ? undefined : { cause: details.cause },
    );
    this.code = code;
    this.details = details;
  }
}

/**
 * The same text with everything that a reader cannot see written as JSON writes it: control characters, so that no name
 * moves the cursor or breaks a line, marks of direction, so that none turns the text around it, zero-width characters
 * and halves of surrogate pairs. For whoever writes text that came from a file to a terminal, a page or an error; JSON
 * text keeps its meaning. Linear time.
 *
 * @example
 * visible('conv\u001b[2J\u202e1');   // 'conv\\u001b[2J\\u202e1'
 */
export function visible(text: string): string {
  return text.replace(UNSEEN, (found) => ESCAPES.get(found) ?? escaped(found));
}

/** The same, line by line: line feeds stay. */
export function visibleLines(text: string): string {
  return text.split('\n').map(visible).join('\n');
}

/** Controls (Cc), format characters (Cf: direction, zero width, tags), half pairs (Cs), line and paragraph separators. */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;
const ESCAPES: ReadonlyMap<string, string> = /* @__PURE__ */ new Map([
  ['\n', '\\n'],
  ['\r', '\\r'],
  ['\t', '\\t'],
]);

function escaped(character: string): string {
  let text = '';
  for (let i = 0; i < character.length; i++) text += `\\u${character.charCodeAt(i).toString(16).padStart(4, '0')}`;
  return text;
}

/** At most `most` characters: of more the beginning, and the end, where the cure stands. */
function clipped(text: string, most: number): string {
  if (text.length <= most) return text;
  const end = Math.floor(most / 4);
  return `${text.slice(0, most - end - 5)} ... ${text.slice(-end)}`;
}

/** Text of a value for an error message: bounded, visible, and never throws. */
export function show(value: unknown): string {
  return clipped(shown(value, 0), MOST_SHOWN);
}

/** Names for an error message: the first few, and how many more there are. */
export function showAll(names: readonly string[], most = 8): string {
  const rest = names.length > most ? ` and ${names.length - most} more` : '';
  return `${names.slice(0, most).map(show).join(', ')}${rest}`;
}

function shown(value: unknown, depth: number): string {
  if (typeof value === 'string') return visible(JSON.stringify(value.length > 60 ? `${value.slice(0, 57)}...` : value));
  if (
    typeof value === 'number' ||
    typeof value === 'bigint' ||
    typeof value === 'boolean' ||
    value === undefined ||
    value === null
  )
    return String(value);
  if (typeof value === 'function') return `a function`;
  if (typeof value === 'symbol') return 'a symbol';
  if (Array.isArray(value)) {
    if (value.length > 8) return `an array of ${value.length}`;
    return depth === MOST_DEPTH ? '[...]' : `[${value.map((one) => shown(one, depth + 1)).join(', ')}]`;
  }
  if (ArrayBuffer.isView(value))
    return `${arrayName(value) ?? 'DataView'} of ${(value as { length?: number }).length ?? value.byteLength}`;
  return `an object`;
}

/**
 * Runs what sets memory aside by the numbers of a file or a request, which have been checked.
 * @throws {EspalierError} MEMORY where the engine refuses; what `work` has made is let go
 */
export function withMemory<T>(who: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    // Every engine has texts of its own for it ('Array buffer allocation failed', 'Invalid typed array length', 'Out of
    // memory'); SpiderMonkey's is no RangeError at times.
    if (!isError(cause) || !['RangeError', 'InternalError'].includes(cause.name)) throw cause;
    // A check of ours: a wrong argument is no lack of memory.
    if (cause.message.startsWith(`${who}: `)) throw cause;
    throw new EspalierError(
      'MEMORY',
      `${who}: there is no memory for it (${cause.message}); let other models and data go, take fewer samples at once, or give the process more`,
      { cause },
    );
  }
}

/**
 * A whole number in [from, to]. `who`: function name; `name`: argument name. Returns the value, so that a check reads as
 * an expression.
 * @throws {TypeError} if it is no number
 * @throws {RangeError} if it is another number
 */
export function checkInteger(
  who: string,
  name: string,
  value: unknown,
  from: number,
  to = Number.MAX_SAFE_INTEGER,
): number {
  const expected =
    to === Number.MAX_SAFE_INTEGER ? `an integer of at least ${from}` : `an integer from ${from} to ${to}`;
  if (typeof value !== 'number') throw new TypeError(`${who}: ${name}: expected ${expected}, got ${show(value)}`);
  if (!Number.isSafeInteger(value) || value < from || value > to)
    throw new RangeError(`${who}: ${name}: expected ${expected}, got ${value}`);
  return value;
}

/**
 * A finite number in [from, to]; `exclusive` leaves out `from` itself. Returns it.
 * @throws {TypeError} if it is no number
 * @throws {RangeError} if it is another number
 */
export function checkNumber(
  who: string,
  name: string,
  value: unknown,
  from = -Infinity,
  to = Infinity,
  exclusive = false,
): number {
  const expected = `a finite number ${exclusive ? 'above' : 'of at least'} ${from}${to === Infinity ? '' : ` and at most ${to}`}`;
  if (typeof value !== 'number') throw new TypeError(`${who}: ${name}: expected ${expected}, got ${show(value)}`);
  if (!Number.isFinite(value) || value < from || value > to || (exclusive && value === from))
    throw new RangeError(`${who}: ${name}: expected ${expected}, got ${value}`);
  return value;
}

/**
 * One of a closed list of names. Returns it.
 * @throws {TypeError} if it is no string
 * @throws {RangeError} if it is another string
 */
export function checkOneOf<T extends string>(who: string, name: string, value: unknown, allowed: readonly T[]): T {
  if (typeof value !== 'string')
    throw new TypeError(`${who}: ${name}: expected one of ${allowed.join(', ')}, got ${show(value)}`);
  if (!allowed.includes(value as T))
    throw new RangeError(`${who}: ${name}: expected one of ${allowed.join(', ')}, got ${show(value)}`);
  return value as T;
}

/**
 * Every element finite.
 * @param columns - of the matrix that the data are: the first wrong element is named by row and column. Default 0: by
 *   its index
 * @throws {EspalierError} NONFINITE
 */
export function checkFinite(who: string, name: string, data: ArrayLike<number>, columns = 0): void {
  for (let i = 0; i < data.length; i++) {
    if (!Number.isFinite(data[i])) {
      const where = columns > 0 ? `row ${Math.floor(i / columns)}, column ${i % columns}` : `element ${i}`;
      throw new EspalierError(
        'NONFINITE',
        `${who}: ${clipped(name, MOST_SHOWN)}: expected finite numbers, got ${data[i]} at ${where}; remove or replace it`,
        { name, found: data[i] },
      );
    }
  }
}
