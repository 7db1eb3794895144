/** Codes: numbers for the rows of a table, by which kernels are told which is meant. */
import { show } from '../../base/errors.ts';

/** By name, the place of each row in its table. */
export type Codes<Name extends string = string> = { readonly [N in Name]: number };

/** The codes of the rows, in their order, or of those that pass. */
export function codesOf<Name extends string, Row>(
  table: Readonly<Record<Name, Row>>,
  passes: (row: Row) => boolean = () => true,
): Codes<Name> {
  const rows = Object.entries<Row>(table).map(([name, row], code) => ({ name, row, code }));
  return Object.fromEntries(rows.filter(({ row }) => passes(row)).map(({ name, code }) => [name, code])) as Codes<Name>;
}

/** The name of a code. @throws {RangeError} if no row has it */
export function nameOf<Name extends string>(who: string, argument: string, codes: Codes<Name>, code: number): Name {
  for (const name of Object.keys(codes) as Name[]) if (codes[name] === code) return name;
  const words = Object.entries(codes).map(([name, known]) => `${known} (${name})`);
  throw new RangeError(`${who}: ${argument}: expected one of ${words.join(', ')}, got ${show(code)}`);
}
