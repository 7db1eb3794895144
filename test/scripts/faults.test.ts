/** A slice of `npm run check-faults`, with other seeds: a chain of kills and some faults for each job. */
import { expect, it } from 'vitest';
import { stream } from '../../src/index.ts';
import { failStore, injectFault, killChain, newTally, study, studyStores } from '../../scripts/faults/checks.ts';
import { JOBS, openBench } from '../../scripts/faults/jobs.ts';

it('jobs outlive kills and failing file systems', async () => {
  const bench = await openBench();
  const tally = newTally();
  try {
    for (const job of JOBS) {
      const known = await study(bench, job);
      await killChain(bench, known, stream(2, 'kill', job.name), tally);
      for (let i = 0; i < 2; i++) await injectFault(bench, known, stream(2, 'fault', job.name, i), tally);
      expect(tally.counts.get(`${job.name}: killed`)).toBeGreaterThan(0);
    }
  } finally {
    bench.close();
  }
  expect(tally.problems).toEqual([]);
}, 300_000);

it('jobs outlive failing stores', async () => {
  const tally = newTally();
  const stores = await studyStores();
  for (let i = 0; i < 12; i++) await failStore(stores, stream(4, 'store', i), tally);
  expect(tally.problems).toEqual([]);
  for (const outcome of ['stopped with IO', 'gone on with a warning'])
    expect(tally.counts.get(`store: ${outcome}`)).toBeGreaterThan(0);
});
