/** Any graphs of any operators of the tables, drawn over their example nodes. */
import fc from 'fast-check';
import { EspalierError } from '../../src/base/errors.ts';
import type { Shape } from '../../src/base/tensor.ts';
import { sizeOf } from '../../src/base/tensor.ts';
import type { Network, Node } from '../../src/graph/network.ts';
import { constantInputsOf, consumersOf, outputsOf, parametersOf } from '../../src/graph/walk.ts';
import { graph } from '../../src/network/build.ts';
import type { GraphBuilder } from '../../src/network/build.ts';
import { tanh } from '../../src/network/functions.ts';
import { affine, conv, dense } from '../../src/network/layers.ts';
import { inferShapes, inferTypes, weightedLayers } from '../../src/network/shapes.ts';
import { OPERATORS, operatorOf } from '../../src/operators/table.ts';
import { constantNumbers, examplesOf, perturbed } from './examples.ts';
import type { Example } from './examples.ts';

/** Shape per sample of the input: that of most examples, so that most of them fit. */
const INPUT = [4, 3, 5];
/** Elements of a value, at most: double precision on portable kernels is slow. */
const LARGEST_VALUE = 300;

/** Every kind as often as any other, however many examples it has. */
const examples = fc.constantFrom(...Object.keys(OPERATORS)).chain((kind) => fc.constantFrom(...examplesOf(kind)));
const weighted = fc.constantFrom(...['conv', 'dense'].flatMap(examplesOf));
/** The only one that is written over an operand and hands its gradient on as it is. */
const sums = fc.constantFrom(...examplesOf('add'));

export interface GraphOptions {
  /** Every value that nothing else reads goes through a layer with weights. Default false. */
  readonly endsWeighted?: boolean;
  /** Some layers share their weights. Default false. */
  readonly sharesWeights?: boolean;
}

/**
 * Each step takes an example and reads earlier values, the same one twice among them; where they do not fit others are
 * tried, and a step that fits nothing is left out. Some values are outputs, those that nothing reads always.
 */
export const anyGraph = ({ endsWeighted = false, sharesWeights = false }: GraphOptions = {}): fc.Arbitrary<Network> =>
  fc
    .record({
      steps: fc.array(
        fc.record({
          example: fc.oneof(
            { weight: 3, arbitrary: examples },
            { weight: 1, arbitrary: weighted },
            { weight: 1, arbitrary: sums },
          ),
          from: fc.tuple(fc.nat(99), fc.nat(99)),
          recent: fc.boolean(),
          share: fc.boolean(),
        }),
        { minLength: 1, maxLength: 9 },
      ),
      outputs: fc.array(fc.nat(99), { maxLength: 2 }),
      seed: fc.nat(1000),
    })
    .map(({ steps, outputs, seed }) => {
      const made = graph({ seed }, (g) => {
        const values = [g.input(INPUT)];
        const ends: string[] = [];
        for (const { example, from, recent } of steps) {
          // Chains are where memory is shared, so half the steps go on from the last value.
          const [first, other] = [recent ? values.length - 1 : from[0], from[1]];
          const wanted = example.operands.map((_, i) => (i === 0 ? first : other * i) % values.length);
          const chosen = fitting(g, example, values, wanted);
          // Whole numbers end there.
          const added = chosen ? addNode(g, example, chosen, `constant ${values.length}`) : [];
          (yieldsFloats(example) ? values : ends).push(...added);
        }
        if (values.length === 1) values.push(g.node(tanh(), values[0]));
        return [...new Set([...outputs.map((place) => values[place % values.length]), values.at(-1)!, ...ends])];
      });
      const whole = withoutLooseEnds(made, endsWeighted);
      return perturbed(sharesWeights && steps.some(({ share }) => share) ? shareWeights(whole) : whole);
    });

const yieldsFloats = ({ layer: { kind } }: Example): boolean =>
  (operatorOf({ name: kind, kind }).yields ?? 'float') === 'float';

