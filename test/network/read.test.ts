import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readSafetensors, writeSafetensors } from '../../src/container/safetensors.ts';
import { writeChecked } from '../../src/container/checksum.ts';
import { EspalierError } from '../../src/base/errors.ts';
import type { ErrorCode } from '../../src/base/errors.ts';
import { readNetwork } from '../../src/network/read.ts';
import { writeNetwork } from '../../src/network/write.ts';
import { expectCode } from '../container/files.ts';
import { edited, everyOperator, smallNetwork } from './files.ts';
import type { FreeJson } from './files.ts';

const file = writeNetwork(smallNetwork());
const packed = writeNetwork(smallNetwork(), { packed: true });
const rich = writeNetwork(everyOperator(2));
const json = (value: unknown): FreeJson => value as FreeJson;

describe.each([
  ['plain', file],
  ['packed', packed],
])('a %s model file that was damaged', (_form, file) => {
  it('is TRUNCATED at every cut', () => {
    for (let length = 0; length < file.length; length++)
      expectCode(() => readNetwork(file.subarray(0, length)), 'TRUNCATED');
  });

  it('is refused for every single flipped bit and every single byte + 137, 100 %', () => {
    let refused = 0;
    const copy = file.slice();
    for (let at = 0; at < file.length; at++) {
      for (const changed of [1, 2, 4, 8, 16, 32, 64, 128].map((bit) => file[at] ^ bit).concat((file[at] + 137) & 255)) {
        copy[at] = changed;
        try {
          readNetwork(copy);
        } catch (error) {
          if ((error as Error).name === 'EspalierError') refused++;
        }
      }
      copy[at] = file[at];
    }
    expect(refused).toBe(9 * file.length);
  });

  it('is refused with every byte + 137 at once, with bytes behind it, or twice in a row', () => {
    expectCode(() => readNetwork(file.map((byte) => byte + 137)), 'BAD_MAGIC');
    expectCode(() => readNetwork(Buffer.concat([file, Uint8Array.of(0)])), 'LAYOUT');
    expectCode(() => readNetwork(Buffer.concat([file, file])), 'LAYOUT');
  });

  it('without its checksum ends in an error of the contract or in a network, whatever bit is flipped', () => {
    const copy = file.slice();
    for (let at = 0; at < file.length; at += 7) {
      copy[at] ^= 1 << (at & 7);
      try {
        readNetwork(copy, { verify: false });
      } catch (error) {
        expect(error).toBeInstanceOf(EspalierError);
      }
      copy[at] = file[at];
    }
  });
});

describe('a model file that was damaged', () => {
  it('with a flipped bit in its weights is CHECKSUM, and opens without verification', () => {
    const damaged = file.slice();
    const { bytes } = [...readSafetensors(damaged).tensors.values()].find(({ dtype }) => dtype === 'F32') ?? {
      bytes: damaged,
    };
    bytes[0] ^= 1;
    expectCode(() => readNetwork(damaged), 'CHECKSUM');
    expect(readNetwork(damaged, { verify: false }).nodes).toEqual(smallNetwork().nodes);
  });
});

describe('a model file that another tool saved anew', () => {
  it('with its metadata kept is CHECKSUM, and opens the same with { verify: false }', () => {
    const { tensors, metadata } = readSafetensors(file);
    const again = writeSafetensors(
      [...tensors].map(([name, stored]) => ({ ...stored, name })),
      new Map([...metadata].reverse()),
    );
    expect(expectCode(() => readNetwork(again), 'CHECKSUM').message).toContain('verify: false');
    expect(readNetwork(again, { verify: false })).toEqual(smallNetwork());
  });

  it('with its metadata dropped is MISSING and says how to use the tensors', () => {
    const { tensors } = readSafetensors(file);
    const again = writeSafetensors([...tensors].map(([name, stored]) => ({ ...stored, name })));
    expect(expectCode(() => readNetwork(again), 'MISSING').message).toContain('readPlain');
    expectCode(() => readNetwork(writeChecked([])), 'MISSING');
  });
});

