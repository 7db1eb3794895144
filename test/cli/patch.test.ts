import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { decode, vgg, writeNetwork } from '../../src/index.ts';
import { call, parsed, temporaryFolder } from './fixtures.ts';

it('diff and apply give the new model back, and refuse another base', async () => {
  const folder = temporaryFolder();
  const path = (name: string): string => join(folder, name);
  const network = vgg({ side: 8, widths: [4], hidden: [8], outputs: 4 });
  const [name, bias] = [...network.parameters].find(([key]) => key.endsWith('bias'))!;
  const moved = { ...bias, data: decode(bias).map((value) => value + 0.5) };
  const better = { ...network, parameters: new Map(network.parameters).set(name, moved as typeof bias) };
  writeFileSync(path('old'), writeNetwork(network));
  writeFileSync(path('new'), writeNetwork(better));
  const made = parsed(await call(['diff', path('old'), path('new'), '-o', path('patch'), '--json']));
  expect(made).toMatchObject({ bytes: readFileSync(path('patch')).length, newBytes: readFileSync(path('new')).length });
  const { code, stdout } = await call(['apply', path('old'), path('patch'), '-o', path('again')]);
  expect([code, stdout.includes('written')]).toEqual([0, true]);
  expect(readFileSync(path('again'))).toEqual(readFileSync(path('new')));

  const wrong = await call(['apply', path('new'), path('patch'), '-o', path('other')]);
  expect([wrong.code, existsSync(path('other'))]).toEqual([1, false]);
  expect(wrong.stderr).toContain('the file that the patch was made from');
  expect((await call(['inspect', path('patch')])).stderr).toContain('espalier apply');
  expect((await call(['apply', path('old'), path('patch'), '-o', path('old')])).code).toBe(2);
});
