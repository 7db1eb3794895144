/** Options that stand in the library's tables of definitions (quantizers, criteria), as options of a command. */
import type { Rule, Rules } from '../index.ts';
import { defaultShown, ruled } from './options.ts';
import type { Option } from './options.ts';

/** What a definition says of its options. */
export interface Defined {
  readonly options: Rules;
  readonly defaults: Readonly<Record<string, unknown>>;
  readonly words: Readonly<Record<string, string>>;
  readonly flags?: Readonly<Record<string, string | undefined>>;
}

export interface DefinedOptions {
  /** By flag, in the order of the definitions. */
  readonly table: Readonly<Record<string, Option<unknown>>>;
  /** What was given, under the names that the definitions use. */
  given(values: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>>;
}

/**
 * Options of all definitions of a table, by whose they are; `seed` is the run's own option. One name in several
 * definitions is one flag. Whether an option belongs to the definition that is chosen is checked by whoever takes it.
 */
export function definedOptions(definitions: Readonly<Record<string, Defined>>): DefinedOptions {
  const owners = new Map<string, { name: string; rule: Rule; help: string[]; defaults: string[] }>();
  for (const [kind, { options, defaults, words, flags }] of Object.entries(definitions)) {
    for (const [name, rule] of Object.entries(options)) {
      if (name === 'seed') continue;
      const flag = flags?.[name] ?? name;
      const found = owners.get(flag) ?? { name, rule, help: [], defaults: [] };
      found.help.push(`${kind}: ${words[name]}`);
      found.defaults.push(String(defaults[name]));
      owners.set(flag, found);
    }
  }
  const table = [...owners].map(([flag, { rule, help, defaults }]): [string, Option<unknown>] => [
    flag,
    defaultShown([...new Set(defaults)].join(', '), ruled(rule, help.join('; '))),
  ]);
  return {
    table: Object.fromEntries(table),
    given: (values) =>
      Object.fromEntries(
        [...owners].flatMap(([flag, { name }]) => (values[flag] === undefined ? [] : [[name, values[flag]]])),
      ),
  };
}
