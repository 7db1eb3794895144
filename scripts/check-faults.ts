/**
 * Kills the program at random moments and makes its file system and its stores fail, with real processes and fixed
 * seeds; prints what happened how often. What must hold: docs/faults.md. Any failure ends with exit code 1.
 *
 *     npm run check-faults -- --rounds 3 --seed 7
 */
import { parseArgs } from 'node:util';
import { stream } from 'espalier';
import { failStore, injectFault, killChain, newTally, study, studyStores } from './faults/checks.ts';
import { JOBS, openBench } from './faults/jobs.ts';

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '1' }, seed: { type: 'string', default: '1' } },
});
const [rounds, seed] = [Number(values.rounds), Number(values.seed)];
if (!Number.isInteger(rounds) || rounds < 1 || !Number.isInteger(seed))
  throw new RangeError(`--rounds and --seed: expected whole numbers, got ${values.rounds} and ${values.seed}`);

/** In one round, for each job of the command line; and for all stores. */
const [CHAINS, FAULTS, STORES] = [4, 20, 60];

const bench = await openBench();
const tally = newTally();
try {
  for (const job of JOBS) {
    const known = await study(bench, job);
    for (let i = 0; i < CHAINS * rounds; i++) await killChain(bench, known, stream(seed, 'kill', job.name, i), tally);
    for (let i = 0; i < FAULTS * rounds; i++)
      await injectFault(bench, known, stream(seed, 'fault', job.name, i), tally);
  }
  const stores = await studyStores();
  for (let i = 0; i < STORES * rounds; i++) await failStore(stores, stream(seed, 'store', i), tally);
} finally {
  bench.close();
}
for (const [name, times] of [...tally.counts].sort()) console.log(`${String(times).padStart(6)}  ${name}`);
for (const problem of tally.problems) console.error(problem);
console.log(tally.problems.length === 0 ? 'all held' : `${tally.problems.length} did not hold`);
process.exitCode = tally.problems.length === 0 ? 0 : 1;
