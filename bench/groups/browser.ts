/**
 * One and two threads in a page that is cross-origin isolated: training and inference of a batch, the same bits as in
 * Node.
 */
import { fileURLToPath } from 'node:url';
import { multiplyAdds, writeNetwork } from 'espalier/network';
import { bundlePage, findChromium, ISOLATED, visitPages } from '../../scripts/browser.ts';
import { BATCH, THREADS, timeThreads, type Timed } from '../browser/work.ts';
import { summarize } from '../measure.ts';
import { networkNamed } from '../networks.ts';
import { PROJECT_VERSION, timeRow } from './group.ts';
import type { Group } from './group.ts';

/** Milliseconds for the page. */
const LIMIT = 600_000;

export const browser: Group = {
  name: 'browser',
  about: 'training and inference of a batch of 16 with 1 and 2 threads in a cross-origin isolated page of Chromium',
  async measure({ rounds }) {
    const chromium = findChromium();
    if (chromium === undefined) {
      console.error('\n*** SKIPPED: no Chromium. Install one, or name it in CHROMIUM ***\n');
      return [];
    }
    const { title, build } = networkNamed('vgg96');
    const network = build();
    const file = writeNetwork(network);
    const script = await bundlePage(fileURLToPath(new URL('../browser/page.ts', import.meta.url)));
    const [result] = (await visitPages(
      chromium,
      [{ headers: ISOLATED, script, hash: `#${rounds}`, files: { network: file } }],
      LIMIT,
    )) as [{ failure?: string; timed: readonly Timed[]; browser: string }];
    if (result.failure !== undefined) throw new Error(`the page failed: ${result.failure}`);
    const expected = await timeThreads(file, 0);
    result.timed.forEach(({ what, threads, reason, digest }, i) => {
      const wanted = THREADS[i % THREADS.length];
      if (threads !== wanted) throw new Error(`${what}: the page has ${threads} threads, not ${wanted}: ${reason}`);
      if (digest !== expected[i].digest)
        throw new Error(`${what}, ${threads} threads: the page gives other bits than Node`);
    });
    console.log('verified: the same bits as in Node with 1 and 2 threads');
    const who = `espalier, ${/(?:Headless)?(Chrome\/\d+)/.exec(result.browser)?.[1].replace('/', ' ') ?? 'browser'}`;
    // A step makes about three times the operations of a forward pass: two gradients.
    return result.timed.map(({ what, threads, seconds }) =>
      timeRow(
        'browser',
        {
          case: title,
          what: `${what}, batch ${BATCH}`,
          who,
          version: PROJECT_VERSION,
          threads,
          work: ((what === 'forward' ? 2 : 6) * BATCH * multiplyAdds(network)) / 1e9,
        },
        summarize(seconds),
      ),
    );
  },
};
