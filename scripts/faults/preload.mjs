/**
 * Loaded before the program (`node --import`): a file system that fails, or kills the process, at its n-th call of one
 * operation. The fault is JSON in FAULT: { folder, operation, n, code } or { ..., kill: 'before' | 'after' }; only calls
 * about files within `folder` count, from 1. Without an operation it counts: to the file FAULT_COUNTS, at exit.
 */
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

const { folder, operation, n, code, kill } = JSON.parse(process.env.FAULT);
const counts = {};

/** Counts a call; true: the fault is here. */
function isHit(called, path) {
  if (typeof path !== 'string' || !path.startsWith(folder)) return false;
  counts[called] = (counts[called] ?? 0) + 1;
  return called === operation && counts[called] === n;
}

const failure = (called) => Object.assign(new Error(`${code}: injected, ${called}`), { code, syscall: called });
const die = () => process.kill(process.pid, 'SIGKILL');

/** `work` with the fault around it. A failing close closes all the same, as systems do; a failing write has written a part. */
async function guarded(called, path, work, part) {
  if (!isHit(called, path)) return work();
  if (kill === 'before') die();
  else if (kill === 'after') {
    await (part ?? work)();
    die();
    await new Promise(() => undefined);
  } else {
    await part?.();
    throw failure(called);
  }
}

function watch(file, path) {
  for (const [method, called] of [
    ['write', 'write'],
    ['sync', 'sync'],
    ['close', 'close'],
  ]) {
    const original = file[method].bind(file);
    file[method] = (...all) => {
      const half = method === 'write' && (() => original(all[0], all[1], Math.floor(all[2] / 2)));
      const part = method === 'write' ? half : method === 'close' ? () => original() : undefined;
      return guarded(called, path, () => original(...all), part);
    };
  }
  return file;
}

for (const called of ['mkdir', 'readdir', 'readFile', 'readlink', 'rename', 'rmdir', 'stat', 'unlink']) {
  const original = fs.promises[called];
  fs.promises[called] = (path, ...rest) => guarded(called, String(path), () => original(path, ...rest));
}
const { open } = fs.promises;
fs.promises.open = (path, ...rest) =>
  guarded('open', String(path), async () => watch(await open(path, ...rest), String(path)));

// Data are read by these.
const opened = new Map();
const { openSync, readSync } = fs;
fs.openSync = (path, ...rest) => {
  if (isHit('openSync', String(path))) throw failure('open');
  const file = openSync(path, ...rest);
  opened.set(file, String(path));
  return file;
};
fs.readSync = (file, ...rest) => {
  if (isHit('readSync', opened.get(file))) throw failure('read');
  return readSync(file, ...rest);
};
syncBuiltinESMExports();

if (operation === undefined)
  process.on('exit', () => fs.writeFileSync(process.env.FAULT_COUNTS, JSON.stringify(counts)));
