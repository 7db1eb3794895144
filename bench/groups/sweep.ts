/**
 * Cost against width, image side and batch, one thread, by the executors that users have: what pruning to any width is
 * worth, and where a cliff would show.
 */
import { createExecutor } from 'espalier';
import type { Executor } from 'espalier';
import { loadInferenceKernels, portableKernels } from 'espalier/kernels';
import { conv, dense, multiplyAdds, sequential } from 'espalier/network';
import type { Network } from 'espalier/network';
import { sizeOf } from 'espalier/tensor';
import { normals } from '../exchange.ts';
import { repeatsOf, takeTurns, timed, verify } from '../measure.ts';
import { networkNamed } from '../networks.ts';
import type { Row } from '../results.ts';
import { PROJECT_VERSION, timeRow } from './group.ts';
import type { Group } from './group.ts';

interface Point {
  readonly case: string;
  readonly what: 'width' | 'side' | 'batch';
  readonly size: number;
  readonly batch: number;
  readonly network: Network;
}

const upTo = (last: number, step = 1): number[] =>
  Array.from({ length: Math.floor(last / step) }, (_, i) => (i + 1) * step);

function points(): Point[] {
  const vgg = networkNamed('vgg96');
  const whole = vgg.build();
  return [
    ...upTo(70).flatMap((width): Point[] => [
      {
        case: 'convolution 3x3, 64 to width, 24 x 24, batch 4',
        what: 'width',
        size: width,
        batch: 4,
        network: sequential({ input: [64, 24, 24] }, [conv(width, 3)]),
      },
      {
        case: 'convolution 3x3, width to 64, 24 x 24, batch 4',
        what: 'width',
        size: width,
        batch: 4,
        network: sequential({ input: [width, 24, 24] }, [conv(64, 3)]),
      },
      {
        case: 'dense 1024 to width, batch 16',
        what: 'width',
        size: width,
        batch: 16,
        network: sequential({ input: [1024] }, [dense(width)]),
      },
      {
        case: 'dense width to 1024, batch 16',
        what: 'width',
        size: width,
        batch: 16,
        network: sequential({ input: [width] }, [dense(1024)]),
      },
    ]),
    ...upTo(96, 4).map((side): Point => ({
      case: 'convolution 3x3, 32 to 32, batch 4',
      what: 'side',
      size: side,
      batch: 4,
      network: sequential({ input: [32, side, side] }, [conv(32, 3)]),
    })),
    ...[1, 2, 3, 4, 6, 8, 12, 16, 24, 32].map((batch): Point => ({
      case: vgg.title,
      what: 'batch',
      size: batch,
      batch,
      network: whole,
    })),
  ];
}

export const sweep: Group = {
  name: 'sweep',
  about: 'cost against width (every one from 1 to 70), image side and batch',
  async measure({ rounds }) {
    const kernels = await loadInferenceKernels();
    const rows: Row[] = [];
    const all = points();
    // One family at a time: its members take turns, and its heaps are let go of before the next one's.
    for (const what of ['width', 'side', 'batch']) {
      const members = all.filter((point) => point.what === what);
      const executors: Executor[] = [];
      for (const { case: name, size, batch, network } of members) {
        const executor = await createExecutor(network, { batch, kernels });
        executors.push(executor);
        executor.input().set(normals(batch * sizeOf(network.inputs[0].shape), 'sweep'));
        executor.forward();
        await verifyLast(`${name}, ${what} ${size}`, executor);
      }
      const repeats = executors.map((executor) => repeatsOf(() => executor.forward()));
      const timings = await takeTurns(
        executors.map((executor, i) => ({ run: () => timed(() => executor.forward(), repeats[i]) })),
        rounds,
      );
      for (const executor of executors) executor.dispose();
      rows.push(
        ...members.map(({ case: name, size, batch, network }, i) =>
          timeRow(
            'sweep',
            {
              case: name,
              what,
              size,
              who: 'espalier',
              version: PROJECT_VERSION,
              work: (2 * batch * multiplyAdds(network)) / 1e9,
            },
            timings[i],
          ),
        ),
      );
    }
    return rows;
  },
};

/** The last sample of the batch against the portable kernels. */
async function verifyLast(what: string, { network, batch, input, output }: Executor): Promise<void> {
  const inputs = input();
  const outputs = output();
  const size = inputs.length / batch;
  const specification = await createExecutor(network, { kernels: portableKernels() });
  verify(
    what,
    outputs.subarray(outputs.length - outputs.length / batch),
    specification.predict(Float32Array.from(inputs.subarray(inputs.length - size)), 1),
    1e-4,
  );
  specification.dispose();
}
