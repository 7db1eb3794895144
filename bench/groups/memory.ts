/**
 * Resident memory of training at its peak, each in a process of its own. The runtime and its libraries are in the first
 * figure and not in the second.
 */
import { trainingCase } from '../cases.ts';
import { espalierCommand, startContender, withContenders } from '../children.ts';
import { networkNamed } from '../networks.ts';
import { trainingPeers } from '../peers.ts';
import { summarize } from '../measure.ts';
import { PROJECT_VERSION, valueRow } from './group.ts';
import type { Group } from './group.ts';

const STEPS = 8;

export const memory: Group = {
  name: 'memory',
  about: 'peak resident memory of training, against PyTorch (Linux alone)',
  async measure() {
    const network = networkNamed('vgg96');
    const { job, check } = await trainingCase(network, 16);
    const all = [
      { who: 'espalier', version: PROJECT_VERSION, command: await espalierCommand(), variant: 'simd' },
      ...trainingPeers(),
    ];
    return withContenders(async (add) => {
      const rows = [];
      for (const { who, version, command, variant } of all) {
        const contender = await add(startContender(who, command, job, variant));
        await check(contender);
        for (let step = 0; step < STEPS; step++) await contender.run();
        const { peak, baseline } = await contender.memory();
        const labels = { case: `${network.title}, training, batch ${job.batch}`, who, version };
        rows.push(
          valueRow('memory', { ...labels, what: 'whole process' }, 'MB', summarize([peak / 1e3])),
          valueRow('memory', { ...labels, what: 'above the idle runtime' }, 'MB', summarize([(peak - baseline) / 1e3])),
        );
      }
      return rows;
    });
  },
};
