/**
 * Small models of every layer and operation that `readTfjs` knows, with what TensorFlow.js gives for them:
 *
 *   npm ci --prefix bench/peers && node test/vectors/tfjs_models.mjs
 *
 * writes tfjs_models.json: models as TensorFlow.js saves them (layers), or as its converter writes them (graphs), weights,
 * inputs and outputs in base64, little-endian.
 */
import { createRequire } from 'node:module';
import { writeFileSync } from 'node:fs';

const require = createRequire(new URL('../../bench/peers/package.json', import.meta.url));
const tf = require('@tensorflow/tfjs');
await tf.setBackend('cpu');

/** mulberry32. */
function generator(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
const random = generator(1);
/** Multiples of 1/64 in -1 ... 1 times `scale`: short in base64 after compression, and exact. */
const numbers = (count, scale = 1, offset = 0) =>
  Float32Array.from({ length: count }, () => (Math.round((2 * random() - 1) * 64) / 64) * scale + offset);
const sizeOf = (shape) => shape.reduce((product, side) => product * side, 1);
const base64 = (array) => Buffer.from(array.buffer, array.byteOffset, array.byteLength).toString('base64');

const cases = [];
const { layers } = tf;

async function add(name, model, options = {}) {
  const { scale = 1.5, batch = 2 } = options;
  const values = model.getWeights().map((weight, i) => {
    const isVariance = /variance/.test(model.weights[i].name);
    return tf.tensor(isVariance ? numbers(weight.size, 0.25, 0.75) : numbers(weight.size, 0.5), weight.shape);
  });
  if (values.length > 0) model.setWeights(values);
  const inputs = model.inputs.map(({ shape }) => {
    const whole = [batch, ...shape.slice(1)];
    return tf.tensor(numbers(sizeOf(whole), scale), whole);
  });
  const found = model.predict(inputs.length === 1 ? inputs[0] : inputs);
  const outputs = Array.isArray(found) ? found : [found];
  let artifacts;
  await model.save(tf.io.withSaveHandler(async (all) => ((artifacts = all), { modelArtifactsInfo: {} })));
  cases.push({
    name,
    model: {
      format: artifacts.format,
      generatedBy: artifacts.generatedBy,
      modelTopology: slim(artifacts.modelTopology),
      weightsManifest: [
        {
          paths: ['weights.bin'],
          weights: artifacts.weightSpecs.map(({ name, shape, dtype }) => ({ name, shape, dtype })),
        },
      ],
    },
    weights: base64(new Uint8Array(artifacts.weightData)),
    inputs: inputs.map((tensor, i) => ({
      name: model.inputNames[i],
      shape: tensor.shape,
      data: base64(tensor.dataSync()),
    })),
    outputs: outputs.map((tensor, i) => ({
      name: model.outputNames[i],
      shape: tensor.shape,
      data: base64(Float32Array.from(tensor.dataSync())),
    })),
  });
}

/** Without what only training reads. */
function slim(value) {
  if (Array.isArray(value)) return value.map(slim);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key]) => !/_(initializer|regularizer|constraint)$|^(trainable|training_config)$/.test(key))
      .map(([key, one]) => [key, slim(one)]),
  );
}

const sequential = (...list) => tf.sequential({ layers: list });
const single = (name, inputShape, make, options) => add(name, sequential(make({ inputShape, name: 'layer' })), options);

/** A layer of several inputs. */
async function joined(name, shapes, layer) {
  const inputs = shapes.map((shape) => tf.input({ shape }));
  await add(name, tf.model({ inputs, outputs: layer.apply(inputs) }));
}

const IMAGE = [6, 5, 3];
const LINE = [7, 3];
const VOLUME = [4, 5, 3, 2];

// Layers with weights
await single('dense', [5], (of) => layers.dense({ ...of, units: 4, activation: 'relu' }));
await single('dense of rows', [3, 5], (of) => layers.dense({ ...of, units: 4, useBias: false }));
for (const padding of ['valid', 'same'])
  for (const dilationRate of [1, 2])
    await single(`conv1d ${padding} ${dilationRate}`, LINE, (of) =>
      layers.conv1d({ ...of, filters: 4, kernelSize: 3, padding, dilationRate }),
    );
