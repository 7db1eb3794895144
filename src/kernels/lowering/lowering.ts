/**
 * Lowering: what an operation of specification/operations.ts becomes in kernels. One implementation for both sets, which
 * differ in how weights are packed and how much scratch is needed.
 */
import { EspalierError, show } from '../../base/errors.ts';
import type { OperationName, Operations, Room } from '../specification/operations.ts';
import type { Emit, KernelSet, Sizes } from '../types.ts';

/** Where a lowering finds and leaves things. */
export interface Context extends Room, Emit {
  readonly sizes: Sizes;
}

/** Writes one operation down. */
export type Lowering<O extends OperationName> = (call: Operations[O], context: Context) => void;

/** Lowerings by operation: all, or those of a selection of kernels. */
export type Lowerings = { readonly [O in OperationName]?: Lowering<O> };

/**
 * {@link KernelSet.lower} of a set.
 * @param others - the function that gives all kernels, for the text of an error, if these are not all
 */
export function createLower(lowerings: Lowerings, sizes: Sizes, others: string | undefined): KernelSet['lower'] {
  return (operation, call, room, emit) => {
    const lowering = Object.hasOwn(lowerings, operation) ? lowerings[operation] : undefined;
    if (!lowering) throw lacking(operation, lowerings, others);
    lowering(call, {
      sizes,
      integers: (values) => room.integers(values),
      floats: (values) => room.floats(values),
      kept: (name, words) => room.kept(name, words),
      temporary: (words) => room.temporary(words),
      needsScratch: (words) => room.needsScratch(words),
      // A value without elements takes no steps.
      step: (kernel, pieces) => pieces.length > 0 && emit.step(kernel, pieces),
      prepare: (kernel, pieces) => pieces.length > 0 && emit.prepare(kernel, pieces),
    });
  };
}

function lacking(operation: unknown, lowerings: Lowerings, others: string | undefined): Error {
  const expected = Object.keys(lowerings).join(', ');
  return others === undefined || typeof operation !== 'string'
    ? new RangeError(`lower: operation: expected one of ${expected}, got ${show(operation)}`)
    : new EspalierError(
        'UNSUPPORTED',
        `lower: operation: this set has no ${show(operation)}, only ${expected}; ${others} gives all`,
        { name: operation },
      );
}
