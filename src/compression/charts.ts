/**
 * Charts as inline SVG: lines and bars side by side, as much as reports and benchmarks need. Grid lines take the page's
 * CSS variable `--line`.
 */
import { visible } from '../base/errors.ts';

export interface Line {
  readonly name: string;
  readonly color: string;
  readonly values: readonly number[];
  /** x of the first value. Default 0. */
  readonly offset?: number;
}

const WIDTH = 1000;
const HEIGHT = 300;
const MARGIN = { left: 64, right: 16, top: 26, bottom: 40 };

/** The e of 10^e <= x < 10^(e + 1), x > 0: from the digits, which every engine writes alike. */
function decimalExponentOf(x: number): number {
  return Number(x.toExponential().split('e')[1]);
}

// Not `Math.max(...values)`: arguments lie on the stack, and there may be as many as epochs, or layers of a file.
const largest = (values: readonly number[]): number => values.reduce((most, value) => Math.max(most, value), -Infinity);
const least = (values: readonly number[]): number => -largest(values.map((value) => -value));

/** A round step that cuts a range in about five. */
function roundStep(range: number): number {
  const raw = range / 5;
  const power = Number(`1e${decimalExponentOf(raw)}`);
  const factor = raw / power;
  return (factor < 1.5 ? 1 : factor < 3.5 ? 2 : factor < 7.5 ? 5 : 10) * power;
}

/** Text for HTML and SVG, between tags or in a quoted attribute; what cannot be seen in it is made visible. */
export function escapeHtml(text: string): string {
  return visible(text)
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}

/** Beyond these sizes a range, or the step that cuts it, is no longer a normal double. */
const [LEAST, MOST] = [1e-300, 1e300];

/**
 * Lines over a whole-number x; y from just below the least (or from 0, with `fromZero`) to just above the largest
 * finite value, in a picture `width` by 300. What is not finite, or beyond 1e300, is left out.
 */
export function svgLines(
  lines: readonly Line[],
  xName: string,
  yName: string,
  { fromZero = false, width = 1000 } = {},
): string {
  const isDrawn = (value: number): boolean => Math.abs(value) <= MOST;
  const finite = lines.flatMap((line) => line.values).filter(isDrawn);
  if (finite.length === 0) return '';
  const last = Math.max(1, largest(lines.map((line) => (line.offset ?? 0) + line.values.length - 1)));
  let [low, high] = [Math.min(least(finite), fromZero ? 0 : Infinity), largest(finite)];
  // A range that rounding would swallow is drawn as a flat line in the middle.
  const size = Math.max(Math.abs(low), Math.abs(high));
  if (size < LEAST) [low, high] = [-0.5, 0.5];
  else if (high - low <= 1e-9 * size) [low, high] = [low - 0.5 * size, high + 0.5 * size];
  const step = roundStep(high - low);
  low = Math.floor(low / step) * step;
  high = Math.ceil(high / step) * step;
  const x = (value: number): number => MARGIN.left + (value / last) * (width - MARGIN.left - MARGIN.right);
  const y = (value: number): number =>
    HEIGHT - MARGIN.bottom - ((value - low) / (high - low)) * (HEIGHT - MARGIN.top - MARGIN.bottom);
  const digits = Math.max(0, -decimalExponentOf(step));
  // A step is at least a billionth of the range, so twelve places tell two grid lines apart.
  const label = (value: number): string =>
    digits > 12 ? String(Number(value.toPrecision(12))) : value.toFixed(digits);
  const grid: string[] = [];
  for (let i = 0; low + i * step <= high + step / 2; i++) {
    const at = y(low + i * step).toFixed(1);
    grid.push(
      `<line x1="${MARGIN.left}" x2="${width - MARGIN.right}" y1="${at}" y2="${at}" stroke="var(--line)"/><text x="${MARGIN.left - 8}" y="${at}" dy="4" text-anchor="end">${label(low + i * step)}</text>`,
    );
  }
  const every = Math.max(1, Math.round(roundStep(last)));
  for (let i = 0; i <= last; i += every)
    grid.push(`<text x="${x(i).toFixed(1)}" y="${HEIGHT - MARGIN.bottom + 18}" text-anchor="middle">${i}</text>`);
  const paths = lines.map(({ color, values, offset = 0 }) => {
    const points = values
      .map((value, i) => (isDrawn(value) ? `${x(i + offset).toFixed(1)},${y(value).toFixed(1)}` : ''))
      .filter(Boolean);
    return points.length === 1
      ? `<circle cx="${points[0].split(',')[0]}" cy="${points[0].split(',')[1]}" r="3" fill="${color}"/>`
      : `<polyline points="${points.join(' ')}" fill="none" stroke="${color}" stroke-width="2" stroke-linejoin="round"/>`;
  });
  let at = MARGIN.left;
  const names = lines.map(({ name, color }) => {
    const entry = `<line x1="${at}" x2="${at + 18}" y1="10" y2="10" stroke="${color}" stroke-width="3"/><text x="${at + 24}" y="14">${escapeHtml(name)}</text>`;
    at += 44 + 7 * name.length;
    return entry;
  });
  return `<svg class="chart" viewBox="0 0 ${width} ${HEIGHT}" role="img" aria-label="${escapeHtml(yName)} by ${escapeHtml(xName)}">${grid.join('')}${paths.join('')}${names.join('')}<text x="${width - MARGIN.right}" y="${HEIGHT - 6}" text-anchor="end">${escapeHtml(xName)}</text><text x="${width - MARGIN.right}" y="14" text-anchor="end">${escapeHtml(yName)}</text></svg>`;
}

