import { truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { writeSafetensors } from '../../src/container/safetensors.ts';
import { graph, sequential } from '../../src/network/build.ts';
import { relu } from '../../src/network/functions.ts';
import { conv, dense } from '../../src/network/layers.ts';
import { writeNetwork } from '../../src/network/write.ts';
import { edited } from '../network/files.ts';
import type { FreeJson } from '../network/files.ts';
import { call, parsed, temporaryFolder } from './fixtures.ts';

function fileOf(bytes: Uint8Array): string {
  const path = join(temporaryFolder(), 'model.safetensors');
  writeFileSync(path, bytes);
  return path;
}

/** What a terminal would obey, or a reader not see. */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u;
const isPlain = (text: string): boolean => text.split('\n').every((line) => !UNSEEN.test(line));

const NAME = '\x1b[2J\x1b]0;owned\x07\u202econv\u200b\r\n\x9b31m';

describe('names that take the terminal over', () => {
  const network = graph({ name: NAME }, (builder) =>
    builder.node({ ...relu(), name: NAME }, builder.node({ ...dense(2), name: `${NAME}1` }, builder.input([2], 'x'))),
  );

  it('are visible in tables, and what they are in JSON', async () => {
    const path = fileOf(writeNetwork(network));
    const { code, stdout } = await call(['inspect', path]);
    expect(code).toBe(0);
    expect(isPlain(stdout)).toBe(true);
    expect(stdout).toContain('\\u001b[2J\\u001b]0;owned\\u0007\\u202econv\\u200b\\r\\n\\u009b31m');
    const outcome = await call(['inspect', path, '--json']);
    expect(isPlain(outcome.stdout)).toBe(true);
    expect(parsed(outcome)).toMatchObject({ name: NAME });
    const plain = fileOf(writeSafetensors([{ name: NAME, dtype: 'U8', shape: [1], bytes: new Uint8Array(1) }]));
    expect(isPlain((await call(['inspect', plain])).stdout)).toBe(true);
  });

  it('are visible in errors, which are one line, with --verbose too', async () => {
    const unknown = edited(writeNetwork(network), (d) => {
      d.nodes[0].kind = NAME as unknown as FreeJson;
    });
    const { code, stderr } = await call(['inspect', fileOf(unknown)]);
    expect(code).toBe(1);
    expect(stderr.trimEnd().split('\n').length).toBe(1);
    expect(isPlain(stderr)).toBe(true);
    expect(isPlain((await call(['inspect', fileOf(unknown), '--verbose'])).stderr)).toBe(true);
    expect(isPlain((await call(['inspect', NAME])).stderr)).toBe(true);
    expect(isPlain((await call([NAME])).stderr)).toBe(true);
  });
});

describe('files that are large in one way', () => {
  it('60,000 tensors are listed', async () => {
    const none = new Uint8Array(0);
    const many = writeSafetensors(
      Array.from({ length: 60_000 }, (_, i) => ({ name: `t${i}`, dtype: 'U8' as const, shape: [0], bytes: none })),
    );
    const { code, stdout } = await call(['inspect', fileOf(many)]);
    expect(code).toBe(0);
    expect(stdout.split('\n').length).toBeGreaterThan(60_000);
  }, 60_000);

  it.each([
    ['blanks', ' '],
    ['line feeds', '\n'],
    ['backslashes', '\\'],
    ['escapes', '\x1b'],
  ])(
    'a name of a million %s ends in a short error, at once',
    async (_what, character) => {
      const named = edited(writeNetwork(sequential({ input: [2] }, [dense(2)])), (d) => {
        d.nodes[0].name = `x${character.repeat(1e6)}y` as unknown as FreeJson;
      });
      const path = fileOf(named);
      const start = performance.now();
      const { code, stderr } = await call(['inspect', path]);
      // Quadratic, a twelfth of it took six seconds: this would be a quarter of an hour.
      expect(performance.now() - start).toBeLessThan(60_000);
      expect(code).toBe(1);
      expect(stderr.length).toBeLessThan(4500);
    },
    120_000,
  );

  it('2 GiB are TOO_LARGE by name, as a model and as inputs', async () => {
    const folder = temporaryFolder();
    const [large, small] = [join(folder, 'large'), join(folder, 'small.safetensors')];
    writeFileSync(large, '');
    truncateSync(large, 2 ** 31);
    writeFileSync(small, writeNetwork(sequential({ input: [2] }, [dense(2)])));
    for (const args of [
      ['inspect', large],
      ['run', small, '--input', large, '--output', join(folder, 'y.npy')],
    ]) {
      const { code, stderr } = await call(args);
      expect(code).toBe(1);
      expect(stderr).toMatch(/large".*2 GiB.*cut it in several/);
    }
  });
});

describe('--no-limits', () => {
  it('opens what asks for more than a file of its size may', async () => {
    const path = fileOf(writeNetwork(sequential({ input: [1, 1, 1] }, [conv(1, 1, { padding: 6000 }), conv(1, 600)])));
    const refused = await call(['inspect', path]);
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringMatching(/multiply-adds.*--no-limits/)]);
    expect((await call(['inspect', path, '--no-limits'])).code).toBe(0);
  });
});