await single('conv1d strides', LINE, (of) =>
  layers.conv1d({ ...of, filters: 2, kernelSize: 2, strides: 2, padding: 'same', activation: 'tanh' }),
);
for (const padding of ['valid', 'same'])
  for (const strides of [1, 2, [2, 1]])
    await single(`conv2d ${padding} ${strides}`, IMAGE, (of) =>
      layers.conv2d({ ...of, filters: 4, kernelSize: [3, 2], strides, padding, activation: 'relu' }),
    );
await single('conv2d dilated', IMAGE, (of) =>
  layers.conv2d({ ...of, filters: 2, kernelSize: 2, dilationRate: 2, padding: 'same', useBias: false }),
);
await single('conv2d channels first', [3, 6, 5], (of) =>
  layers.conv2d({ ...of, filters: 4, kernelSize: 3, dataFormat: 'channelsFirst' }),
);
await single('conv3d', VOLUME, (of) =>
  layers.conv3d({ ...of, filters: 3, kernelSize: [2, 3, 2], padding: 'same', strides: [1, 2, 1] }),
);
for (const padding of ['valid', 'same'])
  for (const strides of [1, 2])
    await single(`depthwise ${padding} ${strides}`, IMAGE, (of) =>
      layers.depthwiseConv2d({ ...of, kernelSize: 3, depthMultiplier: 2, padding, strides }),
    );
await single('separable', IMAGE, (of) =>
  layers.separableConv2d({ ...of, filters: 4, kernelSize: 3, depthMultiplier: 2, padding: 'same', activation: 'relu' }),
);
for (const padding of ['valid', 'same'])
  for (const [kernelSize, strides] of [
    [3, 2],
    [2, 3],
    [4, 1],
  ])
    await single(`conv2dTranspose ${padding} ${kernelSize} ${strides}`, [3, 4, 2], (of) =>
      layers.conv2dTranspose({ ...of, filters: 3, kernelSize, strides, padding }),
    );

// Normalization
await single('batchNormalization', IMAGE, (of) => layers.batchNormalization(of));
await single('batchNormalization of rows', [5], (of) =>
  layers.batchNormalization({ ...of, center: false, scale: false, epsilon: 0.01 }),
);
await single('layerNormalization', IMAGE, (of) => layers.layerNormalization({ ...of, axis: -1 }));
await single('layerNormalization axes', IMAGE, (of) =>
  layers.layerNormalization({ ...of, axis: [1, 2, 3], center: false, scale: false }),
);

// Pools
for (const kind of ['max', 'average']) {
  for (const padding of ['valid', 'same']) {
    await single(`${kind}Pooling1d ${padding}`, LINE, (of) =>
      layers[`${kind}Pooling1d`]({ ...of, poolSize: 3, strides: 2, padding }),
    );
    await single(`${kind}Pooling2d ${padding}`, IMAGE, (of) =>
      layers[`${kind}Pooling2d`]({ ...of, poolSize: [3, 2], padding }),
    );
    await single(`${kind}Pooling2d ${padding} 1`, IMAGE, (of) =>
      layers[`${kind}Pooling2d`]({ ...of, poolSize: 3, strides: 1, padding }),
    );
    if (kind === 'max' || padding === 'valid')
      await single(`${kind}Pooling3d ${padding}`, VOLUME, (of) =>
        layers[`${kind}Pooling3d`]({ ...of, poolSize: 2, padding }),
      );
  }
}
await single('globalAveragePooling1d', LINE, (of) => layers.globalAveragePooling1d(of));
await single('globalMaxPooling1d', LINE, (of) => layers.globalMaxPooling1d(of));
await single('globalAveragePooling2d', IMAGE, (of) => layers.globalAveragePooling2d(of));
await single('globalMaxPooling2d', IMAGE, (of) => layers.globalMaxPooling2d(of));

// Functions
for (const activation of [
  'elu',
  'gelu',
  'gelu_new',
  'hardSigmoid',
  'linear',
  'logSoftmax',
  'mish',
  'relu',
  'relu6',
  'selu',
  'sigmoid',
  'softmax',
  'softplus',
  'softsign',
  'swish',
  'tanh',
])
  await single(`activation ${activation}`, [8], (of) => layers.activation({ ...of, activation }), { scale: 8 });
await single('reLU', [8], (of) => layers.reLU(of));
await single('reLU 2', [8], (of) => layers.reLU({ ...of, maxValue: 2 }), { scale: 4 });
await single('leakyReLU', [8], (of) => layers.leakyReLU(of));
await single('leakyReLU 0.1', [8], (of) => layers.leakyReLU({ ...of, alpha: 0.1 }));
await single('prelu', [4, 3, 2], (of) => layers.prelu(of));
await single('prelu shared', [4, 3, 2], (of) => layers.prelu({ ...of, sharedAxes: [1, 2] }));
await single('prelu of rows', [6], (of) => layers.prelu(of));
await single('softmax axis', [3, 4], (of) => layers.softmax({ ...of, axis: -1 }));