describe('versions', () => {
  it('0, a later one, and a feature that is required are UNSUPPORTED_VERSION; a version that is none is FIELD', () => {
    for (const version of [0, 2, 1e9, -1])
      expectCode(
        () =>
          readNetwork(
            edited(file, (d) => {
              d.version = json(version);
            }),
          ),
        'UNSUPPORTED_VERSION',
      );
    for (const version of ['1', 1.5, null, undefined])
      expectCode(
        () =>
          readNetwork(
            edited(file, (d) => {
              d.version = json(version);
            }),
          ),
        'FIELD',
      );
    expect(
      expectCode(
        () =>
          readNetwork(
            edited(file, (d) => {
              d.requires = json(['entropy coding']);
            }),
          ),
        'UNSUPPORTED_VERSION',
      ).message,
    ).toContain('entropy coding');
  });

  it('fields and tensors that are not known are passed by', () => {
    const later = edited(file, (d, tensors) => {
      d.later = json({ a: [1] });
      d.nodes[0].later = json(true);
      tensors.push({ name: 'later', dtype: 'I64', shape: [1], bytes: new Uint8Array(8) });
    });
    expect(readNetwork(later)).toEqual(smallNetwork());
  });
});

// Each with a right checksum: a checksum is not trust.
const hostile: [string, ErrorCode[], (d: FreeJson) => unknown][] = [
  ['no JSON', ['HEADER'], () => '{'],
  ['a list', ['FIELD'], () => '[]'],
  ['a repeated field', ['DUPLICATE'], (d) => JSON.stringify(d).replace('"version":1', '"version":1,"version":1')],
  ['10,000 levels', ['HEADER'], () => '['.repeat(10_000)],
  [
    'a name that is none',
    ['FIELD'],
    (d) => {
      d.name = json(1);
    },
  ],
  [
    'no nodes field',
    ['FIELD'],
    (d) => {
      delete d.nodes;
    },
  ],
  [
    'no inputs',
    ['GRAPH'],
    (d) => {
      d.inputs = json([]);
    },
  ],
  [
    'no outputs',
    ['GRAPH'],
    (d) => {
      d.outputs = json([]);
    },
  ],
  [
    'an output that is nothing',
    ['GRAPH'],
    (d) => {
      d.outputs = json(['nothing']);
    },
  ],
  [
    'an output twice',
    ['GRAPH'],
    (d) => {
      d.outputs = json([d.outputs[0], d.outputs[0]]);
    },
  ],
  [
    'a self-edge',
    ['GRAPH'],
    (d) => {
      d.nodes[0].inputs = json([d.nodes[0].name]);
    },
  ],
  [
    'a cycle',
    ['GRAPH'],
    (d) => {
      d.nodes[1].inputs = json([d.nodes[2].name]);
    },
  ],
  [
    'a dangling input',
    ['GRAPH'],
    (d) => {
      d.nodes[1].inputs = json(['nothing']);
    },
  ],
  [
    'two nodes of one name',
    ['GRAPH'],
    (d) => {
      d.nodes[1].name = d.nodes[0].name;
    },
  ],
  [
    'a node called as the input',
    ['GRAPH'],
    (d) => {
      d.nodes[0].name = d.inputs[0].name;
    },
  ],
  [
    'an empty name',
    ['GRAPH'],
    (d) => {
      d.nodes[0].name = json('');
      d.nodes[1].inputs = json(['']);
    },
  ],
  [
    'a name of 100,000 letters',
    ['GRAPH'],
    (d) => {
      d.nodes[0].name = json('a'.repeat(100_000));
      d.nodes[1].inputs = json([d.nodes[0].name]);
    },
  ],
  [
    'an unused node',
    ['GRAPH'],
    (d) => {
      (d.nodes as unknown as unknown[]).push({ name: 'unused', kind: 'relu' });
    },
  ],
  [
    'an unused input',
    ['GRAPH'],
    (d) => {
      (d.inputs as unknown as unknown[]).push({ name: 'unused', shape: [1] });
    },
  ],
  [
    'an unused parameter',
    ['GRAPH'],
    (d) => {
      d.nodes[1].parameters = json({ weight: d.nodes[1].parameters.weight });
    },
  ],
  [
    'a parameter that is not there',
    ['GRAPH'],
    (d) => {
      d.nodes[1].parameters.bias = json('nothing');
    },
  ],
  [
    'a role that is not there',
    ['GRAPH'],
    (d) => {
      d.nodes[1].parameters = json({ weight: d.nodes[1].parameters.weight, scale: d.nodes[1].parameters.bias });
    },
  ],
  ['the role __proto__', ['GRAPH'], (d) => JSON.stringify(d).replace('"bias":', '"__proto__":')],
  [
    'a parameter in two roles',
    ['GRAPH'],
    (d) => {
      d.nodes[1].parameters.bias = d.nodes[1].parameters.weight;
    },
  ],
  [
    'an unknown operator',
    ['UNSUPPORTED'],
    (d) => {
      d.nodes[2].kind = json('quantumRelu');
    },
  ],
  [
    'the operator __proto__',
    ['UNSUPPORTED'],
    (d) => {
      d.nodes[2].kind = json('__proto__');
    },
  ],
  [
    'the operator constructor',
    ['UNSUPPORTED'],
    (d) => {
      d.nodes[2].kind = json('constructor');
    },
  ],
  [
    'an attribute that has no place',
    ['ATTRIBUTE'],
    (d) => {
      d.nodes[2].attributes = json({ slope: 1 });
    },
  ],
  [
    'two inputs of a relu',
    ['GRAPH'],
    (d) => {
      d.nodes[2].inputs = json([d.nodes[1].name, d.nodes[0].name]);
    },
  ],
  [
    'shapes that do not fit',
    ['SHAPE'],
    (d) => {
      d.inputs[0].shape = json([1, 2, 3]);
    },
  ],
  [
    'an input of 2^60 values',
    ['SHAPE', 'FIELD'],
    (d) => {
      d.inputs[0].shape = json([2 ** 30, 2 ** 30]);
    },
  ],
  [
    'a negative side',
    ['FIELD'],
    (d) => {
      d.inputs[0].shape = json([-1]);
    },
  ],
  [
    'a side of 1e300',
    ['FIELD'],
    (d) => {
      d.inputs[0].shape = json([1e300]);
    },
  ],
  [
    'an input of 100 axes',
    ['SHAPE'],
    (d) => {
      d.inputs[0].shape = json(Array(100).fill(1));
    },
  ],
  [
    'a parameter listed twice',
    ['GRAPH'],
    (d) => {
      (d.parameters as unknown as unknown[]).push(d.parameters[1]);
    },
  ],
  [
    'a parameter without its tensor',
    ['MISSING'],
    (d) => {
      d.parameters[0].name = json('other');
    },
  ],
  [
    'a dense parameter without its tensor',
    ['MISSING'],
    (d) => {
      d.parameters[1] = json('other');
    },
  ],
  [
    'an unknown encoding',
    ['FIELD'],
    (d) => {
      d.parameters[0].header.kind = json('magic');
    },
  ],
  [
    'the encoding __proto__',
    ['FIELD'],
    (d) => {
      d.parameters[0].header.kind = json('__proto__');
    },
  ],
  [
    'codes read as weights',
    ['FIELD'],
    (d) => {
      d.parameters[0] = json({
        name: d.parameters[0].name,
        header: { kind: 'dense', shape: [6] },
        tensors: { '': `${String(d.parameters[0].name)}.codes` },
      });
    },
  ],
  [
    'no encoding header',
    ['FIELD'],
    (d) => {
      d.parameters[0].header = json(null);
    },
  ],
  [
    'no sub-spaces',
    ['PQ_PARAM'],
    (d) => {
      d.parameters[0].header.blocks = json([]);
    },
  ],
  [
    'a block of 0 sub-spaces',
    ['PQ_PARAM'],
    (d) => {
      d.parameters[0].header.blocks[0][0] = json(0);
    },
  ],
  [
    'sub-vectors of length 0',
    ['PQ_PARAM'],
    (d) => {
      d.parameters[0].header.blocks[0][1] = json(0);
    },
  ],
  [
    'sub-vectors that do not cover the columns',
    ['PQ_PARAM'],
    (d) => {
      d.parameters[0].header.blocks[0][1] = json(1);
    },
  ],
  [
    '0 codewords',
    ['PQ_PARAM'],
    (d) => {
      d.parameters[0].header.blocks[0][2] = json(0);
    },
  ],
  [
    '2^32 codewords',
    ['PQ_PARAM'],
    (d) => {
      d.parameters[0].header.blocks[0][2] = json(2 ** 32);
    },
  ],
  [
    '2 codewords where 3 are stored',
    ['PQ_PARAM'],
    (d) => {
      d.parameters[0].header.blocks[0][2] = json(2);
    },
  ],
  [
    '4 codewords where 3 are stored',
    ['PQ_PARAM'],
    (d) => {
      d.parameters[0].header.blocks[0][2] = json(4);
    },
  ],
  [
    'half a codeword',
    ['PQ_PARAM'],
    (d) => {
      d.parameters[0].header.blocks[0][2] = json(2.5);
    },
  ],
  [
    'a parameter of 2^40 weights',
    ['BUDGET'],
    (d) => {
      d.parameters[0].header.shape = json([2 ** 20, 2 ** 20]);
    },
  ],
  [
    'a parameter of 2^60 weights',
    ['SHAPE'],
    (d) => {
      d.parameters[0].header.shape = json([2 ** 30, 2 ** 30]);
    },
  ],
  [
    'preprocessing to 0 pixels',
    ['FIELD'],
    (d) => {
      d.preprocessing.width = json(0);
    },
  ],
  [
    'preprocessing to 2 channels',
    ['FIELD'],
    (d) => {
      d.preprocessing.channels = json(2);
    },
  ],
  [
    'an unknown filter',
    ['FIELD'],
    (d) => {
      d.preprocessing.filter = json('magic');
    },
  ],
  [
    'a scale of 0',
    ['FIELD'],
    (d) => {
      d.preprocessing.scale = json(0);
    },
  ],
  [
    'a negative epsilon',
    ['FIELD'],
    (d) => {
      d.preprocessing.standardize.epsilon = json(-1);
    },
  ],
  [
    'a deviation of 0',
    ['FIELD'],
    (d) => {
      d.preprocessing.standardize = json({ kind: 'fixed', mean: [0], deviation: [0] });
    },
  ],
  [
    'two means for one channel',
    ['FIELD'],
    (d) => {
      d.preprocessing.standardize = json({ kind: 'fixed', mean: [0, 0], deviation: [1] });
    },
  ],
  [
    'an unknown task',
    ['FIELD'],
    (d) => {
      d.task = json({ kind: 'magic' });
    },
  ],
  [
    'a mirror that is no pairing',
    ['FIELD'],
    (d) => {
      d.task.mirror = json([0, 0]);
    },
  ],
  [
    'a mirror out of range',
    ['FIELD'],
    (d) => {
      d.task.mirror = json([0, 2]);
    },
  ],
  [
    'labels for other classes',
    ['FIELD'],
    (d) => {
      d.task = json({ kind: 'classes', classes: 3, labels: ['a'] });
    },
  ],
];

