/** The peers: which there are, whether they are installed here, and how their processes are started. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { pythonCommand, scriptCommand } from './children.ts';
import type { Command } from './children.ts';

export interface Peer {
  /** As in tables, for example 'tfjs wasm'. */
  readonly who: string;
  readonly version: string;
  readonly command: Command;
  readonly variant: string;
}

const INSTALL = 'npm ci --prefix bench/peers';

/** Those of one job that are there; what is missing is said on stderr, with the cure. */
function installed(
  peers: readonly ({ who: string; variant?: string } & (
    { package: string; script: string } | { module: string; script: string }
  ))[],
): Peer[] {
  return peers.flatMap((peer): Peer[] => {
    const { who, variant = '', script } = peer;
    const isPackage = 'package' in peer;
    const version = isPackage ? packageVersion(peer.package) : moduleVersion(peer.module);
    if (version !== undefined)
      return [{ who, version, variant, command: isPackage ? scriptCommand(script) : pythonCommand(script) }];
    console.error(
      `\n*** SKIPPED: ${who} is not installed. ${isPackage ? `Install it with: ${INSTALL}` : `It needs Debian's python3-${peer.module} for /usr/bin/python3.`}\n`,
    );
    return [];
  });
}

const ONNX = {
  who: 'onnxruntime-web',
  package: 'onnxruntime-web',
  script: 'peers/onnxruntime.ts',
  variant: 'onnxruntime-web',
};

/** The one that runs ONNX models in WebAssembly. */
export const onnxPeer = (): Peer | undefined => installed([ONNX])[0];

export const forwardPeers = (): Peer[] =>
  installed([
    ONNX,
    { who: 'tfjs wasm', package: '@tensorflow/tfjs-backend-wasm', script: 'peers/tfjs.ts', variant: 'wasm' },
    { who: 'jax-js wasm', package: '@jax-js/jax', script: 'peers/jax-js.ts' },
    { who: 'tfjs cpu', package: '@tensorflow/tfjs', script: 'peers/tfjs.ts', variant: 'cpu' },
    {
      who: 'onnxruntime-node',
      package: 'onnxruntime-node',
      script: 'peers/onnxruntime.ts',
      variant: 'onnxruntime-node',
    },
    { who: 'PyTorch', module: 'torch', script: 'peers/torch_peer.py' },
  ]);

export const trainingPeers = (): Peer[] =>
  installed([
    { who: 'jax-js wasm', package: '@jax-js/jax', script: 'peers/jax-js.ts' },
    { who: 'PyTorch', module: 'torch', script: 'peers/torch_peer.py' },
  ]);

export const kmeansPeers = (): Peer[] =>
  installed([
    { who: 'faiss', module: 'faiss', script: 'peers/kmeans_peer.py', variant: 'faiss' },
    { who: 'scikit-learn lloyd', module: 'sklearn', script: 'peers/kmeans_peer.py', variant: 'lloyd' },
    { who: 'scikit-learn elkan', module: 'sklearn', script: 'peers/kmeans_peer.py', variant: 'elkan' },
    { who: 'ml-kmeans', package: 'ml-kmeans', script: 'peers/ml-kmeans.ts' },
  ]);

/** Plain JavaScript, which takes seconds a call: one round, on the smallest case. */
export const isSlow = ({ who }: Pick<Peer, 'who'>): boolean => who === 'tfjs cpu';

/** Rounds of a contender: those that take seconds a call are timed less often. */
export function roundsOf(peer: Pick<Peer, 'who'>, rounds: number): number {
  return isSlow(peer) ? 1 : peer.who === 'jax-js wasm' ? Math.min(3, rounds) : rounds;
}

function packageVersion(name: string): string | undefined {
  try {
    return (
      JSON.parse(readFileSync(new URL(`peers/node_modules/${name}/package.json`, import.meta.url), 'utf8')) as {
        version: string;
      }
    ).version;
  } catch {
    return undefined;
  }
}

function moduleVersion(module: string): string | undefined {
  const { status, stdout } = spawnSync('/usr/bin/python3', ['-c', `import ${module}; print(${module}.__version__)`], {
    encoding: 'utf8',
  });
  return status === 0 ? stdout.trim() : undefined;
}
