/** The same function with fewer nodes. */
import { checkNetwork } from '../graph/check.ts';
import type { Network } from '../graph/network.ts';
import { withPatterns } from './simplify/patterns.ts';
import { withoutPermutes } from './simplify/permutes.ts';

/**
 * A network that gives the same outputs with fewer nodes, for networks that come from other programs: functions that are
 * spelled out become one node (GELU, SiLU, HardSwish, HardSigmoid, layer normalization), what is added to a layer
 * becomes its bias, orders of axes that undo each other go. Names of inputs and outputs stay.
 * @throws {EspalierError} GRAPH, SHAPE, ATTRIBUTE for a network that is not valid
 */
export function simplify(network: Network): Network {
  return withPatterns(withoutPermutes(checkNetwork('simplify', 'network', network)));
}

export { foldNormalization } from './simplify/fold.ts';
export type { FoldOptions } from './simplify/fold.ts';
export { withoutUnused } from './simplify/rewriting.ts';
