/** Checks of what calls are given: a network, and data of the shape that it takes. */
import { EspalierError, show } from '../base/errors.ts';
import { sameShape } from '../base/tensor.ts';
import type { Shape } from '../base/tensor.ts';
import type { Examples } from './examples.ts';
import type { Network } from './network.ts';

/** The network that was given. @throws {TypeError} for anything else, saying how it becomes one */
export function checkNetwork(who: string, name: string, value: unknown): Network {
  const { nodes, parameters, network, then, byteLength } = Object(value) as Record<string, unknown>;
  if (Array.isArray(nodes) && typeof parameters === 'object') return value as Network;
  const cure =
    typeof then === 'function'
      ? ' that was not awaited'
      : Array.isArray((network as Partial<Network> | undefined)?.nodes)
        ? ' that has one as its field network'
        : typeof byteLength === 'number'
          ? '; bytes of a file become a network by readNetwork(bytes)'
          : '';
  const got = typeof then === 'function' ? 'a promise' : show(value);
  throw new TypeError(`${who}: ${name}: expected a network, got ${got}${cure}`);
}

/** @throws {EspalierError} DATA if samples are not of the shape that the network's input has */
export function checkInputs(who: string, name: string, examples: Examples, shape: Shape): void {
  const { inputShape } = examples;
  if (sameShape(inputShape, shape)) return;
  throw new EspalierError(
    'DATA',
    `${who}: ${name}: expected inputs of shape [${shape.join(', ')}] as the network takes, got [${inputShape.join(', ')}]; prepare the data for this network${channelsHint(shape) || channelsHint(inputShape)}`,
    { name, found: inputShape },
  );
}

/** A sentence where a shape looks like an image with its channels behind, else ''. */
export function channelsHint(shape: Shape): string {
  const [height, width, channels] = shape;
  return shape.length === 3 && channels <= 4 && height > 4 && width > 4
    ? `; channels come first: an image of ${height} x ${width} pixels is [${channels}, ${height}, ${width}], not [${shape.join(', ')}]`
    : '';
}
