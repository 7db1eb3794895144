/** `.pts`: landmarks as text, as the iBUG group distributes the 300-W annotations. */
import { EspalierError, show } from '../base/errors.ts';
import { ownOptions } from '../base/rules.ts';
import type { Tensor } from '../base/tensor.ts';

export interface PtsOptions {
  /**
   * Count pixels from 1, as the 300-W files do: 1 is taken off, so that 0 is the centre of the first pixel. Default
   * false: as written.
   */
  oneBased?: boolean;
}

/**
 * Reads the points of a `.pts` file: `version: 1`, `n_points: N`, and N lines `x y` in braces. Returns (N, 2), x then
 * y, in pixels. Points may lie outside the image. Blank lines are skipped; nothing else is.
 * @throws {EspalierError} HEADER (no version or n_points, another version), LAYOUT (braces, more or fewer points than
 *   declared), FIELD (a line that is not two numbers); the line is named
 */
export function readPts(text: string, options: PtsOptions = {}): Tensor<Float64Array> {
  const { oneBased = false } = ownOptions('readPts', 'options', options, ['oneBased']);
  if (typeof text !== 'string') throw new TypeError(`readPts: text: expected a string, got ${show(text)}`);
  const lines = text
    .split('\n')
    .map((line, i) => ({ text: line.trim(), number: i + 1 }))
    .filter((line) => line.text !== '');
  let at = 0;
  const header = (name: string): string => {
    const line = lines[at++];
    const [key = '', value] = line?.text.split(':') ?? [];
    if (key.trim() !== name || value === undefined)
      throw new EspalierError(
        'HEADER',
        `readPts: ${where(line)}: expected "${name}: ...", got ${show(line?.text ?? 'the end')}; a bare list of points needs the lines version: 1, n_points: N and braces`,
        { name },
      );
    return value.trim();
  };
  const brace = (symbol: string): void => {
    const line = lines[at++];
    if (line?.text !== symbol)
      throw new EspalierError(
        'LAYOUT',
        `readPts: ${where(line)}: expected ${symbol}, got ${show(line?.text ?? 'the end')}`,
        { name: symbol },
      );
  };

  const version = header('version');
  if (version !== '1')
    throw new EspalierError('HEADER', `readPts: version: expected 1, got ${show(version)}`, {
      name: 'version',
      found: version,
    });
  const count = number(header('n_points'));
  if (!Number.isSafeInteger(count) || count < 1)
    throw new EspalierError('HEADER', `readPts: n_points: expected a whole number from 1, got ${count}`, {
      name: 'n_points',
      found: count,
    });
  brace('{');
  // Before anything is allocated by what the header says.
  const found = lines.length - at - 1;
  if (found !== count)
    throw new EspalierError(
      'LAYOUT',
      `readPts: expected ${count} lines of points and a closing brace, got ${Math.max(found, 0)} lines of points`,
      { name: 'n_points', limit: count, found },
    );
  const shift = oneBased ? 1 : 0;
  const points = new Float64Array(2 * count);
  for (let i = 0; i < count; i++) {
    const line = lines[at++];
    const fields = line.text
      .replaceAll('\t', ' ')
      .split(' ')
      .filter((field) => field !== '');
    const [x, y] = fields.map((field) => number(field));
    if (fields.length !== 2 || !Number.isFinite(x) || !Number.isFinite(y))
      throw new EspalierError('FIELD', `readPts: ${where(line)}: expected two numbers, got ${show(line.text)}`, {
        name: `point ${i}`,
        found: line.text,
      });
    points[2 * i] = x - shift;
    points[2 * i + 1] = y - shift;
  }
  brace('}');
  return { data: points, shape: [count, 2] };
}

/** A decimal number, or NaN: `Number` alone would take '', '0x10' and 'Infinity'. */
function number(text: string): number {
  return text !== '' && [...text].every((char) => '0123456789+-.eE'.includes(char)) ? Number(text) : NaN;
}

function where(line: { number: number } | undefined): string {
  return line ? `line ${line.number}` : 'end of the text';
}
