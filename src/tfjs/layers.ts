/** Layers of Keras by their class: what each is made of. Axes are those of the model, the batch first, channels last. */
import { show } from '../base/errors.ts';
import type { Json } from '../container/json.ts';
import { activation } from './activations.ts';
import { isIntegers, isObject } from './json.ts';
import { settingsOf, snake } from './settings.ts';
import type { Settings } from './settings.ts';
import {
  batchNormalization,
  channelsLast,
  clipped,
  constants,
  convolution,
  dense,
  depthwiseConvolution,
  floatInput,
  integerInput,
  namedWeight,
  onChannelsFirst,
  prelu,
  reduction,
  resized,
  sliced,
  transposed,
  transposedConvolution,
  windowSettings,
  withNumber,
} from './steps.ts';
import type { Graph, WindowSteps } from './steps.ts';

/** One call of a layer. */
export interface Layer {
  readonly settings: Settings;
  /** Values that it is called with. */
  readonly inputs: readonly string[];
  /** The name of a weight: `kernel` of the layer. `others`: what else it may be called. */
  weight(role: string, ...others: string[]): string;
  /** Of the layer, for what it adds. */
  readonly name: string;
  /** Of Keras: 2 or 3. */
  readonly version: number;
}

/** What a layer yields. */
export type Definition = (graph: Graph, layer: Layer) => string;

/** The one value that a layer is called with. */
function only(graph: Graph, { inputs }: Layer): string {
  if (inputs.length !== 1) graph.fail('GRAPH', `expected one input, got ${inputs.length}`);
  return inputs[0];
}

/** Of a model that has its channels last, as nearly all have. */
const isLast = ({ settings }: Layer): boolean =>
  settings.word('data_format', ['channels_last', 'channels_first'], 'channels_last') === 'channels_last';

/** What `activation` of the config says: a name, or in Keras 3 an object that holds one, or is a layer. */
function activated(graph: Graph, x: string, layer: Layer, field = 'activation'): string {
  const value = layer.settings.raw(field);
  const name = nameOf(value);
  if (name !== undefined) return activation(graph, x, snake(name), layer.version);
  if (value === undefined) return x;
  const [kind, config] = isObject(value) ? [value.get('class_name'), value.get('config')] : [];
  const definition = typeof kind === 'string' ? FUNCTIONS.get(kind) : undefined;
  if (!definition || !isObject(config))
    return graph.fail('UNSUPPORTED', `${field}: expected the name of a function, got ${show(kind ?? value)}`);
  return definition(graph, {
    ...layer,
    inputs: [x],
    settings: settingsOf(config, (code, text) => graph.fail(code, text)),
  });
}

function nameOf(value: Json | undefined): string | undefined {
  if (typeof value === 'string') return value;
  const config = isObject(value) ? value.get('config') : undefined;
  return typeof config === 'string' ? config : undefined;
}

const biasOf = (layer: Layer): string | undefined =>
  layer.settings.flag('use_bias', true) ? layer.weight('bias') : undefined;

/** 'same' and 'valid' as TensorFlow calls them. */
const paddingOf = (layer: Layer): 'SAME' | 'VALID' =>
  layer.settings.word('padding', ['valid', 'same'], 'valid') === 'same' ? 'SAME' : 'VALID';

// Layers with weights

const denseLayer: Definition = (graph, layer) => {
  const y = dense(graph, only(graph, layer), { kernel: layer.weight('kernel'), bias: biasOf(layer), name: layer.name });
  return activated(graph, y, layer);
};

function windowOf(layer: Layer, rank: number): WindowSteps {
  const { settings } = layer;
  return {
    strides: settings.integers('strides', rank, 1),
    dilations: settings.integers('dilation_rate', rank, 1),
    padding: paddingOf(layer),
  };
}

