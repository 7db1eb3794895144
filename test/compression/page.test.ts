/** The page of a compression cell by cell: which number stands where, and what is left out where there is nothing. */
import { describe, expect, it } from 'vitest';
import { reportHtml } from '../../src/compression/html.ts';
import type { ReportInput } from '../../src/compression/html.ts';
import { faceFigures, greyBmp } from '../../src/compression/faces.ts';
import { page, table } from '../../src/compression/page.ts';
import type { CompressionReport } from '../../src/compression/report.ts';

const options = {};
const report: CompressionReport = {
  bytes: 1000,
  originalBytes: 26000,
  ratio: 26,
  split: { codes: 300, signs: 200, codebooks: 250, values: 50, rest: 200 },
  parameters: { before: 58, after: 26 },
  multiplyAdds: { before: 48, after: 24 },
  validation: { before: 0.02, after: 0.019, yardstick: 'rmse' },
  layers: [
    {
      name: 'a',
      kind: 'dense',
      before: { shape: [8, 4], parameters: 40, multiplyAdds: 32, bytes: 160, encoding: 'dense' },
      after: { shape: [4, 4], parameters: 20, multiplyAdds: 16, bytes: 30, encoding: '4 codewords' },
    },
    {
      name: 'b',
      kind: 'dense',
      before: { shape: [2, 8], parameters: 18, multiplyAdds: 16, bytes: 72, encoding: 'dense' },
      after: { shape: [2, 4], parameters: 10, multiplyAdds: 8, bytes: 40, encoding: 'dense' },
    },
  ],
  plans: [
    {
      layer: 'a',
      asked: { keep: 0.5, keepIsOwn: false, quantize: true, quantizer: 'product', options },
      got: { keep: 0.5, quantize: true, options, attempt: 0 },
    },
  ],
  steps: [{ layers: ['a'], start: 0.02, limit: 0.03, tries: [0.025], kept: 0, within: true }],
  stages: [
    {
      ...{ name: 'prune', layers: ['a'], attempt: 0, changed: true, parameters: 30, validation: 0.03 },
      report: { transform: 'prune', groups: [], skipped: [] },
    },
    {
      ...{ name: 'retrain', layers: ['a', 'b'], attempt: 1, changed: true, parameters: 28, validation: 0.024 },
      report: {
        transform: 'train',
        epochs: 2,
        learningRate: 0.5,
        status: 'finished',
        history: [
          { epoch: 0, loss: 0.5 },
          { epoch: 1, loss: 0.25 },
        ],
      },
    },
  ],
};
const whole: ReportInput = {
  title: 't',
  description: 'd',
  report,
  baseline: [{ loss: 1 }, { loss: 0.75 }],
  made: [{ name: 'seed', value: '1' }],
};
/** The part under a heading, up to the next one. */
const under = (html: string, heading: string): string => html.split(`<h2>${heading}</h2>`)[1]?.split('<h2>')[0] ?? '';
const rows = (html: string): string[][] =>
  [...html.matchAll(/<tr>(.*?)<\/tr>/gs)].map(([, row]) =>
    [...row.matchAll(/<t[hd][^>]*>([^<]*)<\/t[hd]>/g)].map(([, cell]) => cell),
  );
const headings = (html: string): string[] => [...html.matchAll(/<h2>([^<]*)<\/h2>/g)].map(([, heading]) => heading);
const lines = (html: string): string[] =>
  [...html.matchAll(/points="([^"]*)"[^>]*stroke="([^"]*)"/g)].map(([, points, color]) => `${color} ${points}`);