// Shapes
await single('flatten', [2, 3, 4], (of) => layers.flatten(of));
await single('reshape', [2, 3, 4], (of) => layers.reshape({ ...of, targetShape: [4, 6] }));
await single('reshape open', [2, 3, 4], (of) => layers.reshape({ ...of, targetShape: [-1, 3] }));
await single('permute', [2, 3, 4], (of) => layers.permute({ ...of, dims: [3, 1, 2] }));
await single('repeatVector', [4], (of) => layers.repeatVector({ ...of, n: 3 }));
await single('zeroPadding2d', IMAGE, (of) =>
  layers.zeroPadding2d({
    ...of,
    padding: [
      [1, 2],
      [0, 3],
    ],
  }),
);
await single('cropping2d', IMAGE, (of) =>
  layers.cropping2D({
    ...of,
    cropping: [
      [1, 2],
      [0, 3],
    ],
  }),
);
await single('upSampling2d nearest', IMAGE, (of) => layers.upSampling2d({ ...of, size: [2, 3] }));
await single('upSampling2d bilinear', IMAGE, (of) =>
  layers.upSampling2d({ ...of, size: [2, 3], interpolation: 'bilinear' }),
);
await single('rescaling', [4], (of) => layers.rescaling({ ...of, scale: 0.5, offset: -1 }));
await single('dropout', [4], (of) => layers.dropout({ ...of, rate: 0.5 }));
await single('spatialDropout1d', LINE, (of) => layers.spatialDropout1d({ ...of, rate: 0.5 }));
await single('gaussianNoise', [4], (of) => layers.gaussianNoise({ ...of, stddev: 1 }));
await single('gaussianDropout', [4], (of) => layers.gaussianDropout({ ...of, rate: 0.5 }));
await single('alphaDropout', [4], (of) => layers.alphaDropout({ ...of, rate: 0.5 }));

// Several inputs
const pair = [
  [4, 3],
  [4, 3],
];
await joined('add', [...pair, [4, 3]], layers.add());
await joined('multiply', pair, layers.multiply());
await joined('average', [...pair, [4, 3]], layers.average());
await joined('maximum', pair, layers.maximum());
await joined('minimum', pair, layers.minimum());
await joined(
  'concatenate',
  [
    [4, 3],
    [4, 2],
  ],
  layers.concatenate(),
);
await joined(
  'concatenate axis',
  [
    [4, 3],
    [2, 3],
  ],
  layers.concatenate({ axis: 1 }),
);
await joined('dot of rows', [[5], [5]], layers.dot({ axes: 1, normalize: true }));
await joined(
  'dot of matrices',
  [
    [4, 3],
    [2, 3],
  ],
  layers.dot({ axes: 2 }),
);

