/**
 * What the platform offers, asked for when it is needed: importing this does nothing, and a bundler sees no Node
 * module.
 */

import type * as buffer from 'node:buffer';
import type * as fs from 'node:fs';
import type * as path from 'node:path';
import type * as os from 'node:os';
import type * as workerThreads from 'node:worker_threads';
import type * as zlib from 'node:zlib';

interface NodeModules {
  'node:buffer': typeof buffer;
  'node:fs': typeof fs;
  'node:path': typeof path;
  'node:os': typeof os;
  'node:worker_threads': typeof workerThreads;
  'node:zlib': typeof zlib;
}

/** A module of Node's own, or undefined where there is none (browsers, or Node before 20.16). */
export function nodeModule<M extends keyof NodeModules>(name: M): NodeModules[M] | undefined {
  const host = (globalThis as { process?: { getBuiltinModule?: (id: string) => unknown } }).process;
  return host?.getBuiltinModule?.(name) as NodeModules[M] | undefined;
}

/** The same where there is no way on without it. @throws {Error} naming `who` where the platform is not Node */
export function requireNode<M extends keyof NodeModules>(who: string, name: M): NodeModules[M] {
  const found = nodeModule(name);
  if (!found)
    throw new Error(
      `${who}: needs ${name}, which this platform lacks; use Node 20.16 or later, or the functions that take bytes`,
    );
  return found;
}
