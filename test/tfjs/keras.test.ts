/** The spellings of Keras, and what of a model is refused. */
import { describe, expect, it } from 'vitest';
import { portableKernels, loadKernels } from '../../src/kernels/index.ts';
import { readTfjs } from '../../src/tfjs/index.ts';
import { mutations } from '../mutations.ts';
import { differences } from '../onnx/compare.ts';
import { EspalierError } from '../../src/base/errors.ts';
import { bytesOf, caseNamed, cases, floatsOf, refusal, run } from './cases.ts';
import type { ModelJson, StoredArray } from './cases.ts';
import fc from 'fast-check';

type Config = Record<string, unknown>;
interface LayerJson {
  class_name: string;
  config: Config;
  inbound_nodes?: unknown[];
}

const layersOf = (model: ModelJson): LayerJson[] =>
  (model.modelTopology as { config: { layers: LayerJson[] } }).config.layers;

/** A model of one input and one layer with these weights. */
function single(
  kind: string,
  config: Config,
  shape: (number | null)[],
  weights: Record<string, number[]> = {},
): { model: ModelJson; bytes: Uint8Array } {
  const specs = Object.entries(weights).map(([name, values]) => ({
    name: `layer/${name}`,
    shape: [values.length],
    dtype: 'float32',
  }));
  const layers = [{ class_name: kind, config: { name: 'layer', batch_input_shape: [null, ...shape], ...config } }];
  return {
    model: {
      format: 'layers-model',
      modelTopology: { class_name: 'Sequential', config: { name: 'model', layers } },
      weightsManifest: [{ paths: ['w'], weights: specs }],
    },
    bytes: new Uint8Array(Float32Array.from(Object.values(weights).flat()).buffer),
  };
}

async function output(
  kind: string,
  config: Config,
  shape: number[],
  values: number[],
  weights: Record<string, number[]> = {},
): Promise<number[]> {
  const { model, bytes } = single(kind, config, shape, weights);
  const { network } = readTfjs(model, bytes);
  const data = Buffer.from(Float32Array.from(values).buffer).toString('base64');
  const inputs: StoredArray[] = [{ name: 'layer_input', shape: [1, ...shape], data }];
  return [...((await run(network, inputs)).get('layer') ?? [])];
}