// Whole models
await add('network', sequential(
  layers.conv2d({ inputShape: [8, 8, 3], filters: 4, kernelSize: 3, padding: 'same', activation: 'relu' }),
  layers.batchNormalization(),
  layers.maxPooling2d({ poolSize: 2 }),
  layers.depthwiseConv2d({ kernelSize: 3, padding: 'same' }),
  layers.reLU({ maxValue: 6 }),
  layers.conv2d({ filters: 5, kernelSize: 1 }),
  layers.flatten(),
  layers.dropout({ rate: 0.3 }),
  layers.dense({ units: 6, activation: 'relu' }),
  layers.dense({ units: 3, activation: 'softmax' }),
)); // prettier-ignore
{
  const input = tf.input({ shape: [8, 8, 4], name: 'picture' });
  const conv = layers.conv2d({ filters: 4, kernelSize: 3, padding: 'same', name: 'conv' });
  const first = conv.apply(input);
  const shared = conv.apply(layers.activation({ activation: 'relu' }).apply(first));
  const sum = layers.add().apply([shared, input]);
  const squeezed = layers.globalAveragePooling2d({}).apply(sum);
  const gate = layers
    .reshape({ targetShape: [1, 1, 4] })
    .apply(layers.dense({ units: 4, activation: 'sigmoid' }).apply(squeezed));
  const scaled = layers.multiply().apply([sum, gate]);
  await add(
    'functional, a shared layer',
    tf.model({ inputs: input, outputs: [layers.globalMaxPooling2d({ name: 'largest' }).apply(scaled), squeezed] }),
  );
}
{
  const block = (name) => {
    const input = tf.input({ shape: [6, 6, 3] });
    const y = layers.conv2d({ filters: 3, kernelSize: 3, padding: 'same', name: `${name}_conv` }).apply(input);
    return tf.model({ inputs: input, outputs: layers.add().apply([input, y]), name });
  };
  const input = tf.input({ shape: [6, 6, 3] });
  const twice = block('twice');
  const head = tf.sequential({
    name: 'head',
    layers: [layers.flatten({ inputShape: [6, 6, 3] }), layers.dense({ units: 2, name: 'out' })],
  });
  const y = head.apply(twice.apply(twice.apply(block('once').apply(input))));
  await add('models within models', tf.model({ inputs: input, outputs: y }));
}
{
  const input = tf.input({ shape: [8, 8, 4] });
  let y = input;
  for (let i = 0; i < 3; i++) {
    const more = layers.conv2d({ filters: 2, kernelSize: 3, padding: 'same', activation: 'relu' }).apply(y);
    y = layers.concatenate().apply([y, more]);
  }
  y = layers.upSampling2d({ size: [2, 2] }).apply(layers.averagePooling2d({ poolSize: 2 }).apply(y));
  await add(
    'dense connections',
    tf.model({ inputs: input, outputs: layers.conv2d({ filters: 1, kernelSize: 1 }).apply(y) }),
  );
}

// Graph models

const TYPES = { float32: 'DT_FLOAT', int32: 'DT_INT32', bool: 'DT_BOOL' };
const text = (value) => Buffer.from(value).toString('base64');
const attribute = (value) => {
  if (typeof value === 'boolean') return { b: value };
  if (typeof value === 'string') return value.startsWith('DT_') ? { type: value } : { s: text(value) };
  if (Array.isArray(value))
    return { list: typeof value[0] === 'string' ? { s: value.map(text) } : { i: value.map(String) } };
  return Number.isInteger(value) ? { i: String(value) } : { f: value };
};

/** Builds a graph: `make` gets functions for inputs, constants and nodes, and returns names of outputs. */
async function graph(name, make, { batch = 2, open = true, scale = 1.5 } = {}) {
  const node = [];
  const weights = [];
  const inputs = [];
  let count = 0;
  const named = (op) => `${op.toLowerCase()}${++count}`;
  const input = (shape, dtype = 'float32') => {
    const id = `input${inputs.length + 1}`;
    const dims = [open ? -1 : batch, ...shape];
    node.push({
      name: id,
      op: 'Placeholder',
      attr: { dtype: { type: TYPES[dtype] }, shape: { shape: { dim: dims.map((size) => ({ size: String(size) })) } } },
    });
    inputs.push({ id, shape: [batch, ...shape], dtype });
    return id;
  };
  const constant = (values, shape = [values.length], dtype = 'int32') => {
    const id = `const${weights.length + 1}`;
    node.push({
      name: id,
      op: 'Const',
      attr: {
        dtype: { type: TYPES[dtype] },
        value: { tensor: { dtype: TYPES[dtype], tensorShape: { dim: shape.map((size) => ({ size: String(size) })) } } },
      },
    });
    const array =
      dtype === 'float32'
        ? Float32Array.from(values)
        : dtype === 'bool'
          ? Uint8Array.from(values)
          : Int32Array.from(values);
    weights.push({ name: id, shape, dtype, array });
    return id;
  };
  const weight = (...shape) => constant(numbers(sizeOf(shape), 0.5), shape, 'float32');
  const op = (kind, reads, attributes = {}) => {
    const id = named(kind);
    node.push({
      name: id,
      op: kind,
      input: reads,
      attr: {
        T: { type: 'DT_FLOAT' },
        ...Object.fromEntries(Object.entries(attributes).map(([key, value]) => [key, attribute(value)])),
      },
    });
    return id;
  };
  const outputs = make({ input, constant, weight, op });
  const model = {
    format: 'graph-model',
    generatedBy: '2.15.0',
    convertedBy: 'TensorFlow.js Converter v4.22.0',
    modelTopology: { node, library: {}, versions: {} },
    signature: {
      outputs: Object.fromEntries(outputs.map((id) => [id, { name: id.includes(':') ? id : `${id}:0` }])),
      inputs: Object.fromEntries(
        inputs.map(({ id, shape, dtype }) => [
          id,
          {
            name: `${id}:0`,
            dtype: TYPES[dtype],
            tensorShape: { dim: [open ? -1 : batch, ...shape.slice(1)].map((size) => ({ size: String(size) })) },
          },
        ]),
      ),
    },
    weightsManifest: [{ paths: ['weights.bin'], weights: weights.map(({ array: _, ...spec }) => spec) }],
  };
  const bytes = Buffer.concat(weights.map(({ array }) => Buffer.from(array.buffer)));
  const weightData = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
  const loaded = await tf.loadGraphModel(
    tf.io.fromMemory({ ...model, weightSpecs: model.weightsManifest[0].weights, weightData }),
  );
  const values = Object.fromEntries(
    inputs.map(({ id, shape, dtype }) => {
      const array = dtype === 'int32' ? numbers(sizeOf(shape), 64) : numbers(sizeOf(shape), scale);
      return [id, tf.tensor(array, shape, dtype)];
    }),
  );
  const found = loaded.execute(values, outputs);
  cases.push({
    name: `graph: ${name}`,
    model,
    weights: base64(bytes),
    inputs: inputs.map(({ id, shape }) => ({
      name: id,
      shape,
      data: base64(Float32Array.from(values[id].dataSync())),
    })),
    outputs: (Array.isArray(found) ? found : [found]).map((tensor, i) => ({
      name: outputs[i],
      shape: tensor.shape,
      data: base64(Float32Array.from(tensor.dataSync())),
    })),
  });
}

