/**
 * Fuzzing: mutated files through every door, coverage deciding what is kept and mutated further. What is looked for:
 * errors that are not of the contract, allocations and times that the size of the input does not explain, results that
 * do not survive being written and read, changed built-in objects.
 *
 *   npm run fuzz                                      every target, 100,000 executions each
 *   npm run fuzz -- npy gzip --executions 1000000     some, longer
 *   npm run fuzz -- --seed 2 --keep                   other mutations; inputs that ran new code join the corpus
 *
 * The same seed gives the same mutations as long as code and corpus are the same. A finding is written to
 * out/fuzz/<target>-<n>, and the run ends with exit code 1.
 */
import './guard.ts';
import { startCoverage } from './coverage.ts';
import { mkdirSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

// Behind both: what is loaded here keeps the counting constructors, and its blocks are counted.
const coverage = startCoverage();
const { fuzz, readCorpus, TARGETS, writeCorpus } = await import('./fuzz.ts');

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    executions: { type: 'string', default: '100000' },
    seed: { type: 'string', default: '1' },
    keep: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
const names = TARGETS.map(({ name }) => name);
const unknown = positionals.filter((name) => !names.includes(name));
const [executions, seed] = [Number(values.executions), Number(values.seed)];
const about = `targets:\n${TARGETS.map((target) => `  ${target.name.padEnd(20)} ${target.about}`).join('\n')}`;

if (values.help) console.log(about);
else if (unknown.length > 0) refuse(`unknown: ${unknown.join(', ')}; ${about}`);
else if (!Number.isSafeInteger(executions) || executions < 1)
  refuse(`--executions: expected a whole number from 1, got ${values.executions}`);
else if (!Number.isSafeInteger(seed)) refuse(`--seed: expected a whole number, got ${values.seed}`);
else await run();

function refuse(message: string): void {
  console.error(message);
  process.exitCode = 2;
}

async function run(): Promise<void> {
  let all = 0;
  for (const target of TARGETS.filter(({ name }) => positionals.length === 0 || positionals.includes(name))) {
    const result = await fuzz(target, { executions, seed, corpus: readCorpus(target.name), coverage });
    all += result.executions;
    console.log(
      `${target.name.padEnd(20)} ${result.executions} executions, ${result.accepted} let in, ${result.kept.length} kept for new code, ${result.covered} functions run, ${result.seconds.toFixed(0)} s, ${result.findings.length} findings`,
    );
    if (values.keep) writeCorpus(target.name, [...readCorpus(target.name), ...result.kept]);
    if (result.findings.length > 0) process.exitCode = 1;
    result.findings.forEach(({ problem, bytes }, i) => {
      mkdirSync('out/fuzz', { recursive: true });
      writeFileSync(`out/fuzz/${target.name}-${i}`, bytes);
      console.log(`  out/fuzz/${target.name}-${i}: ${problem}`);
    });
  }
  console.log(`${all} executions in all`);
}
