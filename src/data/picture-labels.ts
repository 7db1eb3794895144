/** What is known of pictures, as people write it down: rows of CSV, points as JSON, `.pts` files, folders by class. */
import { EspalierError, show, showAll } from '../base/errors.ts';
import { isMap } from '../base/realm.ts';
import { parseJson } from '../container/json.ts';
import type { Json } from '../container/json.ts';
import type { Task } from '../graph/preprocessing.ts';
import { landmarks68Task } from './landmarks.ts';
import type { PictureTargets } from './pictures.ts';

/** Fields by picture. */
export type Entries = ReadonlyMap<string, readonly string[]>;

/** First cells of a row that names the columns. */
const HEADINGS = ['name', 'file', 'filename', 'path', 'image', 'picture'];

/**
 * Rows of CSV by their first cell, the picture. Cells may stand in quotes; a first row of headings is passed over.
 * @throws {EspalierError} DATA for a picture that stands twice or a quote without its end, with the line
 */
export function readRows(file: string, text: string): Entries {
  const rows = new Map<string, { readonly line: number; readonly cells: readonly string[] }>();
  const bad = (line: number, problem: string): EspalierError =>
    new EspalierError('DATA', `${file}: line ${line}: ${problem}`, { name: file, offset: line });
  const lines = text.replace(/^\ufeff/, '').split('\n');
  lines.forEach((line, i) => {
    if (line.trim() === '') return;
    const cells = cellsOf(line.replace(/\r$/, ''));
    if (!cells) throw bad(i + 1, 'a quote has no end; write each row on one line');
    if (rows.size === 0 && HEADINGS.includes(cells[0].toLowerCase())) return;
    if (cells.length < 2) throw bad(i + 1, `expected a picture, a comma and what is known of it, got ${show(line)}`);
    const name = cells[0].replaceAll('\\', '/').replace(/^\.\//, '');
    const before = rows.get(name);
    if (before) throw bad(i + 1, `${show(name)} stands in line ${before.line} already; keep one of the two`);
    rows.set(name, { line: i + 1, cells: cells.slice(1) });
  });
  return new Map([...rows].map(([name, { cells }]) => [name, cells]));
}

/** Cells of a line; undefined: a quote without its end. */
function cellsOf(line: string): string[] | undefined {
  const cells: string[] = [];
  for (let at = 0; at <= line.length;) {
    if (line[at] === '"') {
      let cell = '';
      let end = at + 1;
      for (;;) {
        const quote = line.indexOf('"', end);
        if (quote < 0) return undefined;
        cell += line.slice(end, quote);
        end = quote + 1;
        if (line[end] !== '"') break;
        cell += '"';
        end++;
      }
      cells.push(cell.trim());
      at = line.indexOf(',', end);
    } else {
      const end = line.indexOf(',', at);
      cells.push(line.slice(at, end < 0 ? undefined : end).trim());
      at = end;
    }
    if (at < 0) break;
    at++;
  }
  return cells;
}

/** Points by picture: { "a.png": [[x, y], ...] } or [x, y, x, y, ...]. @throws {EspalierError} DATA */
export function readPointsJson(file: string, text: string): Entries {
  const bad = (problem: string): EspalierError => new EspalierError('DATA', `${file}: ${problem}`, { name: file });
  let value: Json;
  try {
    value = parseJson(text, { who: file });
  } catch (cause) {
    throw new EspalierError('DATA', (cause as Error).message, { name: file, cause });
  }
  if (!isMap(value)) throw bad('expected an object { "a.png": [[x, y], ...], ... }');
  return new Map(
    [...(value as ReadonlyMap<string, Json>)].map(([name, points]) => {
      if (!Array.isArray(points)) throw bad(`${show(name)}: expected [[x, y], ...], got ${show(points)}`);
      return [
        name,
        (points as readonly Json[]).flat().map((one) => (typeof one === 'number' ? String(one) : 'no number')),
      ];
    }),
  );
}

/** Every picture has an entry, and every entry a picture. @throws {EspalierError} DATA, naming those that have none */
export function checkComplete(
  file: string,
  entries: ReadonlyMap<string, unknown>,
  names: readonly string[],
  all: readonly string[],
): void {
  const fail = (problem: string, name: string): EspalierError =>
    new EspalierError('DATA', `${file}: ${problem}`, { name });
  const there = new Set(all);
  const strange = [...entries.keys()].filter((name) => !there.has(name));
  if (strange.length > 0)
    throw fail(
      `${strange.length === 1 ? 'a row names a picture' : `${strange.length} rows name pictures`} that ${strange.length === 1 ? 'is' : 'are'} not in the folder: ${showAll(strange, 5)}; names are paths within it, such as ${show(all[0])}`,
      strange[0],
    );
  const bare = names.filter((name) => !entries.has(name));
  if (bare.length > 0)
    throw fail(
      `${bare.length} of ${names.length} pictures have no row: ${showAll(bare, 5)}; add them, or leave all labels unread (labels: 'none', on the command line --unlabelled)`,
      bare[0],
    );
}

const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

/** All the numbers of a picture's cells. @throws {EspalierError} DATA */
function numbersOf(file: string, name: string, cells: readonly string[], width: number): number[] {
  if (cells.length !== width || !cells.every((cell) => NUMBER.test(cell)))
    throw new EspalierError(
      'DATA',
      `${file}: ${show(name)}: expected ${width} numbers, as the first has, got ${show(cells.slice(0, 8).join(', '))}`,
      { name },
    );
  return cells.map(Number);
}

/**
 * Targets of rows: a word or a whole number a picture is its class, anything else numbers as they are.
 * @param wanted - the task, or its kind
 * @throws {EspalierError} DATA
 */
export function labelTargets(
  file: string,
  entries: Entries,
  names: readonly string[],
  wanted: Task | Task['kind'] | undefined,
): PictureTargets {
  const rows = names.map((name) => entries.get(name) ?? []);
  const kind = typeof wanted === 'string' ? wanted : wanted?.kind;
  const isWhole = [...entries.values()].every((cells) => cells.length === 1 && /^\d{1,6}$/.test(cells[0]));
  const isNumber = [...entries.values()].every((cells) => cells.every((cell) => NUMBER.test(cell)));
  if (kind === 'regression' || (kind === undefined && isNumber && !isWhole)) {
    const size = rows[0].length;
    return { task: { kind: 'regression' }, size, of: (i) => numbersOf(file, names[i], rows[i], size) };
  }
  const wide = names.find((name) => entries.get(name)?.length !== 1);
  if (wide !== undefined)
    throw new EspalierError(
      'DATA',
      `${file}: ${show(wide)}: expected one class, got ${show((entries.get(wide) ?? []).join(', '))}`,
      { name: wide },
    );
  const words = new Map([...entries].map(([name, [word]]) => [name, word]));
  return classTargets(
    file,
    names.map((name) => words.get(name)!),
    [...words.values()],
    isWhole,
    typeof wanted === 'string' ? undefined : wanted,
  );
}

/**
 * Targets of class names: numbered as the task's labels say, or in the order of their letters (torchvision's ImageFolder too);
 * whole numbers stand for themselves.
 * @param all - of every part, so that all parts number alike
 */
export function classTargets(
  file: string,
  mine: readonly string[],
  all: readonly string[],
  isWhole: boolean,
  task: Task | undefined,
): PictureTargets {
  const given = task?.kind === 'classes' ? task : undefined;
  const labels = given?.labels ?? (isWhole ? undefined : [...new Set(all)].sort());
  const classes = given?.classes ?? labels?.length ?? all.reduce((most, word) => Math.max(most, Number(word) + 1), 0);
  const indices = mine.map((word) => {
    const index = isWhole ? Number(word) : (labels ?? []).indexOf(word);
    if (index >= 0 && index < classes) return index;
    throw new EspalierError(
      'DATA',
      `${file}: class ${show(word)} is none of the model's ${classes}${labels ? `: ${showAll(labels)}` : ', which it has no names for: write numbers from 0'}`,
      { name: word },
    );
  });
  if (classes < 2 && !given)
    throw new EspalierError(
      'DATA',
      `${file}: one class cannot be learnt; give pictures of two or more, or leave labels unread (labels: 'none', on the command line --unlabelled)`,
      { name: file },
    );
  return { task: given ?? { kind: 'classes', classes, ...(labels && { labels }) }, size: 1, of: (i) => [indices[i]] };
}

/** Targets of points in pixels: x over the picture's width, y over its height. @throws {EspalierError} DATA */
export function pointTargets(
  file: string,
  entries: Entries,
  names: readonly string[],
  task: Task | undefined,
): PictureTargets {
  const size = entries.get(names[0])?.length ?? 0;
  if (size === 0 || size % 2 !== 0)
    throw new EspalierError(
      'DATA',
      `${file}: ${show(names[0])}: expected points x, y, x, y, ..., got ${size} numbers`,
      { name: names[0] },
    );
  const points = size / 2;
  if (task?.kind === 'landmarks' && task.points !== points)
    throw new EspalierError('DATA', `${file}: expected ${task.points} points, as the model gives, got ${points}`, {
      name: file,
    });
  return {
    task: task?.kind === 'landmarks' ? task : points === 68 ? landmarks68Task() : { kind: 'landmarks', points },
    size,
    of: (i, { width, height }) =>
      numbersOf(file, names[i], entries.get(names[i]) ?? [], size).map(
        (value, k) => value / (k % 2 === 0 ? width : height),
      ),
  };
}
