/**
 * Who may import whom. The table is read from docs/architecture.md, so that page and code cannot differ; sources are
 * texts by their path from the root of the repository, so that the checks can be shown made-up ones.
 */
import { posix } from 'node:path';
import ts from 'typescript';

export interface LayerTable {
  /** From top to bottom: folders (or files, without their ending) of src, siblings in a row. */
  readonly rows: readonly (readonly string[])[];
  /** Inner folders that files outside of their layer may import from: 'kernels/specification'. */
  readonly doors: readonly string[];
}

export type Sources = ReadonlyMap<string, string>;

/**
 * Reads the blocks ```layers (a row a line, siblings apart by `|`, each `name: words`) and ```doors (a folder a line,
 * then words). @throws {Error} if a block is missing or a layer stands in it twice
 */
export function readTable(page: string): LayerTable {
  const linesOf = (name: string): string[] => {
    const block = new RegExp(`^\`\`\`${name}\\n(.*?)^\`\`\`$`, 'ms').exec(page);
    if (!block) throw new Error(`no block of ${name} in the page`);
    return block[1].split('\n').filter((line) => line.trim() !== '');
  };
  const rows = linesOf('layers').map((line) => line.split('|').map((sibling) => sibling.split(':')[0].trim()));
  const names = rows.flat();
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) throw new Error(`${twice} stands in two places`);
  return { rows, doors: linesOf('doors').map((line) => line.trim().split(/\s/)[0]) };
}

/** What a file names in static imports, re-exports and `import()`, types alone included. */
export function importsOf(text: string): string[] {
  return ts.preProcessFile(text).importedFiles.map(({ fileName }) => fileName);
}

/** Path of the file that `from` means by a relative specifier. The assembly leaves the ending out. */
function target(from: string, specifier: string): string {
  const path = posix.join(posix.dirname(from), specifier);
  return posix.extname(path) === '' ? `${path}.ts` : path;
}

/** Relative imports of a file, as paths. */
const pathsOf = (file: string, text: string): string[] =>
  importsOf(text)
    .filter((specifier) => specifier.startsWith('.'))
    .map((specifier) => target(file, specifier));

/** 'kernels' of src/kernels/types.ts, 'index' of src/index.ts. */
function layerOf(path: string): string | undefined {
  const [root, first] = path.split('/');
  return root === 'src' && first !== undefined ? first.replace(/\.ts$/, '') : undefined;
}

/** Imports that go up, sideways, or behind a door; layers that the table or src lacks. */
export function layerProblems(sources: Sources, { rows, doors }: LayerTable): string[] {
  const problems: string[] = [];
  const height = new Map(rows.flatMap((row, i) => row.map((name) => [name, rows.length - i] as const)));
  const found = new Set([...sources.keys()].map(layerOf).filter((layer) => layer !== undefined));
  for (const layer of found) if (!height.has(layer)) problems.push(`src/${layer} is not in the table`);
  for (const layer of height.keys()) if (!found.has(layer)) problems.push(`the table has ${layer}, src has not`);
  for (const [file, text] of sources) {
    const own = layerOf(file);
    if (own === undefined || !height.has(own)) continue;
    for (const path of pathsOf(file, text)) {
      const other = layerOf(path);
      if (other === undefined || other === own || !height.has(other)) continue;
      const difference = height.get(own)! - height.get(other)!;
      if (difference === 0) problems.push(`${file} imports ${path}: ${own} and ${other} are siblings`);
      if (difference < 0) problems.push(`${file} imports ${path}: ${other} is above ${own}`);
      const inner = posix.dirname(path).slice('src/'.length);
      if (inner !== other && inner !== '' && !doors.includes(inner))
        problems.push(`${file} imports ${path}: ${inner} is the business of ${other} alone`);
    }
  }
  return problems;
}

/** Circles of files, each as the files along it, the first again at the end. */
export function circles(sources: Sources): string[] {
  const found: string[] = [];
  const finished = new Set<string>();
  const path: string[] = [];
  const visit = (file: string): void => {
    const at = path.indexOf(file);
    if (at >= 0) found.push([...path.slice(at), file].join(' > '));
    if (at >= 0 || finished.has(file)) return;
    path.push(file);
    for (const next of pathsOf(file, sources.get(file) ?? '')) visit(next);
    path.pop();
    finished.add(file);
  };
  for (const file of sources.keys()) visit(file);
  return found;
}

/** Of pictures: the library takes pixels, the command line files. */
const DECODERS = ['fast-png', 'jpeg-js'];

/**
 * Files of the command line that import more than the whole entry, Node and the manifest; files of the bench and the
 * examples that reach into src, or name an entry that there is not.
 * @param entries - names that the package exports: 'espalier', 'espalier/kernels', ...
 */
export function entryProblems(sources: Sources, entries: readonly string[]): string[] {
  const problems: string[] = [];
  for (const [file, text] of sources) {
    for (const specifier of importsOf(text)) {
      const path = specifier.startsWith('.') ? target(file, specifier) : undefined;
      if (file.startsWith('src/cli/')) {
        const isAllowed =
          path === undefined
            ? specifier.startsWith('node:') || DECODERS.includes(specifier)
            : path.startsWith('src/cli/') || ['src/index.ts', 'package.json'].includes(path);
        if (!isAllowed)
          problems.push(
            `${file} imports ${specifier}: the command line uses src/index.ts, Node and decoders of pictures alone`,
          );
      } else if (/^(bench|examples)\//.test(file)) {
        if (path?.startsWith('src/')) problems.push(`${file} imports ${path}: use a public entry`);
        if (/^espalier(\/|$)/.test(specifier) && !entries.includes(specifier))
          problems.push(`${file} imports ${specifier}: the package has no such entry`);
      }
    }
  }
  return problems;
}