export interface Bar {
  readonly name: string;
  readonly values: readonly { readonly value: number; readonly color: string }[];
}

/** Groups of horizontal bars on a linear scale from 0: a length says what its number says. */
export function svgBars(bars: readonly Bar[], axisName: string): string {
  const values = bars.flatMap((bar) => bar.values.map(({ value }) => value)).filter((value) => value > 0);
  if (values.length === 0) return '';
  const [thickness, gap, right] = [9, 10, 90];
  const left = Math.max(130, 16 + 6.5 * largest(bars.map(({ name }) => name.length)));
  const { share, ticks } = linearScale(largest(values));
  const x = (value: number): number => left + Math.max(0, share(value)) * (WIDTH - left - right);
  const rowHeight = gap + thickness * largest(bars.map((bar) => bar.values.length));
  const height = bars.length * rowHeight + 34;
  const grid = ticks.map((tick) => {
    const at = x(tick).toFixed(1);
    return `<line x1="${at}" x2="${at}" y1="0" y2="${height - 30}" stroke="var(--line)"/><text x="${at}" y="${height - 16}" text-anchor="middle">${tick.toLocaleString('en-US')}</text>`;
  });
  const rows = bars.map(({ name, values: own }, row) => {
    const top = row * rowHeight + gap / 2;
    const rects = own.map(
      (
        { value, color },
        i,
      ) => `<rect x="${left}" y="${top + i * thickness}" width="${Math.max(1, x(value) - left).toFixed(1)}" height="${thickness - 1}" fill="${color}"/>
<text x="${(x(value) + 5).toFixed(1)}" y="${top + i * thickness + thickness - 1}" font-size="9">${value.toLocaleString('en-US')}</text>`,
    );
    return `<text x="${left - 8}" y="${top + (own.length * thickness) / 2 + 4}" text-anchor="end">${escapeHtml(name)}</text>${rects.join('')}`;
  });
  return `<svg viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${escapeHtml(axisName)}">${grid.join('')}${rows.join('')}<text x="${WIDTH - 4}" y="${height - 2}" text-anchor="end">${escapeHtml(axisName)}</text></svg>`;
}

/** Where a value lies between the ends of an axis, from 0 to 1, and the values that are named on it. */
interface Scale {
  readonly share: (value: number) => number;
  readonly ticks: readonly number[];
}

function linearScale(most: number): Scale {
  const step = roundStep(most);
  const count = Math.ceil(most / step - 1e-9);
  return {
    share: (value) => value / (count * step),
    ticks: Array.from({ length: count + 1 }, (_, i) => Number((i * step).toPrecision(12))),
  };
}