const STRIDES = { strides: [1, 1, 1, 1], dilations: [1, 1, 1, 1], data_format: 'NHWC' };
for (const padding of ['SAME', 'VALID'])
  await graph(`Conv2D ${padding}`, ({ input, weight, op }) => [
    op('Conv2D', [input(IMAGE), weight(3, 2, 3, 4)], { ...STRIDES, strides: [1, 2, 2, 1], padding }),
  ]);
await graph('Conv2D explicit', ({ input, weight, op }) => [
  op('Conv2D', [input(IMAGE), weight(3, 3, 3, 4)], {
    ...STRIDES,
    padding: 'EXPLICIT',
    explicit_paddings: [0, 0, 1, 2, 0, 1, 0, 0],
  }),
]);
for (const activation of ['Relu', 'Relu6', 'Elu', 'Sigmoid', 'LeakyRelu', undefined])
  await graph(`_FusedConv2D ${activation}`, ({ input, weight, op }) => [
    op('_FusedConv2D', [input(IMAGE), weight(3, 3, 3, 4), weight(4)], {
      ...STRIDES,
      padding: 'SAME',
      num_args: 1,
      fused_ops: ['BiasAdd', ...(activation ? [activation] : [])],
      leakyrelu_alpha: 0.25,
    }),
  ]);
await graph('_FusedConv2D Prelu', ({ input, weight, op }) => [
  op('_FusedConv2D', [input(IMAGE), weight(3, 3, 3, 4), weight(4), weight(4)], {
    ...STRIDES,
    padding: 'SAME',
    num_args: 2,
    fused_ops: ['BiasAdd', 'Prelu'],
  }),
]);
await graph('DepthwiseConv2dNative', ({ input, weight, op }) => [
  op('DepthwiseConv2dNative', [input(IMAGE), weight(3, 3, 3, 2)], {
    ...STRIDES,
    padding: 'SAME',
    dilations: [1, 2, 2, 1],
  }),
]);
await graph('FusedDepthwiseConv2dNative', ({ input, weight, op }) => [
  op('FusedDepthwiseConv2dNative', [input(IMAGE), weight(3, 3, 3, 1), weight(3)], {
    ...STRIDES,
    padding: 'SAME',
    strides: [1, 2, 2, 1],
    num_args: 1,
    fused_ops: ['BiasAdd', 'Relu6'],
  }),
]);
for (const [padding, side] of [
  ['SAME', 5],
  ['VALID', 7],
])
  await graph(
    `Conv2DBackpropInput ${padding}`,
    ({ input, weight, constant, op }) => [
      op('Conv2DBackpropInput', [constant([2, side, side, 3]), weight(3, 3, 3, 2), input([3, 3, 2])], {
        ...STRIDES,
        strides: [1, 2, 2, 1],
        padding,
      }),
    ],
    { open: false },
  );
