import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { escapeHtml, svgBars, svgLines } from '../../src/compression/charts.ts';
import { greyBmp } from '../../src/compression/faces.ts';
import { reportHtml } from '../../src/compression/html.ts';
import { STYLE, STYLE_HASH } from '../../src/compression/style.ts';
import { summaryTable } from '../../src/compression/summary.ts';
import type { CompressionReport } from '../../src/compression/report.ts';

const state = { shape: [8, 4], parameters: 32, multiplyAdds: 32, bytes: 128, encoding: 'dense' };
const report: CompressionReport = {
  bytes: 1000,
  originalBytes: 26000,
  ratio: 26,
  split: { codes: 300, signs: 200, codebooks: 250, values: 50, rest: 200 },
  parameters: { before: 6500, after: 1700 },
  multiplyAdds: { before: 90000, after: 30000 },
  validation: { before: 0.0188, after: 0.019, yardstick: 'rmse' },
  plans: [],
  steps: [],
  layers: [
    {
      name: 'dense<1>',
      kind: 'dense',
      before: state,
      after: { ...state, bytes: 20, encoding: '16 codewords of 4, signs apart' },
    },
  ],
  stages: [
    {
      name: 'prune',
      layers: ['dense<1>'],
      attempt: 0,
      changed: true,
      parameters: 3000,
      validation: 0.03,
      report: { transform: 'prune', groups: [{ group: 'dense1', before: 8, after: 4 }], skipped: [] },
    },
    {
      name: 'retrain',
      layers: ['dense<1>'],
      attempt: 1,
      changed: true,
      parameters: 3000,
      validation: 0.019,
      report: {
        transform: 'train',
        epochs: 2,
        learningRate: 0.5,
        status: 'finished',
        history: [
          { epoch: 0, loss: 0.5, validation: 0.02 },
          { epoch: 1, loss: 0.4 },
        ],
      },
    },
  ],
};

/** Every tag that opens is closed, in order: enough to see that nothing was left open or unescaped. */
function checkNesting(markup: string): void {
  const open: string[] = [];
  for (const [, closing, name, attributes] of markup.matchAll(/<(\/?)([a-zA-Z][a-zA-Z0-9]*)((?:"[^"]*"|[^>"])*)>/g)) {
    if (['br'].includes(name) || attributes.endsWith('/')) continue;
    if (!closing) open.push(name);
    else expect(open.pop()).toBe(name);
  }
  expect(open).toEqual([]);
}

describe('report', () => {
  const faces = [
    {
      side: 3,
      pixels: Uint8Array.from([0, 50, 100, 150, 200, 250, 30, 60, 90]),
      truth: [0.1, 0.2],
      before: [0.3, 0.4],
      after: [0.5, 0.6],
    },
  ];
  const html = reportHtml({
    title: 'a & b',
    description: '<script>',
    report,
    metrics: [{ name: 'RMSE', before: '1', after: '2' }],
    baseline: [{ loss: 1 }, { loss: 0.7 }],
    faces,
    made: [{ name: 'command', value: 'espalier compress a&b.safetensors --keep 0.5' }],
  });
  const text = html
    .replaceAll(/<style>.*?<\/style>/gs, '')
    .replaceAll(/<[^>]+>/g, '|')
    .replaceAll('&gt;', '>');

  it('is whole, without script or outside resource, every text escaped', () => {
    checkNesting(html);
    expect(html).not.toMatch(/<script|src=|https?:|@import|url\(/);
    expect(html).toContain('&lt;script&gt;');
    expect(html).toContain('dense&lt;1&gt;');
    expect(html).toContain('a &amp; b');
    expect(html).not.toMatch(/NaN|undefined|Infinity/);
  });

  it('allows its own style and pictures in the file by a policy, and has nothing that a strict one refuses', () => {
    expect(STYLE_HASH).toBe(`sha256-${createHash('sha256').update(STYLE).digest('base64')}`);
    const [, policy] = /http-equiv="Content-Security-Policy" content="([^"]+)"/.exec(html) ?? [];
    expect(policy).toBe(`default-src 'none'; img-src data:; style-src '${STYLE_HASH}'`);
    expect(html).toContain(`<style>${STYLE}</style>`);
    expect(html.match(/<style/g)).toHaveLength(1);
    expect(html).not.toMatch(/ style=| on[a-z]+=/);
  });

  it('says first how much smaller and at what price, and the validation error in one row', () => {
    expect(text).toMatch(
      /\|26\.0x\|.*26\.0 kB became 1\.00 kB; the validation RMSE went from 0\.01880 to 0\.01900 \(\+1\.1 %\)\./,
    );
    expect(html.match(/<td[^>]*>validation RMSE</g)).toHaveLength(1);
    expect(summaryTable(report).match(/^validation RMSE .*\+1\.1 %$/gm)).toHaveLength(1);
  });

  it('sums of the tables are the size of the file', () => {
    const numbersOf = (rows: string): number[] =>
      [...rows.matchAll(/data-name="bytes(?: after)?">([\d,]+)</g)].map(([, number]) =>
        Number(number.replaceAll(',', '')),
      );
    const tables = [...html.matchAll(/<table.*?<\/table>/gs)].map(([table]) => table);
    const [layers, split] = [
      tables.find((table) => table.includes('all layers'))!,
      tables.find((table) => table.includes('codebooks'))!,
    ];
    const [layerBytes, all, rest, file] = numbersOf(layers);
    expect([layerBytes, all, rest, file]).toEqual([20, 20, 980, 1000]);
    const parts = numbersOf(split);
    expect(parts.at(-1)).toBe(report.bytes);
    expect(parts.slice(0, -1).reduce((sum, part) => sum + part)).toBe(report.bytes);
  });

  it('bars are as long as bytes are many', () => {
    const widths = [...html.matchAll(/<rect x="0" y="\d" width="([\d.]+)"/g)].map(([, width]) => Number(width));
    expect(widths).toEqual([100, 15.625]);
    expect(text).toContain('128 to 20, 6.40x');
  });

  it('each picture of a face has one set of landmarks, and its pixels are in the page once', () => {
    const pictures = [...html.matchAll(/<label>.*?<\/label>/gs)].map(([picture]) => picture);
    expect(pictures).toHaveLength(3);
    for (const picture of pictures) expect(picture.match(/<g /g)).toHaveLength(1);
    expect(html.match(/data:image/g)).toHaveLength(1);
    expect(text).toContain('the two networks apart 28.28 % of the side');
  });

  it('says how it was made', () => {
    expect(html).toContain('<dt>command</dt><dd>espalier compress a&amp;b.safetensors --keep 0.5</dd>');
  });

  it('has the numbers of the report', () => {
    for (const text of [
      '26,000',
      '1,000',
      '26.0x',
      '16 codewords of 4, signs apart',
      'dense1 8 -&gt; 4',
      '2 epochs at 0.5',
      '(try 2)',
    ])
      expect(html).toContain(text);
  });

  it('the table for the terminal has the same', () => {
    const text = summaryTable(report, [{ name: 'NME', before: '5.3 %', after: '5.4 %' }]);
    for (const part of ['26,000', '26.0x', '5.3 %', 'dense<1>', '16 codewords of 4']) expect(text).toContain(part);
  });
});

