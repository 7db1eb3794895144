/** What a terminal is told, to the letter, and what the clock is asked. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { change, count, headline, millisecondsPerSample, summaryTable, times } from '../../src/compression/summary.ts';
import type { CompressionReport } from '../../src/compression/report.ts';
import { portableKernels } from '../../src/kernels/index.ts';
import type { KernelSet } from '../../src/kernels/index.ts';
import { dense, sequential } from '../../src/network/index.ts';

afterEach(() => void vi.restoreAllMocks());

const report: CompressionReport = {
  bytes: 1250,
  originalBytes: 26000,
  ratio: 20.8,
  split: { codes: 300, signs: 200, codebooks: 250, values: 50, rest: 450 },
  parameters: { before: 6500, after: 1700 },
  multiplyAdds: { before: 90000, after: 30000 },
  validation: { before: 0.0188, after: 0.019, yardstick: 'rmse' },
  layers: [
    {
      name: 'first',
      kind: 'dense',
      before: { shape: [80, 40], parameters: 3280, multiplyAdds: 3200, bytes: 13120, encoding: 'dense' },
      after: { shape: [60, 40], parameters: 824, multiplyAdds: 2400, bytes: 620, encoding: '16 codewords of 4' },
    },
    {
      name: 'b',
      kind: 'dense',
      before: { shape: [4, 80], parameters: 324, multiplyAdds: 320, bytes: 1296, encoding: 'dense' },
      after: { shape: [4, 60], parameters: 244, multiplyAdds: 240, bytes: 976, encoding: 'dense' },
    },
  ],
  plans: [],
  steps: [],
  stages: [],
};

describe('the table for the terminal', () => {
  it('has numbers to the right, names and encodings to the left, and is as narrow as its cells', () => {
    expect(summaryTable(report, [{ name: 'NME', before: '5.3 %', after: '5.4 %' }])).toBe(
      `
                  before    after  change
---------------  -------  -------  ------
bytes             26,000    1,250   20.8x
parameters         6,500    1,700   3.82x
multiply-adds     90,000   30,000   3.00x
validation RMSE  0.01880  0.01900  +1.1 %
NME                5.3 %    5.4 %

layer  weights         parameters        bytes       multiply-adds         stored as
-----  -------  -----  ----------  ---  ------  ---  -------------  -----  -----------------
first    80x40  60x40       3,280  824  13,120  620          3,200  2,400  16 codewords of 4
b         4x80   4x60         324  244   1,296  976            320    240  dense`.slice(1),
    );
  });

  it('tells steps and plans where there are some, and those alone', () => {
    const options = { codewordCount: 16 };
    const plan = { keep: 0.5, quantize: true, options };
    const text = summaryTable({
      ...report,
      steps: [{ layers: ['b'], start: 0.1, tries: [0.2], kept: 0, within: true }],
      plans: [
        {
          layer: 'b',
          asked: { ...plan, keepIsOwn: false, quantizer: 'product' },
          got: { ...plan, keep: 0.75, attempt: 1 },
        },
      ],
    });
    const [, , steps, plans] = text.split('\n\n').map((part) => part.split('\n'));
    expect(steps).toEqual([
      'step  layers  began at  limit   tries                     what became of it',
      '----  ------  --------  -----  ------  ------------------------------------',
      '1          b    0.1000   none  0.2000  the only try stays, within the limit',
    ]);
    expect(plans).toHaveLength(3);
    expect(plans[2]).toMatch(/^b +0\.5 +0\.75 +yes +yes +b: keep 0\.5 asked, 0\.75 got$/);
    expect(summaryTable(report).split('\n\n')).toHaveLength(2);
  });
});

describe('in words', () => {
  it('a ratio has three figures, and none where there is nothing to divide by', () => {
    expect([9.99, 10, 99.9, 100, 0.5].map((ratio) => times(ratio, 1))).toEqual([
      '9.99x',
      '10.0x',
      '99.9x',
      '100x',
      '0.50x',
    ]);
    expect(times(1, 0)).toBe('');
    expect(count(1234.5)).toBe('1,235');
  });

  it('a change is signed, in percent of the size of what was before', () => {
    expect([change(2, 1), change(-2, -1), change(2, 2), change(1, 1.011)]).toEqual([
      '-50.0 %',
      '+50.0 %',
      '0.0 %',
      '+1.1 %',
    ]);
    expect([change(0, 1), change(NaN, 1), change(1, NaN)]).toEqual(['', '', '']);
  });

  it('sizes have three figures and the unit that those fit', () => {
    const sizes = (originalBytes: number, bytes: number): string =>
      headline({ ...report, originalBytes, bytes }).sentence;
    expect(sizes(1000, 999)).toMatch(
      /^1\.00 kB became 999 bytes; the validation RMSE went from 0\.01880 to 0\.01900 \(\+1\.1 %\)\.$/,
    );
    expect(sizes(1e6, 999000)).toMatch(/^1\.00 MB became 999 kB;/);
    expect(sizes(999499, 999500)).toMatch(/^999 kB became 1\.00 MB;/);
    expect(sizes(999499999, 999500000)).toMatch(/^999 MB became 1\.00 GB;/);
    expect(sizes(12.3e9, 1999)).toMatch(/^12\.3 GB became 2\.00 kB;/);
    expect(headline({ ...report, validation: { before: 0, after: 0.1, yardstick: 'outputError' } }).sentence).toMatch(
      /went from 0\.00 % to 10\.00 %\.$/,
    );
  });
});

it('time is the least of the runs that are clocked, after one that is not; the workspace is given back', async () => {
  const set = portableKernels();
  let runs = 0;
  let open = 0;
  const kernels: KernelSet = {
    ...set,
    async open(options) {
      const workspace = await set.open(options);
      open++;
      return {
        ...workspace,
        run(program) {
          runs++;
          workspace.run(program);
        },
        dispose() {
          open--;
          workspace.dispose();
        },
      };
    },
  };
  const network = sequential({ input: [2], seed: 1 }, [dense(2)]);
  // Each run from one of these to the next: 7, 3 and 5 ms.
  const clock = [10, 17, 20, 23, 30, 35];
  const asked: number[] = [];
  vi.spyOn(performance, 'now').mockImplementation(() => {
    asked.push(runs);
    return clock[asked.length - 1];
  });
  expect(await millisecondsPerSample(network, kernels, 3)).toBe(3);
  // One forward between each pair, and one before the first.
  const [first] = asked;
  expect(asked.map((at) => at - first)).toEqual([0, 1, 1, 2, 2, 3]);
  const beforeFirst = first;
  runs = 0;
  asked.length = 0;
  expect(await millisecondsPerSample(network, kernels, 0)).toBe(Infinity);
  expect(runs).toBe(beforeFirst);
  expect(open).toBe(0);
  vi.restoreAllMocks();
  let times = 0;
  vi.spyOn(performance, 'now').mockImplementation(() => ++times);
  await millisecondsPerSample(network, kernels);
  expect(times).toBe(30);
});
