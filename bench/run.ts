/**
 * The comparison: measures groups of cases against the peers that are installed, writes bench/results/<processor>.csv
 * and draws docs/benchmarks.md from it.
 *
 *   npm run bench                                 everything, some ten minutes
 *   npm run bench -- forward kmeans --rounds 5    some groups; the others' results stay
 *   npm run bench -- draw                         the document and its charts once more, from the results as they are
 *   --models DIR                                  ONNX models by others; without it those of ESPALIER_DATA/models
 *   --out DIR                                     results, document and charts go there
 *
 * Every result is verified before it is timed: kernels and outputs against the portable kernels, peers' outputs against
 * the same.
 */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { draw } from './draw.ts';
import { GROUPS } from './groups/index.ts';
import { describeMachine } from './machine.ts';
import { readResults, updateResults } from './results.ts';

const NAMES = GROUPS.map(({ name }) => name);
const help = `groups:\n${GROUPS.map(({ name, about }) => `  ${name.padEnd(10)} ${about}`).join('\n')}\n  ${'draw'.padEnd(10)} no measurement: the document and the charts from the results`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '9' },
    out: { type: 'string' },
    models: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});
const rounds = Number(values.rounds);
const unknown = positionals.filter((name) => name !== 'draw' && !NAMES.includes(name));
if (values.help) console.log(help);
else if (unknown.length > 0) refuse(`unknown: ${unknown.join(', ')}; ${help}`);
else if (!Number.isSafeInteger(rounds) || rounds < 1)
  refuse(`--rounds: expected a whole number from 1, got ${values.rounds}`);
else await run(positionals.length === 0 ? NAMES : NAMES.filter((name) => positionals.includes(name)));

function refuse(text: string): void {
  console.error(text);
  process.exitCode = 2;
}

async function run(names: readonly string[]): Promise<void> {
  const at = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
  const places =
    values.out === undefined
      ? { results: at('results'), document: at('../docs') }
      : { results: values.out, document: values.out };
  const machine = describeMachine();
  const node = process.version;
  const date = new Date().toISOString().slice(0, 10);
  console.log(`${machine.description}, Node ${node}, ${date}`);
  const file = join(places.results, `${machine.slug}.csv`);
  // A file that cannot be read is found out before time is spent on measuring.
  readResults(file);
  const data = process.env['ESPALIER_DATA'];
  const models = values.models ?? (data === undefined ? undefined : join(data, 'models'));
  for (const group of GROUPS.filter(({ name }) => names.includes(name))) {
    console.log(`\n${group.name}: ${group.about}`);
    const rows = await group.measure({ rounds, models });
    updateResults(
      file,
      group.name,
      rows.map((row) => ({ ...row, node, date, machine: machine.description })),
      NAMES,
    );
  }
  draw(places.results, places.document);
}
