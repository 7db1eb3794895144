/**
 * Laws that hold for every operator of the tables, tried on its example nodes (examples.ts): nobody writes a test for a
 * new one to be tried. What pruning may do with channels is in ../pruning/coupling.test.ts, any graphs are in
 * ../execution/aliasing.test.ts.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EspalierError } from '../../src/base/errors.ts';
import type { Rule } from '../../src/base/rules.ts';
import { sizeOf } from '../../src/base/tensor.ts';
import type { FloatArray } from '../../src/base/tensor.ts';
import type { TrainingExecutor } from '../../src/execution/types.ts';
import type { Network, Node } from '../../src/graph/network.ts';
import { outputsOf } from '../../src/graph/walk.ts';
import { loadKernels, portableKernels } from '../../src/kernels/index.ts';
import { checkGraph } from '../../src/network/check.ts';
import { graph, sequential } from '../../src/network/build.ts';
import { sigmoid, tanh } from '../../src/network/functions.ts';
import { dense } from '../../src/network/layers.ts';
import { readNetwork } from '../../src/network/read.ts';
import { inferShapes, inferTypes, nodeCosts } from '../../src/network/shapes.ts';
import { writeNetwork } from '../../src/network/write.ts';
import { COUPLINGS, OPERATORS, operatorOf, TRAINING_OPERATORS } from '../../src/operators/table.ts';
import type { OperatorKind } from '../../src/operators/table.ts';
import type { TrainingOperator } from '../../src/operators/types.ts';
import { breaking, obeying } from '../base/rule-values.ts';
import { expectCode } from '../container/files.ts';
import { everything, examplesOf, networkOf, nodeOf, STRAIGHT_THROUGH } from './examples.ts';
import type { Example } from './examples.ts';
import { anyGraph } from './graphs.ts';
import {
  gradientsOf,
  lossOf,
  optimizer,
  outputsOfRun,
  readOutputs,
  relativeDifference,
  trainedParameters,
  valuesOf,
  withTrainer,
} from './running.ts';

const portable = portableKernels();
const simd = await loadKernels({ prefer: 'simd' });

const kinds = Object.keys(OPERATORS) as OperatorKind[];
const examples = kinds.flatMap((kind) => examplesOf(kind));
const each = examples.map((example) => [example.title, example] as const);
const SURROUNDINGS = ['alone', 'between layers'] as const;

/** The network of an example with its node changed. */
function withNode(network: Network, change: (node: Node) => Partial<Node>): Network {
  const changed = nodeOf(network);
  const nodes = network.nodes.map((node) => (node === changed ? { ...node, ...change(node) } : node));
  return { ...network, nodes };
}

const withAttribute = (network: Network, name: string, value: unknown): Network =>
  withNode(network, ({ attributes }) => ({ attributes: { ...attributes, [name]: value } as Node['attributes'] }));

/** Both checks of a network: of its structure, and of the rest. */
function check(network: Network): void {
  checkGraph(network);
  inferTypes(network);
}

describe('tables', () => {
  it.each(kinds)('%s stands under its kind in all three tables, and has an example', (kind) => {
    expect(OPERATORS[kind].kind).toBe(kind);
    expect(Object.hasOwn(TRAINING_OPERATORS, kind)).toBe(true);
    expect(Object.hasOwn(COUPLINGS, kind)).toBe(true);
    expect(examplesOf(kind).length, `write an example of ${kind} in test/operators/examples.ts`).toBeGreaterThan(0);
  });

  it('all three tables have the same kinds', () => {
    for (const table of [TRAINING_OPERATORS, COUPLINGS]) expect(Object.keys(table).sort()).toEqual([...kinds].sort());
  });
});

