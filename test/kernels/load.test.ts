import { afterEach, describe, expect, it, vi } from 'vitest';
import { ALL_SELECTION } from '../../src/kernels/selection/all.ts';
import { loadInferenceKernels, loadKernels } from '../../src/kernels/index.ts';
import { INFERENCE_SELECTION } from '../../src/kernels/selection/inference.ts';
import { namesOf } from '../../src/kernels/selection/selection.ts';
import { unpack } from '../../src/kernels/selection/unpack.ts';
import { sharedModule } from '../../src/kernels/simd/simd.ts';

/** The platform's WebAssembly with one thing gone wrong. */
const broken = (fault: Partial<typeof WebAssembly>): typeof WebAssembly =>
  Object.assign(Object.create(WebAssembly) as typeof WebAssembly, fault);
const refuse = (name: string): never => {
  throw new WebAssembly.CompileError(`${name} blocked by Content Security Policy`);
};

describe.each([
  ['loadKernels', loadKernels],
  ['loadInferenceKernels', loadInferenceKernels],
])('%s', (name, load) => {
  afterEach(() => vi.unstubAllGlobals());

  it('gives SIMD where it can, and says so', async () => {
    const set = await load();
    expect([set.name, set.reason]).toEqual(['simd', 'WebAssembly with SIMD']);
  });

  it('gives portable when asked', async () => {
    const set = await load({ prefer: 'portable' });
    expect([set.name, set.reason]).toEqual(['portable', 'asked for']);
  });

  it.each([
    ['SIMD is missing', broken({ compile: async () => refuse('compile'), validate: () => false }), /no SIMD/],
    [
      'a content policy blocks compiling',
      broken({ compile: async () => refuse('compile') }),
      /compile blocked by Content Security Policy/,
    ],
    [
      'instantiating fails',
      broken({
        Instance: function () {
          return refuse('instantiate');
        } as unknown as typeof WebAssembly.Instance,
      }),
      /instantiate blocked/,
    ],
    [
      'memory is refused from the start',
      broken({
        Memory: function () {
          throw new RangeError('no memory');
        } as unknown as typeof WebAssembly.Memory,
      }),
      /could not get 65536 bytes/,
    ],
  ])('falls back to portable and says why when %s', async (_fault, webAssembly, reason) => {
    const set = await load({ webAssembly });
    expect(set.name).toBe('portable');
    expect(set.reason).toMatch(reason);
    const { heap, kernels, scratch } = set.openSync({ words: 8, scratchWords: 0 });
    heap.float.set([1, 2]);
    kernels.add(scratch, 0, 0, 4, 2, 0, -1);
    expect([...heap.float.subarray(4, 6)]).toEqual([2, 4]);
  });

  it('falls back to portable where there is no WebAssembly at all', async () => {
    vi.stubGlobal('WebAssembly', undefined);
    const set = await load();
    expect([set.name, set.reason]).toEqual(['portable', 'this platform has no WebAssembly']);
  });

  it('refuses a preference that does not exist', async () => {
    await expect(load({ prefer: 'gpu' as 'simd' })).rejects.toThrow(
      `${name}: prefer: expected one of simd, portable, got "gpu"`,
    );
  });
});

describe('what travels packed', () => {
  afterEach(() => vi.restoreAllMocks());

  it("is the same, inflated by Node's zlib or by the streams of the web", async () => {
    const { simd } = INFERENCE_SELECTION.compiled;
    vi.spyOn(process, 'getBuiltinModule').mockReturnValue(undefined as never);
    const streamed = await unpack(simd);
    vi.restoreAllMocks();
    expect(streamed).toEqual(await unpack(simd));
    expect([...streamed.subarray(0, 4)]).toEqual([0, 97, 115, 109]);
  });

  it('is done without, in portable and with the reason, where the platform cannot inflate', async () => {
    vi.spyOn(process, 'getBuiltinModule').mockReturnValue(undefined as never);
    vi.stubGlobal('DecompressionStream', undefined);
    delete (globalThis as { DecompressionStream?: unknown }).DecompressionStream;
    const set = await loadKernels();
    expect([set.name, set.reason]).toEqual([
      'portable',
      expect.stringMatching(/could not be unpacked.*no DecompressionStream/),
    ]);
    vi.unstubAllGlobals();
  });
});

describe.each([
  ['all kernels', ALL_SELECTION],
  ['the kernels of inference', INFERENCE_SELECTION],
])('the module of %s', (_, selection) => {
  it('has each of them with the arguments of the table, and nothing else', async () => {
    const module = new WebAssembly.Module(await unpack(selection.compiled.simd));
    expect(
      WebAssembly.Module.exports(module)
        .map(({ name }) => name)
        .sort(),
    ).toEqual([...namesOf(selection)].sort());
    const { exports } = new WebAssembly.Instance(module, {
      env: { memory: new WebAssembly.Memory({ initial: 1, maximum: 1 }) },
    });
    for (const name of namesOf(selection))
      expect((exports[name] as () => void).length, name).toBe(1 + selection.kernels[name]!.arguments.length);
  });

  it('is the same code for shared memory but for one byte', async () => {
    const single = await unpack(selection.compiled.simd),
      shared = sharedModule(single, selection.compiled);
    expect(single.filter((byte, i) => byte !== shared[i])).toHaveLength(1);
    expect(WebAssembly.validate(shared)).toBe(true);
  });
});
