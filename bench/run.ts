/**
 * The comparison: measures groups of cases against the peers that are installed, writes bench/results/<processor>.csv.
 *
 *   npm run bench                                 everything, some ten minutes
 *   npm run bench -- forward kmeans --rounds 5    some groups; the others' results stay
 *   --out DIR                                     results go there
 *
 * Every result is verified before it is timed: kernels and outputs against the portable kernels, peers' outputs against the same.
 */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { GROUPS } from './groups/index.ts';
import { describeMachine } from './machine.ts';
import { updateResults } from './results.ts';

const NAMES = GROUPS.map(({ name }) => name);
const help = `groups:\n${GROUPS.map(({ name, about }) => `  ${name.padEnd(10)} ${about}`).join('\n')}`;

const { values, positionals } = parseArgs({ allowPositionals: true, options: { rounds: { type: 'string', default: '9' }, out: { type: 'string' }, help: { type: 'boolean', default: false } } });
const rounds = Number(values.rounds), unknown = positionals.filter((name) => !NAMES.includes(name));
if (values.help) console.log(help);
else if (unknown.length > 0) refuse(`unknown: ${unknown.join(', ')}; ${help}`);
else if (!Number.isSafeInteger(rounds) || rounds < 1) refuse(`--rounds: expected a whole number from 1, got ${values.rounds}`);
else await run(positionals.length === 0 ? NAMES : NAMES.filter((name) => positionals.includes(name)));

function refuse(text: string): void {
  console.error(text);
  process.exitCode = 2;
}

async function run(names: readonly string[]): Promise<void> {
  const folder = values.out ?? fileURLToPath(new URL('results', import.meta.url));
  const machine = describeMachine(), node = process.version, date = new Date().toISOString().slice(0, 10);
  console.log(`${machine.description}, Node ${node}, ${date}`);
  for (const group of GROUPS.filter(({ name }) => names.includes(name))) {
    console.log(`\n${group.name}: ${group.about}`);
    const rows = await group.measure({ rounds });
    updateResults(join(folder, `${machine.slug}.csv`), group.name, rows.map((row) => ({ ...row, node, date, machine: machine.description })), NAMES);
  }
}
