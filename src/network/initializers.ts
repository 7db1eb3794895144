/** Initial weights. Each parameter has a stream of its own, by (seed, name): adding a layer changes no other. */
import { checkNumber, show, withMemory } from '../base/errors.ts';
import { checkFloat32 } from '../base/float32.ts';
import { normal, stream, uniform } from '../base/random.ts';
import type { Shape } from '../base/tensor.ts';
import { sizeOf } from '../base/tensor.ts';

/**
 * Values for a parameter of this shape: axis 0 is the output side, the rest is the input side. Those below throw an
 * {@link EspalierError} MEMORY where the engine has no room for them.
 */
export type Initializer = (shape: Shape, seed: number, name: string) => Float32Array;

function filled(shape: Shape, seed: number, name: string, draw: (random: () => number) => number): Float32Array {
  const random = stream(seed, 'initialize', name);
  const values = roomFor(shape, name);
  for (let i = 0; i < values.length; i++) values[i] = draw(random);
  return values;
}

/** Zeros. @throws {EspalierError} MEMORY, naming the parameter */
function roomFor(shape: Shape, name: string): Float32Array {
  return withMemory(`initializer of ${show(name)} [${shape.join(', ')}]`, () => new Float32Array(sizeOf(shape)));
}

/** Weights that one output sees, and outputs that one input feeds. */
function fans(shape: Shape): { fanIn: number; fanOut: number } {
  const taps = sizeOf(shape.slice(2));
  return { fanIn: sizeOf(shape.slice(1)), fanOut: shape[0] * taps };
}

/** N(0, deviation^2). @throws {TypeError | RangeError} if it is no finite number from 0; {EspalierError} RANGE beyond float32 */
export const normalInitializer = (deviation: number): Initializer => {
  checkFloat32('normalInitializer', 'deviation', checkNumber('normalInitializer', 'deviation', deviation, 0));
  return (shape, seed, name) => filled(shape, seed, name, (random) => deviation * normal(random));
};

/** N(0, 2 / fan in): for layers before a ReLU (He et al. 2015, eq. 10). */
export const heNormal: Initializer = (shape, seed, name) =>
  normalInitializer(Math.sqrt(2 / Math.max(1, fans(shape).fanIn)))(shape, seed, name);

/** Uniform within +-sqrt(6 / (fan in + fan out)) (Glorot, Bengio 2010, eq. 16). */
export const glorotUniform: Initializer = (shape, seed, name) => {
  const { fanIn, fanOut } = fans(shape);
  const limit = Math.sqrt(6 / (fanIn + fanOut));
  return filled(shape, seed, name, (random) => uniform(random, -limit, limit));
};

/** `value` everywhere. @throws {TypeError | RangeError} if it is no finite number; {EspalierError} RANGE beyond float32 */
export const constantInitializer = (value: number): Initializer => {
  checkFloat32('constantInitializer', 'value', checkNumber('constantInitializer', 'value', value));
  return (shape, _seed, name) => roomFor(shape, name).fill(value);
};
