/**
 * Options of a command as a table: each entry says how it is written, what the help says, and how its text becomes a
 * value. The key is the flag in camel case: `learningRate` is `--learning-rate`.
 */
import { parseArgs } from 'node:util';
import { expectation, obeys, show, suggestion } from '../index.ts';
import type { Rule } from '../index.ts';
import { UsageError } from './io.ts';

export interface Option<V> {
  /** What stands for the value in the help; absent: a flag that takes none. */
  readonly value?: string;
  readonly help: string;
  /** Default as the help shows it. */
  readonly shown?: string;
  /** One letter. */
  readonly short?: string;
  readonly isRequired?: boolean;
  /**
   * `given`: the text of the value, '' for a flag; undefined where the option was left out. `flag`: its name, for
   * errors.
   */
  parse(given: string | undefined, flag: string): V;
}

export type OptionTable = Readonly<Record<string, Option<unknown>>>;
export type Values<T extends OptionTable> = { readonly [K in keyof T]: T[K] extends Option<infer V> ? V : never };

export function text(value: string, help: string, short?: string): Option<string | undefined> {
  return option(
    value,
    help,
    (given, flag) => {
      if (given === '') throw new UsageError(`${flag}: expected ${value}, got nothing`);
      return given;
    },
    short,
  );
}

export function flag(help: string, short?: string): Option<boolean> {
  return { help, ...(short === undefined ? {} : { short }), parse: (given) => given !== undefined };
}

export interface Bounds {
  readonly from?: number;
  readonly to?: number;
  /** `from` itself is not allowed. */
  readonly exclusive?: boolean;
}

export function number(
  value: string,
  help: string,
  { from = -Infinity, to = Infinity, exclusive = false }: Bounds = {},
): Option<number | undefined> {
  const range = `${from === -Infinity ? '' : exclusive ? ` above ${from}` : ` of at least ${from}`}${to === Infinity ? '' : `${from === -Infinity ? ' of' : ' and'} at most ${to}`}`;
  return option(value, help, (given, name) => {
    const found = toNumber(given);
    if (!Number.isFinite(found) || found < from || found > to || (exclusive && found === from))
      throw new UsageError(`${name}: expected a number${range}, got ${show(given)}`);
    return found;
  });
}

export function integer(
  value: string,
  help: string,
  from: number,
  to = Number.MAX_SAFE_INTEGER,
): Option<number | undefined> {
  return option(value, help, (given, name) => wholeNumber(given, name, from, to));
}

/** Whole numbers with commas between them; `empty`: the word for none at all. */
export function integers(
  value: string,
  help: string,
  from: number,
  empty?: string,
): Option<readonly number[] | undefined> {
  return option(value, help, (given, name) =>
    given === empty ? [] : given.split(',').map((part) => wholeNumber(part, name, from, Number.MAX_SAFE_INTEGER)),
  );
}

export function choice<const T extends readonly string[]>(names: T, help: string): Option<T[number] | undefined> {
  return option(names.join('|'), help, (given, name): T[number] => {
    const found = names.find((known) => known === given);
    if (found === undefined)
      throw new UsageError(`${name}: expected ${names.join(' or ')}, got ${show(given)}${suggestion(given, names)}`);
    return found;
  });
}

const SHOWN = {
  integer: 'N',
  integers: 'N,N,...',
  number: 'NUMBER',
  numbers: 'NUMBER,NUMBER,...',
  boolean: 'true|false',
} as const;

/** What a rule allows, as its value: the option of a definition that states it. */
export function ruled(rule: Rule, help: string): Option<unknown> {
  if (rule.kind === 'choice') return choice(rule.of, help);
  const read = (given: string): unknown => {
    if (rule.kind === 'boolean') return given === 'true' ? true : given === 'false' ? false : undefined;
    return rule.kind === 'integers' || rule.kind === 'numbers' ? given.split(',').map(toNumber) : toNumber(given);
  };
  const shown = SHOWN[rule.kind];
  return option(shown, help, (given, name) => {
    const found = read(given);
    if (!obeys(rule, found)) throw new UsageError(`${name}: expected ${expectation(rule)}, got ${show(given)}`);
    return found;
  });
}

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
};

/** Bytes: 400000, 400kB, 1.5MB, 390KiB. */
export function size(value: string, help: string): Option<number | undefined> {
  return option(value, help, (given, name) => {
    const [, count = '', prefix = ''] = /^([\d.]+) ?([kMG]?i?)B?$/.exec(given.replace(/^([\d.]+ ?)K/, '$1k')) ?? [];
    const unit = prefix.replace('ki', 'Ki');
    const bytes = Object.hasOwn(UNITS, unit) ? Math.floor(toNumber(count) * UNITS[unit]) : NaN;
    if (!Number.isSafeInteger(bytes) || bytes < 1)
      throw new UsageError(`${name}: expected a size such as 400kB, 1.5MB, 390KiB or 400000, got ${show(given)}`);
    return bytes;
  });
}

/** How many times as much: 26 or 26x. */
export function times(value: string, help: string): Option<number | undefined> {
  return option(value, help, (given, name) => {
    const found = toNumber(given.replace(/x$/, ''));
    if (!Number.isFinite(found) || found <= 1)
      throw new UsageError(`${name}: expected a number above 1, such as 26 or 26x, got ${show(given)}`);
    return found;
  });
}

