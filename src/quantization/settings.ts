/** Which quantizer, with which options: the table of quantizers, and how what is given is checked and filled in. */
import { checkOneOf, show } from '../base/errors.ts';
import { resolveOptions, type Rules, type RuledBy } from '../base/rules.ts';
import type { Quantizer } from './quantizer.ts';
import { QUANTIZERS } from './quantizers.generated.ts';

export { QUANTIZERS };
export type QuantizerName = keyof typeof QUANTIZERS;
/** Names of the table, in its order. */
export const QUANTIZER_NAMES = /* @__PURE__ */ Object.keys(QUANTIZERS) as readonly QuantizerName[];
/** The one that is meant where none is named: the paper's. */
export const DEFAULT_QUANTIZER = 'product' satisfies QuantizerName;

type OptionsOf<K extends QuantizerName> = Partial<RuledBy<(typeof QUANTIZERS)[K]['options']>>;

/** A quantizer by name (default {@link DEFAULT_QUANTIZER}) with options of its own; those left out have its defaults. */
export type QuantizerSettings =
  | ({ readonly quantizer?: undefined } & OptionsOf<typeof DEFAULT_QUANTIZER>)
  | { [K in QuantizerName]: { readonly quantizer: K } & OptionsOf<K> }[QuantizerName];

/** A quantizer and all its options. */
export interface ResolvedQuantizer {
  readonly kind: QuantizerName;
  readonly quantizer: Quantizer;
  readonly options: RuledBy<Rules>;
}

/** The quantizer of a name; it takes options of its own rules only, which is the caller's to keep. */
export function quantizerOf(kind: QuantizerName): Quantizer {
  return QUANTIZERS[kind] as unknown as Quantizer;
}

/**
 * Settings, the later over the earlier (those of a layer over those of all): the quantizer named last, its options as
 * given where they are given (undefined: they are not), else its defaults. Options beside the name of another quantizer
 * are that one's and say nothing about this one.
 * @param name - of the settings, for errors
 * @throws {TypeError} naming an option that the quantizer has not, or of a wrong kind
 * @throws {RangeError} for a wrong value, or options that exclude each other
 */
export function resolveQuantizer(
  who: string,
  name: string,
  ...given: readonly (QuantizerSettings | undefined)[]
): ResolvedQuantizer {
  let kind: QuantizerName = DEFAULT_QUANTIZER;
  let merged: Partial<RuledBy<Rules>> = {};
  for (const settings of given) {
    if (settings === undefined) continue;
    if (typeof settings !== 'object' || settings === null)
      throw new TypeError(`${who}: ${name}: expected an object, got ${show(settings)}`);
    // Own properties only; which names it takes is known when the quantizer is.
    const { quantizer: named, ...rest } = Object.assign(Object.create(null) as QuantizerSettings, settings);
    if (named !== undefined && checkOneOf(who, `${name}.quantizer`, named, QUANTIZER_NAMES) !== kind) {
      kind = named;
      merged = {};
    }
    const own = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined));
    merged = quantizerOf(kind).merge?.(merged, own) ?? { ...merged, ...own };
  }
  const quantizer = quantizerOf(kind);
  return { kind, quantizer, options: resolveOptions(who, name, quantizer.options, quantizer.defaults, merged) };
}
