/** From all that was built to the network: only what outputs depend on, by the names that the model gives them. */
import { EspalierError, showAll } from '../base/errors.ts';
import { freshName } from '../graph/names.ts';
import type { Network, Node } from '../graph/network.ts';
import { outputsOf } from '../graph/walk.ts';
import { withoutUnused } from '../network/simplify.ts';
import { addNode } from './building.ts';
import type { Draft, Known, Value } from './building.ts';
import type { GraphProto } from './model.ts';

/** The network of the values that outputs depend on; outputs are called as the model calls them. */
export function finish(
  graph: GraphProto,
  draft: Draft,
  known: ReadonlyMap<string, Known>,
  inputs: readonly Value[],
): Network {
  const taken = new Set(inputs.map(({ name }) => name));
  const renamed = new Map<string, string>();
  const outputs: string[] = [];
  const constant = graph.outputs.map(({ name }) => name).filter((name) => known.get(name)?.kind !== 'value');
  if (constant.length > 0) {
    const text = `readOnnx: outputs of the model that do not depend on its input: ${showAll(constant)}; export it without them`;
    throw new EspalierError('UNSUPPORTED', text, { name: constant[0] });
  }
  for (const { name } of graph.outputs) {
    let value = known.get(name) as Value;
    if (value.name !== name && (taken.has(value.name) || renamed.has(value.name))) {
      // One value under two names: a copy, which costs nothing to run.
      [value] = addNode(draft, freshName(draft, `${name}.copy`), 'reshape', { shape: value.shape }, [value], {});
    }
    if (value.name !== name) renamed.set(value.name, name);
    else taken.add(name);
    outputs.push(name);
  }
  const nodes = draft.nodes.map((node): Node => {
    const made = outputsOf(node).map((name) => renamed.get(name) ?? name);
    // It was called as the output that it yields, and got a number since that name was taken: by itself.
    const isOutput = made.length === 1 && renamed.has(node.name) && node.name.replace(/_\d+$/, '') === made[0];
    const name = isOutput ? made[0] : node.name;
    const isPlain = made.length === 1 && made[0] === name;
    const { outputs: _, ...rest } = node;
    return {
      ...rest,
      name,
      inputs: node.inputs.map((name) => renamed.get(name) ?? name),
      ...(isPlain ? {} : { outputs: made }),
    };
  });
  return withoutUnused({
    name: graph.name || 'model',
    inputs: inputs.map(({ name, shape }) => ({ name, shape })),
    nodes,
    outputs,
    parameters: draft.parameters,
  });
}