describe.each(each)('%s', (_title, example: Example) => {
  const alone = networkOf([example], 'alone');
  const between = networkOf([example], 'between layers');
  const operator = operatorOf(nodeOf(alone));
  const rules: [string, Rule][] = Object.entries(operator.attributes);

  it('is a network that holds together, with shapes of whole sides, and costs what is not negative', () => {
    for (const network of [alone, between]) {
      check(network);
      for (const { shape, isConstant } of inferTypes(network).values()) {
        expect(isConstant).toBe(false);
        for (const side of shape) expect(Number.isSafeInteger(side) && side > 0).toBe(true);
      }
      for (const { multiplyAdds, parameters } of nodeCosts(network)) {
        expect(Number.isSafeInteger(multiplyAdds) && multiplyAdds >= 0).toBe(true);
        expect(Number.isSafeInteger(parameters) && parameters >= 0).toBe(true);
      }
    }
  });

  it('refuses attributes that its rules do not allow, that are missing, or that nobody knows', () => {
    for (const [name, rule] of rules) {
      fc.assert(
        fc.property(breaking(rule), (value) => {
          const broken = withAttribute(alone, name, value);
          for (const refuse of [checkGraph, inferTypes]) {
            expect(expectCode(() => refuse(broken), 'ATTRIBUTE').message).toContain('node "example 0"');
          }
        }),
        // For each attribute of each of several examples of its kind.
        { numRuns: 12 },
      );
      const { [name]: _missing, ...rest } = nodeOf(alone).attributes;
      const without = withNode(alone, () => ({ attributes: rest }));
      if (operator.mayLack?.includes(name)) checkGraph(without);
      else expectCode(() => checkGraph(without), 'ATTRIBUTE');
    }
    expectCode(() => checkGraph(withAttribute(alone, 'unknown', 1)), 'ATTRIBUTE');
    expectCode(() => checkGraph(withAttribute(alone, 'toString', 1)), 'ATTRIBUTE');
  });

  it('refuses one input too few and one too many, names of outputs that are none, and roles that it has not', () => {
    const [least, most] = operator.arity;
    for (const count of [least - 1, most + 1]) {
      if (count < 0) continue;
      const inputs = Array.from({ length: count }, (_, i) => nodeOf(alone).inputs[i] ?? alone.inputs[0].name);
      expectCode(() => inferTypes(withNode(alone, () => ({ inputs }))), 'GRAPH');
      expectCode(() => checkGraph(withNode(alone, () => ({ inputs }))), 'GRAPH');
    }
    const names = outputsOf(nodeOf(alone));
    for (const outputs of [[...names, 'one more'], names.slice(1)]) {
      expectCode(() => check(withNode(alone, () => ({ outputs }))), 'GRAPH');
    }
    const { parameters } = nodeOf(alone);
    const [some = 'x'] = alone.parameters.keys();
    expectCode(() => check(withNode(alone, () => ({ parameters: { ...parameters, unknown: some } }))), 'GRAPH');
    for (const { role, optional } of operator.roles) {
      const { [role]: without, ...rest } = parameters;
      if (without === undefined) continue;
      const kept = [...alone.parameters].filter(([name]) => name !== without);
      const removed = { ...withNode(alone, () => ({ parameters: rest })), parameters: new Map(kept) };
      if (optional) check(removed);
      else expectCode(() => checkGraph(removed), 'GRAPH');
    }
  });

  it('gives whole shapes and finite numbers for all attributes that its rules allow, or says why not', async () => {
    if (rules.length === 0) return;
    const attributes = fc.record(Object.fromEntries(rules.map(([name, rule]) => [name, smallOf(rule)])));
    await fc.assert(
      fc.asyncProperty(attributes, async (chosen) => {
        const network = withNode(alone, () => ({ attributes: chosen as Node['attributes'] }));
        checkGraph(network);
        try {
          inferTypes(network);
        } catch (error) {
          expect(error).toBeInstanceOf(EspalierError);
          expect((error as Error).message).toContain('node "example 0"');
          return;
        }
        for (const side of [...inferShapes(network).values()].flat()) {
          expect(Number.isSafeInteger(side) && side > 0).toBe(true);
        }
        await withTrainer(network, { kernels: portable }, (one) => {
          one.forward();
          const inference = readOutputs(one);
          expect(Number.isFinite(lossOf(one))).toBe(true);
          for (const found of [...inference.values(), ...gradientsOf(one).values()]) {
            expect(found.every(Number.isFinite)).toBe(true);
          }
        });
      }),
      { numRuns: 20 },
    );
  });

  it.each(SURROUNDINGS)('%s: a file gives it back as it is', (where) => {
    const network = where === 'alone' ? alone : between;
    const read = readNetwork(writeNetwork(network));
    expect(read).toEqual(network);
    expect([...read.parameters.keys()]).toEqual([...network.parameters.keys()]);
  });

  it.each(SURROUNDINGS)('%s: SIMD gives what the portable kernels give, error < 1e-5 of the largest', async (where) => {
    const network = where === 'alone' ? alone : between;
    for (const batch of [1, 3]) {
      const expected = await outputsOfRun(network, { kernels: portable, batch });
      const found = await outputsOfRun(network, { kernels: simd, batch });
      for (const [name, values] of expected) {
        expect(values.length).toBe(batch * sizeOf(inferShapes(network).get(name)!));
        expect(relativeDifference(found.get(name)!, values), name).toBeLessThan(1e-5);
      }
    }
  });

  it.each(SURROUNDINGS)(
    '%s: fused, folded and sharing memory or not, the same within 1e-12 in double',
    async (where) => {
      const network = where === 'alone' ? alone : between;
      for (const batch of [1, 3]) {
        const options = { kernels: portable, batch, precision: 'float64' } as const;
        const expected = await outputsOfRun(network, { ...options, watch: everything(network) });
        const found = await outputsOfRun(network, options);
        for (const [name, values] of expected) expect(relativeDifference(found.get(name)!, values)).toBeLessThan(1e-12);
      }
    },
  );

  it.each(SURROUNDINGS)('%s: a batch is its samples one by one, error < 1e-5 of the largest', async (where) => {
    const network = where === 'alone' ? alone : between;
    const whole = await outputsOfRun(network, { kernels: simd, batch: 3 });
    const one = await outputsOfRun(network, { kernels: simd, batch: 1 });
    // Numbers of an input begin alike for every batch.
    for (const [name, first] of one) {
      expect(relativeDifference(whole.get(name)!.subarray(0, first.length), first)).toBeLessThan(1e-5);
    }
  });

  it.each(SURROUNDINGS)('%s: gradients are central differences in double (rtol 1e-5)', async (where) => {
    const network = where === 'alone' ? alone : between;
    const { kind } = nodeOf(network);
    if (!TRAINING_OPERATORS[kind as OperatorKind].backward || kind === STRAIGHT_THROUGH) return;
    await withTrainer(network, { kernels: portable, precision: 'float64', batch: 3 }, (one) => {
      const loss = lossOf(one);
      const gradients = gradientsOf(one);
      expect([...gradients.keys()].sort()).toEqual(
        [...network.inputs.map(({ name }) => name), ...trainedParameters(network)].sort(),
      );
      for (const [name, gradient] of gradients) {
        const values = valuesOf(one, name);
        let [checked, kinks] = [0, 0];
        for (let i = 0; i < values.length; i += Math.ceil(values.length / 40)) {
          const kept = values[i];
          const at = (step: number): number => {
            values[i] = kept + step;
            one.changed();
            return lossOf(one);
          };
          const [right, left] = [(at(STEP) - loss) / STEP, (loss - at(-STEP)) / STEP];
          values[i] = kept;
          checked++;
          // Slopes that disagree straddle a kink, where there is no derivative.
          if (Math.abs(right - left) > 1e-4 * (1 + Math.abs(right))) {
            kinks++;
            continue;
          }
          const slope = (right + left) / 2;
          expect(Math.abs(gradient[i] - slope), `${name}[${i}]: ${gradient[i]} against ${slope}`).toBeLessThan(
            1e-5 * (1 + Math.abs(slope)),
          );
        }
        one.changed();
        expect(kinks, `${name}: kinks among ${checked} elements`).toBeLessThanOrEqual(checked / 10);
      }
    });
  });

  it.each(SURROUNDINGS)(
    '%s: in training SIMD gives what the portable kernels give, error < 2e-5 of the largest',
    async (where) => {
      const network = where === 'alone' ? alone : between;
      const [expected, found] = await Promise.all(
        [portable, simd].map((kernels) =>
          withTrainer(network, { kernels, batch: 3 }, (one) => {
            lossOf(one);
            return new Map([...readOutputs(one), ...gradientsOf(one)]);
          }),
        ),
      );
      for (const [name, values] of expected) {
        expect(relativeDifference(found.get(name)!, values), name).toBeLessThan(2e-5);
      }
    },
  );

  it('draws anew at each step, and the same at the same step', async () => {
    await withTrainer(alone, { kernels: portable }, (one) => {
      // States move with each pass, so only what is drawn may make a difference to the outputs.
      const at = (step: number): number => lossOf(one, step);
      const losses = [at(1), at(2), at(1), at(2)];
      expect(losses.slice(2)).toEqual(losses.slice(0, 2));
      const draws = TRAINING_OPERATORS[nodeOf(alone).kind as OperatorKind].draw !== undefined;
      expect(losses[0] !== losses[1]).toBe(draws);
    });
  });
});

