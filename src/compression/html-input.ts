/** What a report is made from, checked before a page of it is written. */
import { show } from '../base/errors.ts';
import { checkNames } from '../base/rules.ts';
import { arrayName, hasField } from '../base/realm.ts';

const LISTS = ['metrics', 'baseline', 'faces', 'made'] as const;

/**
 * The parts that a page cannot do without.
 * @throws {TypeError} if one is of another kind, naming it, and for an unknown one, with the nearest known
 * @throws {RangeError} for a picture that has not side x side pixels
 */
export function checkReportInput(who: string, input: unknown): void {
  const wrong = (name: string, expected: string, found: unknown): TypeError =>
    new TypeError(`${who}: ${name}: expected ${expected}, got ${show(found)}`);
  if (!isObject(input)) throw wrong('input', '{ title, description, report, ... }', input);
  checkNames(who, 'input', input, ['title', 'description', 'report', ...LISTS]);
  for (const name of ['title', 'description'])
    if (typeof field(input, name) !== 'string') throw wrong(name, 'text', field(input, name));
  const report = field(input, 'report');
  if (!isObject(report) || !Array.isArray(field(report, 'layers')) || !isObject(field(report, 'split')))
    throw wrong('report', 'the report of compress()', report);
  for (const name of LISTS) {
    const list = field(input, name);
    if (list !== undefined && !Array.isArray(list)) throw wrong(name, 'a list', list);
  }
  ((field(input, 'faces') ?? []) as readonly unknown[]).forEach((face, i) => {
    if (!isObject(face)) throw wrong(`faces[${i}]`, '{ side, pixels, ... }', face);
    const [side, pixels] = [field(face, 'side'), field(face, 'pixels')];
    if (!Number.isInteger(side) || arrayName(pixels) === undefined)
      throw wrong(
        `faces[${i}]`,
        'a whole side and grey values in a typed array',
        Number.isInteger(side) ? pixels : side,
      );
    const { length } = pixels as ArrayLike<number>;
    if (length !== (side as number) * (side as number))
      throw new RangeError(`${who}: faces[${i}].pixels: expected ${side as number} x ${side as number}, got ${length}`);
  });
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

function field(value: object, name: string): unknown {
  return hasField(value, name) ? value[name] : undefined;
}
