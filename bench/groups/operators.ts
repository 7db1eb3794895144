/** Operators one by one, one thread: what a model is made of, in sizes of detectors and classifiers. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeOnnx } from 'espalier';
import type { Network } from 'espalier';
import { sizeOf } from 'espalier/tensor';
import { espalierCommand, SCRATCH, startContender, withContenders } from '../children.ts';
import type { Contender } from '../children.ts';
import { normals, writeArray } from '../exchange.ts';
import { takeTurns, verify } from '../measure.ts';
import { onnxPeer } from '../peers.ts';
import type { Row } from '../results.ts';
import type { ModelJob } from '../serve.ts';
import { SINGLES } from '../singles.ts';
import { PROJECT_VERSION, timeRow } from './group.ts';
import type { Group } from './group.ts';

const BOUND = 1e-4;
/** A call takes a millisecond or less: many are needed for the engine's second compiler and for a least time. */
const [WARM, TIMES] = [60, 8];

/** A logarithm or a power of what is below zero is no number. */
const valuesFor = (network: Network, values: Float32Array): Float32Array =>
  network.nodes.some(({ kind }) => kind === 'log' || kind === 'power')
    ? values.map((value) => Math.abs(value) + 0.01)
    : values;

export const operators: Group = {
  name: 'operators',
  about: `${SINGLES.length} operators one by one, against onnxruntime-web`,
  async measure({ rounds }) {
    const peer = onnxPeer();
    if (!peer) return [];
    mkdirSync(SCRATCH, { recursive: true });
    const people = [
      { who: 'espalier', version: PROJECT_VERSION, command: await espalierCommand(), variant: 'simd' },
      peer,
    ];
    return withContenders(async (add) => {
      const rows: Row[] = [];
      const contenders: Contender[] = [];
      for (const { name, build } of SINGLES) {
        const network = build();
        const model = join(SCRATCH, 'single.onnx');
        writeFileSync(model, writeOnnx(network, { dense: true }));
        const inputs = network.inputs.map(({ shape }, i) =>
          writeArray(join(SCRATCH, `single-${i}.f32`), valuesFor(network, normals(sizeOf(shape), `${name} ${i}`))),
        );
        const job: ModelJob = { kind: 'model', model, batch: 1, threads: 1, inputs };
        if (contenders.length > 0) for (const contender of contenders) await contender.prepare(job);
        else
          for (const { who, command, variant } of people)
            contenders.push(await add(startContender(who, command, job, variant)));
        for (let run = 0; run < WARM; run++) for (const contender of contenders) await contender.run();
        verify(name, await contenders[0].output(), await contenders[1].output(), BOUND);
        const timings = await takeTurns(contenders, TIMES * rounds);
        people.forEach(({ who, version }, i) =>
          rows.push(timeRow('operators', { case: name, what: 'forward', who, version }, timings[i])),
        );
      }
      return rows;
    });
  },
};