/** Step of the differences: in double the error of a slope is about 1e-16 / STEP of the loss. */
const STEP = 1e-6;

/** What a rule allows, small enough for a small network. */
function smallOf(rule: Rule): fc.Arbitrary<unknown> {
  if (rule.kind === 'integer') return obeying({ ...rule, to: Math.min(rule.to, rule.from + 4) });
  if (rule.kind === 'integers') {
    const from = Math.max(rule.from, -4);
    return obeying({ ...rule, from, to: Math.min(rule.to, from + (rule.from < 0 ? 8 : 4)) });
  }
  return obeying(rule, 10);
}

describe('all examples side by side', () => {
  const whole = networkOf(examples, 'between layers');

  it('give the same bits on one thread and on two, in inference and in training', async () => {
    for (const kernels of [portable, simd]) {
      const [one, two] = await Promise.all(
        [1, 2].map((threads) =>
          withTrainer(whole, { kernels, threads, batch: 3 }, (trainer) => {
            trainer.forward();
            const inference = readOutputs(trainer);
            lossOf(trainer);
            return [inference, readOutputs(trainer), gradientsOf(trainer)];
          }),
        ),
      );
      expect(two).toEqual(one);
    }
  });

  it('are given back by a file', () => expect(readNetwork(writeNetwork(whole))).toEqual(whole));
});

