/** What each operator's attributes may be, as a table: for checking nodes that a caller or a file made. */
import { EspalierError, show } from '../base/errors.ts';
import type { Node } from '../graph/network.ts';
import type { OperatorAttributes, OperatorKind } from '../graph/network.ts';

type AttributeRule =
  /** That many whole numbers from `from` to 65535. */
  | { readonly kind: 'integers'; readonly count: number; readonly from: number }
  | { readonly kind: 'integer'; readonly from: number }
  /** Finite, above or at `from` by `exclusive`, below or at `to` likewise. */
  | { readonly kind: 'number'; readonly from: number; readonly to: number; readonly exclusive: 'none' | 'from' | 'to' }
  | { readonly kind: 'boolean' };

const LARGEST = 65535;
const PAIR: AttributeRule = { kind: 'integers', count: 2, from: 1 };
const PADDING: AttributeRule = { kind: 'integers', count: 4, from: 0 };

const RULES: { readonly [K in OperatorKind]: { readonly [A in keyof OperatorAttributes[K]]: AttributeRule } } = {
  conv: { stride: PAIR, padding: PADDING, dilation: PAIR, groups: { kind: 'integer', from: 1 } },
  dense: {},
  maxPool: { size: PAIR, stride: PAIR, padding: PADDING },
  averagePool: { size: PAIR, stride: PAIR, padding: PADDING, countPadding: { kind: 'boolean' } },
  globalAveragePool: {},
  relu: {},
  leakyRelu: { slope: { kind: 'number', from: 0, to: Infinity, exclusive: 'from' } },
  sigmoid: {},
  tanh: {},
  softmax: {},
  batchNorm: {
    epsilon: { kind: 'number', from: 0, to: Infinity, exclusive: 'from' },
    momentum: { kind: 'number', from: 0, to: 1, exclusive: 'none' },
  },
  affine: {},
  flatten: {},
  add: {},
  concat: {},
  dropout: { rate: { kind: 'number', from: 0, to: 1, exclusive: 'to' } },
};

export function isOperatorKind(kind: unknown): kind is OperatorKind {
  return typeof kind === 'string' && Object.hasOwn(RULES, kind);
}

/**
 * Every attribute there, of the right kind and value, and no other. @throws {EspalierError} ATTRIBUTE, naming the node
 */
export function checkAttributes(
  who: string,
  node: Pick<Node, 'name' | 'kind'> & { readonly attributes: unknown },
): void {
  function fail(problem: string, found: unknown): never {
    throw new EspalierError(
      'ATTRIBUTE',
      `${who}: node ${show(node.name)} (${node.kind}): ${problem}, got ${show(found)}`,
      { name: node.name, found },
    );
  }
  const rules = RULES[node.kind] as Readonly<Record<string, AttributeRule>>;
  const { attributes } = node;
  if (typeof attributes !== 'object' || attributes === null) return fail('attributes: expected an object', attributes);
  for (const name of Object.keys(attributes)) {
    if (!Object.hasOwn(rules, name)) fail(`attributes: expected ${Object.keys(rules).join(', ') || 'none'}`, name);
  }
  for (const [name, rule] of Object.entries(rules)) {
    const value: unknown = Object.hasOwn(attributes, name)
      ? (attributes as Readonly<Record<string, unknown>>)[name]
      : undefined;
    const problem = problemOf(rule, value);
    if (problem !== undefined) fail(`${name}: expected ${problem}`, value);
  }
}

/** What was expected, or undefined if the value is that. */
function problemOf(rule: AttributeRule, value: unknown): string | undefined {
  const isInteger = (one: unknown, from: number): boolean =>
    Number.isInteger(one) && (one as number) >= from && (one as number) <= LARGEST;
  switch (rule.kind) {
    case 'integers':
      return Array.isArray(value) && value.length === rule.count && value.every((one) => isInteger(one, rule.from))
        ? undefined
        : `${rule.count} whole numbers from ${rule.from} to ${LARGEST}`;
    case 'integer':
      return isInteger(value, rule.from) ? undefined : `a whole number from ${rule.from} to ${LARGEST}`;
    case 'boolean':
      return typeof value === 'boolean' ? undefined : 'true or false';
    case 'number': {
      const { from, to, exclusive } = rule;
      const fits =
        typeof value === 'number' &&
        Number.isFinite(value) &&
        (exclusive === 'from' ? value > from : value >= from) &&
        (exclusive === 'to' ? value < to : value <= to);
      return fits
        ? undefined
        : `a finite number ${exclusive === 'from' ? 'above' : 'of at least'} ${from}${to === Infinity ? '' : ` and ${exclusive === 'to' ? 'below' : 'at most'} ${to}`}`;
    }
  }
}