describe('the page of a compression', () => {
  const html = reportHtml(whole);

  it('has a part for each thing that there is to say, and none for what there is not', () => {
    const parts = [
      'Before and after',
      'Bytes per layer',
      'Layers',
      'Where the bytes of the file are',
      'Loss per epoch',
      'Validation error after each stage',
      'Steps',
      'Asked and got',
      'Stages',
      'How it was made',
    ];
    expect(headings(html)).toEqual(parts);
    const faces = [{ side: 1, pixels: Uint8Array.of(7) }];
    expect(headings(reportHtml({ ...whole, faces }))).toEqual([...parts.slice(0, -1), 'Faces', parts.at(-1)]);
    const little = { ...report, steps: [], stages: [report.stages[0]] };
    const missing = ['Loss per epoch', 'Steps', 'How it was made'];
    expect(headings(reportHtml({ title: 't', description: 'd', report: little }))).toEqual(
      parts.filter((part) => !missing.includes(part)),
    );
    // With either training there is a loss to draw.
    expect(headings(reportHtml({ ...whole, report: little }))).toContain('Loss per epoch');
    expect(headings(reportHtml({ title: 't', description: 'd', report }))).toContain('Loss per epoch');
  });

  it('has of each layer what it was and is, the sums below, and the rest of the file', () => {
    expect(rows(under(html, 'Layers')).slice(1)).toEqual([
      ['a', '8 x 4', '40', '160', '4 x 4', '20', '30', '32', '16', '4 codewords'],
      ['b', '2 x 8', '18', '72', '2 x 4', '10', '40', '16', '8', 'dense'],
      ['all layers', '', '58', '232', '', '30', '70', '48', '24', ''],
      ['header, graph and padding', '', '', '', '', '', '930', '', '', ''],
      ['file', '', '58', '', '', '26', '1,000', '', '', ''],
    ]);
  });

  it('has the bytes by content with their shares, and those before', () => {
    expect(rows(under(html, 'Where the bytes of the file are')).slice(1)).toEqual([
      ['codes', '300', '30.0 %'],
      ['signs', '200', '20.0 %'],
      ['codebooks', '250', '25.0 %'],
      ['values', '50', '5.0 %'],
      ['header, graph and padding', '200', '20.0 %'],
      ['file', '1,000', '100.0 %'],
    ]);
    expect(html).toContain('Before: 26,000 bytes,');
    expect(html).toContain('were 232.</p>');
  });

  it('has each stage with its number, try and change from the one before, the first from the original', () => {
    expect(rows(under(html, 'Stages')).slice(1)).toEqual([
      ['1 prune', 'a', 'nothing to remove', '30', '0.03000', '+50.0 %'],
      ['2 retrain (try 2)', 'a, b', '2 epochs at 0.5', '28', '0.02400', '-20.0 %'],
    ]);
    const blind = { ...report, validation: { before: NaN, after: NaN, yardstick: 'none' } } as const;
    const unjudged = reportHtml({ ...whole, report: blind });
    expect(rows(under(unjudged, 'Stages'))[1].slice(-2)).toEqual(['unknown', '']);
    expect(headings(unjudged)).not.toContain('Validation error after each stage');
  });

  it('draws the baseline first and the retraining behind it, and the error stage by stage beside the original', () => {
    // 1, 0.75, 0.5 and 0.25 at epochs 0 to 3 on a grid from 0.2 to 1, 620 wide and 234 high.
    expect(lines(under(html, 'Loss per epoch'))).toEqual([
      'var(--before) 64.0,26.0 270.7,99.1',
      'var(--after) 477.3,172.3 684.0,245.4',
    ]);
    expect(lines(under(html, 'Validation error after each stage'))).toEqual([
      'var(--before) 64.0,260.0 374.0,260.0 684.0,260.0',
      'var(--after) 64.0,260.0 374.0,26.0 684.0,166.4',
    ]);
    expect(html.match(/viewBox="0 0 700 300"/g)).toHaveLength(2);
  });

  it('has a bar of each layer from 0, after upon before, in percent of the largest', () => {
    const bars = [...under(html, 'Bytes per layer').matchAll(/<rect x="0" y="(\d)" width="([\d.]+)" height="(\d+)"/g)];
    expect(bars.map(([, ...numbers]) => numbers.map(Number))).toEqual([
      [0, 100, 10],
      [5, 18.75, 5],
      [0, 45, 10],
      [5, 25, 5],
    ]);
    const grown = {
      ...report,
      layers: [{ ...report.layers[0], before: report.layers[0].after, after: report.layers[0].before }],
    };
    expect(reportHtml({ ...whole, report: grown })).toContain('width="18.750" height="10"');
    expect(under(html, 'Bytes per layer')).toContain('160 to 30, 5.33x');
  });

  it('marks the columns that hold sentences, and those alone', () => {
    const marked = (part: string): string[] =>
      [...under(html, part).matchAll(/<th class="words">([^<]*)</g)].map(([, name]) => name);
    expect(['Layers', 'Steps', 'Asked and got', 'Stages'].map(marked)).toEqual([
      ['stored as'],
      ['step', 'layers', 'what became of it'],
      ['difference'],
      ['stage', 'layers', 'what'],
    ]);
    expect(under(html, 'Stages')).toContain('<td class="words" data-name="what">nothing to remove</td>');
    expect(under(html, 'Stages')).toContain('<td data-name="parameters">30</td>');
  });
});

it('a table has a foot where there is one', () => {
  expect(table('narrow', ['x'], [['1']])).toBe(
    '<table class="narrow"><thead><tr><th>x</th></tr></thead>\n<tbody><tr><td data-name="x">1</td></tr></tbody></table>',
  );
  expect(table('wide', ['x'], [], { foot: [['<']] })).toContain('<tfoot><tr><td data-name="x">&lt;</td></tr></tfoot>');
  expect(page('a<b', 'body')).toMatch(/<title>a&lt;b<\/title>.*<body>\nbody\n<\/body><\/html>\n$/s);
});

