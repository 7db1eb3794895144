/** One to four threads in Node: training and inference of a batch. The same bits come out, which is verified first. */
import { forwardCase, trainingCase } from '../cases.ts';
import type { Case } from '../cases.ts';
import { espalierCommand, startContender, withContenders } from '../children.ts';
import { takeTurns } from '../measure.ts';
import { networkNamed } from '../networks.ts';
import type { Row } from '../results.ts';
import type { ForwardJob, TrainingJob } from '../serve.ts';
import { PROJECT_VERSION, timeRow } from './group.ts';
import type { Group } from './group.ts';

const THREADS = [1, 2, 3, 4];

export const threads: Group = {
  name: 'threads',
  about: 'training and inference of a batch of 16 with 1 to 4 threads in Node, the same bits',
  async measure({ rounds }) {
    const network = networkNamed('vgg96');
    return [
      ...(await scale(network.title, 'forward, batch 16', await forwardCase(network, 16), rounds)),
      ...(await scale(network.title, 'training step, batch 16', await trainingCase(network, 16), rounds)),
    ];
  },
};

async function scale(
  title: string,
  what: string,
  { job, work, check }: Case<ForwardJob | TrainingJob>,
  rounds: number,
): Promise<Row[]> {
  return withContenders(async (add) => {
    const contenders = [];
    let first: Float32Array | undefined;
    for (const count of THREADS) {
      const contender = await add(
        startContender(`espalier, threads ${count}`, await espalierCommand(), { ...job, threads: count }, 'simd'),
      );
      await check(contender);
      const outputs = await contender.output();
      first ??= outputs;
      if (!Buffer.from(outputs.buffer).equals(Buffer.from(first.buffer)))
        throw new Error(`${what}: ${count} threads give other bits than one`);
      contenders.push(contender);
    }
    console.log(`verified: the same bits with ${THREADS.join(', ')} threads`);
    const timings = await takeTurns(contenders, rounds);
    return THREADS.map((count, i) =>
      timeRow(
        'threads',
        { case: title, what, who: 'espalier', version: PROJECT_VERSION, threads: count, work },
        timings[i],
      ),
    );
  });
}
