/** Inference of whole networks, one thread, against everything else that runs them here. */
import { join } from 'node:path';
import { espalierCommand, SCRATCH, startContender } from '../children.ts';
import { normals, writeArray, writeExchange } from '../exchange.ts';
import { takeTurns, verify, withContenders } from '../measure.ts';
import { networkNamed } from '../networks.ts';
import type { BenchNetwork } from '../networks.ts';
import { forwardPeers, isSlow } from '../peers.ts';
import type { Peer } from '../peers.ts';
import type { Row } from '../results.ts';
import type { ForwardJob } from '../serve.ts';
import { multiplyAdds } from '../../src/network/index.ts';
import { sizeOf } from '../../src/tensor.ts';
import { PROJECT_VERSION, timeRow } from './group.ts';
import type { Group, Settings } from './group.ts';

/** Outputs may differ from the portable kernels' by this share of the largest one. */
export const OUTPUT_BOUND = 1e-4;

export const forward: Group = {
  name: 'forward',
  about: 'inference of three networks, batch 1 and 16, against onnxruntime-web, tfjs, onnxruntime-node, PyTorch',
  async measure(settings) {
    const peers = forwardPeers(), rows: Row[] = [];
    for (const name of ['vgg96', 'resnet', 'mobilenet']) {
      for (const batch of [1, 16]) rows.push(...await measureForward('forward', networkNamed(name), batch, peers, settings));
    }
    return rows;
  },
};

/** espalier and the peers on one network and batch, each verified against the portable kernels on the first and the last sample. */
export async function measureForward(group: string, { name, title, build }: BenchNetwork, batch: number, peers: readonly Peer[], { rounds }: Settings): Promise<Row[]> {
  const network = build(), size = sizeOf(network.inputs[0].shape), folder = writeExchange(join(SCRATCH, name), network);
  const inputs = normals(batch * size, `${name} input`), command = await espalierCommand();
  const job: ForwardJob = { kind: 'forward', network: folder, batch, threads: 1, input: writeArray(join(SCRATCH, `${name}-${batch}.f32`), inputs) };
  return withContenders(async (add) => {
    const samples = [...new Set([0, batch - 1])], some = Float32Array.from(samples.flatMap((sample) => [...inputs.subarray(sample * size, (sample + 1) * size)]));
    const oracle = await add(startContender('portable kernels', command, { ...job, batch: samples.length, input: writeArray(join(SCRATCH, `${name}-verified.f32`), some) }, 'portable'));
    await oracle.run();
    const expected = await oracle.output();
    const all = [{ who: 'espalier', version: PROJECT_VERSION, command, variant: 'simd' }, ...peers.filter((peer) => batch === 1 || !isSlow(peer))];
    const contenders = await Promise.all(all.map((one) => add(startContender(one.who, one.command, job, one.variant))));
    for (const contender of contenders) {
      await contender.run();
      const outputs = await contender.output(), width = outputs.length / batch;
      const found = verify(`${contender.who}, ${name}, batch ${batch}`, samples.flatMap((sample) => [...outputs.subarray(sample * width, (sample + 1) * width)]), expected, OUTPUT_BOUND);
      console.log(`verified: ${contender.who.padEnd(18)} ${found.toExponential(1)} of the largest output`);
    }
    const timings = await takeTurns(contenders.map((contender) => ({ run: contender.run, rounds: isSlow(contender) ? 1 : rounds })), rounds);
    return all.map(({ who, version }, i) => timeRow(group, { case: title, what: `forward, batch ${batch}`, who, version, work: 2 * batch * multiplyAdds(network) / 1e9 }, timings[i]));
  });
}