describe('a model file with a right checksum and hostile content', () => {
  it.each(hostile)('%s is refused with %j', (_, codes, change) => {
    expectCode(() => readNetwork(edited(file, change)), ...codes);
    expectCode(() => readNetwork(edited(file, change), { verify: false }), ...codes);
  });

  it.each<[string, unknown]>([
    ['stride', [0, 1]],
    ['stride', [1]],
    ['stride', 2],
    ['stride', ['1', '1']],
    ['stride', [1, 65536]],
    ['dilation', [0.5, 1]],
    ['padding', [0, 0, 0]],
    ['padding', [-1, 0, 0, 0]],
    ['groups', 0],
    ['groups', 3],
    ['groups', null],
    ['unknown', 1],
  ])('a convolution with %s %j is ATTRIBUTE and names the node', (name, value) => {
    const error = expectCode(
      () =>
        readNetwork(
          edited(rich, (d) => {
            const node = Object.values(d.nodes).find((one) => (one.kind as unknown) === 'conv');
            if (node) node.attributes[name] = json(value);
          }),
        ),
      'ATTRIBUTE',
      'SHAPE',
    );
    expect(error.details.name).toBe('conv1');
  });

  it.each<[string, string, unknown]>([
    ['leakyRelu', 'slope', 0],
    ['leakyRelu', 'slope', 'x'],
    ['batchNorm', 'epsilon', 0],
    ['batchNorm', 'momentum', 2],
    ['dropout', 'rate', 1],
    ['dropout', 'rate', -0.1],
    ['averagePool', 'countPadding', 1],
    ['maxPool', 'size', [0, 2]],
    ['maxPool', 'size', [99, 2]],
  ])('a %s with %s %j is ATTRIBUTE', (kind, name, value) => {
    expectCode(
      () =>
        readNetwork(
          edited(rich, (d) => {
            const node = Object.values(d.nodes).find((one) => (one.kind as unknown) === kind);
            if (node) node.attributes[name] = json(value);
          }),
        ),
      'ATTRIBUTE',
    );
  });

  it('says all unknown operators at once', () => {
    const { message } = expectCode(
      () =>
        readNetwork(
          edited(rich, (d) => {
            d.nodes[0].kind = json('fft');
            d.nodes[2].kind = json('sort');
          }),
        ),
      'UNSUPPORTED',
    );
    expect(message).toContain('fft');
    expect(message).toContain('sort');
  });

  it('NaN or an infinity in weights, biases or codewords is NONFINITE', () => {
    const names = readSafetensors(file).tensors;
    for (const [name, { dtype }] of names) {
      if (dtype !== 'F32') continue;
      for (const value of [NaN, Infinity, -Infinity]) {
        const changed = edited(file, (_, tensors) => {
          const tensor = tensors.findIndex((one) => one.name === name);
          const values = new Float32Array(new Uint8Array(tensors[tensor].bytes).buffer);
          values[0] = value;
          tensors[tensor] = { ...tensors[tensor], bytes: new Uint8Array(values.buffer) };
        });
        expectCode(() => readNetwork(changed), 'NONFINITE');
      }
    }
  });

  it('a code beyond the codebook is PQ_PARAM', () => {
    expectCode(
      () =>
        readNetwork(
          edited(file, (_, tensors) => {
            const codes = tensors.findIndex((one) => one.name.endsWith('.codes'));
            tensors[codes] = { ...tensors[codes], bytes: tensors[codes].bytes.map(() => 255) };
          }),
        ),
      'PQ_PARAM',
      'FIELD',
    );
  });

  it('a terabyte from 1 kB is BUDGET, whether in one parameter or in many, and costs less than 1 MB', () => {
    const before = process.memoryUsage().arrayBuffers;
    const shapes = [[[2 ** 19, 2 ** 19]], Array.from({ length: 64 }, () => [4096, 4096])];
    for (const many of shapes) {
      expectCode(
        () =>
          readNetwork(
            edited(file, (d) => {
              d.parameters = json(
                many.map((shape, i) => ({
                  name: `p${i}`,
                  header: { kind: 'product', shape, blocks: [[1, shape[1], 1, 0]] },
                })),
              );
            }),
          ),
        'BUDGET',
      );
    }
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2 ** 20);
  });

  it('a million nodes are GRAPH, and a chain of 60,000 ends in the right answer, without a stack overflow', () => {
    const chain = (count: number): Uint8Array =>
      edited(file, (d) => {
        const rest = (d.nodes as unknown as unknown[]).slice(1);
        d.nodes = json([
          d.nodes[0],
          ...Array.from({ length: count }, (_, i) => ({ name: `r${i}`, kind: 'relu' })),
          ...rest,
        ]);
      });
    const million = edited(file, (d) =>
      JSON.stringify(d).replace('"nodes":[', `"nodes":[${'{"kind":"relu"},'.repeat(1_000_000)}`),
    );
    expectCode(() => readNetwork(million), 'GRAPH');
    expect(readNetwork(chain(60_000)).nodes.length).toBe(60_004);
  });

  it('names like __proto__, constructor and NUL are names like any other, and Object.prototype stays as it is', () => {
    const before = Object.getOwnPropertyNames(Object.prototype).join();
    for (const name of ['__proto__', 'constructor', 'toString', '\0', 'a"b\\']) {
      const renamed = edited(file, (d) => {
        d.nodes[0].name = json(name);
        d.inputs[0].name = json(`${name}2`);
      });
      expect(readNetwork(renamed).nodes[0].name).toBe(name);
    }
    const withField = edited(file, (d) =>
      JSON.stringify(d).replace('"version":1', '"version":1,"__proto__":{"polluted":1}'),
    );
    expect(readNetwork(withField)).toEqual(smallNetwork());
    expect(Object.getOwnPropertyNames(Object.prototype).join()).toBe(before);
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });

  it('whatever any field of the description is changed to, the answer is a network or an EspalierError', () => {
    const { metadata } = readSafetensors(rich);
    const paths: (string | number)[][] = [];
    const walk = (value: unknown, path: (string | number)[]): void => {
      paths.push(path);
      if (typeof value === 'object' && value !== null)
        for (const key of Object.keys(value)) walk((value as FreeJson)[key], [...path, key]);
    };
    walk(JSON.parse(metadata.get('espalier') ?? ''), []);
    const values = fc.oneof(
      fc.jsonValue({ maxDepth: 2 }),
      fc.constantFrom(0, -1, 1.5, 2 ** 31, 2 ** 53, 1e308, '', '__proto__', null, [], {}, [[]], true),
    );
    fc.assert(
      fc.property(fc.constantFrom(...paths.slice(1)), values, (path, value) => {
        const changed = edited(rich, (d) => {
          const parent = path.slice(0, -1).reduce<FreeJson>((at, key) => at[key], d);
          parent[path[path.length - 1]] = json(value);
        });
        try {
          readNetwork(changed);
        } catch (error) {
          expect(
            (error as Error).name,
            `${path.join('.')} = ${JSON.stringify(value)}: ${String((error as Error).stack)}`,
          ).toBe('EspalierError');
        }
      }),
      { numRuns: 600 },
    );
  });
});

describe('the bytes given', () => {
  it('may be an ArrayBuffer, at an odd address, in shared memory, and let go afterwards', () => {
    const around = new Uint8Array(file.length + 3);
    around.set(file, 3);
    const network = readNetwork(around.subarray(3));
    around.fill(0);
    expect(network).toEqual(smallNetwork());
    expect(readNetwork(file.slice().buffer)).toEqual(smallNetwork());
    const shared = new Uint8Array(new SharedArrayBuffer(file.length));
    shared.set(file);
    expect(readNetwork(shared)).toEqual(smallNetwork());
    expect(() => readNetwork('text' as unknown as Uint8Array)).toThrow(TypeError);
  });
});
