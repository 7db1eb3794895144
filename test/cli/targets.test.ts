/** `--size`, `--ratio`, `--max-error`, `--plan`: how they are written, what is refused, and a search with and without threads. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { COMPRESS_OPTIONS, targetOf } from '../../src/cli/compress-options.ts';
import { parseOptions } from '../../src/cli/options.ts';
import { conv, dense, flatten, relu, sequential, writeNetwork } from '../../src/index.ts';
import { call, dataFolder, parsed, temporaryFolder } from './fixtures.ts';

const target = (...args: string[]) =>
  targetOf(parseOptions(['m', '--data', 'd', '-o', 'o', ...args], COMPRESS_OPTIONS, ['MODEL']).values);

describe('targets as they are written', () => {
  it.each([
    [['--size', '400kB'], { size: 400_000 }],
    [['--size', '1.5MB'], { size: 1_500_000 }],
    [['--size', '390KiB'], { size: 399_360 }],
    [['--size', '1MiB'], { size: 1_048_576 }],
    [['--size', '2k'], { size: 2000 }],
    [['--size', '12345'], { size: 12345 }],
    [['--ratio', '26x'], { ratio: 26 }],
    [['--ratio', '26.5'], { ratio: 26.5 }],
    [['--max-error', '1.5%'], { maxError: 0.015 }],
    [['--max-error', '0.015'], { maxError: 0.015 }],
    [['--max-error', '2%', '--size', '9kB'], { size: 9000, maxError: 0.02 }],
    [['--keep', '0.5'], undefined],
  ])('%j', (args, expected) => {
    expect(target(...args)).toEqual(expected);
  });

  it.each([
    [['--size', '0'], /--size: expected a size such as 400kB/],
    [['--size', '400kb'], /--size: expected a size such as 400kB/],
    [['--size', '4e'], /--size: expected a size/],
    [['--size', '1.2.3MB'], /--size: expected a size/],
    [['--ratio', '1'], /--ratio: expected a number above 1/],
    [['--ratio', 'x'], /--ratio: expected a number above 1/],
    [['--max-error', '-1%'], /--max-error/],
    [['--max-error', '5'], /--max-error: "5" is 500 %; for 5 % write 5%/],
    [['--size', '9kB', '--ratio', '2'], /--ratio: --size is given too/],
    [['--size', '9kB', '--keep', '0.5'], /--keep: --size says what is done to layers/],
    [['--ratio', '9', '--step', '0.5'], /--step: --ratio says/],
    [['--max-error', '1%', '--tolerance', '1'], /--tolerance: --max-error says/],
    [['--size', '9kB', '--plan', 'p.json'], /--plan: --size searches for a plan of its own/],
    [['--plan', 'p.json', '--bits', '4'], /--bits: --plan says .* or write it in the plan/],
    [['--plan', 'p.json', '--save-plan', 'q.json'], /--save-plan: --plan is that plan/],
    [['--save-plan', 'q.json'], /--save-plan: nothing is searched for/],
  ])('refuses %j', (args, pattern) => {
    expect(() => target(...args)).toThrow(pattern);
  });
});

describe('espalier compress --ratio', () => {
  it('finds a plan, the same on threads; a plan that was edited is carried out, and one that is wrong is refused', async () => {
    const folder = temporaryFolder();
    const data = dataFolder(folder, ['landmarks']);
    const [model, output, plan] = ['model.safetensors', 'small.safetensors', 'plan.json'].map((name) =>
      join(folder, name),
    );
    const preprocess = join(folder, 'preprocess.json');
    writeFileSync(
      preprocess,
      JSON.stringify({
        width: 8,
        height: 8,
        channels: 1,
        filter: 'area',
        scale: 1 / 255,
        standardize: { kind: 'none' },
      }),
    );
    const network = sequential({ input: [1, 8, 8], seed: 2 }, [
      conv(6, 3, { name: 'conv' }),
      relu(),
      flatten(),
      dense(12, { name: 'hidden' }),
      relu(),
      dense(136, { name: 'out' }),
    ]);
    writeFileSync(model, writeNetwork(network));
    const common = ['compress', model, '--data', data, '-o', output, '--quick', '--threads', '1', '--unlabelled'];
    const first = await call([...common, '--preprocess', preprocess, '--ratio', '6x', '--save-plan', plan]);
    expect(first.stdout).toMatch(/^layer +weight +keep +stored$/m);
    expect(first.stdout).toContain('target met');
    const bytes = readFileSync(output);
    expect(bytes.length).toBeLessThan((4 * (60 + 12 * 385 + 136 * 13)) / 6);
    const second = parsed(
      await call([...common, '--preprocess', preprocess, '--ratio', '6x', '--workers', '2', '--json']),
    ) as { target: { plan: unknown; miss: unknown } };
    expect(Buffer.compare(readFileSync(output), bytes)).toBe(0);
    expect(second.target.plan).toEqual(JSON.parse(readFileSync(plan, 'utf8')));
    expect(second.target.miss).toEqual({ bytes: 0, error: 0 });
    await call([...common, '--preprocess', preprocess, '--plan', plan]);
    expect(Buffer.compare(readFileSync(output), bytes)).toBe(0);
    const edited = JSON.parse(readFileSync(plan, 'utf8')) as { layers: Record<string, unknown> };
    edited.layers['hiden'] = { keep: 0.5 };
    writeFileSync(plan, JSON.stringify(edited));
    const refused = await call([...common, '--preprocess', preprocess, '--plan', plan]);
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringMatching(/layers.hiden: .*did you mean "hidden"/)]);
  });
});
