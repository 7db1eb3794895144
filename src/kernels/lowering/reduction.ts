/** Reductions in pieces over their results. */
import { sizeOf } from '../../base/tensor.ts';
import type { Room } from '../specification/operations.ts';
import { cut, piecesOf } from './cut.ts';
import { joinSides, sideWords } from './sides.ts';
import type { Side } from './sides.ts';

/** What the kernels of both directions take, and where a piece begins. */
export interface ReducedPiece {
  /** Offsets in the value and in the result. */
  readonly from: number;
  readonly to: number;
  readonly call: { readonly sides: number; readonly rank: number; readonly kept: number; readonly outer: number };
}

/** Of a row-major value of these sides, along `axes` of them. */
export function reducedPieces(sides: readonly number[], axes: readonly number[], room: Room): ReducedPiece[] {
  const sidesThat = (areReduced: boolean): Side[] =>
    joinSides(
      sides.flatMap((count, axis) =>
        axes.includes(axis) === areReduced ? [{ count, strides: [sizeOf(sides.slice(axis + 1))] }] : [],
      ),
    );
  const kept = sidesThat(false),
    all = [...kept, ...sidesThat(true)],
    at = room.integers(sideWords(all, 1));
  const [{ count: outer, strides }, ...inner] = kept;
  const results = sizeOf(inner.map(({ count }) => count));
  return cut(outer, inner.length > 0 ? 1 : 4, piecesOf(sizeOf(sides))).map(([first, count]) => ({
    from: first * strides[0],
    to: first * results,
    call: { sides: at, rank: all.length, kept: kept.length, outer: count },
  }));
}
