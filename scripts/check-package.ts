/**
 * Checks the parcel, not the folder: packs the package, installs the tarball in an empty folder, and uses it from there
 * as ES module, as CommonJS and from TypeScript. Prints its size. Any failure ends with exit code 1.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { build } from 'esbuild';
import { entries } from './entries.ts';
import { modulesIn } from './packed.ts';

const root = resolve(import.meta.dirname, '..');
const folder = mkdtempSync(join(tmpdir(), 'espalier-package-'));
const run = (command: string, args: readonly string[], cwd = folder): string =>
  execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

function check(condition: boolean, problem: string): void {
  if (!condition) throw new Error(problem);
}

/** What a page that only runs a model has to compile. */
const MOST_SIMD_BYTES = 55_000;

interface Manifest {
  exports: Record<string, unknown>;
  dependencies?: Record<string, string>;
  scripts: Record<string, string>;
  bin: Record<string, string>;
}

try {
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Manifest;
  const subPaths = Object.keys(entries).filter((name) => name !== 'cli');
  const listed = Object.keys(manifest.exports)
    .filter((path) => path !== './package.json')
    .map((path) => (path === '.' ? 'index' : path.slice(2)));
  check(
    JSON.stringify([...listed].sort()) === JSON.stringify([...subPaths].sort()),
    `package.json exports ${listed.join(', ')}, the build makes ${subPaths.join(', ')}`,
  );
  for (const hook of ['install', 'preinstall', 'postinstall'])
    check(!(hook in manifest.scripts), `package.json has an ${hook} script`);

  const [{ filename, size, unpackedSize, files }] = JSON.parse(
    run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], root),
  ) as [{ filename: string; size: number; unpackedSize: number; files: { path: string }[] }];
  const stray = files
    .map(({ path }) => path)
    .filter(
      (path) =>
        !/^(dist\/|docs\/|examples\/page-worker\.ts$|README\.md$|CHANGELOG\.md$|LICENSE$|package\.json$)/.test(path),
    );
  check(stray.length === 0, `the tarball holds ${stray.join(', ')}`);

  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'consumer', private: true, type: 'module' }));
  run('npm', ['install', '--no-audit', '--no-fund', '--ignore-scripts', join(folder, filename)]);

  const specifiers = subPaths.map((name) => (name === 'index' ? 'espalier' : `espalier/${name}`));
  const use = `
    if (typeof modules['espalier'].compress !== 'function') throw new Error('compress is missing');
    if (modules['espalier/runtime'].EspalierError && modules['espalier/runtime'].EspalierError !== modules['espalier'].EspalierError) throw new Error('two error classes');
    let caught; try { modules['espalier/network'].readNetwork(new Uint8Array(3)); } catch (error) { caught = error; }
    if (!(caught instanceof modules['espalier'].EspalierError) || caught.code !== 'TRUNCATED') throw new Error('an error of a sub-path is not the one of the main entry: ' + caught);
    const kernels = await modules['espalier/kernels'].loadKernels();
    if (kernels.name !== 'simd') throw new Error('no SIMD kernels: ' + kernels.reason);
    const { sequential, dense, relu } = modules['espalier/network'];
    const executor = await modules['espalier'].createExecutor(sequential({ input: [4] }, [dense(8), relu(), dense(2)]), { kernels, batch: 2, threads: 2 });
    if (executor.predict(new Float32Array(12).fill(1), 3).length !== 6) throw new Error('no predictions');
    executor.dispose();`;
  const globals = 'const before = new Set(Object.getOwnPropertyNames(globalThis));';
  const untouched =
    'const added = Object.getOwnPropertyNames(globalThis).filter((name) => !before.has(name)); if (added.length > 0) throw new Error("importing defined " + added);';
  writeFileSync(
    join(folder, 'esm.mjs'),
    `${globals} const modules = {}; for (const name of ${JSON.stringify(specifiers)}) modules[name] = await import(name); ${untouched}${use}`,
  );
  writeFileSync(
    join(folder, 'common.cjs'),
    `${globals} const modules = {}; for (const name of ${JSON.stringify(specifiers)}) modules[name] = require(name); ${untouched} (async () => {${use}})().catch((error) => { console.error(error); process.exit(1); });`,
  );
  run('node', ['esm.mjs']);
  run('node', ['common.cjs']);

  writeFileSync(
    join(folder, 'consumer.ts'),
    `${specifiers.map((name, i) => `import * as m${i} from '${name}';`).join('\n')}
    export const all = [${specifiers.map((_, i) => `m${i}`).join(', ')}];
    import { sequential, dense } from 'espalier/network'; import type { Network } from 'espalier';
    export const network: Network = sequential({ input: [3] }, [dense(2)]);`,
  );
  for (const [module, resolution] of [
    ['NodeNext', 'NodeNext'],
    ['ESNext', 'Bundler'],
  ]) {
    writeFileSync(
      join(folder, 'tsconfig.json'),
      JSON.stringify({
        compilerOptions: {
          strict: true,
          noEmit: true,
          target: 'ES2022',
          lib: ['ES2023', 'DOM'],
          module,
          moduleResolution: resolution,
          types: [],
          skipLibCheck: false,
        },
        files: ['consumer.ts'],
      }),
    );
    run('node', [join(root, 'node_modules/typescript/bin/tsc'), '-p', '.']);
  }

  const help = run('node', [join(folder, 'node_modules/espalier', manifest.bin.espalier), '--help']);
  check(help.includes('compress'), `the command line's help says ${help.slice(0, 200)}`);

  // A browser bundle of each entry: no Node module, and the runtime stays small.
  const sizes: string[] = [];
  for (const name of specifiers.filter((one) => one !== 'espalier/ndarray')) {
    writeFileSync(join(folder, 'page.mjs'), `export * from '${name}';`);
    const result = await build({
      entryPoints: [join(folder, 'page.mjs')],
      absWorkingDir: folder,
      bundle: true,
      minify: true,
      format: 'esm',
      platform: 'browser',
      write: false,
      logLevel: 'silent',
    });
    const text = result.outputFiles[0].text;
    check(!/\bfrom\s*"node:|require\("node:/.test(text), `${name}: the browser bundle imports a Node module`);
    check(!/new Function\(|[^.\w]eval\(/.test(text), `${name}: the browser bundle builds code from strings`);
    sizes.push(`${name} ${(text.length / 1000).toFixed(1)} kB`);
    if (name !== 'espalier/runtime') continue;
    const modules = modulesIn(text).map(({ length }) => length);
    check(
      modules.length === 1 && modules[0] <= MOST_SIMD_BYTES,
      `${name}: expected one SIMD module of at most ${MOST_SIMD_BYTES} bytes, got ${modules.join(' and ') || 'none'}`,
    );
  }

  // Told, not checked: a busy machine must not fail a build.
  writeFileSync(
    join(folder, 'start.mjs'),
    `const start = performance.now();
    const { loadInferenceKernels } = await import('espalier/runtime');
    await loadInferenceKernels();
    console.log(performance.now() - start);`,
  );
  const starts = Array.from({ length: 11 }, () => Number(run('node', ['start.mjs']))).sort((a, b) => a - b);

  run('npx', ['publint', '--strict'], root);
  run(
    'npx',
    ['attw', '--pack', '.', '--ignore-rules', 'no-resolution', 'cjs-resolves-to-esm', '--profile', 'node16'],
    root,
  );
  console.log(
    `package: ${(size / 1000).toFixed(0)} kB packed, ${(unpackedSize / 1000).toFixed(0)} kB unpacked, ${files.length} files; bundled for a browser, minified: ${sizes.join(', ')}`,
  );
  console.log(
    `espalier/runtime imported and its kernels compiled: ${starts[5].toFixed(1)} ms, median of ${starts.length} processes, at most ${starts[10].toFixed(1)} ms`,
  );
} catch (error) {
  const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
  console.error(`package check failed: ${error instanceof Error ? error.message : String(error)}\n${stdout}${stderr}`);
  process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