/** A share: 1.5% or 0.015. */
export function share(value: string, help: string): Option<number | undefined> {
  return option(value, help, (given, name) => {
    const isPercent = given.endsWith('%');
    const found = toNumber(isPercent ? given.slice(0, -1).trimEnd() : given) / (isPercent ? 100 : 1);
    if (!Number.isFinite(found) || found < 0)
      throw new UsageError(`${name}: expected a share of at least 0, such as 1.5% or 0.015, got ${show(given)}`);
    // A number without its sign that can only be percent.
    if (!isPercent && found >= 1)
      throw new UsageError(`${name}: ${show(given)} is ${100 * found} %; for ${given} % write ${given}%`);
    return found;
  });
}

/** The option, or a word that stands for a value that its own texts cannot say. */
export function orWord<V, W>(word: string, meaning: W, inner: Option<V>): Option<V | W> {
  return {
    ...inner,
    value: `${inner.value}|${word}`,
    parse: (given, name) => (given === word ? meaning : inner.parse(given, name)),
  };
}

export function required<V>(inner: Option<V | undefined>): Option<V> {
  return {
    ...inner,
    isRequired: true,
    parse(given, name) {
      const found = inner.parse(given, name);
      if (found === undefined) throw new UsageError(`${name} ${inner.value} is missing: ${inner.help}`);
      return found;
    },
  };
}

export function withDefault<V>(value: V, inner: Option<V | undefined>, shown = String(value)): Option<V> {
  return { ...inner, shown, parse: (given, name) => inner.parse(given, name) ?? value };
}

/** A default that depends on other options: the help shows it, the value is undefined. */
export function defaultShown<V>(shown: string, inner: Option<V>): Option<V> {
  return { ...inner, shown };
}

export interface Parsed<T extends OptionTable> {
  readonly values: Values<T>;
  readonly positionals: readonly string[];
}

/**
 * Reads the arguments of a command. `names` are its positional arguments, all required.
 * @throws {UsageError} naming the flag or the argument
 */
export function parseOptions<T extends OptionTable>(
  args: readonly string[],
  table: T,
  names: readonly string[],
): Parsed<T> {
  const keys = new Map(Object.keys(table).map((key) => [flagName(key), key]));
  const { tokens } = parseArgs({
    args: [...args],
    strict: false,
    allowPositionals: true,
    tokens: true,
    options: Object.fromEntries(
      [...keys].map(([name, key]) => [
        name,
        {
          type: table[key].value === undefined ? ('boolean' as const) : ('string' as const),
          ...(table[key].short === undefined ? {} : { short: table[key].short }),
        },
      ]),
    ),
  });
  const given = new Map<string, string>();
  const positionals: string[] = [];
  for (const token of tokens) {
    if (token.kind === 'positional') positionals.push(token.value);
    if (token.kind !== 'option') continue;
    const key = keys.get(token.name);
    if (key === undefined)
      throw new UsageError(`unknown option ${token.rawName}${suggestion(token.name, [...keys.keys()], '--')}`);
    const { value } = table[key];
    if (given.has(key)) throw new UsageError(`--${token.name}: given twice`);
    if (value === undefined && token.value !== undefined)
      throw new UsageError(`--${token.name}: takes no value, got ${show(token.value)}`);
    if (value !== undefined && token.value === undefined)
      throw new UsageError(`--${token.name}: expected ${value}, got nothing`);
    // A forgotten value must not swallow the option behind it; a negative number is a value.
    if (token.value !== undefined && !token.inlineValue && /^-[^\d.]/.test(token.value)) {
      throw new UsageError(
        `--${token.name}: expected ${value}, got the option ${token.value}; a value that begins with a dash is written --${token.name}=${token.value}`,
      );
    }
    given.set(key, token.value ?? '');
  }
  if (positionals.length < names.length) throw new UsageError(`${names[positionals.length]} is missing`);
  if (positionals.length > names.length) throw new UsageError(`unexpected argument ${show(positionals[names.length])}`);
  const values = Object.fromEntries(
    Object.entries(table).map(([key, one]) => [key, one.parse(given.get(key), `--${flagName(key)}`)]),
  );
  return { values: values as Values<T>, positionals };
}

export function flagName(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

function option<V>(
  value: string,
  help: string,
  parse: (given: string, flag: string) => V,
  short?: string,
): Option<V | undefined> {
  return {
    value,
    help,
    ...(short === undefined ? {} : { short }),
    parse: (given, name) => (given === undefined ? undefined : parse(given, name)),
  };
}

function wholeNumber(given: string, name: string, from: number, to: number): number {
  const found = toNumber(given);
  if (!Number.isSafeInteger(found) || found < from || found > to) {
    throw new UsageError(
      `${name}: expected a whole number ${to === Number.MAX_SAFE_INTEGER ? `of at least ${from}` : `from ${from} to ${to}`}, got ${show(given)}`,
    );
  }
  return found;
}

/** Decimal numbers only: Number() also takes '', '0x10' and blanks. */
function toNumber(given: string): number {
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(given) ? Number(given) : NaN;
}
