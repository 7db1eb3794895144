/** Inference of whole networks, one thread, against everything else that runs them here. */
import { forwardCase } from '../cases.ts';
import { espalierCommand, startContender, withContenders } from '../children.ts';
import { takeTurns } from '../measure.ts';
import { networkNamed } from '../networks.ts';
import { forwardPeers, isSlow, roundsOf } from '../peers.ts';
import type { Peer } from '../peers.ts';
import type { Row } from '../results.ts';
import { PROJECT_VERSION, timeRow } from './group.ts';
import type { Group } from './group.ts';

export const forward: Group = {
  name: 'forward',
  about:
    'inference of three networks, batch 1 and 16, against onnxruntime-web, tfjs, jax-js, onnxruntime-node, PyTorch',
  async measure({ rounds }) {
    const peers = forwardPeers();
    const rows: Row[] = [];
    for (const name of ['vgg96', 'resnet', 'mobilenet']) {
      for (const batch of [1, 16]) rows.push(...(await measureForward(name, batch, peers, rounds)));
    }
    return rows;
  },
};

async function measureForward(name: string, batch: number, peers: readonly Peer[], rounds: number): Promise<Row[]> {
  const network = networkNamed(name);
  const { job, work, check } = await forwardCase(network, batch);
  const all: Peer[] = [
    { who: 'espalier', version: PROJECT_VERSION, command: await espalierCommand(), variant: 'simd' },
    ...peers.filter((peer) => batch === 1 || !isSlow(peer)),
  ];
  return withContenders(async (add) => {
    const contenders = await Promise.all(
      all.map(({ who, command, variant }) => add(startContender(who, command, job, variant))),
    );
    for (const contender of contenders) await check(contender);
    const timings = await takeTurns(
      contenders.map((contender) => ({ run: contender.run, rounds: roundsOf(contender, rounds) })),
      rounds,
    );
    return all.map(({ who, version }, i) =>
      timeRow('forward', { case: network.title, what: `forward, batch ${batch}`, who, version, work }, timings[i]),
    );
  });
}
