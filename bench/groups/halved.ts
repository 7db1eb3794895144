/** What pruning buys: the same network with half of every layer's neurons, one thread. */
import { forwardCase } from '../cases.ts';
import { espalierCommand, startContender, withContenders } from '../children.ts';
import { takeTurns } from '../measure.ts';
import { networkNamed } from '../networks.ts';
import { PROJECT_VERSION, timeRow } from './group.ts';
import type { Group } from './group.ts';

export const halved: Group = {
  name: 'halved',
  about: "inference before and after removing half of every layer's neurons",
  measure: ({ rounds }) =>
    withContenders(async (add) => {
      const entries = [];
      for (const batch of [1, 16]) {
        for (const network of ['vgg96', 'vgg96-half'].map(networkNamed)) {
          const { job, work, check } = await forwardCase(network, batch);
          const contender = await add(startContender(network.title, await espalierCommand(), job, 'simd'));
          await check(contender);
          entries.push({
            contender,
            labels: {
              case: network.title,
              what: `forward, batch ${batch}`,
              who: 'espalier',
              version: PROJECT_VERSION,
              work,
            },
          });
        }
      }
      const timings = await takeTurns(
        entries.map(({ contender }) => contender),
        rounds,
      );
      return entries.map(({ labels }, i) => timeRow('halved', labels, timings[i]));
    }),
};
