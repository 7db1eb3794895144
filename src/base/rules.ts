/**
 * Rules: what a field of a definition may be (an attribute of an operator, an option of a criterion or of a quantizer),
 * as data. Whoever checks, reads, documents or types such a field asks its rule; nobody states it again.
 */
import { editDistance } from './edit-distance.ts';
import { checkInteger, checkNumber, checkOneOf, show } from './errors.ts';

/** Whole numbers in files and options are at most this, unless their rule says otherwise. */
export const LARGEST = 65535;

export type Rule =
  /** A whole number. */
  | { readonly kind: 'integer'; readonly from: number; readonly to: number }
  /** So many whole numbers, or with `count` undefined any number of them from `least` on. */
  | { readonly kind: 'integers'; readonly count?: number; readonly from: number; readonly to: number }
  /** Finite, at or above `from` and at or below `to`; `exclusive`: the bound that is itself left out. */
  | { readonly kind: 'number'; readonly from: number; readonly to: number; readonly exclusive: 'none' | 'from' | 'to' }
  /** Any number of finite numbers, each as in `number`. */
  | { readonly kind: 'numbers'; readonly from: number; readonly to: number; readonly exclusive: 'none' | 'from' | 'to' }
  | { readonly kind: 'boolean' }
  | { readonly kind: 'choice'; readonly of: readonly string[] };

export type Rules = Readonly<Record<string, Rule>>;

/** The type of what a rule allows. */
export type Ruled<R extends Rule> = R extends { kind: 'integer' | 'number' }
  ? number
  : R extends { kind: 'integers'; count: 2 }
    ? readonly [number, number]
    : R extends { kind: 'integers'; count: 4 }
      ? readonly [number, number, number, number]
      : R extends { kind: 'integers' | 'numbers' }
        ? readonly number[]
        : R extends { kind: 'boolean' }
          ? boolean
          : R extends { kind: 'choice'; of: readonly (infer T)[] }
            ? T
            : never;

/** The type of an object whose fields follow these rules. */
export type RuledBy<R extends Rules> = { readonly [K in keyof R]: Ruled<R[K]> };

/** A whole number from `from` to `to`, at most {@link LARGEST} by default. */
export const integer = (from: number, to = LARGEST): { kind: 'integer'; from: number; to: number } => ({
  kind: 'integer',
  from,
  to,
});
/** Exactly `count` whole numbers, each from `from` to {@link LARGEST}. */
export const integers = <const N extends number>(
  count: N,
  from: number,
): { kind: 'integers'; count: N; from: number; to: number } => ({ kind: 'integers', count, from, to: LARGEST });
/** Any number of whole numbers. */
export const integerList = (from: number, to = LARGEST): { kind: 'integers'; from: number; to: number } => ({
  kind: 'integers',
  from,
  to,
});
/** A finite number from `from` to `to`; `exclusive` names the bound that is itself left out. */
export const number = (
  from = -Infinity,
  to = Infinity,
  exclusive: 'none' | 'from' | 'to' = 'none',
): { kind: 'number'; from: number; to: number; exclusive: 'none' | 'from' | 'to' } => ({
  kind: 'number',
  from,
  to,
  exclusive,
});
/** Any number of finite numbers, each from `from` to `to`. */
export const numberList = (
  from = -Infinity,
  to = Infinity,
  exclusive: 'none' | 'from' | 'to' = 'none',
): { kind: 'numbers'; from: number; to: number; exclusive: 'none' | 'from' | 'to' } => ({
  kind: 'numbers',
  from,
  to,
  exclusive,
});
/** true or false. */
export const boolean: { kind: 'boolean' } = { kind: 'boolean' };
/** One of these names. */
export const choice = <const T extends readonly string[]>(...of: T): { kind: 'choice'; of: T } => ({
  kind: 'choice',
  of,
});

/** What a rule expects, in words. */
export function expectation(rule: Rule): string {
  switch (rule.kind) {
    case 'integer':
      return `a whole number from ${rule.from} to ${rule.to}`;
    case 'integers':
      return `${rule.count ?? 'a list of'} whole numbers from ${rule.from} to ${rule.to}`;
    case 'boolean':
      return 'true or false';
    case 'choice':
      return `one of ${rule.of.join(', ')}`;
    case 'number':
    case 'numbers': {
      const { from, to, exclusive } = rule;
      const low = from === -Infinity ? '' : ` ${exclusive === 'from' ? 'above' : 'of at least'} ${from}`;
      const high = to === Infinity ? '' : ` ${low && 'and '}${exclusive === 'to' ? 'below' : 'at most'} ${to}`;
      return `${rule.kind === 'number' ? 'a finite number' : 'a list of finite numbers'}${low}${high}`;
    }
  }
}

