/** The node tests of the ONNX project: a model of one operator, inputs and the outputs that they must give. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createExecutor } from '../../src/execution/executor.ts';
import type { KernelSet } from '../../src/kernels/types.ts';
import { evaluateOnnx, readOnnx } from '../../src/onnx/index.ts';
import type { OnnxTensor } from '../../src/onnx/index.ts';
import { readModel } from '../../src/onnx/model.ts';
import { readTensorProto } from '../../src/onnx/tensor-message.ts';
import type { GraphProto } from '../../src/onnx/model.ts';
import { isFloating, readTensor } from '../../src/onnx/tensor.ts';
import { differences } from './compare.ts';

/** One case: the model and its tensors by the names of the graph's inputs and outputs. */
export interface NodeTest {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly graph: GraphProto;
  readonly inputs: ReadonlyMap<string, OnnxTensor>;
  readonly outputs: ReadonlyMap<string, OnnxTensor>;
}

const noFile = (): never => {
  throw new Error('no outside data');
};

function tensors(folder: string, prefix: string, names: readonly string[]): Map<string, OnnxTensor> {
  const found = new Map<string, OnnxTensor>();
  names.forEach((name, i) => {
    const path = join(folder, `${prefix}_${i}.pb`);
    if (!existsSync(path)) return;
    const bytes = readFileSync(path);
    found.set(
      name,
      readTensor(bytes, readTensorProto(bytes, [0, bytes.length]), noFile, () => undefined),
    );
  });
  return found;
}

/** @throws as `readModel` and `readTensor` */
export function openNodeTest(root: string, name: string): NodeTest {
  const bytes = readFileSync(join(root, name, 'model.onnx'));
  const { graph } = readModel(bytes);
  const data = join(root, name, 'test_data_set_0');
  return {
    name,
    bytes,
    graph,
    inputs: tensors(
      data,
      'input',
      graph.inputs.map((input) => input.name),
    ),
    outputs: tensors(
      data,
      'output',
      graph.outputs.map((output) => output.name),
    ),
  };
}

export const nodeTestNames = (root: string): string[] =>
  readdirSync(root)
    .filter((name) => name.startsWith('test_'))
    .sort();

/** Whether all values of a case are floats, none empty: it runs through an executor. */
export const isFloatCase = ({ inputs, outputs }: NodeTest): boolean =>
  [...[...inputs.values()].slice(0, 1), ...outputs.values()].every(
    ({ type, data }) => isFloating(type) && data.length > 0,
  );

/** Differences of one case through an executor: the first input is a value, the others constants unless `values` says so. */
export async function runCase(test: NodeTest, kernels: KernelSet, values: number): Promise<string[]> {
  const names = [...test.inputs.keys()];
  const constants = Object.fromEntries([...test.inputs].slice(values));
  const { network, batch } = readOnnx(test.bytes, { constants });
  const first = test.inputs.get(names[0]) as OnnxTensor;
  const count = batch === 'none' ? 1 : (first.shape[0] ?? 1);
  const executor = await createExecutor(network, { kernels, batch: count });
  try {
    for (const { name } of network.inputs)
      executor.input(name).set(Array.from(test.inputs.get(name)?.data as Float32Array, Number));
    executor.forward();
    return [...test.outputs].flatMap(([name, { data, shape }]) => {
      const found = [...(batch === 'none' ? [] : [count]), ...executor.shapeOf(name)];
      if (found.join() !== shape.join()) return [`${name}: expected [${shape.join()}], got [${found.join()}]`];
      return differences(executor.output(name), Float32Array.from(data as Float32Array), 1e-3, 1e-7);
    });
  } finally {
    executor.dispose();
  }
}

/** The same by computing everything at once, as shapes are. */
export function computeCase(test: NodeTest): string[] {
  const found = evaluateOnnx(test.bytes, Object.fromEntries(test.inputs));
  return [...test.outputs].flatMap(([name, expected]) => {
    const actual = found.get(name);
    if (!actual) return [`${name}: not computed`];
    if (actual.type !== expected.type) return [`${name}: expected ${expected.type}, got ${actual.type}`];
    if (actual.shape.join() !== expected.shape.join())
      return [`${name}: expected [${expected.shape.join()}], got [${actual.shape.join()}]`];
    return differences(
      Array.from(actual.data, Number),
      Array.from(expected.data, Number),
      1e-3,
      isFloating(expected.type) ? 1e-7 : 0,
    );
  });
}
