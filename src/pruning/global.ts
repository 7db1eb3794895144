/**
 * One ranking over all groups: how much of each stays when the least important channels go wherever they are, with what a
 * channel costs among the reasons. Source: Wang et al., "COP: Customized Deep Model Compression via Regularized
 * Correlation-Based Filter-Level Pruning", IJCAI 2019, section 3.3: importance plus beta (1 - log F / max log F) plus gamma
 * (1 - log P / max log P), F the multiply-adds and P the parameters that go with a channel.
 */
import { checkNumber, EspalierError, show } from '../base/errors.ts';
import { ownOptions } from '../base/rules.ts';
import { log } from '../base/elementary.ts';
import type { Network } from '../graph/network.ts';
import { nodeCosts, parameterCount } from '../network/shapes.ts';
import { findGroups, prunableGroup } from './groups.ts';
import { removeNeurons } from './remove.ts';

export interface GlobalKeepOptions {
  /** Share of the channels of all these groups together that stays, 0 to 1. */
  keep: number;
  /** gamma: how much a channel's parameters count against it. Default 0. */
  parameters?: number;
  /** beta: how much its multiply-adds do. Default 0. */
  multiplyAdds?: number;
  /** Share of each group that stays whatever the ranking says; at least one channel does. Default 0.1. */
  minimum?: number;
}

/**
 * Shares for `prune({ keep })` and the layers of `compress`, by group. Scores of a group count over their largest, so that
 * groups with scores in other units can be ranked together; within a group the order is theirs.
 * @param scores - by name of a group, from `score` with one criterion
 * @throws {EspalierError} COUPLING for a group that cannot be pruned; NONFINITE for a score that is no number
 * @throws {TypeError | RangeError} for options that are wrong, or not one score per channel
 * @example
 * import { globalKeep, prune } from 'espalier/pruning';
 * const keep = globalKeep(network, scores, { keep: 0.5, parameters: 1 });
 * const { network: thinner } = await prune({ keep })(network, context);
 */
export function globalKeep(
  network: Network,
  scores: ReadonlyMap<string, ArrayLike<number>>,
  given: GlobalKeepOptions,
): Record<string, number> {
  const who = 'globalKeep';
  const options = ownOptions(who, 'options', given, ['keep', 'parameters', 'multiplyAdds', 'minimum']);
  const keep = checkNumber(who, 'keep', options.keep, 0, 1);
  const beta = checkNumber(who, 'multiplyAdds', options.multiplyAdds ?? 0, 0, Infinity);
  const gamma = checkNumber(who, 'parameters', options.parameters ?? 0, 0, Infinity);
  const minimum = checkNumber(who, 'minimum', options.minimum ?? 0.1, 0, 1);
  const all = findGroups(network);
  const groups = [...scores].map(([name, own]) => {
    const group = prunableGroup(who, all, name);
    if (own.length !== group.channels)
      throw new RangeError(`${who}: scores: expected ${group.channels} for group ${show(name)}, got ${own.length}`);
    for (let c = 0; c < own.length; c++)
      if (!Number.isFinite(own[c]))
        throw new EspalierError(
          'NONFINITE',
          `${who}: scores: expected finite numbers for group ${show(name)}, got ${own[c]}`,
          { name },
        );
    return { name, own, channels: group.channels, ...costsOf(network, name, group.channels) };
  });
  const most = (of: 'parameters' | 'multiplyAdds'): number =>
    groups.reduce((largest, one) => Math.max(largest, log(1 + one[of])), 0) || 1;
  const [mostParameters, mostMultiplyAdds] = [most('parameters'), most('multiplyAdds')];
  const left = groups.map(({ channels }) => Math.min(channels, Math.max(1, Math.round(minimum * channels))));
  const ranked = groups.flatMap(({ own, parameters, multiplyAdds }, g) => {
    const largest = Array.from(own).reduce((top, value) => Math.max(top, Math.abs(value)), 0) || 1;
    const worth =
      beta * (1 - log(1 + multiplyAdds) / mostMultiplyAdds) + gamma * (1 - log(1 + parameters) / mostParameters);
    // The best of each group stay as its minimum, and are not ranked.
    return Array.from(own)
      .sort((a, b) => b - a)
      .slice(left[g])
      .map((value) => ({ g, value: value / largest + worth }));
  });
  const total = groups.reduce((sum, { channels }) => sum + channels, 0);
  const more = Math.max(0, Math.round(keep * total) - left.reduce((sum, count) => sum + count, 0));
  ranked.sort((a, b) => b.value - a.value || a.g - b.g);
  for (const { g } of ranked.slice(0, more)) left[g]++;
  return Object.fromEntries(groups.map(({ name, channels }, g) => [name, left[g] / channels]));
}

/** What goes with one channel of a group: its rows, and the columns that read it. */
function costsOf(network: Network, group: string, channels: number): { parameters: number; multiplyAdds: number } {
  if (channels === 1) return { parameters: 0, multiplyAdds: 0 };
  const { network: thinner } = removeNeurons(
    network,
    group,
    Array.from({ length: channels - 1 }, (_, c) => c),
  );
  const work = (of: Network): number => nodeCosts(of).reduce((sum, { multiplyAdds }) => sum + multiplyAdds, 0);
  return { parameters: parameterCount(network) - parameterCount(thinner), multiplyAdds: work(network) - work(thinner) };
}
