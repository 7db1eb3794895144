/** Layers hold: the imports of the whole repository against the table in docs/architecture.md. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { entries } from '../scripts/entries.ts';
import { circles, entryProblems, importsOf, layerProblems, readTable } from './layers.ts';

const ROOT = join(import.meta.dirname, '..');
const ENTRIES = Object.keys(entries)
  .filter((name) => name !== 'cli')
  .map((name) => (name === 'index' ? 'espalier' : `espalier/${name}`));

/** TypeScript files below a folder, by their path from the root. */
function sourcesOf(folder: string): Map<string, string> {
  const files = readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name).replaceAll('\\', '/'))
    .filter((path) => path.endsWith('.ts') && !path.includes('/node_modules/'));
  return new Map(files.sort().map((path) => [path, readFileSync(join(ROOT, path), 'utf8')]));
}

describe('the repository', () => {
  const table = readTable(readFileSync(join(ROOT, 'docs/architecture.md'), 'utf8'));
  const source = sourcesOf('src');

  it('imports downwards only, never a sibling, and inner folders through their doors', () => {
    expect(layerProblems(source, table)).toEqual([]);
  });

  it('has no circle among files', () => {
    expect(circles(source)).toEqual([]);
  });

  it('has a command line, a bench and examples that use public entries', () => {
    expect(entryProblems(new Map([...source, ...sourcesOf('bench'), ...sourcesOf('examples')]), ENTRIES)).toEqual([]);
  });

  it('has no door that nobody uses', () => {
    const uses = [...source].flatMap(([file, text]) =>
      table.doors.filter((door) => !file.startsWith(`src/${door.split('/')[0]}/`) && text.includes(`/${door}/`)),
    );
    expect(table.doors.filter((door) => !uses.includes(door))).toEqual([]);
  });
});

describe('the checker', () => {
  const page = [
    'Words.',
    '```layers',
    'top:   a word | for two',
    'left:  one | right: other',
    'base:  the rest',
    '```',
    '```doors',
    'base/inside   for all',
    '```',
  ].join('\n');
  const table = readTable(page);
  const files = (sources: Record<string, string>): Map<string, string> =>
    new Map(
      Object.entries({
        'src/top.ts': '',
        'src/for two/a.ts': '',
        'src/left/a.ts': '',
        'src/right/a.ts': '',
        'src/base/a.ts': '',
        ...sources,
      }),
    );

  it('reads rows, siblings and doors', () => {
    expect(table).toEqual({ rows: [['top', 'for two'], ['left', 'right'], ['base']], doors: ['base/inside'] });
    expect(() => readTable('')).toThrow('layers');
    expect(() => readTable(page.replace('base:', 'left:'))).toThrow('left stands in two places');
  });

  it('sees imports, re-exports, types alone and import()', () => {
    const text =
      "import a from './a.ts'; import type { B } from './b.ts'; export * from './c.ts'; export type { D } from './d.ts'; void import('./e.ts'); import './f.ts'; // './g.ts'";
    expect(importsOf(text).sort()).toEqual(['./a.ts', './b.ts', './c.ts', './d.ts', './e.ts', './f.ts']);
  });

  it.each([
    ['down', 'src/left/a.ts', "import '../base/a.ts';", []],
    ['through a door', 'src/left/a.ts', "import '../base/inside/a.ts';", []],
    ['within a layer', 'src/left/a.ts', "import './inner/b.ts';", []],
    [
      'up',
      'src/base/a.ts',
      "import type { A } from '../left/a.ts';",
      ['src/base/a.ts imports src/left/a.ts: left is above base'],
    ],
    [
      'to a sibling',
      'src/left/a.ts',
      "export * from '../right/a.ts';",
      ['src/left/a.ts imports src/right/a.ts: left and right are siblings'],
    ],
    [
      'behind a door',
      'src/left/a.ts',
      "import '../base/hidden/a.ts';",
      ['src/left/a.ts imports src/base/hidden/a.ts: base/hidden is the business of base alone'],
    ],
    ['a new layer', 'src/new/a.ts', '', ['src/new is not in the table']],
  ])('imports: %s', (_name, file, text, problems) => {
    expect(layerProblems(files({ [file]: text }), table)).toEqual(problems);
  });

  it('misses a layer that the table has and src has not', () => {
    const sources = files({});
    sources.delete('src/right/a.ts');
    expect(layerProblems(sources, table)).toEqual(['the table has right, src has not']);
  });

  it('finds circles, of types as well, and reports the way round', () => {
    const sources = {
      'src/a.ts': "import './b.ts';",
      'src/b.ts': "import type { C } from './c.ts';",
      'src/c.ts': "export * from './a.ts';",
      'src/d.ts': "import './a.ts';",
    };
    expect(circles(new Map(Object.entries(sources)))).toEqual(['src/a.ts > src/b.ts > src/c.ts > src/a.ts']);
    expect(circles(new Map(Object.entries({ ...sources, 'src/c.ts': '' })))).toEqual([]);
    expect(circles(new Map([['src/a.ts', "import './a';"]]))).toEqual(['src/a.ts > src/a.ts']);
  });

  it.each([
    ['src/cli/a.ts', "import '../index.ts'; import 'node:fs'; import './b.ts'; import '../../package.json';", 0],
    ['src/cli/a.ts', "import '../base/errors.ts';", 1],
    ['src/cli/a.ts', "import 'ndarray';", 1],
    ['bench/a.ts', "import 'espalier'; import 'espalier/kernels'; import '../examples/run.ts';", 0],
    ['bench/groups/a.ts', "import '../../src/index.ts';", 1],
    ['examples/a.ts', "import '../src/index.ts';", 1],
    ['examples/a.ts', "import 'espalier/nothing';", 1],
    ['test/a.ts', "import '../src/base/errors.ts';", 0],
  ])('entries: %s with %s', (file, text, count) => {
    expect(entryProblems(new Map([[file, text]]), ['espalier', 'espalier/kernels'])).toHaveLength(count);
  });
});
