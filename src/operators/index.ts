/** `espalier/operators`: the tables of operators and what they say of a network. */
export { OPERATORS } from './inference.ts';
export { TRAINING_OPERATORS } from './training.ts';
export { inferShapes, multiplyAdds, nodeCosts, parameterCount, parameterShapes } from './shapes.ts';
export type { NodeCost } from './shapes.ts';
export type { BackwardPlan, Operator, ParameterShapes, Plan, RoleRule, TrainingOperator, Value } from './types.ts';
