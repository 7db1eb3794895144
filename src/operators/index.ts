/** `espalier/operators`: the tables of operators, and the interface that they follow. */
export {
  COUPLINGS,
  couplingOf,
  isOperatorKind,
  OPERATORS,
  operatorOf,
  TRAINING_OPERATORS,
  trainingOf,
} from './table.ts';
export type { AttributesOf, KnownNode, NodeOf, OperatorKind } from './table.ts';
export type * from './types.ts';
