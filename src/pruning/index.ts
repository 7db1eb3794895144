/**
 * Structural pruning at three heights: a network ({@link prune}), a group ({@link pruneGroup}), given channels (
 * {@link removeNeurons}).
 */
export { prune, PRUNE_DEFAULTS, pruneGroup } from './prune.ts';
export type { GroupReport, PruneGroupOptions, PruneOptions, PruneReport } from './prune.ts';
export { DEFAULT_RIDGE, removeNeurons } from './remove.ts';
export type { RemovalReport, RemoveOptions } from './remove.ts';
export { findGroups, largestKeep } from './groups.ts';
export { REFIT_RIDGE, refitWeights } from '../importance/least-squares.ts';
export { refitLayers } from './refit.ts';
export type { RefitReport } from './refit.ts';
export { keepAbove, keepBest } from './select.ts';
export type { KeepOptions, Selection, SelectionReport } from './select.ts';
export { regression } from './repair.ts';
export type { Regression } from './repair.ts';
export type { ChannelGroup, ChannelMoments, Consumer, ParameterSlice } from '../importance/types.ts';
export { factorize, factorizeLayer } from './factorize.ts';
export type { FactorForm, FactorizeOptions, FactorizeReport, FactorReport } from './factorize.ts';
export { poolToStride } from './pool-to-stride.ts';
export type { PoolToStrideOptions, PoolToStrideReport } from './pool-to-stride.ts';
export { createGroupSparsity } from './sparsity.ts';
export type { GroupSparsity, GroupSparsityOptions } from './sparsity.ts';
export { globalKeep } from './global.ts';
export type { GlobalKeepOptions } from './global.ts';
