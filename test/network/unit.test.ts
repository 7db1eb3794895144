import { describe, expect, it } from 'vitest';
import { dense, graph, relu, sequential, withOutputUnit } from '../../src/network/index.ts';
import { portableKernels } from '../../src/kernels/index.ts';
import { createExecutor } from '../../src/execution/executor.ts';
import type { Network } from '../../src/graph/network.ts';

const predict = async (network: Network, inputs: Float32Array): Promise<Float32Array> => {
  const executor = await createExecutor(network, { kernels: portableKernels(), batch: 4 });
  const outputs = executor.predict(inputs, inputs.length / 5);
  executor.dispose();
  return outputs;
};

describe('withOutputUnit', () => {
  const network = sequential({ input: [5], seed: 4 }, [dense(7), relu(), dense(3)]);
  const unit = { scale: 0.1, shift: Float32Array.of(1, -2, 30) };

  it('keeps the function, within 1e-5 of the size of the shift', async () => {
    const inputs = Float32Array.from({ length: 20 }, (_, i) => Math.sin(i));
    const [before, after] = [await predict(network, inputs), await predict(withOutputUnit(network, unit), inputs)];
    before.forEach((value, i) => expect(Math.abs(value - after[i])).toBeLessThan(30 * 1e-5));
  });
  it('the last layer yields (y - shift) / scale', async () => {
    const inputs = Float32Array.from({ length: 5 }, (_, i) => Math.cos(i));
    const made = withOutputUnit(network, unit);
    const inner = await predict({ ...made, nodes: made.nodes.slice(0, -1), outputs: ['dense2'] }, inputs);
    (await predict(network, inputs)).forEach((value, i) =>
      expect(inner[i]).toBeCloseTo((value - unit.shift[i]) / unit.scale, 3),
    );
  });
  it('leaves the network given as it is', () => expect(network.nodes.length).toBe(3));
  it('is refused where something else reads the output or shares its weights, which would change too', () => {
    const read = graph({}, (g) => {
      const y = g.node(dense(3), g.input([5]));
      void g.node(relu({ name: 'reader' }), y);
      return y;
    });
    expect(() => withOutputUnit(read, unit)).toThrow(/"reader" also uses the output "dense1" or its parameters/);
    const square = sequential({ input: [3] }, [dense(3), relu(), dense(3)]);
    const nodes = square.nodes.map((node) => ({
      ...node,
      ...(node.kind === 'dense' ? { parameters: { ...node.parameters, weight: 'dense1.weight' } } : {}),
    })) as Network['nodes'];
    expect(() => withOutputUnit({ ...square, nodes }, unit)).toThrow(/"dense1" also uses/);
  });
  it('wrong arguments', () => {
    expect(() => withOutputUnit(network, { ...unit, shift: Float32Array.of(1, NaN, 2) })).toThrow(
      expect.objectContaining({ code: 'NONFINITE' }),
    );
    expect(() => withOutputUnit(network, { ...unit, scale: 0 })).toThrow(/unit.scale/);
    expect(() => withOutputUnit(network, { ...unit, shift: new Float32Array(2) })).toThrow(
      /unit.shift: expected 3 numbers/,
    );
    expect(() => withOutputUnit(withOutputUnit(network, unit), unit)).toThrow(
      /one output that is a layer with weight and bias/,
    );
    expect(() => withOutputUnit(sequential({ input: [5] }, [dense(3, { bias: false })]), unit)).toThrow(
      /with weight and bias/,
    );
  });
});
