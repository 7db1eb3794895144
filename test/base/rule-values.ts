/** Values that a rule allows, and values that it does not, said anew and apart from src/base/rules.ts: at its edges, and at random. */
import fc from 'fast-check';
import type { Rule } from '../../src/base/rules.ts';

/** Numbers from `from` on, few of them far from it: bounds are where rules go wrong. */
const whole = (from: number, to: number): fc.Arbitrary<number> =>
  fc.oneof({ weight: 3, arbitrary: fc.integer({ min: from, max: Math.min(to, from + 4) }) }, fc.constantFrom(from, to));

/** What the rule allows, its bounds among it. `span`: how far numbers without an upper bound go. */
export function obeying(rule: Rule, span = 1e6): fc.Arbitrary<unknown> {
  switch (rule.kind) {
    case 'integer':
      return whole(rule.from, rule.to);
    case 'integers':
      return rule.count === undefined
        ? fc.array(whole(rule.from, rule.to), { maxLength: 5 })
        : fc.array(whole(rule.from, rule.to), { minLength: rule.count, maxLength: rule.count });
    case 'numbers':
      return fc.array(obeying({ ...rule, kind: 'number' }, span), { maxLength: 5 });
    case 'boolean':
      return fc.boolean();
    case 'choice':
      return fc.constantFrom(...rule.of);
    case 'number': {
      const { exclusive } = rule;
      const low = rule.from === -Infinity ? Math.min(-span, rule.to - span) : rule.from;
      const high = rule.to === Infinity ? low + span : rule.to;
      const ends = [
        ...(exclusive === 'from' && low === rule.from ? [] : [low]),
        ...(exclusive === 'to' && high === rule.to ? [] : [high]),
      ];
      // Not next to an end that is left out: in float32 that would be the end.
      const between = fc.integer({ min: 1, max: 1023 }).map((part) => low + ((high - low) * part) / 1024);
      return fc.oneof({ weight: 3, arbitrary: between }, ...ends.map((end) => fc.constant(end)));
    }
  }
}

/** What no rule allows. */
const NOTHING = [undefined, null, NaN, {}, () => 1, Symbol('x'), 1n, new Float32Array(2)];

/** What the rule does not allow: other kinds, and right kinds one step beyond a bound. */
export function breaking(rule: Rule): fc.Arbitrary<unknown> {
  const others = fc.constantFrom<unknown>(...NOTHING);
  switch (rule.kind) {
    case 'integer':
      return fc.oneof(others, fc.constantFrom<unknown>(true, `${rule.from}`, [rule.from]), wrongWhole(rule));
    case 'integers': {
      const right = whole(rule.from, rule.to);
      const withOneWrong = fc
        .tuple(fc.array(right, { minLength: rule.count ?? 1, maxLength: rule.count ?? 4 }), wrongWhole(rule), fc.nat(9))
        .map(([list, wrong, at]) => (list as unknown[]).with(at % list.length, wrong));
      const withHole = fc.constant(new Array<number>(rule.count ?? 2));
      const wrongLengths =
        rule.count === undefined
          ? []
          : [rule.count - 1, rule.count + 1].map((length) => fc.array(right, { minLength: length, maxLength: length }));
      return fc.oneof(others, right, fc.constant('1,1'), withOneWrong, withHole, ...wrongLengths);
    }
    case 'numbers': {
      const one = { ...rule, kind: 'number' as const };
      const withOneWrong = fc
        .tuple(fc.array(obeying(one), { minLength: 1, maxLength: 4 }), breaking(one), fc.nat(9))
        .map(([list, wrong, at]) => list.with(at % list.length, wrong));
      return fc.oneof(others, obeying(one), fc.constant('1,1'), withOneWrong, fc.constant(new Array<number>(2)));
    }
    case 'boolean':
      return fc.oneof(others, fc.constantFrom<unknown>(0, 1, 'true', '', []));
    case 'choice':
      return fc.oneof(
        others,
        fc.constantFrom<unknown>(0, true, [rule.of[0]], 'constructor'),
        fc.string().filter((word) => !rule.of.includes(word)),
      );
    case 'number': {
      const { from, to, exclusive } = rule;
      const below = Number.isFinite(from) ? [from - 1e-6 * Math.max(1, Math.abs(from)), from - 1] : [];
      const above = Number.isFinite(to) ? [to + 1e-6 * Math.max(1, Math.abs(to)), to + 1] : [];
      const ends = exclusive === 'none' ? [] : [exclusive === 'from' ? from : to];
      return fc.oneof(
        others,
        fc.constantFrom<unknown>(true, '1', [1], Infinity, -Infinity, ...below, ...above, ...ends),
      );
    }
  }
}

const wrongWhole = ({ from, to }: { from: number; to: number }): fc.Arbitrary<unknown> =>
  fc.constantFrom<unknown>(from - 1, to + 1, from + 0.5, NaN, Infinity, -Infinity, `${from}`, null);

/** Values that the rule allows, the bounds themselves among them, and values just beyond, or of a wrong kind. */
export function edgesOf(rule: Rule): { readonly allowed: readonly unknown[]; readonly refused: readonly unknown[] } {
  switch (rule.kind) {
    case 'integer':
      return { allowed: [rule.from, rule.to], refused: [rule.from - 1, rule.to + 1, rule.from + 0.5, '1', NaN, null] };
    case 'integers': {
      const list = (value: number): number[] => Array<number>(rule.count ?? 3).fill(value);
      return {
        allowed: [list(rule.from), list(rule.to)],
        refused: [rule.from, list(rule.from - 1), list(rule.to + 1), list(rule.from + 0.5)],
      };
    }
    case 'numbers': {
      const one = edgesOf({ ...rule, kind: 'number' });
      return { allowed: [[], [...one.allowed]], refused: [one.allowed[0], ...one.refused.map((value) => [value])] };
    }
    case 'boolean':
      return { allowed: [true, false], refused: [0, 'true', null] };
    case 'choice':
      return { allowed: rule.of, refused: [`${rule.of[0]}?`, 0, null] };
    case 'number': {
      const { from, to, exclusive } = rule;
      const bounds = [
        { bound: from, beyond: from - 1e-6 * Math.max(1, Math.abs(from)), isOut: exclusive === 'from' },
        { bound: to, beyond: to + 1e-6 * Math.max(1, Math.abs(to)), isOut: exclusive === 'to' },
      ].filter(({ bound }) => Number.isFinite(bound));
      return {
        allowed: [
          ...bounds.filter(({ isOut }) => !isOut).map(({ bound }) => bound),
          Number.isFinite(from) ? (Number.isFinite(to) ? (from + to) / 2 : from + 1) : Number.isFinite(to) ? to - 1 : 0,
        ],
        refused: [
          NaN,
          Infinity,
          -Infinity,
          '1',
          null,
          ...bounds.flatMap(({ bound, beyond, isOut }) => (isOut ? [bound, beyond] : [beyond])),
        ],
      };
    }
  }
}
