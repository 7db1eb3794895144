/** Where things stand in a chart, checked against sums done by hand. */
import { describe, expect, it } from 'vitest';
import { svgBars, svgLines } from '../../src/compression/charts.ts';

const elements = (svg: string): string[] => svg.replaceAll('><', '>\n<').split('\n').slice(1, -1);
const labels = (svg: string, anchor: string): string[] =>
  [...svg.matchAll(new RegExp(`text-anchor="${anchor}">([^<]*)<`, 'g'))].map(([, text]) => text);
const line = (...values: number[]): string => svgLines([{ name: 'a', color: 'red', values }], 'x', 'y');
/** Labels of the grid, without the names of the axes. */
const grid = (svg: string): string[] => labels(svg, 'end').slice(0, -2);

describe('lines', () => {
  it('lie where the axes say: 420 wide from 64 on, 234 high from 26 on, one point a dot, names side by side above', () => {
    const svg = svgLines(
      [
        { name: 'one', color: 'red', values: [10, 20, 40] },
        { name: 'two<', color: 'blue', values: [30], offset: 2 },
      ],
      'epoch',
      'loss',
      { width: 500 },
    );
    // 10 at 260 and 40 at 26: 7.8 for each.
    const across = [260, 221, 182, 143, 104, 65, 26].flatMap((y, i) => [
      `<line x1="64" x2="484" y1="${y}.0" y2="${y}.0" stroke="var(--line)"/>`,
      `<text x="56" y="${y}.0" dy="4" text-anchor="end">${10 + 5 * i}</text>`,
    ]);
    expect(svg).toMatch(/^<svg class="chart" viewBox="0 0 500 300" role="img" aria-label="loss by epoch">/);
    expect(elements(svg)).toEqual([
      ...across,
      '<text x="64.0" y="278" text-anchor="middle">0</text>',
      '<text x="274.0" y="278" text-anchor="middle">1</text>',
      '<text x="484.0" y="278" text-anchor="middle">2</text>',
      '<polyline points="64.0,260.0 274.0,182.0 484.0,26.0" fill="none" stroke="red" stroke-width="2" stroke-linejoin="round"/>',
      '<circle cx="484.0" cy="104.0" r="3" fill="blue"/>',
      '<line x1="64" x2="82" y1="10" y2="10" stroke="red" stroke-width="3"/>',
      '<text x="88" y="14">one</text>',
      // 44 and 7 for each letter further on.
      '<line x1="129" x2="147" y1="10" y2="10" stroke="blue" stroke-width="3"/>',
      '<text x="153" y="14">two&lt;</text>',
      '<text x="484" y="294" text-anchor="end">epoch</text>',
      '<text x="484" y="14" text-anchor="end">loss</text>',
    ]);
    expect(line(1, 2)).toContain('viewBox="0 0 1000 300"');
  });

  it.each([
    [5, 1],
    [7, 1],
    [7.5, 2],
    [17, 2],
    [17.5, 5],
    [37, 5],
    [37.5, 10],
    [50, 10],
    [0.8, 0.2],
  ])('over a range of %d have a grid of round steps: %d', (range, step) => {
    const [first, second, ...more] = grid(line(0, range)).map(Number);
    expect([first, second]).toEqual([0, step]);
    expect(more.at(-1)).toBeGreaterThanOrEqual(range);
    expect(more.at(-2)).toBeLessThan(range);
  });

  it('number the grid with the places of its step, very small steps as they are', () => {
    expect(grid(line(1, 3))).toEqual(['1.0', '1.5', '2.0', '2.5', '3.0']);
    expect(grid(line(0, 1e-11))[1]).toBe('0.000000000002');
    expect(grid(line(0, 1e-13))[1]).toBe('2e-14');
  });

  it('number every epoch, of many every second or fifth', () => {
    expect(labels(line(...Array<number>(8).fill(1)), 'middle')).toEqual(['0', '1', '2', '3', '4', '5', '6', '7']);
    expect(labels(line(...Array<number>(11).fill(1)), 'middle')).toEqual(['0', '2', '4', '6', '8', '10']);
    expect(labels(line(...Array<number>(22).fill(1)), 'middle')).toEqual(['0', '5', '10', '15', '20']);
  });

  it('that are flat, or of one value, lie in the middle', () => {
    expect(line(5, 5)).toContain('points="64.0,143.0 984.0,143.0"');
    expect(grid(line(5, 5))).toEqual(['2', '3', '4', '5', '6', '7', '8']);
    // What rounding would swallow is flat too.
    expect(grid(line(5, 5 + 4e-9))).toEqual(['2', '3', '4', '5', '6', '7', '8']);
    expect(line(0)).toContain('<circle cx="64.0" cy="143.0" r="3" fill="red"/>');
    expect(grid(line(0))).toEqual(['-0.6', '-0.4', '-0.2', '0.0', '0.2', '0.4', '0.6']);
    expect(grid(line(-4, -2))).toEqual(['-4.0', '-3.5', '-3.0', '-2.5', '-2.0']);
  });

  it('go on behind a value that is none, and leave out what is beyond 1e300', () => {
    expect(line(1, NaN, 3)).toContain('points="64.0,260.0 984.0,26.0"');
    expect(grid(line(0, 1e300)).at(-1)).toBe('1e+300');
    expect(line(2e300, 1)).toContain('<circle cx="984.0" cy="143.0"');
  });

  it('begin at 0 where that is asked for', () => {
    const from = (values: number[]): string[] =>
      grid(svgLines([{ name: '', color: 'red', values }], 'x', 'y', { fromZero: true }));
    expect(from([30, 40])).toEqual(['0', '10', '20', '30', '40']);
    expect(from([-10, 10])[0]).toBe('-10');
  });
});

