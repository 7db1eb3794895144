/** Initial weights. Each parameter has a stream of its own, by (seed, name): adding a layer changes no other. */
import { normal, stream, uniform } from '../base/random.ts';
import type { Shape } from '../base/tensor.ts';
import { sizeOf } from '../base/tensor.ts';

/** Values for a parameter of this shape: axis 0 is the output side, the rest is the input side. */
export type Initializer = (shape: Shape, seed: number, name: string) => Float32Array;

function filled(shape: Shape, seed: number, name: string, draw: (random: () => number) => number): Float32Array {
  const random = stream(seed, 'initialize', name);
  return Float32Array.from({ length: sizeOf(shape) }, () => draw(random));
}

/** Weights that one output sees, and outputs that one input feeds. */
function fans(shape: Shape): { fanIn: number; fanOut: number } {
  const taps = sizeOf(shape.slice(2));
  return { fanIn: sizeOf(shape.slice(1)), fanOut: shape[0] * taps };
}

/** N(0, deviation^2). */
export const normalInitializer =
  (deviation: number): Initializer =>
  (shape, seed, name) =>
    filled(shape, seed, name, (random) => deviation * normal(random));

/** N(0, 2 / fan in): for layers before a ReLU (He et al. 2015, eq. 10). */
export const heNormal: Initializer = (shape, seed, name) =>
  normalInitializer(Math.sqrt(2 / fans(shape).fanIn))(shape, seed, name);

/** Uniform within +-sqrt(6 / (fan in + fan out)) (Glorot, Bengio 2010, eq. 16). */
export const glorotUniform: Initializer = (shape, seed, name) => {
  const { fanIn, fanOut } = fans(shape);
  const limit = Math.sqrt(6 / (fanIn + fanOut));
  return filled(shape, seed, name, (random) => uniform(random, -limit, limit));
};

/** `value` everywhere. */
export const constantInitializer =
  (value: number): Initializer =>
  (shape) =>
    new Float32Array(sizeOf(shape)).fill(value);
