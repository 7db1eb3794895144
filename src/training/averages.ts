/**
 * Moving averages of what is trained, which are judged and handed out in its place: they lie in the middle of where the last
 * steps went (Polyak, Juditsky, "Acceleration of stochastic approximation by averaging", 1992; with a decay and a shorter
 * memory at the start, as in TensorFlow's ExponentialMovingAverage). Statistics of batch normalization stay those of the last
 * steps.
 */
import type { FloatArray } from '../base/tensor.ts';
import type { TrainingExecutor } from '../execution/types.ts';

export interface Averages {
  /** After an update: average = d average + (1 - d) value, d = min(decay, (1 + step) / (10 + step)), step from 1. */
  follow(step: number): void;
  /** Puts the averages in the place of the values, which are kept. */
  put(): void;
  /** Puts the values back. */
  restore(): void;
  /** Copied, by parameter and slot, to stand beside an optimizer's state. */
  state(): ReadonlyMap<string, Float32Array>;
  /** @param state - may hold more */
  load(state: ReadonlyMap<string, Float32Array>): void;
}

/** The averages begin as the values are. After it is made a step allocates nothing. */
export function openAverages(executor: TrainingExecutor, decay: number): Averages {
  const slots = [...executor.optimizerState().keys()];
  const names = [...new Set(slots.map((slot) => slot.slice(0, slot.lastIndexOf('/'))))];
  const all = names.map((name) => {
    const values = executor.values(name);
    return { slot: `${name}/average`, values, average: Float32Array.from(values), kept: values.slice() as FloatArray };
  });
  return {
    follow(step) {
      const share = 1 - Math.min(decay, (1 + step) / (10 + step));
      for (const { values, average } of all) move(average, values, share);
    },
    put() {
      for (const { values, average, kept } of all) {
        kept.set(values);
        values.set(average);
      }
      executor.changed();
    },
    restore() {
      for (const { values, kept } of all) values.set(kept);
      executor.changed();
    },
    state: () => new Map(all.map(({ slot, average }) => [slot, average.slice()])),
    load(state) {
      for (const { slot, average } of all) average.set(state.get(slot)!);
    },
  };
}

/** A loop of its own, compiled as one. */
function move(average: Float32Array, values: FloatArray, share: number): void {
  for (let i = 0; i < average.length; i++) average[i] += share * (values[i] - average[i]);
}
