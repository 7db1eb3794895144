import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, normalize } from 'node:path';
import { expect, it } from 'vitest';
import manifest from '../package.json' with { type: 'json' };

const root = join(import.meta.dirname, '..');
const isShipped = (path: string): boolean =>
  manifest.files.some((entry) => path === entry || path.startsWith(`${entry}/`));
const pages = [
  ...readdirSync(root).map((name) => name),
  ...readdirSync(join(root, 'docs')).map((name) => join('docs', name)),
].filter((path) => path.endsWith('.md') && isShipped(path));

it('the pages of the package are shipped, and every link of theirs to a file leads to one that is shipped too', () => {
  expect(pages).toEqual(expect.arrayContaining(['README.md', 'CHANGELOG.md', join('docs', 'method.md')]));
  const broken = pages.flatMap((page) =>
    [...readFileSync(join(root, page), 'utf8').matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)(?:#[^)]*)?\)/g)]
      .map(([, target]) => normalize(join(page, '..', target)))
      .filter((target) => !existsSync(join(root, target)) || !isShipped(target))
      .map((target) => `${page} -> ${target}`),
  );
  expect(broken).toEqual([]);
});
