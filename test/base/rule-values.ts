/** Values at the edges of a rule: what laws over tables of definitions try. */
import type { Rule } from '../../src/base/rules.ts';

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