describe('charts', () => {
  it('any numbers give coordinates inside the picture', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.array(fc.oneof(fc.double({ min: -1e6, max: 1e6, noNaN: true }), fc.double()), {
            minLength: 1,
            maxLength: 30,
          }),
          { minLength: 1, maxLength: 3 },
        ),
        (lines) => {
          const svg = svgLines(
            lines.map((values, i) => ({ name: `line ${i}`, color: 'red', values })),
            'x',
            'y',
          );
          checkNesting(svg);
          expect(svg).not.toMatch(/NaN|Infinity/);
          for (const [, points] of svg.matchAll(/points="([^"]+)"/g)) {
            for (const point of points.split(' ')) {
              const [x, y] = point.split(',').map(Number);
              expect(x >= 0 && x <= 1000 && y >= 0 && y <= 300).toBe(true);
            }
          }
        },
      ),
      { examples: [[[[2e-100]]], [[[0, 1.5e-100]]], [[[-1e308, 1e308]]], [[[1, 5e-324]]]] },
    );
  });
  it('bars grow with their values; zero and nothing are drawn too', () => {
    const widths = [
      ...svgBars([{ name: 'a', values: [10, 1000, 0].map((value) => ({ value, color: 'red' })) }], 'bytes').matchAll(
        /width="([\d.]+)"/g,
      ),
    ].map(([, width]) => Number(width));
    expect(widths[1]).toBeGreaterThan(widths[0]);
    expect(widths[2]).toBe(1);
    expect(svgBars([], 'bytes')).toBe('');
    expect(svgLines([{ name: 'none', color: 'red', values: [] }], 'x', 'y')).toBe('');
  });
  it('from 0 the length of a bar is in proportion to its value, and lines keep their distance from the axis', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 1, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 9 }), (values) => {
        const widths = [
          ...svgBars([{ name: 'a', values: values.map((value) => ({ value, color: 'red' })) }], 'ms').matchAll(
            /width="([\d.]+)"/g,
          ),
        ].map(([, width]) => Number(width));
        const largest = values.indexOf(Math.max(...values));
        expect(widths[largest]).toBeLessThanOrEqual(1000);
        widths.forEach((width, i) =>
          expect(Math.abs(width - Math.max(1, (widths[largest] * values[i]) / values[largest]))).toBeLessThan(0.11),
        );
        const [, points] = /points="([^"]+)"/.exec(
          svgLines([{ name: '', color: 'red', values: [2 * values[0], values[0], 0] }], 'x', 'y', { fromZero: true }),
        )!;
        const [high, half, zero] = points.split(' ').map((point) => Number(point.split(',')[1]));
        expect(Math.abs((zero - half) * 2 - (zero - high))).toBeLessThan(0.31);
      }),
    );
  });
  it('text is escaped, and what cannot be seen in it is', () => {
    expect(escapeHtml('<a href="b">&')).toBe('&lt;a href=&quot;b&quot;&gt;&amp;');
    expect(escapeHtml('conv\u202e1\u200b\x1b')).toBe('conv\\u202e1\\u200b\\u001b');
  });
});

describe('BMP', () => {
  it('holds the rows from the bottom up, padded to four bytes', () => {
    const bytes = greyBmp(Uint8Array.from([1, 2, 3, 4, 5, 6, 7, 8, 9]), 3);
    expect(bytes.length).toBe(1078 + 12);
    expect(String.fromCharCode(bytes[0], bytes[1])).toBe('BM');
    expect([...bytes.subarray(1078)]).toEqual([7, 8, 9, 0, 4, 5, 6, 0, 1, 2, 3, 0]);
    expect(() => greyBmp(new Uint8Array(8), 3)).toThrow(/expected 9 grey values, got 8/);
  });
});
