/**
 * Steps of training, one thread, against PyTorch and jax-js in WebAssembly. Of the others onnxruntime-web cannot train,
 * and tfjs has no WebAssembly kernel for the weight gradient of a convolution.
 */
import { trainingCase } from '../cases.ts';
import { espalierCommand, startContender, withContenders } from '../children.ts';
import type { Contender } from '../children.ts';
import { takeTurns } from '../measure.ts';
import { networkNamed } from '../networks.ts';
import { roundsOf, trainingPeers } from '../peers.ts';
import type { Peer } from '../peers.ts';
import type { Row } from '../results.ts';
import { PROJECT_VERSION, timeRow } from './group.ts';
import type { Group } from './group.ts';

export const training: Group = {
  name: 'training',
  about: 'steps of SGD with momentum, batch 16 and 32, against PyTorch and jax-js',
  async measure({ rounds }) {
    const peers = trainingPeers();
    const rows: Row[] = [];
    for (const [name, batch] of [
      ['vgg96', 16],
      ['vgg96', 32],
      ['vgg64', 32],
    ] as const)
      rows.push(...(await measureTraining(name, batch, peers, rounds)));
    return rows;
  },
};

async function measureTraining(name: string, batch: number, peers: readonly Peer[], rounds: number): Promise<Row[]> {
  const network = networkNamed(name);
  const { job, work, check } = await trainingCase(network, batch);
  const all: Peer[] = [
    { who: 'espalier', version: PROJECT_VERSION, command: await espalierCommand(), variant: 'simd' },
    ...peers,
  ];
  return withContenders(async (add) => {
    const contenders: Contender[] = [];
    const measured: Peer[] = [];
    for (const peer of all) {
      const contender = await add(startContender(peer.who, peer.command, job, peer.variant));
      try {
        await check(contender);
      } catch (error) {
        // A peer that has no room for this case has no row; whoever is wrong ends the run.
        if (!/allocation|out of memory/i.test(String(error))) throw error;
        console.log(`no room: ${String(error)}`);
        continue;
      }
      contenders.push(contender);
      measured.push(peer);
    }
    const timings = await takeTurns(
      contenders.map((contender) => ({ run: contender.run, rounds: roundsOf(contender, rounds) })),
      rounds,
    );
    return measured.map(({ who, version }, i) =>
      timeRow(
        'training',
        { case: network.title, what: `training step, batch ${batch}`, who, version, work },
        timings[i],
      ),
    );
  });
}