await graph('Conv2DBackpropInput of a batch', ({ input, weight, constant, op }) => {
  const x = input([3, 3, 2]);
  const [size] = [
    op('StridedSlice', [op('Shape', [x]), constant([0]), constant([1]), constant([1])], { shrink_axis_mask: 1 }),
  ];
  const shape = op('Pack', [size, constant([6], []), constant([6], []), constant([3], [])], { axis: 0, N: 4 });
  return [
    op('Conv2DBackpropInput', [shape, weight(2, 2, 3, 2), x], { ...STRIDES, strides: [1, 2, 2, 1], padding: 'SAME' }),
  ];
});
await graph('dilation by batches', ({ input, weight, constant, op }) => {
  const batches = op('SpaceToBatchND', [input([7, 7, 2]), constant([2, 2]), constant([2, 3, 2, 3], [2, 2])]);
  const conv = op('DepthwiseConv2dNative', [batches, weight(3, 3, 2, 1)], { ...STRIDES, padding: 'VALID' });
  return [op('Relu', [op('BatchToSpaceND', [conv, constant([2, 2]), constant([0, 1, 0, 1], [2, 2])])])];
});
for (const kind of ['MaxPool', 'AvgPool'])
  for (const padding of ['SAME', 'VALID'])
    await graph(`${kind} ${padding}`, ({ input, op }) => [
      op(kind, [input(IMAGE)], { ksize: [1, 3, 3, 1], strides: [1, 2, 2, 1], padding }),
    ]);
await graph('MatMul', ({ input, weight, op }) => [
  op('MatMul', [input([5]), weight(5, 4)], { transpose_a: false, transpose_b: false }),
]);
await graph('MatMul turned', ({ input, weight, op }) => [
  op('MatMul', [input([5]), weight(4, 5)], { transpose_a: false, transpose_b: true }),
]);
await graph('_FusedMatMul', ({ input, weight, op }) => [
  op('_FusedMatMul', [input([5]), weight(5, 4), weight(4)], {
    num_args: 1,
    fused_ops: ['BiasAdd', 'Relu'],
    transpose_a: false,
    transpose_b: false,
  }),
]);
await graph('BatchMatMulV2', ({ input, op }) => [
  op('BatchMatMulV2', [input([3, 4]), input([5, 4])], { adj_x: false, adj_y: true }),
]);
await graph('BiasAdd', ({ input, weight, op }) => [op('BiasAdd', [input([3, 4]), weight(4)])]);
for (const kind of ['Add', 'AddV2', 'Sub', 'Mul', 'Maximum', 'Minimum', 'SquaredDifference'])
  await graph(kind, ({ input, op }) => [op(kind, [input([3, 4]), input([3, 4])])]);
await graph('AddV2 with a constant', ({ input, weight, op }) => [op('AddV2', [weight(4), input([2, 3, 4])])]);
await graph('RealDiv', ({ input, op }) => [op('RealDiv', [input([3, 4]), op('Exp', [input([3, 4])])])]);
await graph('AddN', ({ input, op }) => [op('AddN', [input([4]), input([4]), input([4])])]);
await graph('Pow', ({ input, constant, op }) => [op('Pow', [op('Exp', [input([4])]), constant([1.5], [], 'float32')])]);
for (const kind of [
  'Relu',
  'Relu6',
  'Elu',
  'Selu',
  'Sigmoid',
  'Tanh',
  'Softmax',
  'LogSoftmax',
  'Softplus',
  'Exp',
  'Square',
  'Neg',
  'Abs',
  'Erf',
  'Identity',
  'StopGradient',
])
  await graph(kind, ({ input, op }) => [op(kind, [input([8])])], { scale: 4 });
for (const kind of ['Log', 'Sqrt', 'Rsqrt', 'Reciprocal'])
  await graph(kind, ({ input, op }) => [op(kind, [op('Exp', [input([8])])])]);
await graph('LeakyRelu', ({ input, op }) => [op('LeakyRelu', [input([8])], { alpha: 0.125 })]);
await graph('Prelu', ({ input, weight, op }) => [op('Prelu', [input([4, 3, 2]), weight(1, 1, 2)])]);
await graph('ClipByValue', ({ input, constant, op }) => [
  op('ClipByValue', [input([8]), constant([-0.5], [], 'float32'), constant([0.75], [], 'float32')]),
]);
for (const kind of ['Mean', 'Sum', 'Max', 'Min'])
  for (const keep_dims of [true, false]) {
    await graph(`${kind} of positions ${keep_dims}`, ({ input, constant, op }) => [
      op(kind, [input([4, 3, 2]), constant([1, 2])], { keep_dims }),
    ]);
    await graph(`${kind} of channels ${keep_dims}`, ({ input, constant, op }) => [
      op(kind, [input([4, 3, 2]), constant([-1])], { keep_dims }),
    ]);
  }
