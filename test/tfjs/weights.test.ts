/** Weights of TensorFlow.js: shards, quantization, and what is wrong with them. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readTfjs, readTfjsWeights } from '../../src/tfjs/index.ts';
import { bytesOf, caseNamed, refusal } from './cases.ts';

const spec = (name: string, shape: number[], more: object = {}): Record<string, unknown> => ({
  name,
  shape,
  dtype: 'float32',
  ...more,
});
const manifest = (weights: object[], paths = ['w.bin']): object => [{ paths, weights }];

describe('readTfjsWeights', () => {
  it('reads each element as min + scale times its level, of 8 and 16 bits, and halves', () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(65535), { minLength: 1, maxLength: 20 }),
        fc.double({ min: 1e-3, max: 10, noNaN: true }),
        fc.double({ min: -10, max: 10, noNaN: true }),
        (levels, scale, min) => {
          for (const [dtype, bytes] of [
            ['uint8', Uint8Array.from(levels)],
            ['uint16', new Uint8Array(Uint16Array.from(levels).buffer)],
          ] as const) {
            const json = manifest([spec('a', [levels.length], { quantization: { dtype, scale, min } })]);
            const expected = levels.map((level) =>
              Math.fround((dtype === 'uint8' ? level & 255 : level) * scale + min),
            );
            expect([...(readTfjsWeights(json, bytes).get('a')?.data ?? [])]).toEqual(expected);
          }
        },
      ),
      { numRuns: 50 },
    );
    const halves = manifest([spec('h', [3], { quantization: { dtype: 'float16' } })]);
    const bits = new Uint8Array(Uint16Array.of(0x3c00, 0xc000, 0x3555).buffer);
    expect([...(readTfjsWeights(halves, bits).get('h')?.data ?? [])]).toEqual([1, -2, 0.333251953125]);
  });

  it('reads whole numbers, rounded where they are quantized, and truth values', () => {
    const json = manifest([
      spec('i', [2], { dtype: 'int32' }),
      spec('q', [2], { dtype: 'int32', quantization: { dtype: 'uint8', scale: 1.5, min: -3 } }),
      spec('b', [2], { dtype: 'bool' }),
    ]);
    const bytes = Uint8Array.of(255, 255, 255, 255, 7, 0, 0, 0, 1, 3, 1, 0);
    const found = readTfjsWeights(json, bytes);
    expect([...found].map(([name, { data }]) => [name, [...data]])).toEqual([
      ['i', [-1, 7]],
      ['q', [Math.round(-1.5), 2]],
      ['b', [1, 0]],
    ]);
  });

  it('reads weights that span shards, and shards in a map, an object, or one behind the other', () => {
    const floats = Float32Array.from({ length: 6 }, (_, i) => i + 0.5);
    const bytes = new Uint8Array(floats.buffer);
    const json = manifest([spec('a', [1, 2]), spec('__proto__', [4])], ['one.bin', 'two.bin']);
    const parts: [string, Uint8Array][] = [
      ['one.bin', bytes.subarray(0, 13)],
      ['two.bin', bytes.subarray(13)],
    ];
    for (const given of [bytes, new Map(parts), Object.fromEntries(parts)]) {
      const found = readTfjsWeights(JSON.stringify(json).replace('__proto__', '__proto__'), given);
      expect(found.get('a')).toEqual({ shape: [1, 2], data: floats.subarray(0, 2) });
      expect(found.get('__proto__')?.data).toEqual(floats.subarray(2));
    }
  });

  const eight = new Uint8Array(8);
  it.each<[string, unknown, unknown, string, RegExp]>([
    ['a shard that is too short', manifest([spec('a', [3])]), eight, 'TRUNCATED', /12 bytes by the manifest/],
    ['one that is too long', manifest([spec('a', [1])]), eight, 'LAYOUT', /4 bytes by the manifest/],
    ['a shard that is missing', manifest([spec('a', [2])]), new Map([['x', eight]]), 'MISSING', /"w.bin"/],
    ['a shard above', manifest([spec('a', [2])], ['../w.bin']), eight, 'PATH', /\.\.\/w\.bin/],
    ['a shard at a root', manifest([spec('a', [2])], ['/etc/w.bin']), eight, 'PATH', /etc/],
    ['a shard elsewhere', manifest([spec('a', [2])], ['https://x.org/w.bin']), eight, 'PATH', /x\.org/],
    ['a shard behind %2e', manifest([spec('a', [2])], ['%2e%2e/w.bin']), eight, 'PATH', /%2e/],
    ['two weights of one name', manifest([spec('a', [1]), spec('a', [1])]), eight, 'DUPLICATE', /"a"/],
    ['a shape below 0', manifest([spec('a', [-2])]), eight, 'TENSOR', /shape/],
    ['a shape that is a fraction', manifest([spec('a', [1.5])]), eight, 'TENSOR', /shape/],
    ['a shape beyond any file', manifest([spec('a', [2 ** 30, 2 ** 30])]), eight, 'TENSOR', /beyond any file/],
    ['a petabyte', manifest([spec('a', [2 ** 48])]), eight, 'TRUNCATED', /1125899906842624 bytes/],
    ['texts', manifest([spec('a', [1], { dtype: 'string' })]), eight, 'UNSUPPORTED', /"string"/],
    [
      'a scale of 0',
      manifest([spec('a', [8], { quantization: { dtype: 'uint8', scale: 0, min: 0 } })]),
      eight,
      'TENSOR',
      /scale/,
    ],
    ['no scale', manifest([spec('a', [8], { quantization: { dtype: 'uint8', min: 0 } })]), eight, 'TENSOR', /scale/],
    ['no min', manifest([spec('a', [8], { quantization: { dtype: 'uint8', scale: 1 } })]), eight, 'TENSOR', /min/],
    [
      'odd bytes of 16 bits',
      manifest([spec('a', [4], { quantization: { dtype: 'uint16', scale: 1, min: 0 } })]),
      eight.subarray(1),
      'TRUNCATED',
      /8 bytes/,
    ],
    [
      'levels of 4 bits',
      manifest([spec('a', [8], { quantization: { dtype: 'uint4', scale: 1, min: 0 } })]),
      eight,
      'UNSUPPORTED',
      /uint4/,
    ],
    ['a truth value of 2', manifest([spec('a', [8], { dtype: 'bool' })]), eight.map(() => 2), 'TENSOR', /element 0/],
    ['no JSON', '\u0000\u0001', eight, 'BAD_MAGIC', /JSON/],
    ['a page', '<html>', eight, 'BAD_MAGIC', /HTML/],
    ['a key that stands twice', '{"weightsManifest":[],"weightsManifest":[]}', eight, 'DUPLICATE', /twice/],
    ['no list', {}, eight, 'FIELD', /weightsManifest/],
  ])('refuses %s', (_what, json, bytes, code, text) => {
    const { code: found, message } = refusal(() => readTfjsWeights(json as object, bytes as Uint8Array));
    expect(`${found} ${message}`).toMatch(new RegExp(`^${code} .*${text.source}`, 's'));
  });

  it('refuses arguments of other kinds, naming them', () => {
    expect(() => readTfjsWeights([], 7 as never)).toThrow(TypeError);
    expect(() => readTfjsWeights(7 as never, eight)).toThrow(/modelJson: expected a text/);
    expect(() => readTfjs('{}', eight, { shapes: 3 as never })).toThrow(TypeError);
    expect(() => readTfjs('{}', eight, { shape: {} } as never)).toThrow(/shape/);
    const { model, weights } = caseNamed('dense');
    expect(() => readTfjs(model, bytesOf(weights), { shapes: { other: [1] } })).toThrow(/"other" is no input/);
  });
});
