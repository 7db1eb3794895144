/** ONNX's own checker, of Python's package `onnx`, where there is one. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const PYTHON = '/usr/bin/python3';

export const hasChecker = ((): boolean => {
  try {
    execFileSync(PYTHON, ['-c', 'import onnx'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
})();

const PROGRAM = `
import sys, onnx
for path in sys.argv[1:]:
    try:
        model = onnx.load(path)
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:
        print(path.split('/')[-1], '-', str(error)[:500].replace('\\n', ' '))
`;

/** What the checker has to say against models, with their shapes inferred; nothing where all is well. */
export function checkModels(models: ReadonlyMap<string, Uint8Array>): string {
  const folder = mkdtempSync(join(tmpdir(), 'espalier-onnx-'));
  try {
    const names = [...models.keys()];
    const paths = names.map((_, i) => join(folder, `${i}.onnx`));
    paths.forEach((path, i) => writeFileSync(path, models.get(names[i]) ?? new Uint8Array()));
    const said = execFileSync(PYTHON, ['-c', PROGRAM, ...paths], { encoding: 'utf8' });
    return said.replace(/^(\d+)\.onnx/gm, (_, i: string) => names[Number(i)]);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
