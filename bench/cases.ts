/** Networks as jobs: the files that contenders read, and the check that each of them passes before it is timed. */
import { join } from 'node:path';
import { multiplyAdds } from 'espalier/network';
import { sizeOf } from 'espalier/tensor';
import { espalierCommand, SCRATCH, startContender, withContenders } from './children.ts';
import type { Contender } from './children.ts';
import { normals, writeArray, writeExchange } from './exchange.ts';
import { difference, verify } from './measure.ts';
import type { BenchNetwork } from './networks.ts';
import type { ForwardJob, TrainingJob } from './serve.ts';

export interface Case<J> {
  readonly job: J;
  /** Giga-operations of one call. */
  readonly work: number;
  /** Runs the contender and compares it with the portable kernels. @throws {Error} if it yields something else */
  check(contender: Contender): Promise<void>;
}

/**
 * Outputs of inference may differ from the portable kernels' by this share of the largest one; after a step of training
 * by ten times that.
 */
const BOUND = 1e-4;
/** High enough for one step to move the outputs by far more than the bound, low enough for the loss to fall on. */
const [RATE, MOMENTUM] = [0.01, 0.9];

function say(contender: Contender, found: number): void {
  console.log(`verified: ${contender.who.padEnd(20)} differs by ${found.toExponential(1)} of the largest output`);
}

/** Outputs of the portable kernels after `runs` calls. */
function oracleOutputs(job: ForwardJob | TrainingJob, runs: number): Promise<Float32Array[]> {
  return withContenders(async (add) => {
    const oracle = await add(startContender('portable kernels', await espalierCommand(), job, 'portable'));
    const outputs: Float32Array[] = [];
    for (let run = 0; run < runs; run++) {
      await oracle.run();
      outputs.push(await oracle.output());
    }
    return outputs;
  });
}

/** Inference of a batch; the first and the last sample are verified. */
export async function forwardCase({ name, build }: BenchNetwork, batch: number): Promise<Case<ForwardJob>> {
  const network = build();
  const size = sizeOf(network.inputs[0].shape);
  const inputs = normals(batch * size, `${name} input`);
  const job: ForwardJob = {
    kind: 'forward',
    network: writeExchange(join(SCRATCH, name), network),
    batch,
    threads: 1,
    input: writeArray(join(SCRATCH, `${name}-${batch}.f32`), inputs),
  };
  const samples = [...new Set([0, batch - 1])];
  const pick = (values: Float32Array): Float32Array => {
    const width = values.length / batch;
    return Float32Array.from(samples.flatMap((sample) => [...values.subarray(sample * width, (sample + 1) * width)]));
  };
  const [expected] = await oracleOutputs(
    { ...job, batch: samples.length, input: writeArray(join(SCRATCH, `${name}-verified.f32`), pick(inputs)) },
    1,
  );
  return {
    job,
    work: (2 * batch * multiplyAdds(network)) / 1e9,
    async check(contender) {
      await contender.run();
      say(
        contender,
        verify(`${contender.who}, ${name}, batch ${batch}`, pick(await contender.output()), expected, BOUND),
      );
    },
  };
}

/**
 * Steps of training. espalier is verified against the portable kernels on two samples (more take minutes); in the whole
 * batch contenders are compared with the first one that is checked. In both the outputs of the second step are
 * compared: they show the first update, that is, all gradients at once.
 */
export async function trainingCase({ name, build }: BenchNetwork, batch: number): Promise<Case<TrainingJob>> {
  const network = build();
  const folder = writeExchange(join(SCRATCH, name), network);
  const size = sizeOf(network.inputs[0].shape);
  const jobOf = (samples: number): TrainingJob => ({
    kind: 'training',
    network: folder,
    batch: samples,
    threads: 1,
    rate: RATE,
    momentum: MOMENTUM,
    input: writeArray(join(SCRATCH, `${name}-${samples}.f32`), normals(samples * size, `${name} input`)),
    target: writeArray(join(SCRATCH, `${name}-${samples}-target.f32`), normals(samples * 136, `${name} target`)),
  });
  await withContenders(async (add) => {
    const small = jobOf(2);
    const [first, second] = await oracleOutputs(small, 2);
    const moved = difference(second, first);
    if (moved < 100 * BOUND)
      throw new Error(`${name}: one step moves the outputs by ${moved} alone: nothing would be verified`);
    const contender = await add(startContender('espalier, 2 samples', await espalierCommand(), small, 'simd'));
    for (let step = 0; step < 2; step++) await contender.run();
    say(contender, verify(`espalier, training ${name}`, await contender.output(), second, 10 * BOUND));
  });
  const job = jobOf(batch);
  let expected: Float32Array | undefined;
  return {
    job,
    work: (6 * batch * multiplyAdds(network)) / 1e9,
    async check(contender) {
      for (let step = 0; step < 2; step++) await contender.run();
      const outputs = await contender.output();
      if (expected)
        say(contender, verify(`${contender.who}, training ${name}, batch ${batch}`, outputs, expected, 10 * BOUND));
      else expected = outputs;
    },
  };
}
