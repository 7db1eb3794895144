/** Every option of every quantizer and criterion in the tables has a flag: a new one is held to that without a test. */
import { vgg } from '../../src/index.ts';
import { describe, expect, it, test } from 'vitest';
import { COMPRESS_OPTIONS, compressOptions } from '../../src/cli/compress-options.ts';
import { flagName, parseOptions } from '../../src/cli/options.ts';
import { CRITERIA, obeys, QUANTIZERS } from '../../src/index.ts';
import type { Criterion, Quantizer, Rule } from '../../src/index.ts';
import { edgesOf } from '../base/rule-values.ts';
import { call } from './fixtures.ts';

const NETWORK = vgg({ side: 8, widths: [2], hidden: [3] });

const DEFINITIONS = [
  ...Object.entries(QUANTIZERS).map(([kind, one]) => ({
    place: 'settings' as const,
    chosenBy: 'quantizer',
    kind,
    one: one as unknown as Quantizer,
  })),
  ...Object.entries(CRITERIA).map(([kind, one]) => ({
    place: 'scoring' as const,
    chosenBy: 'criterion',
    kind,
    one: one as Criterion,
  })),
];
const OPTIONS = DEFINITIONS.flatMap(({ one, ...rest }) =>
  Object.entries(one.options as Readonly<Record<string, Rule>>)
    .filter(([name]) => name !== 'seed')
    .map(([name, rule]) => ({
      ...rest,
      name,
      rule,
      flag: `--${flagName(one.flags?.[name] ?? name)}`,
      help: one.words[name],
    })),
);
const read = async (...args: string[]) =>
  compressOptions(parseOptions(['m', '--data', 'd', '-o', 'o', ...args], COMPRESS_OPTIONS, ['MODEL']).values, NETWORK);
const { stdout: help } = await call(['compress', '--help']);
const words = help.replaceAll(/\s+/g, ' ');

describe.each(OPTIONS)('$flag of $kind', ({ place, chosenBy, kind, name, rule, flag, help: wanted }) => {
  it('stands in the help with its words', () => {
    expect(words).toContain(`${flag} `);
    expect(words).toContain(`${kind}: ${wanted}`);
  });
  it('brings every value that its rule allows to compress() under its own name, and refuses the others by the flag', async () => {
    const { allowed, refused } = edgesOf(rule);
    for (const value of allowed) {
      const { [place]: taken, ...options } = await read(`--${chosenBy}`, kind, `${flag}=${String(value)}`);
      expect(place === 'settings' ? taken : options.criterion).toEqual(
        place === 'settings' ? { quantizer: kind, [name]: value } : kind,
      );
      if (place === 'scoring') expect(taken).toEqual({ [name]: value });
    }
    for (const value of refused) {
      if (obeys(rule, Number(value)) || allowed.map(String).includes(String(value))) continue; // right as a text
      await expect(read(`${flag}=${String(value)}`)).rejects.toThrow(`${flag}: expected`);
    }
  });
});

test('every quantizer and criterion can be chosen, and stands in the help', async () => {
  for (const { chosenBy, kind } of DEFINITIONS) {
    expect(words).toContain(kind);
    expect(await read(`--${chosenBy}`, kind)).toMatchObject(
      chosenBy === 'criterion' ? { criterion: kind } : { settings: { quantizer: kind } },
    );
  }
});

test('no flag stands for two options of compress: those of the tables are none of its own', () => {
  const own = Object.keys(COMPRESS_OPTIONS);
  expect(own.length).toBe(new Set(own.map(flagName)).size);
  const derived = new Set(OPTIONS.map(({ flag }) => flag));
  for (const fixed of [
    'keep',
    'layers',
    'criterion',
    'quantizer',
    'order',
    'tolerance',
    'retries',
    'seed',
    'options',
    'batch',
    'unit',
    'report',
  ])
    expect(derived.has(`--${fixed}`)).toBe(false);
});
