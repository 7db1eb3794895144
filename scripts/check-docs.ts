/**
 * Whether every function, class and constant that a public entry exports says what it is: names those without a doc
 * comment, each where it is declared, and ends with exit code 1 where there are any. Run by `npm run lint`.
 */
import { join, relative } from 'node:path';
import ts from 'typescript';
import { entries } from './entries.ts';

const root = join(import.meta.dirname, '..');
const { cli: _cli, ...parts } = entries;
const files = Object.values(parts).map((path) => join(root, path));
const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), (path) => ts.sys.readFile(path)) as {
  config: unknown;
};
const program = ts.createProgram(files, ts.parseJsonConfigFileContent(config, ts.sys, root).options);
const checker = program.getTypeChecker();

const silent = new Set<string>();
for (const file of files) {
  const module = checker.getSymbolAtLocation(program.getSourceFile(file)!);
  if (!module) throw new Error(`${file} exports nothing`);
  for (const exported of checker.getExportsOfModule(module)) {
    const symbol = exported.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(exported) : exported;
    if (!(symbol.flags & ts.SymbolFlags.Value) || symbol.getDocumentationComment(checker).length > 0) continue;
    const [declaration] = symbol.declarations ?? [];
    const source = declaration.getSourceFile();
    const { line } = source.getLineAndCharacterOfPosition(declaration.getStart());
    silent.add(`${relative(root, source.fileName)}:${line + 1} ${symbol.name}`);
  }
}
if (silent.size > 0) {
  console.error(`exported without a doc comment:\n${[...silent].sort().join('\n')}`);
  process.exit(1);
}
