/** Functions that exporters spell out, made one node: each a function from a node to what takes its place. */
import { sameShape, sizeOf } from '../../base/tensor.ts';
import type { DenseEncoding } from '../../encodings/types.ts';
import type { Network, Node } from '../../graph/network.ts';
import { outputsOf } from '../../graph/walk.ts';
import { lastOfName, replacement, viewOf, withoutUnused } from './rewriting.ts';
import type { View } from './rewriting.ts';

/** What takes a node's place, and parameters that it brings along. */
interface Rewritten {
  readonly node: Node;
  readonly parameters?: ReadonlyMap<string, DenseEncoding>;
}
type Pattern = (node: Node, view: View) => Rewritten | undefined;

const near = (a: number | undefined, b: number): boolean => a !== undefined && Math.abs(a - b) <= 1e-6 * Math.abs(b);

/** A value and a number that a node of two inputs joins, in either order. */
function withNumber(node: Node | undefined, view: View): { value: string; number: number } | undefined {
  if (node?.inputs.length !== 2) return undefined;
  const [a, b] = node.inputs;
  const [left, right] = [view.number(a), view.number(b)];
  if (right !== undefined && left === undefined) return { value: a, number: right };
  if (left !== undefined && right === undefined && node.kind !== 'divide') return { value: b, number: left };
  return undefined;
}

/** A value times a number: by a product, or by a quotient. */
function scaled(node: Node | undefined, view: View): { value: string; by: number } | undefined {
  const found = withNumber(node, view);
  return found && { value: found.value, by: node?.kind === 'divide' ? 1 / found.number : found.number };
}

const MOST_FACTORS = 16;

/** Numbers and values that are multiplied together to make a node's value, over nodes that nothing else reads. */
function factorsOf(root: Node, view: View): { by: number; values: string[] } {
  const values: string[] = [];
  let by = 1;
  const open = [root];
  // The patterns have three factors at most: a longer product is none of them.
  for (let steps = 0; open.length > 0 && values.length <= MOST_FACTORS; steps++) {
    if (steps > MOST_FACTORS) return { by, values: [] };
    const node = open.pop() as Node;
    const single = scaled(node, view);
    const inputs = single ? [single.value] : node.inputs;
    if (single) by *= single.by;
    for (const name of inputs) {
      const inner = view.only(name, 'multiply', 'divide');
      if (inner && (inner.kind === 'multiply' || scaled(inner, view))) open.push(inner);
      else values.push(name);
    }
  }
  return { by, values };
}

/** min(max(x + 3, 0), 6). */
function relu6Of3(value: string, view: View): string | undefined {
  const clip = view.only(value, 'clip');
  if (!clip || clip.attributes['minimum'] !== 0 || clip.attributes['maximum'] !== 6) return undefined;
  const sum = withNumber(view.only(clip.inputs[0], 'add'), view);
  return sum?.number === 3 ? sum.value : undefined;
}

/** Products: GELU by erf, SiLU, HardSwish and HardSigmoid. */
const products: Pattern = (node, view) => {
  if (node.kind !== 'multiply' && !(node.kind === 'divide' && scaled(node, view))) return undefined;
  const { by, values } = factorsOf(node, view);
  if (values.length === 1 && near(by, 1 / 6)) {
    const x = relu6Of3(values[0], view);
    return x === undefined ? undefined : { node: replacement(node, 'hardSigmoid', { alpha: 1 / 6, beta: 0.5 }, [x]) };
  }
  if (values.length !== 2) return undefined;
  for (const [x, other] of [values, [values[1], values[0]]]) {
    if (near(by, 1) && view.only(other, 'sigmoid')?.inputs[0] === x)
      return { node: replacement(node, 'silu', {}, [x]) };
    const gate = view.only(other, 'hardSigmoid');
    const isSixth =
      gate?.inputs[0] === x && near(Number(gate.attributes['alpha']), 1 / 6) && gate.attributes['beta'] === 0.5;
    if ((near(by, 1) && isSixth) || (near(by, 1 / 6) && relu6Of3(other, view) === x))
      return { node: replacement(node, 'hardSwish', {}, [x]) };
    const sum = withNumber(view.only(other, 'add'), view);
    const erf = sum?.number === 1 ? view.only(sum.value, 'erf') : undefined;
    const inner = erf && scaled(view.only(erf.inputs[0], 'multiply', 'divide'), view);
    if (near(by, 0.5) && inner?.value === x && near(inner.by, Math.SQRT1_2))
      return { node: replacement(node, 'gelu', {}, [x]) };
  }
  return undefined;
};