describe('spellings', () => {
  const original = caseNamed('functional, a shared layer');

  /** As Keras 3 writes it: shapes of batches, arguments as they were, types as objects. */
  const asKeras3 = (): ModelJson => {
    const copy = structuredClone(original.model);
    for (const layer of layersOf(copy)) {
      const { config } = layer;
      if (config['batch_input_shape']) {
        config['batch_shape'] = config['batch_input_shape'];
        delete config['batch_input_shape'];
      }
      config['dtype'] = {
        module: 'keras',
        class_name: 'DTypePolicy',
        config: { name: 'float32' },
        registered_name: null,
      };
      if (typeof config['activation'] === 'string')
        config['activation'] = {
          module: 'builtins',
          class_name: 'function',
          config: config['activation'],
          registered_name: 'function',
        };
      layer.inbound_nodes = (layer.inbound_nodes as [string, number, number][][]).map((call) => {
        const tensors = call.map(([name, index, output]) => ({
          class_name: '__keras_tensor__',
          config: { shape: [null], dtype: 'float32', keras_history: [name, index, output] },
        }));
        return { args: tensors.length === 1 ? tensors : [tensors], kwargs: { mask: null } };
      });
    }
    const topology = copy.modelTopology as { class_name: string; config: Config };
    const { config } = topology;
    config['input_layers'] = (config['input_layers'] as unknown[])[0];
    return {
      ...copy,
      modelTopology: { keras_version: '3.3.3', model_config: { ...topology, class_name: 'Functional' } },
    };
  };

  it.each([
    ['Keras 3', asKeras3()],
    [
      'Keras 2, as model_config',
      { ...original.model, modelTopology: { keras_version: '2.15.0', model_config: original.model.modelTopology } },
    ],
  ])('of %s give the same network', (_name, model) => {
    expect(readTfjs(model, bytesOf(original.weights)).network).toEqual(
      readTfjs(original.model, bytesOf(original.weights)).network,
    );
  });

  it('of weights: with the names of models in front, with something between, by number', () => {
    const { model, weights } = caseNamed('network');
    const expected = readTfjs(model, bytesOf(weights)).network;
    const roles: Readonly<Record<string, number>> = {
      kernel: 0, bias: 1, depthwise_kernel: 0, gamma: 0, beta: 1, moving_mean: 2, moving_variance: 3,
    }; // prettier-ignore
    for (const renamed of [
      (layer: string, role: string) => `outer/inner/${layer}/${role}`,
      (layer: string, role: string) => `${layer}/cell/${role}:0`,
      (layer: string, role: string) =>
        `layers/${layer}/vars/${layer.startsWith('depthwise') && role === 'kernel' ? 0 : roles[role]}`,
    ]) {
      const copy = structuredClone(model);
      for (const weight of copy.weightsManifest[0].weights) {
        const [layer, role] = String(weight['name']).split('/');
        weight['name'] = renamed(layer, role);
      }
      const { network } = readTfjs(copy, bytesOf(weights));
      const values = ({ parameters }: typeof network): unknown[] => [...parameters.values()];
      expect(values(network)).toEqual(values(expected));
    }
  });

  it('of hard_sigmoid mean what their version of Keras means', async () => {
    const values = [-4, -2.75, -1, 0, 1, 2.75, 4];
    const apply = async (keras_version: string): Promise<number[]> => {
      const { model } = single('Activation', { activation: 'hard_sigmoid' }, [7]);
      Object.assign(model.modelTopology, { keras_version });
      const data = Buffer.from(Float32Array.from(values).buffer).toString('base64');
      return [
        ...((await run(readTfjs(model, new Uint8Array()).network, [{ name: 'layer_input', shape: [1, 7], data }])).get(
          'layer',
        ) ?? []),
      ];
    };
    const clip = (x: number): number => Math.min(1, Math.max(0, x));
    expect(differences(await apply('2.15.0'), values.map((x) => clip(0.2 * x + 0.5)), 1e-6, 1e-7)).toEqual([]); // prettier-ignore
    expect(differences(await apply('3.0.1'), values.map((x) => clip(x / 6 + 0.5)), 1e-6, 1e-7)).toEqual([]); // prettier-ignore
  });
});

describe('what TensorFlow.js itself does not run', () => {
  it('causal convolutions see nothing of the future', async () => {
    const { model, bytes } = single(
      'Conv1D',
      { filters: 1, kernel_size: [2], dilation_rate: [2], padding: 'causal', use_bias: false },
      [4, 1],
      { kernel: [10, 1] },
    );
    model.weightsManifest[0].weights[0]['shape'] = [2, 1, 1];
    const data = Buffer.from(Float32Array.of(1, 2, 3, 4).buffer).toString('base64');
    const found = await run(readTfjs(model, bytes).network, [{ name: 'layer_input', shape: [1, 4, 1], data }]);
    expect([...(found.get('layer') ?? [])]).toEqual([1, 2, 13, 24]);
  });

  it('batch normalization along another axis than the last', async () => {
    const of = { gamma: [1, 2], beta: [0, 1], moving_mean: [0, 3], moving_variance: [1, 4] };
    const found = await output('BatchNormalization', { axis: [1], epsilon: 1e-9 }, [2, 2, 1], [1, 2, 3, 4], of);
    expect(differences(found, [1, 2, 1, 2], 1e-6, 1e-6)).toEqual([]);
  });

  it('normalization of Keras, ReLU with all that it may have', async () => {
    const of = { mean: [1, 2], variance: [4, 0.25] };
    expect(await output('Normalization', { axis: -1 }, [2], [3, 3], of)).toEqual([1, 2]);
    const config = { max_value: 2, negative_slope: 0.5, threshold: 0 };
    expect(await output('ReLU', config, [3], [-2, 1, 5])).toEqual([-1, 1, 2]);
  });
});