await graph('ArgMax', ({ input, constant, op }) => [op('ArgMax', [input([4, 5]), constant([2], [])])]);
for (const kind of ['FusedBatchNorm', 'FusedBatchNormV2', 'FusedBatchNormV3'])
  await graph(kind, ({ input, weight, constant, op }) => [
    op(kind, [input([3, 3, 4]), weight(4), weight(4), weight(4), constant(numbers(4, 0.25, 0.75), [4], 'float32')], {
      epsilon: 0.001,
      is_training: false,
      data_format: 'NHWC',
    }),
  ]);
await graph('Pad', ({ input, constant, op }) => [
  op('Pad', [input([3, 4, 2]), constant([0, 0, 1, 2, 0, 1, 0, 0], [4, 2])]),
]);
await graph('PadV2', ({ input, constant, op }) => [
  op('PadV2', [input([3, 4, 2]), constant([0, 0, 1, 2, 0, 1, 0, 0], [4, 2]), constant([0.5], [], 'float32')]),
]);
await graph('MirrorPad', ({ input, constant, op }) => [
  op('MirrorPad', [input([3, 4, 2]), constant([0, 0, 1, 2, 2, 1, 0, 0], [4, 2])], { mode: 'REFLECT' }),
]);
await graph('ConcatV2', ({ input, constant, op }) => [
  op('ConcatV2', [input([3, 2]), input([3, 4]), constant([-1], [])], { N: 2 }),
]);
await graph('Split', ({ input, constant, op }) => {
  const parts = op('Split', [constant([2], []), input([3, 6])], { num_split: 3 });
  return [op('Sub', [parts, `${parts}:2`]), op('Relu', [`${parts}:1`])];
});
await graph('SplitV', ({ input, constant, op }) => {
  const parts = op('SplitV', [input([3, 6]), constant([1, -1, 2]), constant([2], [])], { num_split: 3 });
  return [op('Relu', [parts]), op('Relu', [`${parts}:1`]), op('Relu', [`${parts}:2`])];
});
await graph('Unpack, Pack', ({ input, op }) => {
  const parts = op('Unpack', [input([3, 4])], { axis: 1, num: 3 });
  return [op('Pack', [`${parts}:2`, parts], { axis: 2, N: 2 })];
});
await graph('Slice', ({ input, constant, op }) => [
  op('Slice', [input([5, 4]), constant([0, 1, 2]), constant([-1, 3, -1])]),
]);
await graph('StridedSlice', ({ input, constant, op }) => [
  op('StridedSlice', [input([5, 4, 3]), constant([0, 1, 0, 1]), constant([0, 5, 4, 3]), constant([1, 2, 1, 1])], {
    begin_mask: 1,
    end_mask: 1,
  }),
]);
// With a stride other than 1 TensorFlow.js 4.22 takes other elements than TensorFlow.
await graph('StridedSlice of one', ({ input, constant, op }) => [
  op('StridedSlice', [input([5, 4, 3]), constant([0, 1, 0, 1]), constant([0, 5, 4, 0]), constant([1, 1, 1, 1])], {
    begin_mask: 1,
    end_mask: 1,
    shrink_axis_mask: 8,
  }),
]);
await graph('StridedSlice masks', ({ input, constant, op }) => [
  op('StridedSlice', [input([5, 4, 3]), constant([0, 0, 0, 2]), constant([0, 0, 0, -1]), constant([1, 1, 1, -1])], {
    begin_mask: 1,
    end_mask: 9,
    ellipsis_mask: 2,
    new_axis_mask: 4,
  }),
]);
await graph('Reshape', ({ input, constant, op }) => [op('Reshape', [input([2, 6]), constant([-1, 3, 4])])]);
await graph('Reshape of a shape', ({ input, constant, op }) => {
  const x = input([2, 6]);
  const size = op('StridedSlice', [op('Shape', [x]), constant([0]), constant([1]), constant([1])], {
    shrink_axis_mask: 1,
  });
  return [op('Reshape', [x, op('Pack', [size, constant([12], [])], { axis: 0, N: 2 })])];
});
await graph('Squeeze, ExpandDims', ({ input, constant, op }) => [
  op('ExpandDims', [op('Squeeze', [input([3, 1, 4])], { squeeze_dims: [2] }), constant([1], [])]),
]);
await graph('Transpose', ({ input, constant, op }) => [op('Transpose', [input([3, 4, 2]), constant([0, 3, 1, 2])])]);
await graph('Tile', ({ input, constant, op }) => [op('Tile', [input([3, 2]), constant([1, 2, 3])])]);
await graph('GatherV2', ({ input, constant, op }) => [
  op('GatherV2', [input([4, 3]), constant([3, 0, 3]), constant([1], [])]),
]);
await graph('Fill, Range, Cast', ({ input, constant, op }) => {
  const row = op('Cast', [op('Range', [constant([0], []), constant([4], []), constant([1], [])])], {
    SrcT: 'DT_INT32',
    DstT: 'DT_FLOAT',
  });
  return [op('AddV2', [op('Mul', [input([4]), row]), op('Fill', [constant([4]), constant([0.5], [], 'float32')])])];
});
await graph('Select of constants', ({ input, constant, weight, op }) => [
  op('AddV2', [input([4]), op('SelectV2', [constant([1, 0, 0, 1], [4], 'bool'), weight(4), weight(4)])]),
]);
await graph('Cast of an input', ({ input, op }) => [
  op('Cast', [input([4], 'int32')], { SrcT: 'DT_INT32', DstT: 'DT_FLOAT' }),
]);
for (const [align_corners, half_pixel_centers] of [
  [false, false],
  [true, false],
  [false, true],
])
  for (const kind of ['ResizeBilinear', 'ResizeNearestNeighbor'])
    for (const size of [
      [7, 6],
      [2, 3],
    ])
      await graph(`${kind} ${align_corners} ${half_pixel_centers} ${size}`, ({ input, constant, op }) => [
        op(kind, [input([4, 3, 2]), constant(size)], { align_corners, half_pixel_centers }),
      ]);
