/**
 * Where the time of a pass goes: every kernel call timed, one thread, the best of some rounds per step of the program.
 * Steps of a kernel with the same work (their piece without its offsets) are one line. Run: npx tsx bench/profile.ts
 * <vgg96 | vgg96-half | vgg64 | resnet | mobilenet> <batch> [forward | training] [rounds]
 */
import { createExecutor, createTrainingExecutor, l2 } from 'espalier';
import { KERNELS, loadKernels, readGeometry } from 'espalier/kernels';
import type { KernelSet, Program, Workspace } from 'espalier/kernels';
import { networkNamed } from './networks.ts';

interface Line {
  readonly kernel: string;
  readonly what: string;
  /** Milliseconds of a round, and the best so far. */
  now: number;
  best: number;
}

const [name = 'vgg96', batchText = '16', pass = 'forward', roundsText = '9'] = process.argv.slice(2);
const batch = Number(batchText);
if (!['forward', 'training'].includes(pass) || !(batch >= 1))
  throw new RangeError(
    'bench/profile.ts: expected <vgg96 | vgg96-half | vgg64 | resnet | mobilenet> <batch> [forward | training] [rounds]',
  );
const lines = new Map<string, Line>();
const run = await passOf(timed(await loadKernels()));
for (let round = 0; round < Number(roundsText) + 3; round++) {
  for (const line of lines.values()) line.now = 0;
  run();
  // The first rounds are V8's baseline code.
  if (round >= 3) for (const line of lines.values()) line.best = Math.min(line.best, line.now);
}
const sorted = [...lines.values()].filter(({ best }) => best > 0 && best < Infinity).sort((a, b) => b.best - a.best);
const whole = sorted.reduce((sum, { best }) => sum + best, 0);
console.log(`${name}, batch ${batch}, ${pass}: ${whole.toFixed(1)} ms in kernels`);
for (const { kernel, what, best } of sorted) {
  if (best < whole / 1000) break;
  console.log(
    `${best.toFixed(2).padStart(9)} ms${((100 * best) / whole).toFixed(1).padStart(6)} %  ${kernel.padEnd(26)}${what}`,
  );
}

/** The same set; its workspaces run programs call by call and note what each step takes. */
function timed(kernels: KernelSet): KernelSet {
  return {
    ...kernels,
    async open(options) {
      const workspace = await kernels.open({ ...options, threads: 1 });
      return {
        ...workspace,
        heap: workspace.heap,
        run: (program) => runTimed(workspace, (options.programs ?? [])[program]),
      };
    },
  };
}

function runTimed({ kernels, heap, scratch }: Workspace, program: Program): void {
  for (const { kernel, pieces } of program) {
    // In the order of the table, made beforehand: what is timed is the kernel.
    const names: readonly string[] = KERNELS[kernel].arguments;
    const rows = pieces.map((piece) => names.map((name) => (piece as Readonly<Record<string, number>>)[name]));
    const what = describe(kernel, heap.int, rows);
    const key = `${kernel} ${what}`;
    let line = lines.get(key);
    if (!line) lines.set(key, (line = { kernel, what, now: 0, best: Infinity }));
    const call = kernels[kernel] as (scratch: number, ...piece: readonly number[]) => void;
    const start = performance.now();
    for (const row of rows) call(scratch, ...row);
    line.now += performance.now() - start;
  }
}

/** The sizes of a step's work. */
function describe(kernel: string, int: Int32Array, pieces: readonly (readonly number[])[]): string {
  const [piece] = pieces;
  if (kernel === 'matmul') return `${piece[0]} x ${piece[1]} x ${piece[2]}, ${pieces.length} pieces`;
  if (!/^(convolution|maxPool|averagePool)/.test(kernel)) return `${pieces.length} pieces`;
  const g = readGeometry(int, piece[0]);
  return `${g.channelsIn} x ${g.heightIn} x ${g.widthIn} -> ${g.channelsOut}, ${g.kernelHeight} x ${g.kernelWidth}${g.strideX > 1 ? ` stride ${g.strideX}` : ''}${g.groups > 1 ? ` in ${g.groups} groups` : ''}`;
}

async function passOf(kernels: KernelSet): Promise<() => void> {
  const network = networkNamed(name).build();
  if (pass === 'forward') {
    const executor = await createExecutor(network, { batch, kernels });
    executor.input().fill(0.5);
    return () => executor.forward();
  }
  const optimizer = {
    kind: 'sgd',
    momentum: 0.9,
    nesterov: false,
    beta1: 0.9,
    beta2: 0.999,
    epsilon: 1e-8,
    decoupled: false,
    weightDecay: 0,
    codewordGradient: 'mean',
  } as const;
  const executor = await createTrainingExecutor(network, { batch, kernels, optimizer });
  const loss = l2();
  const targets = executor.output().slice();
  let step = 0;
  return () => {
    executor.input().fill(0.5);
    executor.forwardTraining(step++);
    loss.measure(executor.output(), targets, batch, targets.length / batch, executor.outputGradient());
    executor.backward();
    executor.update({ rate: 0, clip: 0 }, step);
  };
}
