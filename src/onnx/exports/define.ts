/** What the definitions of how our operators are written share. */
import type { NodeOf, OperatorKind } from '../../operators/table.ts';
import type { Exporting } from '../exporting.ts';

/** How each of these kinds is written: its node as nodes of a model. */
export type Exports<K extends OperatorKind> = { readonly [Kind in K]: (node: NodeOf<Kind>, to: Exporting) => void };
