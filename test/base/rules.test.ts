/** Rules: each allows exactly what it says, and whoever is refused is told who asked for what. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  boolean,
  checkRule,
  choice,
  expectation,
  integer,
  integerList,
  integers,
  LARGEST,
  number,
  obeys,
  ownOptions,
  resolveOptions,
  suggestion,
} from '../../src/base/rules.ts';
import type { Rule } from '../../src/base/rules.ts';
import { breaking, obeying } from './rule-values.ts';

const bounds = fc.tuple(fc.integer({ min: -1000, max: 1000 }), fc.nat(1000)).map(([from, more]) => [from, from + more]);
const ends = fc.constantFrom('none', 'from', 'to');
const rules: fc.Arbitrary<Rule> = fc.oneof(
  bounds.map(([from, to]) => integer(from, to)),
  fc.tuple(fc.constantFrom(1, 2, 3, 4), fc.integer({ min: -5, max: 5 })).map(([count, from]) => integers(count, from)),
  bounds.map(([from, to]) => integerList(from, to)),
  fc.tuple(bounds, ends).map(([[from, to], end]) => number(from / 8, to / 8 + 1, end)),
  fc.constantFrom(number(), number(0, Infinity, 'from'), number(0), number(-Infinity, 1), number(-Infinity, 1, 'to')),
  fc.constant(boolean),
  fc.uniqueArray(fc.string({ minLength: 1 }), { minLength: 1, maxLength: 4 }).map((words) => choice(...words)),
);
const kept = rules.chain((rule) => fc.tuple(fc.constant(rule), obeying(rule)));
const broken = rules.chain((rule) => fc.tuple(fc.constant(rule), breaking(rule)));

/** The error that a call throws. */
function thrownBy(call: () => unknown): Error {
  try {
    call();
  } catch (error) {
    return error as Error;
  }
  throw new Error('nothing was thrown');
}

describe('a rule', () => {
  it('allows what it says, its bounds among it, and hands it on as it is', () => {
    fc.assert(
      fc.property(kept, ([rule, value]) => {
        expect(obeys(rule, value)).toBe(true);
        expect(checkRule('who', 'name', rule, value)).toBe(value);
      }),
      { numRuns: 500 },
    );
  });

  it('allows nothing else: one step beyond a bound, a list with a hole, another kind', () => {
    fc.assert(
      fc.property(broken, ([rule, value]) => {
        expect(obeys(rule, value)).toBe(false);
        expect(thrownBy(() => checkRule('who', 'name', rule, value)).message).toMatch(/^who: name: expected .*, got /);
      }),
      { numRuns: 1000 },
    );
  });

  it('refuses a wrong kind by a TypeError and a wrong value by a RangeError', () => {
    const refusal = (rule: Rule, value: unknown): string => thrownBy(() => checkRule('f', 'x', rule, value)).name;
    for (const rule of [integer(1), number(0, 1), integers(2, 1), integerList(1), boolean, choice('a')]) {
      for (const wrong of [undefined, null, {}]) expect(refusal(rule, wrong), expectation(rule)).toBe('TypeError');
    }
    expect(refusal(integer(1), '1')).toBe('TypeError');
    expect(refusal(integer(1), 0)).toBe('RangeError');
    expect(refusal(integer(1), LARGEST + 1)).toBe('RangeError');
    expect(refusal(number(0, 1, 'to'), 1)).toBe('RangeError');
    expect(refusal(number(0, 1, 'from'), 0)).toBe('RangeError');
    expect(refusal(integers(2, 1), [1])).toBe('RangeError');
    expect(refusal(integers(2, 1), [1, 0])).toBe('RangeError');
    expect(refusal(choice('a', 'b'), 'c')).toBe('RangeError');
    expect(refusal(boolean, 1)).toBe('TypeError');
  });

  it('says in words what it expects, a bound that is left out among it', () => {
    expect(expectation(integer(1, 9))).toBe('a whole number from 1 to 9');
    expect(expectation(integers(4, 0))).toBe(`4 whole numbers from 0 to ${LARGEST}`);
    expect(expectation(integerList(1, 9))).toBe('a list of whole numbers from 1 to 9');
    expect(expectation(number())).toBe('a finite number');
    expect(expectation(number(0))).toBe('a finite number of at least 0');
    expect(expectation(number(0, Infinity, 'from'))).toBe('a finite number above 0');
    expect(expectation(number(0, 1, 'to'))).toBe('a finite number of at least 0 and below 1');
    expect(expectation(number(-Infinity, 1))).toBe('a finite number at most 1');
    expect(expectation(boolean)).toBe('true or false');
    expect(expectation(choice('a', 'b'))).toBe('one of a, b');
  });
});