/** Nothing of the future: all padding is in front. */
function causalWindow(graph: Graph, layer: Layer, kernel: string): WindowSteps {
  const [strides, dilations] = [
    layer.settings.integers('strides', 1, 1),
    layer.settings.integers('dilation_rate', 1, 1),
  ];
  const [taps] = graph.shape(kernel) as readonly number[];
  return { strides, dilations, padding: [dilations[0] * (taps - 1), 0] };
}

const conv =
  (rank: number): Definition =>
  (graph, layer) => {
    const kernel = layer.weight('kernel');
    const isCausal = rank === 1 && layer.settings.text('padding') === 'causal';
    const window = isCausal ? causalWindow(graph, layer, kernel) : windowOf(layer, rank);
    const of = { kernel, bias: biasOf(layer), name: layer.name, groups: layer.settings.integer('groups', 1) };
    const y = onChannelsFirst(graph, only(graph, layer), isLast(layer), (x) => convolution(graph, x, of, window));
    return activated(graph, y, layer);
  };

const depthwise =
  (rank: number): Definition =>
  (graph, layer) => {
    const of = { kernel: layer.weight('depthwise_kernel', 'kernel'), bias: biasOf(layer), name: layer.name };
    const window = windowOf(layer, rank);
    const y = onChannelsFirst(graph, only(graph, layer), isLast(layer), (x) =>
      depthwiseConvolution(graph, x, of, window),
    );
    return activated(graph, y, layer);
  };

const separable =
  (rank: number): Definition =>
  (graph, layer) => {
    const { name } = layer;
    const [kernel, points] = [layer.weight('depthwise_kernel'), layer.weight('pointwise_kernel')];
    const bias = biasOf(layer);
    const window = windowOf(layer, rank);
    const ones = new Array<number>(rank).fill(1);
    const y = onChannelsFirst(graph, only(graph, layer), isLast(layer), (x) => {
      const perChannel = depthwiseConvolution(graph, x, { kernel, name: `${name}.depthwise` }, window);
      const of = { kernel: points, bias, name: `${name}.pointwise` };
      return convolution(graph, perChannel, of, { strides: ones, padding: 'VALID' });
    });
    return activated(graph, y, layer);
  };

const convTranspose =
  (rank: number): Definition =>
  (graph, layer) => {
    const { strides, dilations = [], padding } = windowOf(layer, rank);
    const kernel = layer.weight('kernel');
    const of = { kernel, bias: biasOf(layer), name: layer.name };
    const added = layer.settings.has('output_padding') ? layer.settings.integers('output_padding', rank) : undefined;
    const taps = graph.shape(kernel) as readonly number[];
    const y = onChannelsFirst(graph, only(graph, layer), isLast(layer), (x) => {
      const outs = graph
        .sides(x)
        .slice(1)
        .map((side, axis) => {
          const extent = (taps[axis] - 1) * dilations[axis] + 1;
          if (added) {
            const cut = padding === 'SAME' ? 2 * Math.floor(extent / 2) : 0;
            return (side - 1) * strides[axis] + extent - cut + added[axis];
          }
          return side * strides[axis] + (padding === 'SAME' ? 0 : Math.max(0, extent - strides[axis]));
        });
      return transposedConvolution(graph, x, of, { strides, dilations, padding, outs });
    });
    return activated(graph, y, layer);
  };

const batchNorm: Definition = (graph, layer) => {
  const x = only(graph, layer);
  const { settings } = layer;
  const axes = axesOf(graph, layer, graph.shape(x).length, -1);
  if (axes.length !== 1) graph.fail('UNSUPPORTED', 'axis: expected one');
  return batchNormalization(
    graph,
    x,
    {
      scale: settings.flag('scale', true) ? layer.weight('gamma') : undefined,
      shift: settings.flag('center', true) ? layer.weight('beta') : undefined,
      mean: layer.weight('moving_mean'),
      variance: layer.weight('moving_variance'),
      epsilon: settings.float('epsilon', 1e-3),
    },
    axes[0],
  );
};