await graph('DepthToSpace', ({ input, op }) => [
  op('DepthToSpace', [input([2, 3, 8])], { block_size: 2, data_format: 'NHWC' }),
]);
await graph('network', ({ input, weight, constant, op }) => {
  const x = op('Sub', [op('Mul', [input([8, 8, 3]), constant([0.5], [], 'float32')]), constant([1], [], 'float32')]);
  const conv = op('_FusedConv2D', [x, weight(3, 3, 3, 4), weight(4)], {
    ...STRIDES,
    strides: [1, 2, 2, 1],
    padding: 'SAME',
    num_args: 1,
    fused_ops: ['BiasAdd', 'Relu6'],
  });
  const depth = op('FusedDepthwiseConv2dNative', [conv, weight(3, 3, 4, 1), weight(4)], {
    ...STRIDES,
    padding: 'SAME',
    num_args: 1,
    fused_ops: ['BiasAdd', 'Relu6'],
  });
  const sum = op('AddV2', [
    conv,
    op('_FusedConv2D', [depth, weight(1, 1, 4, 4), weight(4)], {
      ...STRIDES,
      padding: 'VALID',
      num_args: 1,
      fused_ops: ['BiasAdd'],
    }),
  ]);
  const up = op(
    'ResizeBilinear',
    [op('MaxPool', [sum], { ksize: [1, 2, 2, 1], strides: [1, 2, 2, 1], padding: 'VALID' }), constant([4, 4])],
    { half_pixel_centers: true },
  );
  const both = op('ConcatV2', [sum, up, constant([3], [])], { N: 2 });
  const parts = op('Split', [constant([3], []), both], { num_split: 2 });
  const flat = op('Reshape', [
    op('Pad', [op('Mul', [parts, op('Sigmoid', [`${parts}:1`])]), constant([0, 0, 0, 1, 1, 0, 0, 0], [4, 2])]),
    constant([-1, 100]),
  ]);
  return [
    op('Softmax', [op('_FusedMatMul', [flat, weight(100, 5), weight(5)], { num_args: 1, fused_ops: ['BiasAdd'] })]),
  ];
});

writeFileSync(
  new URL('tfjs_models.json', import.meta.url),
  `{"tfjs":"${tf.version.tfjs}","cases":[\n${cases.map((one) => JSON.stringify(one)).join(',\n')}\n]}\n`,
);
console.log(`${cases.length} cases`);
