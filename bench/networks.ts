/**
 * The networks that are measured, with random weights by seed: the same in every run and for every peer. Activations
 * are NCHW.
 */
import { add, batchNorm, conv, dense, flatten, globalAveragePool, graph, maxPool, relu, vgg } from 'espalier/network';
import type { GraphBuilder, Network } from 'espalier/network';
import { stream, uniform } from 'espalier';

export interface BenchNetwork {
  readonly name: string;
  readonly title: string;
  build(): Network;
}

const SIDE = 96;
const OUTPUTS = 136;

export const NETWORKS: readonly BenchNetwork[] = [
  { name: 'vgg96', title: 'VGG, 1 x 96 x 96', build: () => vgg({ side: SIDE, seed: 1 }) },
  {
    name: 'vgg96-half',
    title: 'VGG, 1 x 96 x 96, half of every layer',
    build: () => vgg({ side: SIDE, widths: [16, 32, 64, 128], hidden: [512], seed: 1 }),
  },
  { name: 'vgg64', title: 'VGG, 1 x 64 x 64', build: () => vgg({ side: 64, seed: 1 }) },
  { name: 'resnet', title: 'ResNet-18, 3 x 96 x 96', build: resnet },
  { name: 'mobilenet', title: 'MobileNet v1, 3 x 96 x 96', build: mobilenet },
];

export function networkNamed(name: string): BenchNetwork {
  const found = NETWORKS.find((network) => network.name === name);
  if (!found)
    throw new RangeError(
      `networkNamed: name: expected one of ${NETWORKS.map((network) => network.name).join(', ')}, got ${name}`,
    );
  return found;
}

/** Convolution without bias, batch normalization, and ReLU unless told otherwise. */
function unit(
  builder: GraphBuilder,
  input: string,
  filters: number,
  size: number,
  options: { stride?: number; groups?: number; activation?: boolean } = {},
): string {
  const { stride = 1, groups = 1, activation = true } = options;
  const normalized = builder.node(
    batchNorm(),
    builder.node(conv(filters, size, { stride, groups, padding: size >> 1, bias: false }), input),
  );
  return activation ? builder.node(relu(), normalized) : normalized;
}

/**
 * ResNet-18 (He et al. 2016) with basic blocks. A side of 96 leaves few positions to the late stages, so the early ones
 * are wider and the last one narrower than in the paper: parameters and operations come close to those of the VGG.
 */
function resnet(): Network {
  return withStatistics(
    graph({ name: 'resnet', seed: 1 }, (builder) => {
      let value = builder.node(
        maxPool(3, { stride: 2, padding: 1 }),
        unit(builder, builder.input([3, SIDE, SIDE], 'image'), 64, 7, { stride: 2 }),
      );
      [96, 160, 256, 448].forEach((filters, stage) => {
        for (const stride of [stage === 0 ? 1 : 2, 1]) {
          const inner = unit(builder, unit(builder, value, filters, 3, { stride }), filters, 3, { activation: false });
          const skip =
            builder.shapeOf(value)[0] === filters && stride === 1
              ? value
              : unit(builder, value, filters, 1, { stride, activation: false });
          value = builder.node(relu(), builder.node(add(), inner, skip));
        }
      });
      return builder.node(dense(OUTPUTS), builder.node(globalAveragePool(), value));
    }),
  );
}

/**
 * MobileNet v1 (Howard et al. 2017), width 1: a depthwise 3x3 and a 1x1 convolution in turn, batch normalization and
 * ReLU behind each.
 */
function mobilenet(): Network {
  const blocks = [
    [64, 1],
    [128, 2],
    [128, 1],
    [256, 2],
    [256, 1],
    [512, 2],
    ...Array.from({ length: 5 }, () => [512, 1]),
    [1024, 2],
    [1024, 1],
  ];
  return withStatistics(
    graph({ name: 'mobilenet', seed: 1 }, (builder) => {
      const first = unit(builder, builder.input([3, SIDE, SIDE], 'image'), 32, 3, { stride: 2 });
      const last = blocks.reduce((value, [filters, stride]) => {
        const channels = builder.shapeOf(value)[0];
        return unit(builder, unit(builder, value, channels, 3, { stride, groups: channels }), filters, 1);
      }, first);
      return builder.node(dense(OUTPUTS), builder.node(flatten(), builder.node(globalAveragePool(), last)));
    }),
  );
}

/**
 * Batch normalization as after training: statistics and scales that differ by channel, so that a peer that mixes them
 * up is found out.
 */
function withStatistics(network: Network): Network {
  const ranges = { scale: [0.8, 1.2], shift: [-0.2, 0.2], mean: [-0.2, 0.2], variance: [0.8, 1.2] } as const;
  const parameters = new Map(network.parameters);
  for (const node of network.nodes) {
    if (node.kind !== 'batchNorm') continue;
    for (const [role, [from, to]] of Object.entries(ranges)) {
      const name = node.parameters[role as keyof typeof ranges]!;
      const { shape } = parameters.get(name)!;
      const random = stream(2, 'statistics', name);
      parameters.set(name, {
        kind: 'dense',
        shape,
        data: Float32Array.from({ length: shape[0] }, () => uniform(random, from, to)),
      });
    }
  }
  return { ...network, parameters };
}
