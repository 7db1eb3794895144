/** Long work lets timers have their turn, in Node and in a page, so that a button can stop it. */
import { afterEach, describe, expect, test, vi } from 'vitest';
import { createRunControl } from '../../src/base/control.ts';
import { findGroups, prune } from '../../src/pruning/index.ts';
import { measureActivations } from '../../src/importance/index.ts';
import { evaluate, reestimateBatchNorm, train } from '../../src/training/index.ts';
import { batchNorm, dense, relu, sequential } from '../../src/network/index.ts';
import type { Context } from '../../src/graph/transform.ts';
import { context, smoothSet } from './fixtures.ts';

afterEach(() => vi.unstubAllGlobals());

const network = sequential({ input: [3] }, [dense(64), batchNorm(), relu(), dense(64), relu(), dense(2)]);
const set = smoothSet(1_000_000, 1);
const WORK: [string, (context: Context) => Promise<unknown>][] = [
  ['train', (given) => train(network, given, { epochs: 1000, batchSize: 32 })],
  ['evaluate', (given) => evaluate(network, set, given)],
  ['reestimateBatchNorm', (given) => reestimateBatchNorm(network, given, { batches: 1_000_000 })],
  [
    'measureActivations',
    (given) =>
      measureActivations(network, findGroups(network), given, {
        samples: 1_000_000,
        correlations: false,
        deviations: false,
        activity: true,
      }),
  ],
  [
    'gradients',
    (given) =>
      measureActivations(network, findGroups(network), given, {
        samples: 1_000_000,
        correlations: false,
        deviations: false,
        gradients: true,
      }),
  ],
  ['prune', (given) => prune({ keep: 0.5, criterion: 'taylor', samples: 1_000_000 })(network, given)],
];

describe.each(['Node', 'a page'])('in %s', (where) => {
  test.each(WORK)('%s is stopped by a timer, within a second', async (_name, work) => {
    // What a page has not.
    if (where === 'a page') vi.stubGlobal('setImmediate', undefined);
    const controller = new AbortController();
    let stopped = Infinity;
    setTimeout(() => {
      stopped = performance.now();
      controller.abort('the button');
    }, 300);
    await expect(work(context(set, { signal: controller.signal }))).rejects.toBe('the button');
    expect(performance.now() - stopped).toBeLessThan(1000);
  });

  test('a turn is taken after 50 ms of work, not before', async () => {
    if (where === 'a page') vi.stubGlobal('setImmediate', undefined);
    const control = createRunControl({});
    let turns = 0;
    const note = (): void => void turns++;
    setTimeout(note, 0);
    await control.pause();
    expect(turns).toBe(0);
    for (const end = performance.now() + 60; performance.now() < end;);
    for (let i = 0; i < 3 && turns === 0; i++) {
      await control.pause();
      for (const end = performance.now() + 60; performance.now() < end;);
    }
    expect(turns).toBe(1);
  });
});