/** An axis of a value, the batch not among them. */
function axisFrom(graph: Graph, axis: number, rank: number): number {
  const found = axis < 0 ? axis + rank : axis;
  if (!(found > 0 && found < rank)) graph.fail('ATTRIBUTE', `axis: expected 1 to ${rank - 1}, got ${axis}`);
  return found;
}

/** `axis` of the config: one, or several. */
const axesOf = (graph: Graph, { settings }: Layer, rank: number, fallback: number): number[] => {
  const value = settings.raw('axis');
  return (isIntegers(value) ? value : [settings.integer('axis', fallback)]).map((axis) => axisFrom(graph, axis, rank));
};

const layerNorm: Definition = (graph, layer) => {
  const x = only(graph, layer);
  const { settings } = layer;
  const rank = graph.shape(x).length;
  const along = axesOf(graph, layer, rank, -1).sort((a, b) => a - b);
  if (along.some((axis, i) => axis !== rank - along.length + i))
    graph.fail('UNSUPPORTED', `axis: expected the last ones, got ${along.join(', ')}`);
  if (settings.flag('rms_scaling', false)) graph.fail('UNSUPPORTED', 'rms_scaling is not supported');
  const scale = settings.flag('scale', true) ? layer.weight('gamma') : '';
  const shift = settings.flag('center', true) ? layer.weight('beta') : '';
  return graph.op('LayerNormalization', [x, scale, shift], {
    axis: along[0],
    epsilon: settings.float('epsilon', 1e-3),
  });
};

const groupNorm: Definition = (graph, layer) => {
  const x = only(graph, layer);
  const { settings } = layer;
  const rank = graph.shape(x).length;
  const [axis] = axesOf(graph, layer, rank, -1);
  if (axis !== rank - 1 && axis !== 1) graph.fail('UNSUPPORTED', `axis: expected the first or the last, got ${axis}`);
  const channels = graph.shape(x)[axis] as number;
  const stated = settings.integer('groups', 32);
  const groups = stated === -1 ? channels : stated;
  const scale = settings.flag('scale', true) ? layer.weight('gamma') : constants(graph, 'scale', channels, 1);
  const shift = settings.flag('center', true) ? layer.weight('beta') : constants(graph, 'shift', channels, 0);
  return onChannelsFirst(graph, x, axis === rank - 1, (first) =>
    graph.op('GroupNormalization', [first, scale, shift], {
      num_groups: groups,
      epsilon: settings.float('epsilon', 1e-3),
    }),
  );
};

/** Keras' own layer of this name: (x - mean) / deviation, adapted to data or given. */
const normalization: Definition = (graph, layer) => {
  const x = only(graph, layer);
  const { settings } = layer;
  if (settings.flag('invert', false)) graph.fail('UNSUPPORTED', 'invert: expected false');
  const rank = graph.shape(x).length;
  if (settings.has('axis') && axesOf(graph, layer, rank, -1).some((axis) => axis !== rank - 1))
    graph.fail('UNSUPPORTED', 'axis: expected the last');
  const given = (role: string): readonly number[] => {
    const value = settings.raw(role);
    const numbers: Json[] = (Array.isArray(value) ? value : [value]).flat(Infinity) as Json[];
    if (settings.has(role) && numbers.every((one) => typeof one === 'number')) return numbers;
    if (settings.has(role)) return graph.fail('ATTRIBUTE', `${role}: expected numbers, got ${show(value)}`);
    return Array.from(graph.known(layer.weight(role))?.data ?? [], Number);
  };
  const [mean, variance] = [given('mean'), given('variance')];
  const scales = variance.map((one) => 1 / Math.max(Math.sqrt(one), 1e-7));
  const centred = graph.op('Sub', [x, floatInput(graph, `${layer.name}.mean`, mean)]);
  return graph.op('Mul', [centred, floatInput(graph, `${layer.name}.scale`, scales)]);
};

