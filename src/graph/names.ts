/** Names for what is added to a network or a model. */
import type { Network } from './network.ts';
import { outputsOf } from './walk.ts';

/** Names that are taken, and the number that each of them got last where several wanted it. */
export interface Names {
  readonly names: Set<string>;
  readonly numbers: Map<string, number>;
}

export const namesOf = (taken: Iterable<string> = []): Names => ({ names: new Set(taken), numbers: new Map() });

/** All names of a network: of inputs, nodes, values and parameters. */
export const namesIn = ({ inputs, nodes, parameters }: Network): string[] => [
  ...inputs.map(({ name }) => name),
  ...nodes.flatMap((node) => [node.name, ...outputsOf(node)]),
  ...parameters.keys(),
];

/** A name that nothing else has, from now on taken: the one wanted, or that with a number. */
export function freshName({ names, numbers }: Names, wanted: string): string {
  let name = wanted;
  // From where the last one ended: a thousand nodes of one name take a thousand steps.
  for (let i = numbers.get(wanted) ?? 2; names.has(name); i++) {
    name = `${wanted}_${i}`;
    numbers.set(wanted, i + 1);
  }
  names.add(name);
  return name;
}
