/** Models by others, and one of our own with product codes, one thread: the very files in onnxruntime-web. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadKernels, quantize, readOnnx, writeNetwork, writeOnnx } from 'espalier';
import { sizeOf } from 'espalier/tensor';
import { readFileSync } from 'node:fs';
import { espalierCommand, SCRATCH, startContender, withContenders } from '../children.ts';
import type { Contender } from '../children.ts';
import { normals, writeArray } from '../exchange.ts';
import { summarize, takeTurns, verify } from '../measure.ts';
import { networkNamed } from '../networks.ts';
import { onnxPeer } from '../peers.ts';
import type { Row } from '../results.ts';
import type { ModelJob } from '../serve.ts';
import { PROJECT_VERSION, timeRow } from './group.ts';
import type { Group, Settings } from './group.ts';

interface Model {
  readonly title: string;
  /** Read by onnxruntime-web. */
  readonly onnx: string;
  /** Read by espalier. */
  readonly own: string;
  readonly batches: readonly number[];
}

/** Shares of the largest output: weights of detectors cancel more than random ones do. */
const BOUND = 1e-4;

/** Files of the folder of models, and the batches that each takes. */
const FILES: readonly (readonly [name: string, batches: readonly number[]])[] = [
  ['vgg-face68', [1, 8]],
  ['resnet-face68', [1, 8]],
  ['ultraface-rfb-320', [1]],
  ['ultraface-slim-320-simplified', [1]],
  ['yunet-n-320', [1]],
];

export const models: Group = {
  name: 'models',
  about: 'ONNX models of --models DIR (ESPALIER_DATA/models), and one with product codes, against onnxruntime-web',
  async measure(settings) {
    const peer = onnxPeer();
    if (!peer) return [];
    mkdirSync(SCRATCH, { recursive: true });
    const rows: Row[] = [];
    for (const model of [...foundModels(settings), await codedModel()]) {
      for (const batch of model.batches) rows.push(...(await measureModel(model, batch, settings.rounds)));
    }
    return rows;

    function measureModel({ title, onnx, own, batches }: Model, batch: number, rounds: number): Promise<Row[]> {
      const { inputs } = readOnnx(readFileSync(onnx)).network;
      const files = inputs.map(({ name, shape }) =>
        writeArray(join(SCRATCH, `model-${name}.f32`), normals(batch * sizeOf(shape), `${title} ${name}`)),
      );
      const jobs = [own, onnx].map((model): ModelJob => ({ kind: 'model', model, batch, threads: 1, inputs: files }));
      return withContenders(async (add) => {
        const whos = ['espalier', peer!.who];
        const contenders = [
          await add(startContender('espalier', await espalierCommand(), jobs[0], 'simd')),
          await add(startContender(peer!.who, peer!.command, jobs[1], peer!.variant)),
        ];
        const first = await firstRuns(contenders);
        const [ours, theirs] = [await contenders[0].output(), await contenders[1].output()];
        const found = verify(`${title}, batch ${batch}`, ours, theirs, BOUND);
        console.log(`verified: ${title}, batch ${batch}: differs by ${found.toExponential(1)} of the largest output`);
        for (let run = 0; run < WARM; run++) for (const contender of contenders) await contender.run();
        const timings = await takeTurns(contenders, rounds);
        return whos.flatMap((who, i) => {
          const labels = { case: title, who, version: [PROJECT_VERSION, peer!.version][i] };
          const opened = (seconds: number): ReturnType<typeof summarize> => summarize([seconds]);
          return [
            timeRow('models', { ...labels, what: `forward, batch ${batch}` }, timings[i]),
            ...(batch === batches[0]
              ? [
                  timeRow('models', { ...labels, what: 'opening' }, opened(contenders[i].opened)),
                  timeRow('models', { ...labels, what: 'first run' }, opened(first[i])),
                ]
              : []),
          ];
        });
      });
    }
  },
};

/** Calls before those that count: engines compile a second time what runs long enough. */
const WARM = 20;

async function firstRuns(contenders: readonly Contender[]): Promise<number[]> {
  const seconds: number[] = [];
  for (const contender of contenders) seconds.push(await contender.run());
  return seconds;
}

/** Those of the list that are in the folder; what is not is said. */
function foundModels({ models: folder }: Settings): Model[] {
  const paths = FILES.map(([name, batches]) => ({
    title: name,
    path: folder === undefined ? undefined : join(folder, `${name}.onnx`),
    batches,
  }));
  return paths.flatMap(({ title, path, batches }): Model[] => {
    if (path !== undefined && existsSync(path)) return [{ title, onnx: path, own: path, batches }];
    const cure = 'name their folder with --models DIR, or its parent in ESPALIER_DATA';
    console.error(`\n*** SKIPPED: ${title}: ${path === undefined ? cure : `there is no ${path}; ${cure}`} ***\n`);
    return [];
  });
}

/** The VGG with product codes: our file on our side, what `writeOnnx` makes of it on the other. */
async function codedModel(): Promise<Model> {
  const { title, build } = networkNamed('vgg96');
  const kernels = await loadKernels();
  const { network } = await quantize({ subvectorLength: 8, iterations: 5 })(build(), { kernels, threads: 1, seed: 1 });
  const [own, onnx] = ['espalier', 'onnx'].map((end) => join(SCRATCH, `coded.${end}`));
  writeFileSync(own, writeNetwork(network));
  writeFileSync(onnx, writeOnnx(network));
  return { title: `${title}, product codes`, onnx, own, batches: [1, 8] };
}