describe('resolveOptions', () => {
  const RULES = { count: integer(1, 9), rate: number(0, 1), word: choice('a', 'b') };
  const DEFAULTS = { count: 3, rate: 0.5, word: 'a' } as const;
  const resolve = (given: unknown): unknown => resolveOptions('f', 'options', RULES, DEFAULTS, given);

  it('takes what is given and the defaults for the rest; undefined is not given', () => {
    const given = fc.record(
      {
        count: fc.option(obeying(RULES.count), { nil: undefined }),
        rate: fc.option(obeying(RULES.rate), { nil: undefined }),
        word: fc.option(obeying(RULES.word), { nil: undefined }),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(given, (options) => {
        expect(resolve(options)).toEqual({
          count: options.count ?? DEFAULTS.count,
          rate: options.rate ?? DEFAULTS.rate,
          word: options.word ?? DEFAULTS.word,
        });
      }),
    );
    expect(resolve(undefined)).toEqual(DEFAULTS);
    expect(DEFAULTS).toEqual({ count: 3, rate: 0.5, word: 'a' });
  });

  it('names the option that is wrong, and those that there are where one is unknown', () => {
    expect(() => resolve({ rate: 1.5 })).toThrow(/^f: options\.rate: expected .* at most 1, got 1\.5$/);
    expect(() => resolve({ count: null })).toThrow(/^f: options\.count: expected .*, got null$/);
    for (const name of ['counts', 'toString', '__proto__']) {
      const error = thrownBy(() => resolve(JSON.parse(`{ ${JSON.stringify(name)}: 1 }`)));
      expect(error).toBeInstanceOf(TypeError);
      expect(error.message).toBe(
        `f: options: expected count, rate, word, got ${JSON.stringify(name)}${name === 'counts' ? '; did you mean count?' : ''}`,
      );
    }
    expect(() => resolveOptions('f', 'options', {}, {}, { a: 1 })).toThrow('expected no options, got "a"');
    for (const wrong of [null, 3, 'count'])
      expect(() => resolve(wrong)).toThrow(/^f: options: expected an object, got .*; it may have count, rate, word$/);
  });
});

it('a name with one letter changed, lost, doubled or swapped is guessed', () => {
  const names = ['output', 'epochs', 'learning-rate', 'widths', 'signs', 'tolerance'];
  fc.assert(
    fc.property(
      fc.constantFrom(...names),
      fc.nat(),
      fc.constantFrom('change', 'lose', 'double', 'swap'),
      (name, where, how) => {
        const at = where % (name.length - 1);
        const typo = {
          change: `${name.slice(0, at)}_${name.slice(at + 1)}`,
          lose: name.slice(0, at) + name.slice(at + 1),
          double: name.slice(0, at + 1) + name.slice(at),
          swap: name.slice(0, at) + name[at + 1] + name[at] + name.slice(at + 2),
        }[how];
        expect(suggestion(typo, names)).toBe(`; did you mean ${name}?`);
      },
    ),
  );
});

it('of a long text no name is near, and that is known at once', () => {
  expect(suggestion('e'.repeat(1e6), ['epochs'])).toBe('');
});

describe('ownOptions', () => {
  const own = (given: unknown) =>
    ownOptions('f', 'options', given as { rate?: number; count?: number }, ['rate', 'count']);

  it('what stands on a prototype was not given', () => {
    expect(own(Object.create({ rate: 3 })).rate).toBeUndefined();
    Object.defineProperty(Object.prototype, 'rate', { value: 3, configurable: true });
    try {
      expect(own({ count: 1 }).rate).toBeUndefined();
      expect(own(undefined).rate).toBeUndefined();
    } finally {
      delete (Object.prototype as { rate?: number }).rate;
    }
  });

  it('an unknown name is refused with the nearest, and so is what is no object', () => {
    expect(() => own({ rat: 1 })).toThrow(
      new TypeError('f: options: expected rate, count, got "rat"; did you mean rate?'),
    );
    expect(() => own({ momentum: 1 })).toThrow(new TypeError('f: options: expected rate, count, got "momentum"'));
    for (const wrong of [null, 3, [], 'rate', () => 1])
      expect(() => own(wrong)).toThrow(/expected an object, got .*; it may have rate, count$/);
  });
});
