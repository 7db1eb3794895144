/**
 * Prettier over the whole project, the assembly included: there a function may have a decorator (`@inline`), which
 * TypeScript's grammar has not, so it is shown to Prettier as a comment. `--check` changes nothing and ends with exit
 * code 1 where a file would change.
 */
import { execFileSync } from 'node:child_process';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { format, resolveConfig } from 'prettier';

const check = process.argv.includes('--check');
const assembly = fileURLToPath(new URL('../src/kernels/assembly', import.meta.url));
const options = { ...(await resolveConfig(join(assembly, 'index.ts'))), parser: 'typescript' };
let failed = false;

for (const name of (await readdir(assembly)).filter((file) => /(?<!\.generated)\.ts$/.test(file))) {
  const path = join(assembly, name);
  const before = await readFile(path, 'utf8');
  const shown = before.replaceAll(/^@(inline|unmanaged)$/gm, '// decorator @$1');
  const after = (await format(shown, options)).replaceAll(/^\/\/ decorator @(\w+)$/gm, '@$1');
  if (after === before) continue;
  failed = true;
  console.error(`${path} ${check ? 'is not formatted' : 'formatted'}`);
  if (!check) await writeFile(path, after);
}

try {
  execFileSync('npx', ['prettier', check ? '--check' : '--write', '--log-level', 'warn', '.'], { stdio: 'inherit' });
} catch {
  failed = true;
}
if (check && failed) process.exit(1);
