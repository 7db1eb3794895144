/** Functions of one number that layers name and fused operations carry. */
import { show } from '../base/errors.ts';
import { clipped, withNumber } from './steps.ts';
import type { Graph } from './steps.ts';

type Function = (graph: Graph, x: string) => string;

const plain =
  (operator: string): Function =>
  (graph, x) =>
    graph.op(operator, [x]);

/** Constants of Klambauer et al., "Self-Normalizing Neural Networks", NIPS 2017. */
const SELU = { alpha: 1.6732632423543772, scale: 1.0507009873554805 } as const;

/** By the names that Keras gives them. */
const ACTIVATIONS: ReadonlyMap<string, Function> = /* @__PURE__ */ new Map<string, Function>([
  ['linear', (_, x) => x],
  ['relu', plain('Relu')],
  ['relu6', (graph, x) => clipped(graph, x, 0, 6)],
  ['elu', plain('Elu')],
  ['selu', (graph, x) => withNumber(graph, 'Mul', graph.op('Elu', [x], { alpha: SELU.alpha }), SELU.scale)],
  ['leaky_relu', (graph, x) => graph.op('LeakyRelu', [x], { alpha: 0.2 })],
  ['sigmoid', plain('Sigmoid')],
  ['tanh', plain('Tanh')],
  ['softplus', plain('Softplus')],
  ['softsign', (graph, x) => graph.op('Div', [x, withNumber(graph, 'Add', graph.op('Abs', [x]), 1)])],
  ['exponential', plain('Exp')],
  ['softmax', (graph, x) => graph.op('Softmax', [x], { axis: -1 })],
  ['log_softmax', (graph, x) => graph.op('LogSoftmax', [x], { axis: -1 })],
  ['swish', (graph, x) => graph.op('Mul', [x, graph.op('Sigmoid', [x])])],
  ['silu', (graph, x) => graph.op('Mul', [x, graph.op('Sigmoid', [x])])],
  ['hard_silu', plain('HardSwish')],
  ['hard_swish', plain('HardSwish')],
  ['gelu', plain('Gelu')],
  ['gelu_new', (graph, x) => graph.op('Gelu', [x], { approximate: 'tanh' })],
  ['mish', (graph, x) => graph.op('Mul', [x, graph.op('Tanh', [graph.op('Softplus', [x])])])],
]);

export const ACTIVATION_NAMES: readonly string[] = /* @__PURE__ */ [...ACTIVATIONS.keys(), 'hard_sigmoid'].sort();

/**
 * A function by its name.
 * @param version - of Keras: 3 made another function of `hard_sigmoid`
 */
export function activation(graph: Graph, x: string, name: string, version: number): string {
  if (name === 'hard_sigmoid')
    return graph.op('HardSigmoid', [x], version >= 3 ? { alpha: 1 / 6, beta: 0.5 } : { alpha: 0.2, beta: 0.5 });
  const found = ACTIVATIONS.get(name);
  return (
    found?.(graph, x) ??
    graph.fail('UNSUPPORTED', `activation ${show(name)} is not known; expected ${ACTIVATION_NAMES.join(', ')}`)
  );
}