describe('faces', () => {
  const pixels = Uint8Array.of(0, 50, 100, 150);
  const captions = (html: string): string[] =>
    [...html.matchAll(/<figcaption>([^<]*)</g)].map(([, caption]) => caption);

  it('have a dot at a hundredth of the side for each point, x before y, of each set in its picture', () => {
    const html = faceFigures([{ side: 2, pixels, truth: [0.25, 0.5, 0.75, 1], after: [0.1, 0.2, 0.3, 0.4] }]);
    const pictures = [...html.matchAll(/<label>.*?<\/label>/gs)].map(([picture]) => picture);
    const dots = pictures.map((picture) =>
      [...picture.matchAll(/cx="([^"]+)" cy="([^"]+)"/g)].map(([, x, y]) => [x, y]),
    );
    expect(dots).toEqual([
      [
        ['10.00', '20.00'],
        ['30.00', '40.00'],
      ],
      [
        ['25.00', '50.00'],
        ['75.00', '100.00'],
      ],
    ]);
    expect(pictures.map((picture) => /aria-label="(face[^"]*)"/.exec(picture)?.[1])).toEqual([
      'face 1, compressed network',
      'face 1, annotation',
    ]);
    expect(pictures.map((picture) => picture.includes('<image id="face-0"'))).toEqual([true, false]);
    expect(pictures[1]).toContain('<use href="#face-0"/>');
  });

  it('say how far the sets are apart, as a mean over points in percent of the side', () => {
    // 3-4-5 triangles: 0.05 at one point, 0.1 at the other; the truth is 0.02 and 0.04 to the side of `after`.
    const after = [0.5, 0.5, 0.2, 0.2];
    const face = { side: 2, pixels, before: [0.53, 0.54, 0.14, 0.12], after, truth: [0.52, 0.5, 0.2, 0.24] };
    expect(captions(faceFigures([face]))[0]).toContain('; the two networks apart 7.50 % of the side; ');
    expect(captions(faceFigures([face]))[0]).toMatch(/; compressed 3\.00 % of the side$/);
    // Sets of other lengths, or of none, are not compared.
    expect(captions(faceFigures([{ side: 2, pixels, before: [0, 0], after }]))[0]).not.toContain('apart');
    expect(captions(faceFigures([{ side: 2, pixels, before: [], after: [] }]))[0]).not.toContain('apart');
  });

  it('are numbered; one without landmarks is shown alone', () => {
    const html = faceFigures([
      { side: 2, pixels },
      { side: 2, pixels, before: [0, 0] },
    ]);
    expect(captions(html)).toEqual(['face 1', 'face 2: original network']);
    expect(html).toContain('id="face-1"');
    expect(html.match(/<label>/g)).toHaveLength(2);
  });

  it('are pictures that a reader of BMP finds whole: sizes, offset, one plane, 8 bits, grey palette', () => {
    const bytes = greyBmp(
      Uint8Array.from({ length: 25 }, (_, i) => i),
      5,
    );
    const view = new DataView(bytes.buffer);
    expect(bytes.length).toBe(1078 + 5 * 8);
    expect([2, 10, 14].map((at) => view.getUint32(at, true))).toEqual([bytes.length, 1078, 40]);
    expect([18, 22].map((at) => view.getInt32(at, true))).toEqual([5, 5]);
    expect([26, 28].map((at) => view.getUint16(at, true))).toEqual([1, 8]);
    expect([34, 46].map((at) => view.getUint32(at, true))).toEqual([40, 256]);
    expect([0, 1, 254, 255].map((grey) => [...bytes.subarray(54 + 4 * grey, 58 + 4 * grey)])).toEqual(
      [0, 1, 254, 255].map((grey) => [grey, grey, grey, 0]),
    );
    expect([...bytes.subarray(1078, 1086)]).toEqual([20, 21, 22, 23, 24, 0, 0, 0]);
    expect([...bytes.subarray(-8)]).toEqual([0, 1, 2, 3, 4, 0, 0, 0]);
  });

  it('larger than one call takes are in the page byte for byte', () => {
    const large = Uint8Array.from({ length: 120 * 120 }, (_, i) => i % 251);
    const [, text] = /base64,([^"]*)"/.exec(faceFigures([{ side: 120, pixels: large }]))!;
    expect(Buffer.from(text, 'base64')).toEqual(Buffer.from(greyBmp(large, 120)));
  });
});