// Pools

const pool =
  (operator: 'MaxPool' | 'AveragePool', rank: number): Definition =>
  (graph, layer) => {
    const { settings } = layer;
    const size = settings.integers('pool_size', rank, 2);
    const strides = settings.has('strides') ? settings.integers('strides', rank) : size;
    const window = windowSettings({ strides, padding: paddingOf(layer) });
    return onChannelsFirst(graph, only(graph, layer), isLast(layer), (x) =>
      graph.op(operator, [x], { ...window, kernel_shape: size }),
    );
  };

const globalPool =
  (operator: 'ReduceMean' | 'ReduceMax'): Definition =>
  (graph, layer) => {
    const x = only(graph, layer);
    const rank = graph.shape(x).length;
    const last = isLast(layer);
    const over = Array.from({ length: rank - 2 }, (_, axis) => axis + (last ? 1 : 2));
    return reduction(graph, operator, x, over, layer.settings.flag('keepdims', false));
  };

// Functions

const reluLayer: Definition = (graph, layer) => {
  const x = only(graph, layer);
  const { settings } = layer;
  const slope = settings.float('negative_slope', 0);
  if (settings.float('threshold', 0) !== 0) graph.fail('UNSUPPORTED', 'threshold: expected 0; a step is not supported');
  const most = settings.has('max_value') ? settings.float('max_value') : undefined;
  if (slope === 0) return most === undefined ? graph.op('Relu', [x]) : clipped(graph, x, 0, most);
  const y = graph.op('LeakyRelu', [x], { alpha: slope });
  return most === undefined ? y : withNumber(graph, 'Min', y, most);
};

const leakyRelu: Definition = (graph, layer) =>
  graph.op('LeakyRelu', [only(graph, layer)], {
    alpha: layer.settings.has('negative_slope')
      ? layer.settings.float('negative_slope')
      : layer.settings.float('alpha', 0.3),
  });

const softmaxLayer: Definition = (graph, layer) => {
  const x = only(graph, layer);
  const along = axesOf(graph, layer, graph.shape(x).length, -1);
  if (along.length !== 1) graph.fail('UNSUPPORTED', 'axis: expected one');
  return graph.op('Softmax', [x], { axis: along[0] });
};

const elu: Definition = (graph, layer) =>
  graph.op('Elu', [only(graph, layer)], { alpha: layer.settings.float('alpha', 1) });

/** Layers that may stand for a function in another layer's config. */
const FUNCTIONS: ReadonlyMap<string, Definition> = /* @__PURE__ */ new Map([
  ['ReLU', reluLayer],
  ['LeakyReLU', leakyRelu],
  ['ELU', elu],
  ['Softmax', softmaxLayer],
]);

// Shapes

const flatten: Definition = (graph, layer) => {
  const x = only(graph, layer);
  const rank = graph.shape(x).length;
  if (rank === 1) return graph.op('Unsqueeze', [x, integerInput(graph, [1])]);
  return graph.op('Flatten', [isLast(layer) || rank < 3 ? x : channelsLast(graph, x)], { axis: 1 });
};

const reshape: Definition = (graph, layer) => {
  // What is open is null or -1.
  const raw = layer.settings.raw('target_shape');
  const target = (Array.isArray(raw) ? (raw as readonly Json[]) : [null, null]).map((side) => side ?? -1);
  if (!isIntegers(target)) return graph.fail('ATTRIBUTE', `target_shape: expected whole numbers, got ${show(raw)}`);
  return graph.op('Reshape', [only(graph, layer), integerInput(graph, [0, ...target])]);
};

const permute: Definition = (graph, layer) =>
  transposed(graph, only(graph, layer), [0, ...(layer.settings.list('dims') ?? [])], 'permute');

const repeatVector: Definition = (graph, layer) => {
  const x = only(graph, layer);
  const row = graph.op('Unsqueeze', [x, integerInput(graph, [1])]);
  return graph.op('Expand', [row, integerInput(graph, [1, layer.settings.integer('n'), ...graph.sides(x)])]);
};

