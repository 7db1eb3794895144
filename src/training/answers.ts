/**
 * A teacher's answers to batches of training. Where the same samples come again as they were (`Examples.period`), what it
 * said is kept: its pass costs three times that of a network a third as wide.
 */
import type { Executor } from '../execution/types.ts';
import type { BatchReader } from './batches.ts';

/** Bytes of answers that are kept at most; where they would need more, none are. */
const ROOM = 2 ** 28;

export interface Answers {
  /**
   * Answers to what the reader has read last.
   * @param samples - their numbers in the set, a full batch
   */
  ask(samples: ArrayLike<number>, epoch: number): void;
  /** (batch, size) of one of the teacher's outputs; overwritten by each question. */
  of(output: string): Float32Array;
}

/**
 * Opens answers. The same for any batch that a sample stands in: kernels compute each sample by itself.
 * @param outputs - of the teacher, with their size a sample
 */
export function openAnswers(
  teacher: Executor,
  outputs: readonly { readonly taught: string; readonly size: number }[],
  reader: BatchReader,
): Answers {
  const { count, period = Infinity } = reader.examples;
  const { batch } = teacher;
  const width = outputs.reduce((sum, { size }) => sum + size, 0);
  const think = (): void => {
    teacher.input().set(reader.inputs);
    teacher.forward();
  };
  if (!(4 * width * count * period <= ROOM))
    return { ask: think, of: (output) => teacher.output(output) as Float32Array };

  const known = new Uint8Array(count * period);
  const kept = new Float32Array(width * count * period);
  const given = new Map(outputs.map(({ taught, size }) => [taught, new Float32Array(batch * size)]));
  return {
    ask(samples, epoch) {
      const turn = (epoch % period) * count;
      let isKnown = true;
      for (let i = 0; i < batch; i++) isKnown &&= known[turn + samples[i]] === 1;
      if (!isKnown) think();
      let first = 0;
      for (const { taught, size } of outputs) {
        const [answer, said] = [given.get(taught)!, isKnown ? undefined : teacher.output(taught)];
        for (let i = 0; i < batch; i++) {
          const place = (turn + samples[i]) * width + first;
          for (let j = 0; j < size; j++) {
            if (said) kept[place + j] = said[i * size + j];
            answer[i * size + j] = kept[place + j];
          }
          if (said) known[turn + samples[i]] = 1;
        }
        first += size;
      }
    },
    of: (output) => given.get(output)!,
  };
}
