/**
 * Group lasso over channels: whole neurons go to zero while a network is trained, all that belongs to one together. After
 * each update of the optimizer the vector w of each channel (its rows in all weights, biases and normalizations that are
 * coupled) shrinks to w max(0, 1 - rate strength sqrt(p) / |w|), p its length. Sources: Scardapane et al., "Group Sparse
 * Regularization for Deep Neural Networks", Neurocomputing 2017, equation 5; the step is the proximal operator of Yuan, Lin,
 * 2006, so that zeros are zeros and not merely small.
 */
import { square } from '../base/elementary.ts';
import { checkNumber, EspalierError, show } from '../base/errors.ts';
import { ownOptions } from '../base/rules.ts';
import { sizeOf } from '../base/tensor.ts';
import type { FloatArray } from '../base/tensor.ts';
import { isDense } from '../encodings/index.ts';
import type { TrainingExecutor } from '../execution/types.ts';
import { checkNetwork } from '../graph/check.ts';
import type { Network } from '../graph/network.ts';
import { elementOf, spanOf } from '../importance/slices.ts';
import type { ChannelGroup } from '../importance/types.ts';
import { operatorOf } from '../operators/table.ts';
import { findGroups, prunableGroup } from './groups.ts';

export interface GroupSparsityOptions {
  /** Weight of the penalty, the sum over channels of sqrt(p) |w|, in the loss; from 0. */
  strength: number;
  /** Names of groups, each by any of its producers. Default: all prunable ones. */
  groups?: readonly string[];
}

export interface GroupSparsity {
  /** strength x sum of sqrt(p) |w|: what is added to the loss. */
  penalty(): number;
  /** The proximal step behind an update at this rate; returns how many channels are zero then. */
  step(rate: number): number;
  /** By group: the channels that are zero, ascending. */
  zeros(): ReadonlyMap<string, readonly number[]>;
}

/** Where the elements of channel c lie in one parameter: behind each of `firsts[c]`, and again `outer` times every `stride`, `run` of them. */
interface Place {
  readonly parameter: string;
  readonly firsts: readonly (readonly number[])[];
  readonly outer: number;
  readonly stride: number;
  readonly run: number;
}

/**
 * The proximal step for an executor's values. Call `step` after each `update`, at the rate of that update.
 *
 * Of a channel that is zero `removeNeurons` changes no output, and `activationCorrelation` scores it 0. Cost of a step: one
 * pass over the weights of the groups. Parameters that are frozen or encoded do not belong to w, and do not shrink.
 * @param network - the one that the executor runs
 * @param executor - of `createTrainingExecutor`
 * @throws {TypeError | RangeError} for a strength that is no number from 0
 * @throws {EspalierError} COUPLING for a named group that cannot be pruned
 * @example
 * import { createGroupSparsity } from 'espalier/pruning';
 * const sparsity = createGroupSparsity(network, executor, { strength: 1e-3 });
 * executor.update({ rate, clip: 0 }, step);
 * sparsity.step(rate);
 */
export function createGroupSparsity(
  network: Network,
  executor: Pick<TrainingExecutor, 'values' | 'changed'>,
  given: GroupSparsityOptions,
): GroupSparsity {
  checkNetwork('createGroupSparsity', 'network', network);
  const options = ownOptions('createGroupSparsity', 'options', given, ['strength', 'groups']);
  const strength = checkNumber('createGroupSparsity', 'strength', options.strength, 0, Infinity);
  const all = findGroups(network);
  const chosen = options.groups
    ? [...new Set(options.groups.map((name) => prunableGroup('createGroupSparsity', all, name)))]
    : all.filter(({ prunable }) => prunable);
  const trained = trainedParameters(network);
  const groups = chosen.map((group) => {
    const places = group.rows.flatMap(({ parameter }, i) =>
      trained.has(parameter) && holdsValues(executor, parameter) ? [placeOf(network, group, i)] : [],
    );
    const length = places.reduce((sum, { firsts, outer, run }) => sum + firsts[0].length * outer * run, 0);
    return { name: group.name, channels: group.channels, places, weight: strength * Math.sqrt(length) };
  });
  // Views are asked for anew: a heap that grows has others.
  const views = (places: readonly Place[]): FloatArray[] => places.map(({ parameter }) => executor.values(parameter));
  return {
    penalty: () =>
      groups.reduce((sum, { channels, places, weight }) => {
        const values = views(places);
        let lengths = 0;
        for (let c = 0; c < channels; c++) lengths += lengthOf(places, values, c);
        return sum + weight * lengths;
      }, 0),
    step(rate) {
      checkNumber('step', 'rate', rate, 0, Infinity);
      let zero = 0;
      for (const { channels, places, weight } of groups) {
        const values = views(places);
        for (let c = 0; c < channels; c++) {
          const length = lengthOf(places, values, c);
          const factor = length > 0 ? Math.max(0, 1 - (rate * weight) / length) : 0;
          if (factor === 0) zero++;
          if (factor < 1)
            places.forEach((place, i) => eachRun(place, c, (from, to) => scale(values[i], from, to, factor)));
        }
      }
      executor.changed();
      return zero;
    },
    zeros: () =>
      new Map(
        groups.map(({ name, channels, places }) => {
          const values = views(places);
          return [name, Array.from({ length: channels }, (_, c) => c).filter((c) => lengthOf(places, values, c) === 0)];
        }),
      ),
  };
}

/** Dense parameters that a loss moves: weights, biases, scales and shifts; no running statistics. */
function trainedParameters(network: Network): Set<string> {
  const names = network.nodes.flatMap((node) =>
    operatorOf(node).roles.flatMap(({ role, kind }) => (kind === 'trained' ? [node.parameters[role]] : [])),
  );
  return new Set(names.filter((name) => name !== undefined && isDense(network.parameters.get(name))) as string[]);
}

function holdsValues(executor: Pick<TrainingExecutor, 'values'>, parameter: string): boolean {
  try {
    executor.values(parameter);
    return true;
  } catch (error) {
    // Frozen: it has no values to train.
    if (error instanceof RangeError || error instanceof EspalierError) return false;
    throw error;
  }
}

function placeOf(network: Network, group: ChannelGroup, index: number): Place {
  const slice = group.rows[index];
  const shape = network.parameters.get(slice.parameter)?.shape;
  if (!shape)
    throw new EspalierError('GRAPH', `createGroupSparsity: network: it has no parameter ${show(slice.parameter)}`, {
      name: slice.parameter,
    });
  const run = sizeOf(shape.slice(slice.axis + 1));
  const firsts = Array.from({ length: group.channels }, (_, c) =>
    Array.from({ length: spanOf(slice) }, (_, s) => elementOf(slice, group.channels, c, s) * run),
  );
  return {
    parameter: slice.parameter,
    firsts,
    outer: sizeOf(shape.slice(0, slice.axis)),
    stride: sizeOf(shape.slice(slice.axis)),
    run,
  };
}

function eachRun({ firsts, outer, stride, run }: Place, c: number, visit: (from: number, to: number) => void): void {
  for (let o = 0; o < outer; o++) for (const first of firsts[c]) visit(o * stride + first, o * stride + first + run);
}

function lengthOf(places: readonly Place[], values: readonly FloatArray[], c: number): number {
  let squares = 0;
  places.forEach((place, i) => {
    eachRun(place, c, (from, to) => {
      for (let k = from; k < to; k++) squares += square(values[i][k]);
    });
  });
  return Math.sqrt(squares);
}

function scale(values: FloatArray, from: number, to: number, factor: number): void {
  for (let k = from; k < to; k++) values[k] *= factor;
}