/** Numbers before and behind each spatial axis: one for all, one for each axis, or two for each. */
function margins(graph: Graph, { settings }: Layer, field: string, rank: number): number[][] {
  const value = settings.raw(field) ?? 1;
  const pair = (one: Json): number[] | undefined =>
    typeof one === 'number' ? [one, one] : isIntegers(one) && one.length === 2 ? one : undefined;
  const listed: readonly Json[] = Array.isArray(value) ? (value as readonly Json[]) : [];
  const pairs =
    typeof value === 'number'
      ? new Array<number[]>(rank).fill([value, value])
      : rank === 1 && isIntegers(value)
        ? [value]
        : listed.map(pair);
  const good =
    pairs.length === rank &&
    pairs.every((one) => one?.length === 2 && one.every((side) => Number.isSafeInteger(side) && side >= 0));
  return good
    ? (pairs as number[][])
    : graph.fail('ATTRIBUTE', `${field}: expected whole numbers from 0 for ${rank} axes, got ${show(value)}`);
}

const zeroPadding =
  (rank: number): Definition =>
  (graph, layer) => {
    const found = margins(graph, layer, 'padding', rank);
    const around = isLast(layer) ? [[0, 0], ...found, [0, 0]] : [[0, 0], [0, 0], ...found];
    const pads = [...around.map(([before]) => before), ...around.map(([, after]) => after)];
    return graph.op('Pad', [only(graph, layer), integerInput(graph, pads)]);
  };

const cropping =
  (rank: number): Definition =>
  (graph, layer) => {
    const x = only(graph, layer);
    const found = margins(graph, layer, 'cropping', rank);
    const first = isLast(layer) ? 1 : 2;
    const along = found.map((_, axis) => axis + first);
    const ends = found.map(([, after], axis) => (graph.shape(x)[axis + first] as number) - after);
    return sliced(graph, x, { starts: found.map(([before]) => before), ends, along });
  };

const upSampling =
  (rank: number): Definition =>
  (graph, layer) => {
    const times = layer.settings.integers('size', rank, 2);
    const mode = layer.settings.word('interpolation', ['nearest', 'bilinear'], 'nearest');
    if (mode === 'bilinear')
      graph.note('its samples lie where TensorFlow.js puts them (x / size); Keras takes (x + 1/2) / size - 1/2');
    return onChannelsFirst(graph, only(graph, layer), isLast(layer), (x) => {
      const sides = graph.sides(x).slice(1);
      const along = sides.map((_, axis) => axis + 2);
      const sizes = sides.map((side, axis) => side * times[axis]);
      return resized(graph, x, along, sizes, { mode, coordinates: 'asymmetric' });
    });
  };

// Several inputs

function alike(graph: Graph, { inputs }: Layer): readonly string[] {
  if (inputs.length === 0) graph.fail('GRAPH', 'expected inputs, got none');
  const ranks = inputs.map((name) => graph.shape(name).length);
  if (ranks.some((rank) => rank !== ranks[0]))
    graph.fail('UNSUPPORTED', `its inputs have ${ranks.join(' and ')} axes; expected as many`);
  return inputs;
}

/** Two by two. */
const merged =
  (operator: string): Definition =>
  (graph, layer) => {
    const [first, ...rest] = alike(graph, layer);
    return rest.reduce((all, next) => graph.op(operator, [all, next]), first);
  };

const average: Definition = (graph, layer) =>
  withNumber(graph, 'Mul', graph.op('Sum', alike(graph, layer)), 1 / layer.inputs.length);

const subtract: Definition = (graph, layer) => {
  if (layer.inputs.length !== 2) graph.fail('GRAPH', `expected two inputs, got ${layer.inputs.length}`);
  return graph.op('Sub', alike(graph, layer));
};

