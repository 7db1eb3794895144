/** onnxruntime, as pages run it: the judge of what we write. */
import * as ort from 'onnxruntime-web';
import { sizeOf } from '../../src/base/tensor.ts';
import type { Shape } from '../../src/base/tensor.ts';
import type { Network } from '../../src/graph/network.ts';
import { createExecutor } from '../../src/execution/executor.ts';
import type { KernelSet } from '../../src/kernels/types.ts';
import { read } from '../operators/running.ts';

ort.env.wasm.numThreads = 1;

/** Floats or whole numbers, with the batch in front where there is one. */
export interface Values {
  readonly shape: Shape;
  readonly data: ArrayLike<number>;
}

/** What the model of these bytes gives. */
export async function runOnnx(
  bytes: Uint8Array,
  inputs: ReadonlyMap<string, Values>,
  integers: readonly string[] = [],
): Promise<Map<string, Values>> {
  const session = await ort.InferenceSession.create(bytes, { executionProviders: ['wasm'], logSeverityLevel: 3 });
  try {
    const feeds = Object.fromEntries(
      [...inputs].map(([name, { shape, data }]) => [
        name,
        integers.includes(name)
          ? new ort.Tensor('int64', BigInt64Array.from(Array.from(data, BigInt)), [...shape])
          : new ort.Tensor('float32', Float32Array.from(data), [...shape]),
      ]),
    );
    const results = await session.run(feeds);
    return new Map(
      session.outputNames.map((name) => {
        const { data, dims } = results[name];
        return [name, { shape: [...dims], data: Array.from(data as ArrayLike<number | bigint>, Number) }];
      }),
    );
  } finally {
    await session.release();
  }
}

/** What espalier gives for the same. `batch`: undefined where the values have none. */
export async function runNetwork(
  network: Network,
  inputs: ReadonlyMap<string, Values>,
  batch: number | undefined,
  kernels: KernelSet,
): Promise<Map<string, Values>> {
  const executor = await createExecutor(network, { kernels, batch: batch ?? 1 });
  try {
    for (const { name, type = 'float' } of network.inputs)
      (type === 'float' ? executor.input(name) : executor.integers(name)).set(inputs.get(name)?.data ?? []);
    executor.forward();
    return new Map(
      network.outputs.map((name) => [
        name,
        {
          shape: [...(batch === undefined ? [] : [batch]), ...executor.shapeOf(name)],
          data: Array.from<number>(read(executor, name)),
        },
      ]),
    );
  } finally {
    executor.dispose();
  }
}

/** Where the two differ by more than 1e-4 + 1e-3 |y|, or in shape. */
export function differencesBetween(
  found: ReadonlyMap<string, Values>,
  expected: ReadonlyMap<string, Values>,
): string[] {
  const names = [...expected.keys()];
  if ([...found.keys()].join() !== names.join())
    return [`outputs: expected ${names.join()}, got ${[...found.keys()].join()}`];
  return names.flatMap((name) => {
    const [a, b] = [found.get(name), expected.get(name)];
    if (!a || !b) return [`${name}: missing`];
    if (a.shape.join() !== b.shape.join()) return [`${name}: expected [${b.shape.join()}], got [${a.shape.join()}]`];
    for (let i = 0; i < sizeOf(b.shape); i++) {
      const same = Object.is(a.data[i], b.data[i]) || a.data[i] === b.data[i];
      if (!same && !(Math.abs(a.data[i] - b.data[i]) <= 1e-4 + 1e-3 * Math.abs(b.data[i])))
        return [`${name}[${i}]: expected ${b.data[i]}, got ${a.data[i]}`];
    }
    return [];
  });
}
