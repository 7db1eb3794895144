/** Small networks that between them use every operator, for tests. */
import fc from 'fast-check';
import {
  add,
  affine,
  averagePool,
  batchNorm,
  concat,
  conv,
  dense,
  dropout,
  flatten,
  globalAveragePool,
  graph,
  leakyRelu,
  maxPool,
  relu,
  sequential,
  sigmoid,
  softmax,
  tanh,
} from '../../src/network/index.ts';
import type { Layer, Network } from '../../src/network/index.ts';

export const chain = (seed = 1): Network =>
  sequential({ input: [2, 8, 8], seed }, [
    conv(4, 3),
    relu(),
    conv(5, 3, { stride: 2 }),
    leakyRelu(0.2),
    maxPool(2),
    flatten(),
    dense(7),
    tanh(),
    dense(6),
    affine(0.5, 0.25),
  ]);

/** Skips, concatenation, batch normalization, a value that several nodes read. */
export const skips = (seed = 2): Network =>
  graph({ seed }, (g) => {
    const x = g.input([2, 6, 6]);
    const a = g.node(relu(), g.node(batchNorm(), g.node(conv(4, 3, { bias: false }), x)));
    const b = g.node(conv(4, 3, { groups: 2 }), a);
    const c = g.node(relu(), g.node(add(), b, a));
    const d = g.node(concat(), c, g.node(sigmoid(), g.node(conv(3, 1), a)), a);
    const e = g.node(averagePool(2, { padding: 1, countPadding: true }), d);
    return g.node(softmax(), g.node(dense(5), g.node(dropout(0.4), g.node(globalAveragePool(), e))));
  });

/** A chain of random layers on a [2, 11, 9] input, ending in a vector. */
export const randomNetwork: fc.Arbitrary<Network> = fc
  .tuple(
    fc.integer({ min: 0, max: 1000 }),
    fc.array(
      fc.constantFrom<() => Layer>(
        () => conv(3, 3),
        () => conv(4, [1, 3], { bias: false }),
        () => conv(2, 2, { stride: 2, padding: 'valid' }),
        () => relu(),
        () => leakyRelu(0.3),
        () => sigmoid(),
        () => tanh(),
        () => batchNorm(),
        () => maxPool(2, { stride: 1 }),
        () => averagePool([2, 1], { stride: 1 }),
        () => dropout(0.3),
        () => conv(3, 3, { dilation: 2, padding: 2 }),
      ),
      { minLength: 1, maxLength: 5 },
    ),
    fc.array(
      fc.constantFrom<() => Layer>(
        () => dense(4),
        () => relu(),
        () => tanh(),
        () => softmax(),
        () => affine(2, 1),
      ),
      { minLength: 1, maxLength: 4 },
    ),
  )
  .filter(
    ([, spatial]) => spatial.filter((make) => ['maxPool', 'averagePool', 'conv'].includes(make().kind)).length <= 3,
  )
  .map(([seed, spatial, flat]) =>
    sequential({ input: [2, 11, 9], seed }, [
      ...spatial.map((make) => make()),
      flatten(),
      ...flat.map((make) => make()),
      dense(3),
    ]),
  );