describe('any graph', () => {
  it('has every kind in it', () => {
    const found = fc
      .sample(anyGraph(), { numRuns: 1000, seed: 1 })
      .flatMap(({ nodes }) => nodes.map(({ kind }) => kind));
    // Of four axes per sample, which no other operator yields from three.
    for (const kind of kinds.filter((one) => one !== 'conv3d'))
      expect(found.filter((one) => one === kind).length, kind).toBeGreaterThan(5);
  });

  it('is given back by a file, and is what checkGraph takes', () => {
    fc.assert(
      fc.property(anyGraph({ sharesWeights: true }), (network) => {
        check(network);
        expect(readNetwork(writeNetwork(network))).toEqual(network);
      }),
      { numRuns: 60 },
    );
  });
});

describe('what the tables do not say of a single node', () => {
  /**
   * What a file may say. A rule that gets narrower makes files of today unreadable, one that gets wider makes files that
   * readers of today refuse; either is a change of the format, not of an operator.
   */
  it('attributes of format version 1', () => {
    const side = { from: 1, to: 65535 };
    const padding = { kind: 'integers', count: 4, from: 0, to: 65535 };
    const pair = { kind: 'integers', count: 2, ...side };
    const pool = { size: pair, stride: pair, padding, dilation: pair };
    const attributes = {
      conv: { stride: pair, padding, dilation: pair, groups: { kind: 'integer', ...side } },
      dense: {},
      maxPool: pool,
      averagePool: { ...pool, countPadding: { kind: 'boolean' } },
      globalAveragePool: {},
      softmax: { axis: { kind: 'integer', from: 0, to: 65535 } },
      batchNorm: {
        epsilon: { kind: 'number', from: 0, to: Infinity, exclusive: 'from' },
        momentum: { kind: 'number', from: 0, to: 1, exclusive: 'none' },
      },
      affine: {},
      flatten: {},
      concat: { axis: { kind: 'integer', from: 0, to: 65535 } },
      split: { sizes: { kind: 'integers', ...side }, axis: { kind: 'integer', from: 0, to: 65535 } },
      dropout: { rate: { kind: 'number', from: 0, to: 1, exclusive: 'to' } },
      relu: {},
      leakyRelu: { slope: { kind: 'number', from: 0, to: Infinity, exclusive: 'from' } },
      sigmoid: {},
      tanh: {},
      add: {},
    } as const;
    for (const [kind, rules] of Object.entries(attributes)) {
      expect(OPERATORS[kind as OperatorKind].attributes, kind).toEqual(rules);
    }
  });

  it('an operator without a backward pass trains nothing before it, and what is beside it as before', async () => {
    const network = graph({ seed: 3 }, (g) => {
      const x = g.node(dense(4, { name: 'before' }), g.input([5]));
      return [g.node(sigmoid({ name: 'cut' }), x), g.node(dense(2, { name: 'beside' }), g.node(tanh(), x))];
    });
    const chain = sequential({ input: [5], seed: 3 }, [
      dense(4, { name: 'before' }),
      sigmoid(),
      dense(3, { name: 'behind' }),
    ]);
    const { backward: _backward, ...cut } = TRAINING_OPERATORS.sigmoid;
    const tables = TRAINING_OPERATORS as Record<OperatorKind, TrainingOperator>;
    const { sigmoid: whole } = tables;
    const beside = await withTrainer({ ...network, outputs: ['beside'] }, { kernels: portable }, stepOf);
    tables.sigmoid = cut;
    try {
      await withTrainer(chain, { kernels: portable, optimizer: { ...optimizer, weightDecay: 0.1 } }, (one) => {
        const before = one.snapshot().parameters;
        stepOf(one);
        const after = one.snapshot().parameters;
        for (const name of ['before.weight', 'before.bias']) expect(after.get(name)).toEqual(before.get(name));
        for (const name of ['behind.weight', 'behind.bias']) expect(after.get(name)).not.toEqual(before.get(name));
        expect(() => one.gradient('input')).toThrow(RangeError);
        expect(one.gradient('before.weight').every((value) => value === 0)).toBe(true);
      });
      await withTrainer(network, { kernels: portable }, (one) => {
        expect(() => one.outputGradient('cut')).toThrow(RangeError);
        expect(stepOf(one).get('before.weight')).toEqual(beside.get('before.weight'));
      });
    } finally {
      tables.sigmoid = whole;
    }
  });

  it('an input of whole numbers travels in the file, is shaped and typed, and is refused where floats are taken', async () => {
    const network = graph({}, (g) => [g.input([3], 'labels', 'integer'), g.node(sigmoid(), g.input([2], 'x'))]);
    check(network);
    expect(readNetwork(writeNetwork(network))).toEqual(network);
    expect(inferTypes(network).get('labels')).toEqual({ shape: [3], type: 'integer', isConstant: false });
    expect(inferTypes(network).get('x')?.type).toBe('float');
    await withTrainer(network, { kernels: portable }, (one) => {
      // Whole numbers carry no gradient.
      expect(() => one.gradient('labels')).toThrow(RangeError);
      expect(() => one.outputGradient('labels')).toThrow(RangeError);
    });
    for (const kind of kinds) {
      const [example] = examplesOf(kind);
      const made = networkOf([example], 'alone');
      const inputs = made.inputs.map((input) => ({ ...input, type: 'integer' as const }));
      const { takes = 'float' } = operatorOf(nodeOf(made));
      if (takes === 'float') expectCode(() => inferTypes({ ...made, inputs }), 'GRAPH');
    }
  });

  it('a constant where a value is expected, and a value where nothing is known of that name, are refused', () => {
    for (const kind of kinds) {
      const network = networkOf([examplesOf(kind)[0]], 'alone');
      const [first, ...rest] = nodeOf(network).inputs;
      const { shape } = network.inputs.find(({ name }) => name === first)!;
      const parameters = new Map(network.parameters).set('c', {
        kind: 'dense',
        shape,
        data: new Float32Array(sizeOf(shape)),
      });
      const asConstant = { ...withNode(network, () => ({ inputs: ['c', ...rest] })), parameters };
      if (operatorOf(nodeOf(network)).takesConstants !== true) {
        expectCode(() => inferTypes(asConstant), 'GRAPH');
        expectCode(() => inferTypes(withNode(network, () => ({ inputs: ['nothing', ...rest] }))), 'GRAPH');
      }
    }
    for (const kind of ['add', 'multiply']) {
      const both = withNode(networkOf([examplesOf(kind)[4]], 'alone'), ({ inputs }) => ({
        inputs: [inputs[1], inputs[1]],
      }));
      expectCode(() => inferTypes(both), 'GRAPH');
    }
  });
});

/** One step of training; the gradients that it was made of. */
function stepOf(one: TrainingExecutor): Map<string, FloatArray> {
  lossOf(one);
  const gradients = new Map<string, FloatArray>();
  one.network.outputs.forEach((name) => {
    try {
      one.outputGradient(name).fill(1);
    } catch {
      // It depends on nothing that is trained.
    }
  });
  one.backward();
  for (const name of trainedParameters(one.network)) gradients.set(name, one.gradient(name).slice());
  one.update({ rate: 0.1, clip: 0 }, 1);
  return gradients;
}
