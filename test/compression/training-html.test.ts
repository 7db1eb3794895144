/** The page of a training run: every figure where it belongs, nothing that is not there. */
import { describe, expect, it } from 'vitest';
import { trainingHtml } from '../../src/compression/index.ts';
import type { TrainingReportInput } from '../../src/compression/index.ts';

const result: TrainingReportInput['result'] = {
  history: [
    { epoch: 0, loss: 0.91234, validation: 0.5123 },
    { epoch: 1, loss: 0.4 },
    { epoch: 2, loss: 0.30004, validation: 0.2567 },
    { epoch: 3, loss: 0.2, validation: 0.3 },
  ],
  before: 0.7,
  kept: { epoch: 2, validation: 0.2567 },
  steps: 48,
};
const input: TrainingReportInput = {
  title: 'a <b>',
  description: 'on part one',
  result,
  made: [{ name: 'seed', value: '7' }],
};
const cells = (html: string): string[][] =>
  [...html.matchAll(/<tr>(<td.*?)<\/tr>/g)].map(([, row]) =>
    [...row.matchAll(/>([^<]*)<\/td>/g)].map(([, cell]) => cell),
  );
const points = (html: string): number[] =>
  [...html.matchAll(/<(?:polyline|path)[^>]* (?:points|d)="([^"]*)"/g)].map(
    ([, list]) => list.trim().split(/\s+/).length,
  );

describe('trainingHtml', () => {
  it('has a row for each epoch, the kept one marked', () => {
    expect(cells(trainingHtml(input))).toEqual([
      ['1', '0.9123', '0.5123', ''],
      ['2', '0.4000', '', ''],
      ['3', '0.3000', '0.2567', 'kept'],
      ['4', '0.2000', '0.3000', ''],
    ]);
  });

  it('says in a sentence what was kept and what it was at the start', () => {
    expect(trainingHtml(input)).toContain(
      '0.7000 on validation at the start, 0.2567 after epoch 3 of 4, which was kept.',
    );
    const worse = { ...result, kept: { epoch: -1, validation: 0.7 } };
    expect(trainingHtml({ ...input, result: worse })).toContain(
      'No epoch was better than the start, 0.7000 on validation',
    );
    const { before: _before, ...unjudged } = result;
    const blind = { ...unjudged, history: [{ epoch: 0, loss: 1 }], kept: { epoch: 0 } };
    const page = trainingHtml({ ...input, result: blind });
    expect(page).toContain('1 epochs, 48 steps; the last state was kept.');
    expect(page).not.toContain('Validation error per epoch');
  });

  it('draws four losses, and five errors with the one of the start', () => {
    const html = trainingHtml(input);
    expect(html.match(/<svg/g)).toHaveLength(2);
    expect(points(html)).toHaveLength(2);
    expect(points(html)[1]).toBeGreaterThan(points(html)[0]);
  });

  it('has every loss at the end of its epoch, and every error where it was measured: 620 wide from 64 on', () => {
    const places = (given: TrainingReportInput): number[][] =>
      [...trainingHtml(given).matchAll(/points="([^"]*)"/g)].map(([, list]) =>
        list.split(' ').map((point) => Number(point.split(',')[0])),
      );
    expect(places(input)).toEqual([
      [219, 374, 529, 684],
      [64, 219, 374, 529, 684],
    ]);
    expect(trainingHtml(input).match(/viewBox="0 0 700 300"/g)).toHaveLength(2);
    // An epoch that was not looked at leaves the line where it was.
    const [, errors] = [...trainingHtml(input).matchAll(/points="([^"]*)"/g)].map(([, list]) => list.split(' '));
    expect(errors[1].split(',')[1]).toBe(errors[2].split(',')[1]);
    expect(errors[0].split(',')[1]).not.toBe(errors[1].split(',')[1]);
    // Without one before the first epoch the line begins with the first that there is.
    const { before: _before, ...late } = result;
    const history = [{ epoch: 0, loss: 1 }, ...result.history.slice(1)];
    expect(places({ ...input, result: { ...late, history } })[1]).toEqual([529, 684]);
    expect(trainingHtml({ ...input, result: late })).toContain('<p>0.2567 after epoch 3 of 4, which was kept.</p>');
  });

  it('is self-contained, escapes what it is given, and says how it was made', () => {
    const html = trainingHtml(input);
    expect(html).toContain("default-src 'none'");
    expect(html).not.toMatch(/<script|https?:\/\/(?!www\.w3\.org)/);
    expect(html).toContain('<h1>a &lt;b&gt;</h1>');
    expect(html).toContain('<dt>seed</dt><dd>7</dd>');
    expect(trainingHtml({ ...input, made: [] })).not.toContain('How it was made');
  });

  it('refuses a loss that is no number: NONFINITE', () => {
    expect(() => trainingHtml({ ...input, result: { ...result, history: [{ epoch: 0, loss: NaN }] } })).toThrow(
      expect.objectContaining({ code: 'NONFINITE' }),
    );
  });
});