/** Whether a value is what the rule allows. */
export function obeys(rule: Rule, value: unknown): boolean {
  const isWhole = (one: unknown, { from, to }: { from: number; to: number }): boolean =>
    Number.isInteger(one) && (one as number) >= from && (one as number) <= to;
  switch (rule.kind) {
    case 'integer':
      return isWhole(value, rule);
    case 'integers':
      return (
        Array.isArray(value) &&
        (rule.count === undefined || value.length === rule.count) &&
        // Spread, so that a hole is undefined instead of passed by.
        [...(value as unknown[])].every((one) => isWhole(one, rule))
      );
    case 'numbers':
      return Array.isArray(value) && [...(value as unknown[])].every((one) => obeys({ ...rule, kind: 'number' }, one));
    case 'boolean':
      return typeof value === 'boolean';
    case 'choice':
      return typeof value === 'string' && rule.of.includes(value);
    case 'number': {
      const { from, to, exclusive } = rule;
      return (
        typeof value === 'number' &&
        Number.isFinite(value) &&
        (exclusive === 'from' ? value > from : value >= from) &&
        (exclusive === 'to' ? value < to : value <= to)
      );
    }
  }
}

/** The value, if the rule allows it. @throws {TypeError | RangeError} naming `who` and `name` */
export function checkRule<R extends Rule>(who: string, name: string, rule: R, value: unknown): Ruled<R> {
  if (obeys(rule, value)) return value as Ruled<R>;
  // The plain kinds have checks of their own, whose words are those of every other argument.
  if (rule.kind === 'integer') checkInteger(who, name, value, rule.from, rule.to);
  if (rule.kind === 'number') checkNumber(who, name, value, rule.from, rule.to, rule.exclusive === 'from');
  if (rule.kind === 'choice') checkOneOf(who, name, value, rule.of);
  const WrongKind = rule.kind === 'number' || Array.isArray(value) ? RangeError : TypeError;
  throw new WrongKind(`${who}: ${name}: expected ${expectation(rule)}, got ${show(value)}`);
}

/**
 * Options as they were given, without a prototype: own properties only, since what stands on a prototype nobody gave,
 * and known names only.
 * @param given - undefined: none
 * @throws {TypeError} for what is no object, and for an unknown name, with the known one nearest to it
 */
export function ownOptions<T extends object>(
  who: string,
  name: string,
  given: T | undefined,
  names: readonly (keyof T & string)[],
): T {
  const own = Object.create(null) as T;
  if (given === undefined) return own;
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw new TypeError(
      `${who}: ${name}: expected an object, got ${show(given)}${names.length > 0 ? `; it may have ${names.join(', ')}` : ''}`,
    );
  }
  Object.assign(own, given);
  checkNames(who, name, own, names);
  return own;
}

/** @throws {TypeError} for a name that is not one of `names`, with the nearest of them */
export function checkNames(who: string, name: string, given: object, names: readonly string[]): void {
  const unknown = Object.keys(given).find((key) => !names.includes(key));
  if (unknown !== undefined) {
    throw new TypeError(
      `${who}: ${name}: expected ${names.join(', ') || 'no options'}, got ${show(unknown)}${suggestion(unknown, names)}`,
    );
  }
}

/** '; did you mean ...?' if a name is near, else ''. */
export function suggestion(given: string, names: readonly string[], prefix = ''): string {
  // Of a longer text no name is near, and the distance costs the product of the lengths.
  if (given.length > 60) return '';
  const [near] = names
    .map((name) => ({ name, distance: name.startsWith(given) && given.length > 1 ? 0.5 : editDistance(given, name) }))
    .sort((a, b) => a.distance - b.distance);
  return near !== undefined && near.distance <= Math.max(1, Math.floor(near.name.length / 3))
    ? `; did you mean ${prefix}${near.name}?`
    : '';
}

/**
 * Options by their rules: what is given where it is given (undefined: it is not), else the default.
 * @throws {TypeError} for a name that no rule is for, or a value of a wrong kind
 * @throws {RangeError} for a wrong value
 */
export function resolveOptions<R extends Rules>(
  who: string,
  name: string,
  rules: R,
  defaults: RuledBy<R>,
  given: unknown,
): RuledBy<R> {
  const own = ownOptions(who, name, given as Record<string, unknown> | undefined, Object.keys(rules));
  const resolved: Record<string, unknown> = { ...defaults };
  for (const [key, value] of Object.entries(own))
    if (value !== undefined) resolved[key] = checkRule(who, `${name}.${key}`, rules[key], value);
  return resolved as RuledBy<R>;
}
