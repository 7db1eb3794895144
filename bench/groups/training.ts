/**
 * Steps of training, one thread, against PyTorch. Nothing else in JavaScript is there to compare with: onnxruntime-web
 * cannot train, tfjs has no WebAssembly kernel for the weight gradient of a convolution, and its plain JavaScript takes
 * minutes for a step.
 */
import { trainingCase } from '../cases.ts';
import { espalierCommand, startContender, withContenders } from '../children.ts';
import { takeTurns } from '../measure.ts';
import { networkNamed } from '../networks.ts';
import { trainingPeers } from '../peers.ts';
import type { Peer } from '../peers.ts';
import type { Row } from '../results.ts';
import { PROJECT_VERSION, timeRow } from './group.ts';
import type { Group } from './group.ts';

export const training: Group = {
  name: 'training',
  about: 'steps of SGD with momentum, batch 16 and 32, against PyTorch',
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
    const contenders = await Promise.all(
      all.map(({ who, command, variant }) => add(startContender(who, command, job, variant))),
    );
    for (const contender of contenders) await check(contender);
    const timings = await takeTurns(contenders, rounds);
    return all.map(({ who, version }, i) =>
      timeRow(
        'training',
        { case: network.title, what: `training step, batch ${batch}`, who, version, work },
        timings[i],
      ),
    );
  });
}