/** @param chosen - the operands; undefined stands for a constant */
function addNode(
  g: GraphBuilder,
  { layer, operands }: Example,
  chosen: readonly (string | undefined)[],
  constant: string,
): readonly string[] {
  const inputs = chosen.map((value, i) => {
    if (value === undefined) return g.constant(constantNumbers(operands[i], constant), constant);
    return operands[i].keeps ? g.node(affine(0.5, 1), g.node(tanh(), value)) : value;
  });
  return g.nodes(layer, ...inputs);
}

/** Values that an example takes, the wanted ones first, undefined for its constants. Or undefined if nothing fits. */
function fitting(
  g: GraphBuilder,
  example: Example,
  values: readonly string[],
  wanted: readonly number[],
): (string | undefined)[] | undefined {
  const { operands } = example;
  // The last one is looked for.
  const last = operands.findLastIndex(({ isConstant }) => !isConstant);
  for (let turn = 0; turn < values.length; turn++) {
    const chosen = operands.map(({ isConstant }, i) =>
      isConstant ? undefined : values[(wanted[i] + (i === last ? turn : 0)) % values.length],
    );
    const shapes = chosen.map((value, i) => (value === undefined ? operands[i].shape : g.shapeOf(value)));
    // What keeps a value from poles is an affine map of channels, which a single number has not.
    const canKeep = operands.every(({ keeps }, i) => !keeps || shapes[i].length > 0);
    if (canKeep && fits(example, shapes)) return chosen;
  }
  return undefined;
}

function fits({ layer, operands }: Example, shapes: readonly Shape[]): boolean {
  try {
    const network = graph({}, (g) => {
      const inputs = shapes.map((shape, i) =>
        operands[i].isConstant ? g.constant(constantNumbers(operands[i], 'constant'), 'constant') : g.input(shape),
      );
      return g.nodes(layer, ...inputs);
    });
    return [...inferShapes(network).values()].every((shape) => sizeOf(shape) <= LARGEST_VALUE);
  } catch (error) {
    // Whatever else goes wrong is no question of fit.
    if (error instanceof EspalierError || error instanceof RangeError) return false;
    throw error;
  }
}

/** What nothing reads becomes an output, or the input of a layer that is one. */
function withoutLooseEnds(network: Network, endsWeighted: boolean): Network {
  const read = consumersOf(network);
  const outputs = new Set(network.outputs);
  for (const node of network.nodes) {
    const values = outputsOf(node);
    if (!values.some((value) => read.has(value) || outputs.has(value))) outputs.add(values[0]);
  }
  if (!endsWeighted) return { ...network, outputs: [...outputs] };
  const types = inferTypes(network);
  const parameters = new Map(network.parameters);
  const nodes = [...network.nodes];
  const ends = [...outputs].map((value) => {
    const { shape, type } = types.get(value)!;
    if (type !== 'float' || shape.length === 0) return value;
    // Some read along the first axis, some along the last.
    const layer = shape.length === 3 && nodes.length % 2 === 0 ? conv(2, 1) : dense(2);
    const end = graph({ seed: nodes.length }, (g) =>
      g.node({ ...layer, name: `end of ${value}` }, g.input(shape, value)),
    );
    nodes.push(...end.nodes);
    for (const [name, encoding] of end.parameters) parameters.set(name, encoding);
    return end.outputs[0];
  });
  return { ...network, nodes, parameters, outputs: ends };
}

/** Layers whose weights are of one shape all take those of the first. */
function shareWeights(network: Network): Network {
  const first = new Map<string, string>();
  const shared = new Map<string, string>();
  for (const { weight } of weightedLayers(network)) {
    const shape = network.parameters.get(weight)!.shape.join();
    if (!first.has(shape)) first.set(shape, weight);
    shared.set(weight, first.get(shape)!);
  }
  const nodes = network.nodes.map((node): Node => ({
    ...node,
    parameters: Object.fromEntries(
      Object.entries(node.parameters).map(([role, name]) => [role, shared.get(name!) ?? name]),
    ),
  }));
  const used = new Set([...nodes.flatMap(parametersOf), ...constantInputsOf(network)]);
  return { ...network, nodes, parameters: new Map([...network.parameters].filter(([name]) => used.has(name))) };
}