const concatenate: Definition = (graph, layer) => {
  const inputs = alike(graph, layer);
  return graph.op('Concat', inputs, { axis: layer.settings.integer('axis', -1) });
};

/** x / |x| along an axis. */
function unitLength(graph: Graph, x: string, axis: number): string {
  const squares = graph.op('ReduceSum', [graph.op('Mul', [x, x])], { axes: [axis], keepdims: 1 });
  return graph.op('Div', [x, graph.op('Sqrt', [withNumber(graph, 'Max', squares, 1e-12)])]);
}

const dot: Definition = (graph, layer) => {
  const { settings, inputs } = layer;
  if (inputs.length !== 2) graph.fail('GRAPH', `expected two inputs, got ${inputs.length}`);
  const rank = graph.shape(alike(graph, layer)[0]).length;
  const along = settings.integers('axes', 2, -1).map((axis) => axisFrom(graph, axis, rank));
  const isUnit = settings.flag('normalize', false);
  const [a, b] = inputs.map((x, i) => (isUnit ? unitLength(graph, x, along[i]) : x));
  if (rank === 2) return graph.op('ReduceSum', [graph.op('Mul', [a, b])], { axes: [1], keepdims: 1 });
  if (rank !== 3) graph.fail('UNSUPPORTED', `its inputs have ${rank} axes; expected 2 or 3`);
  const left = along[0] === 2 ? a : transposed(graph, a, [0, 2, 1], 'left');
  const right = along[1] === 1 ? b : transposed(graph, b, [0, 2, 1], 'right');
  return graph.op('MatMul', [left, right]);
};

const rescaling: Definition = (graph, layer) => {
  const numbers = (field: string, fallback: number): number[] => {
    const value = layer.settings.raw(field) ?? fallback;
    const list = Array.isArray(value) ? (value as readonly Json[]) : [value];
    return list.every((one) => typeof one === 'number')
      ? (list as number[])
      : graph.fail('ATTRIBUTE', `${field}: expected a number, got ${show(value)}`);
  };
  const apply = (operator: string, x: string, values: number[], idle: number): string =>
    values.every((value) => value === idle)
      ? x
      : graph.op(operator, [
          x,
          floatInput(graph, `${layer.name}.${operator}`, values, values.length > 1 ? [values.length] : []),
        ]);
  const scaled = apply('Mul', only(graph, layer), numbers('scale', 1), 1);
  return apply('Add', scaled, numbers('offset', 0), 0);
};

/** Nothing, when a model runs. */
const idle: Definition = (graph, layer) => only(graph, layer);

const dropout: Definition = (graph, layer) =>
  graph.op('Dropout', [only(graph, layer), floatInput(graph, 'rate', [layer.settings.float('rate', 0.5)], [])]);

const preluLayer: Definition = (graph, layer) =>
  prelu(graph, only(graph, layer), namedWeight(graph, layer.weight('alpha'), `${layer.name}.alpha`));

const IDLE = [
  'ActivityRegularization', 'AlphaDropout', 'GaussianDropout', 'GaussianNoise', 'Identity', 'RandomBrightness',
  'RandomContrast', 'RandomFlip', 'RandomRotation', 'RandomTranslation', 'RandomZoom', 'SpatialDropout1D',
  'SpatialDropout2D', 'SpatialDropout3D',
]; // prettier-ignore

