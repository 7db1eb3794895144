/**
 * Start: importing `espalier/runtime` as it is published and compiling its kernels, in fresh processes; and the size of
 * its SIMD module.
 */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { loadInferenceKernels } from 'espalier/kernels';
import { summarize, takeTurns } from '../measure.ts';
import { PROJECT_VERSION, timeRow, valueRow } from './group.ts';
import type { Group } from './group.ts';

const PROCESSES = 20;
const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** Fails where the kernels that came are not those that are timed. */
const SCRIPT = `const start = performance.now();
const { loadInferenceKernels } = await import('./dist/runtime.js');
const { name } = await loadInferenceKernels();
const seconds = (performance.now() - start) / 1e3;
if (name !== 'simd') throw new Error(name);
console.log(seconds);`;

export const startup: Group = {
  name: 'startup',
  about: `importing espalier/runtime and compiling its kernels, ${PROCESSES} fresh processes; builds dist/ first`,
  async measure() {
    execFileSync('npm', ['run', 'build'], { cwd: ROOT, stdio: 'ignore' });
    const run = (): number =>
      Number(execFileSync(process.execPath, ['--input-type=module', '-e', SCRIPT], { cwd: ROOT, encoding: 'utf8' }));
    const [timing] = await takeTurns([{ run }], PROCESSES);
    const labels = { case: 'espalier/runtime', who: 'espalier', version: PROJECT_VERSION };
    return [
      timeRow('startup', { ...labels, what: 'import and compile' }, timing),
      valueRow('startup', { ...labels, what: 'SIMD module' }, 'kB', summarize([(await moduleBytes()) / 1e3])),
    ];
  },
};

/** Bytes of the module that the kernels of inference are compiled from: asked of the compiler, which is told of every one. */
async function moduleBytes(): Promise<number> {
  let bytes = 0;
  const webAssembly = Object.assign(Object.create(WebAssembly) as typeof WebAssembly, {
    compile(module: Uint8Array<ArrayBuffer>) {
      bytes = module.length;
      return WebAssembly.compile(module);
    },
  });
  await loadInferenceKernels({ webAssembly });
  return bytes;
}