describe('refusals', () => {
  it('name every layer that is not read, once, with what could be done', () => {
    const { model, weights } = caseNamed('network');
    const copy = structuredClone(model);
    const kinds = ['Lambda', 'constructor', 'LSTM'];
    layersOf(copy)
      .slice(2, 5)
      .forEach((layer, i) => (layer.class_name = kinds[i]));
    const { code, message } = refusal(() => readTfjs(copy, bytesOf(weights)));
    expect(code).toBe('UNSUPPORTED');
    expect(message).toMatch(/^readTfjs: .*\(keras\.Lambda\): it is code/s);
    expect(readTfjs(model, bytesOf(weights)).notes).toEqual([]);
  });

  it('name every operation that is not read', () => {
    const { model, weights } = caseNamed('graph: RealDiv');
    const copy = structuredClone(model);
    const nodes = copy.modelTopology['node'] as { op: string }[];
    for (const node of nodes) if (node.op === 'Exp') node.op = 'hasOwnProperty';
    expect(refusal(() => readTfjs(copy, bytesOf(weights))).message).toMatch(/hasOwnProperty.*is not known here/s);
  });

  it.each<[string, (model: ModelJson) => void, string]>([
    [
      'a circle',
      (model) => (layersOf(model)[1].inbound_nodes = [[[String(layersOf(model)[3].config['name']), 0, 0, {}]]]),
      'GRAPH',
    ],
    ['a call into nowhere', (model) => (layersOf(model)[1].inbound_nodes = [[['none', 0, 0, {}]]]), 'GRAPH'],
    ['no layers', (model) => ((model.modelTopology['config'] as Config)['layers'] = 3), 'FIELD'],
    ['a model of code', (model) => (model.modelTopology['class_name'] = 'MyModel'), 'UNSUPPORTED'],
    ['another format', (model) => (model.format = 'tf-lite'), 'UNSUPPORTED'],
    ['no model', (model) => (model.modelTopology = null as never), 'MISSING'],
    ['a weight that is missing', (model) => (model.weightsManifest[0].weights[0]['name'] = 'x'), 'MISSING'],
  ])('of %s', (what, change, code) => {
    const { model, weights } = caseNamed('functional, a shared layer');
    const copy = structuredClone(model);
    change(copy);
    const found = refusal(() => readTfjs(copy, bytesOf(weights)));
    expect([found.code, what]).toEqual([code, what]);
  });

  it('are of the contract, whatever is wrong in a model', () => {
    const some = cases.filter((_, i) => i % 12 === 0);
    const before = Object.getOwnPropertyNames(Object.prototype);
    for (const { model, weights } of some) {
      fc.assert(
        fc.property(mutations(model), (json) => {
          try {
            readTfjs(json as object, bytesOf(weights));
          } catch (error) {
            if (
              !(error instanceof EspalierError) &&
              !(error instanceof TypeError && /^readTfjs: modelJson/.test(error.message))
            )
              throw error;
          }
        }),
        { numRuns: 25, seed: 1 },
      );
    }
    expect(Object.getOwnPropertyNames(Object.prototype)).toEqual(before);
  });
});

describe('both sets of kernels', () => {
  it('give what TensorFlow.js gives for whole networks', async () => {
    for (const name of ['network', 'graph: network', 'models within models'])
      for (const kernels of [portableKernels(), await loadKernels()]) {
        const { model, weights, inputs, outputs } = caseNamed(name);
        const found = await run(readTfjs(model, bytesOf(weights)).network, inputs, { kernels });
        for (const one of outputs)
          expect(differences(found.get(one.name) ?? [], floatsOf(one), 1e-4, 1e-5), name).toEqual([]);
      }
  });

  it('have no order of axes left but at the edges', () => {
    const most: Readonly<Record<string, number>> = {
      network: 1, 'graph: network': 1, 'models within models': 1, 'dense connections': 1, 'functional, a shared layer': 1,
    }; // prettier-ignore
    for (const [name, count] of Object.entries(most)) {
      const { model, weights } = caseNamed(name);
      const { nodes } = readTfjs(model, bytesOf(weights)).network;
      expect([name, nodes.filter(({ kind }) => kind === 'permute').length]).toEqual([name, count]);
    }
  });
});

describe('sides and margins that are no whole numbers', () => {
  it.each<[string, Record<string, unknown>, (number | null)[], string, RegExp]>([
    ['sides', { cropping: 1 }, [6.5, 5, 3], 'UNSUPPORTED', /dimension 1 is open/],
    ['one margin', { cropping: 0.5 }, [6, 5, 3], 'ATTRIBUTE', /cropping: expected whole numbers from 0/],
  ])('%s are refused', (_, config, shape, code, text) => {
    const { model, bytes } = single('Cropping2D', config, shape);
    expect(() => readTfjs(model, bytes)).toThrow(
      expect.objectContaining({ code, message: expect.stringMatching(text) }),
    );
  });
});