/** All layers that are read, by class. */
export const LAYERS: ReadonlyMap<string, Definition> = /* @__PURE__ */ new Map<string, Definition>([
  ...FUNCTIONS,
  ['Activation', (graph, layer) => activated(graph, only(graph, layer), layer)],
  ['Add', merged('Add')],
  ['Average', average],
  ['AveragePooling1D', pool('AveragePool', 1)],
  ['AveragePooling2D', pool('AveragePool', 2)],
  ['AveragePooling3D', pool('AveragePool', 3)],
  ['BatchNormalization', batchNorm],
  ['Concatenate', concatenate],
  ['Conv1D', conv(1)],
  ['Conv1DTranspose', convTranspose(1)],
  ['Conv2D', conv(2)],
  ['Conv2DTranspose', convTranspose(2)],
  ['Conv3D', conv(3)],
  ['Cropping1D', cropping(1)],
  ['Cropping2D', cropping(2)],
  ['Cropping3D', cropping(3)],
  ['Dense', denseLayer],
  ['DepthwiseConv1D', depthwise(1)],
  ['DepthwiseConv2D', depthwise(2)],
  ['Dot', dot],
  ['Dropout', dropout],
  ['Flatten', flatten],
  ['GlobalAveragePooling1D', globalPool('ReduceMean')],
  ['GlobalAveragePooling2D', globalPool('ReduceMean')],
  ['GlobalAveragePooling3D', globalPool('ReduceMean')],
  ['GlobalMaxPooling1D', globalPool('ReduceMax')],
  ['GlobalMaxPooling2D', globalPool('ReduceMax')],
  ['GlobalMaxPooling3D', globalPool('ReduceMax')],
  ['GroupNormalization', groupNorm],
  ['LayerNormalization', layerNorm],
  ['MaxPooling1D', pool('MaxPool', 1)],
  ['MaxPooling2D', pool('MaxPool', 2)],
  ['MaxPooling3D', pool('MaxPool', 3)],
  ['Maximum', merged('Max')],
  ['Minimum', merged('Min')],
  ['Multiply', merged('Mul')],
  ['Normalization', normalization],
  ['PReLU', preluLayer],
  ['Permute', permute],
  ['RepeatVector', repeatVector],
  ['Rescaling', rescaling],
  ['Reshape', reshape],
  ['SeparableConv1D', separable(1)],
  ['SeparableConv2D', separable(2)],
  ['Subtract', subtract],
  ['UpSampling1D', upSampling(1)],
  ['UpSampling2D', upSampling(2)],
  ['UpSampling3D', upSampling(3)],
  ['ZeroPadding1D', zeroPadding(1)],
  ['ZeroPadding2D', zeroPadding(2)],
  ['ZeroPadding3D', zeroPadding(3)],
  ...IDLE.map((name): [string, Definition] => [name, idle]),
]);

const RECURRENT = 'networks with a memory are not supported: a network here gives for one input one output';
const AS_GRAPH = 'convert the model as a graph model (tensorflowjs_converter --output_format=tfjs_graph_model)';

/** Why a class is not read, and what could be done. */
const REFUSED: ReadonlyMap<string, string> = /* @__PURE__ */ new Map([
  ...[
    'RNN',
    'SimpleRNN',
    'LSTM',
    'GRU',
    'ConvLSTM1D',
    'ConvLSTM2D',
    'ConvLSTM3D',
    'Bidirectional',
    'StackedRNNCells',
  ].map((name): [string, string] => [name, RECURRENT]),
  [
    'TimeDistributed',
    'it is not supported; for Dense, put the layer itself in its place, which works along the last axis',
  ],
  ['Lambda', `it is code, which no file holds; ${AS_GRAPH}`],
  ['TFOpLambda', `it is not supported; ${AS_GRAPH}`],
  ['SlicingOpLambda', `it is not supported; ${AS_GRAPH}`],
  ['TensorFlowOpLayer', `it is not supported; ${AS_GRAPH}`],
  ['Embedding', 'it takes whole numbers; a network here takes floats: give it the vectors, and leave the layer out'],
  ['Masking', 'masks are not supported'],
  ['Resizing', 'TensorFlow.js and Keras resize differently; resize before the network, and leave the layer out'],
  ['ThresholdedReLU', 'a step is not supported'],
]);

export const refusalOf = (kind: string): string =>
  REFUSED.get(kind) ?? `the layer ${show(kind)} is not known here; ${AS_GRAPH}, or build it of layers that are`;