describe('bars', () => {
  it('lie side by side from 130 on, 780 for the largest, each with its number; the grid is named below', () => {
    const svg = svgBars(
      [
        {
          name: 'a',
          values: [
            { value: 10, color: 'red' },
            { value: 25, color: 'blue' },
          ],
        },
        { name: 'b', values: [{ value: 0, color: 'red' }] },
      ],
      'ms',
    );
    const down = [0, 5, 10, 15, 20, 25].flatMap((tick) => {
      const x = (130 + (780 * tick) / 25).toFixed(1);
      return [
        `<line x1="${x}" x2="${x}" y1="0" y2="60" stroke="var(--line)"/>`,
        `<text x="${x}" y="74" text-anchor="middle">${tick}</text>`,
      ];
    });
    // Two rows of 10 + 2 x 9, and 34 for the numbers below.
    expect(svg).toMatch(/^<svg viewBox="0 0 1000 90" role="img" aria-label="ms">/);
    expect(elements(svg)).toEqual([
      ...down,
      '<text x="122" y="18" text-anchor="end">a</text>',
      '<rect x="130" y="5" width="312.0" height="8" fill="red"/>',
      '<text x="447.0" y="13" font-size="9">10</text>',
      '<rect x="130" y="14" width="780.0" height="8" fill="blue"/>',
      '<text x="915.0" y="22" font-size="9">25</text>',
      '<text x="122" y="41.5" text-anchor="end">b</text>',
      '<rect x="130" y="33" width="1.0" height="8" fill="red"/>',
      '<text x="135.0" y="41" font-size="9">0</text>',
      '<text x="996" y="88" text-anchor="end">ms</text>',
    ]);
  });

  it('make room for a long name, and end at the first tick that is not below the largest', () => {
    const one = (value: number, name = 'a'): string => svgBars([{ name, values: [{ value, color: 'red' }] }], 'x');
    expect(one(1, 'n'.repeat(20))).toContain('<rect x="146"');
    expect(labels(one(0.7), 'middle')).toEqual(['0', '0.1', '0.2', '0.3', '0.4', '0.5', '0.6', '0.7']);
    expect(labels(one(0.9), 'middle')).toEqual(['0', '0.2', '0.4', '0.6', '0.8', '1']);
    expect(labels(one(0.3), 'middle').at(-1)).toBe('0.3');
    expect(one(-1)).toBe('');
    expect(one(0)).toBe('');
  });
});
