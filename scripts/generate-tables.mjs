/**
 * Writes the tables of what is one file a kind: each lists the files of a folder under the names of their kinds, so that
 * a new file is a new member and no list has to be told. Run by `npm run generate`, before everything else.
 */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');

/** Types that the files of a kind export, for those that name them. */
const TYPES = [{ folder: 'src/encodings/kinds', file: 'src/encodings/kinds.generated.ts' }];

/** The file of kind `product` exports `productReading` for the table with the suffix `Reading`, and so on. */
const TABLES = [
  {
    folder: 'src/encodings/kinds',
    suffix: 'Reading',
    name: 'READINGS',
    about: 'Of every kind of encoding the half that opens and runs a model.',
    file: 'src/encodings/readings.generated.ts',
  },
  {
    folder: 'src/encodings/kinds',
    suffix: 'Operations',
    name: 'OPERATIONS',
    about: 'Of every kind of encoding the other half.',
    file: 'src/encodings/operations.generated.ts',
  },
  {
    folder: 'src/quantization/quantizers',
    suffix: 'Quantizer',
    name: 'QUANTIZERS',
    about: 'Every quantizer, by its name in options and on the command line.',
    file: 'src/quantization/quantizers.generated.ts',
  },
];

for (const { folder, file } of TYPES) {
  const { kinds, from } = await kindsOf(folder, file);
  await write(
    folder,
    file,
    kinds.map((kind) => `export type * from '${from}/${kind}.ts';`),
  );
}
for (const { folder, suffix, name, about, file } of TABLES) {
  const { kinds, from } = await kindsOf(folder, file);
  await write(folder, file, [
    ...kinds.map((kind) => `import { ${kind}${suffix} } from '${from}/${kind}.ts';`),
    '',
    `/** ${about} */`,
    `export const ${name} = {`,
    ...kinds.map((kind) => `  ${kind}: ${kind}${suffix},`),
    '} as const;',
  ]);
}

/** Kinds in alphabetical order, and the folder as seen from the file. */
async function kindsOf(folder, file) {
  const names = (await readdir(join(root, folder))).filter((name) => name.endsWith('.ts'));
  return {
    kinds: names.map((name) => name.slice(0, -'.ts'.length)).sort(),
    from: `./${relative(dirname(file), folder)}`,
  };
}

/** Leaves a file alone that would not change, so that watchers and build caches stay quiet. */
async function write(folder, file, lines) {
  const text = [`/** Made by scripts/generate-tables.mjs from the files of ${folder}. */`, ...lines, ''].join('\n');
  const path = join(root, file);
  if ((await readFile(path, 'utf8').catch(() => '')) !== text) await writeFile(path, text);
}