/** (x - mean) / sqrt(variance + epsilon): layer normalization. */
const layerNorm: Pattern = (core, view) => {
  if (core.kind !== 'divide') return undefined;
  const [difference, root] = core.inputs;
  const deviation = view.only(root, 'sqrt');
  const withEpsilon = deviation && withNumber(view.only(deviation.inputs[0], 'add'), view);
  const variance = withEpsilon && view.only(withEpsilon.value, 'reduceMean');
  const square = variance && view.only(variance.inputs[0], 'multiply', 'power');
  const centred = view.maker(difference, 'subtract');
  const mean = centred && view.only(centred.inputs[1], 'reduceMean');
  if (!withEpsilon || !square || !mean || !centred) return undefined;
  const [x] = centred.inputs;
  const isSquare =
    square.inputs[0] === difference &&
    (square.kind === 'multiply' ? square.inputs[1] === difference : view.number(square.inputs[1]) === 2);
  const axes = mean.attributes['axes'] as readonly number[];
  const shape = view.shapeOf(x);
  const [axis] = axes;
  const isTail = axes.length === shape.length - axis && axes.every((one, i) => one === axis + i);
  const alike = variance.attributes['axes'] as readonly number[];
  const keeps = mean.attributes['keep'] === true && variance.attributes['keep'] === true;
  if (!isSquare || mean.inputs[0] !== x || !isTail || !keeps || !sameShape(axes, alike)) return undefined;
  return { node: replacement(core, 'layerNorm', { axis, epsilon: withEpsilon.number }, [x]) };
};

/** Scale and shift of the elements behind a normalization are its own. */
const normAffine: Pattern = (node, view) => {
  if (node.kind !== 'multiply' && node.kind !== 'add') return undefined;
  const [a, b] = node.inputs;
  const [value, constant] = view.isConstant(b) ? [a, b] : [b, a];
  const norm = view.only(value, 'layerNorm');
  const { scale, shift } = norm?.parameters ?? {};
  if (!norm || shift !== undefined || (node.kind === 'multiply' && scale !== undefined)) return undefined;
  const rest = view.shapeOf(value).slice(norm.attributes['axis'] as number);
  if (!view.isConstant(constant) || !view.values(constant) || !sameShape(view.shapeOf(constant), rest))
    return undefined;
  const role = node.kind === 'multiply' ? 'scale' : 'shift';
  return { node: { ...norm, outputs: outputsOf(node), parameters: { ...norm.parameters, [role]: constant } } };
};

/** What is added to every output of a dense layer or convolution is its bias. */
const bias: Pattern = (node, view) => {
  if (node.kind !== 'add' || node.inputs.length !== 2) return undefined;
  const [a, b] = node.inputs;
  const [value, constant] = view.isConstant(b) ? [a, b] : [b, a];
  const layer = view.only(value, 'dense', 'conv', 'conv3d', 'convTranspose');
  const addend = view.values(constant);
  if (!layer || !addend || !view.isConstant(constant)) return undefined;
  const shape = view.shapeOf(value);
  const channelAxis = layer.kind === 'dense' ? shape.length - 1 : 0;
  const outputs = shape[channelAxis];
  const sides = [...new Array<number>(Math.max(0, shape.length - addend.shape.length)).fill(1), ...addend.shape];
  const perOutput =
    sides.length === shape.length && sides.every((side, axis) => side === (axis === channelAxis ? outputs : 1));
  if (!perOutput && sizeOf(addend.shape) !== 1) return undefined;
  const old = layer.parameters['bias'];
  const before = old === undefined ? undefined : view.values(old);
  if (old !== undefined && !before) return undefined;
  const data = Float32Array.from(
    { length: outputs },
    (_, i) => (before?.data[i] ?? 0) + addend.data[perOutput ? i : 0],
  );
  return {
    node: { ...layer, outputs: outputsOf(node), parameters: { ...layer.parameters, bias: constant } },
    parameters: new Map([[constant, { kind: 'dense', shape: [outputs], data }]]),
  };
};

/** Of two reshapes in a row the second; of one that changes nothing none. */
const reshapes: Pattern = (node, view) => {
  if (node.kind !== 'reshape' && node.kind !== 'flatten') return undefined;
  const before = view.maker(node.inputs[0], 'reshape', 'flatten');
  return before ? { node: { ...node, inputs: before.inputs } } : undefined;
};

const PATTERNS: readonly Pattern[] = [layerNorm, normAffine, products, bias, reshapes];

/**
 * How often the whole network is gone over: patterns build on each other a few times, and of a thousand sums in a row,
 * which no model has, each would be a round.
 */
const MOST_ROUNDS = 12;

/** Every pattern where it is found, until none is: a pattern may make what another looks for. */
export function withPatterns(network: Network): Network {
  let current = network;
  for (let round = 0; round < MOST_ROUNDS; round++) {
    const view = viewOf(current);
    let found = 0;
    const parameters = new Map(current.parameters);
    // What a pattern took in is looked at no more in this round.
    const taken = new Set<string>();
    const nodes = current.nodes.map((node) => {
      for (const pattern of PATTERNS) {
        const rewritten = node.inputs.some((name) => taken.has(name)) ? undefined : pattern(node, view);
        if (!rewritten) continue;
        found++;
        for (const name of outputsOf(node)) taken.add(name);
        for (const [name, encoding] of rewritten.parameters ?? []) parameters.set(name, encoding);
        return rewritten.node;
      }
      return node;
    });
    if (found === 0) return current;
    current = withoutUnused({ ...current, nodes: lastOfName(nodes), parameters });
  }
  return current;
}
