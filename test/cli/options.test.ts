import fc from 'fast-check';
import { expect, it } from 'vitest';
import { UsageError } from '../../src/cli/io.ts';
import {
  choice,
  flag,
  integer,
  integers,
  number,
  orWord,
  parseOptions,
  required,
  text,
  withDefault,
} from '../../src/cli/options.ts';

const TABLE = {
  data: required(text('DIR', 'a folder')),
  output: text('FILE', 'a file', 'o'),
  epochs: withDefault(20, integer('N', 'passes', 1, 1000)),
  learningRate: number('RATE', 'rate', { from: 0, exclusive: true }),
  widths: integers('N,N', 'filters', 1, 'none'),
  signs: choice(['apart', 'none'], 'signs'),
  tolerance: orWord('none', Infinity, number('X', 'tolerance', { from: 0 })),
  json: flag('as JSON'),
};
const read = (...args: string[]) => parseOptions(['--data', 'd', ...args], TABLE, []).values;

it('a value written is the value read, behind a blank or an equals sign', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 1000 }),
      fc.double({ min: 1e-300, max: 1e300, noNaN: true }),
      fc.array(fc.integer({ min: 1, max: 5000 }), { minLength: 1, maxLength: 6 }),
      fc.boolean(),
      (epochs, rate, widths, together) => {
        const pairs = [
          ['--epochs', String(epochs)],
          ['--learning-rate', String(rate)],
          ['--widths', widths.join(',')],
        ];
        const values = read(...pairs.flatMap(([name, value]) => (together ? [`${name}=${value}`] : [name, value])));
        expect([values.epochs, values.learningRate, values.widths]).toEqual([epochs, rate, widths]);
      },
    ),
  );
});

it('what is left out is its default or undefined, a flag false', () => {
  expect(read()).toEqual({
    data: 'd',
    output: undefined,
    epochs: 20,
    learningRate: undefined,
    widths: undefined,
    signs: undefined,
    tolerance: undefined,
    json: false,
  });
});

it('words stand for values that numbers cannot say, and short flags for long ones', () => {
  expect(read('--tolerance', 'none', '--widths', 'none', '-o', 'f', '--json')).toMatchObject({
    tolerance: Infinity,
    widths: [],
    output: 'f',
    json: true,
  });
});

it.each([
  [['--epochs', '0'], /--epochs: expected a whole number from 1 to 1000, got "0"/],
  [['--epochs', '2.5'], /--epochs: expected a whole number/],
  [['--epochs', ''], /--epochs: expected a whole number .* got ""/],
  [['--epochs', '0x10'], /--epochs: expected a whole number/],
  [['--epochs', '-3'], /--epochs: .* got "-3"/],
  [['--learning-rate', '0'], /--learning-rate: expected a number above 0, got "0"/],
  [['--learning-rate', 'Infinity'], /--learning-rate: expected a number/],
  [['--learning-rate', 'fast'], /--learning-rate: expected a number/],
  [['--tolerance', '-.5'], /--tolerance: expected a number of at least 0, got "-.5"/],
  [['--widths', '8,,8'], /--widths: expected a whole number/],
  [['--signs', 'aprat'], /--signs: expected apart or none, got "aprat"; did you mean apart\?/],
  [['--json=yes'], /--json: takes no value/],
  [['--output'], /--output: expected FILE, got nothing/],
  [['--output', '--json'], /--output: expected FILE, got the option --json; .* --output=--json/],
  [['--output', ''], /--output: expected FILE, got nothing/],
  [['--epochs', '3', '--epochs', '4'], /--epochs: given twice/],
  [['--epoch', '3'], /unknown option --epoch; did you mean --epochs\?/],
  [['--learningRate', '3'], /unknown option --learningRate; did you mean --learning-rate\?/],
  [['-x'], /unknown option -x$/],
  [['--frobnicate'], /unknown option --frobnicate$/],
  [['stray'], /unexpected argument "stray"/],
])('%j is refused by name', (args, message) => {
  expect(() => read(...args)).toThrow(UsageError);
  expect(() => read(...args)).toThrow(message);
});

it('what is required and missing is asked for, arguments before options', () => {
  expect(() => parseOptions([], TABLE, ['MODEL'])).toThrow('MODEL is missing');
  expect(() => parseOptions(['m'], TABLE, ['MODEL'])).toThrow('--data DIR is missing: a folder');
});
