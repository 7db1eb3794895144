#!/usr/bin/env node
/** The program `espalier`: the process's arguments, streams and signals given to `runCli`. */
import { runCli } from './cli.ts';
import { steadyOutput, STOP_CODES } from './io.ts';
import type { StopSignal } from './io.ts';

const controller = new AbortController();
const signals = Object.keys(STOP_CODES) as StopSignal[];
function stop(name: StopSignal): void {
  if (controller.signal.aborted) process.exit(STOP_CODES[name]);
  controller.abort(name);
  // Without a listener the next signal ends the process at once, even in the midst of a long computation.
  setImmediate(() => {
    for (const one of signals) process.off(one, stop);
  });
}
for (const name of signals) process.on(name, stop);

const [stdout, stderr] = [steadyOutput(process.stdout), steadyOutput(process.stderr)];
void runCli(process.argv.slice(2), { stdout, stderr, signal: controller.signal, env: process.env }).then(
  async (code) => {
    const lost = await stdout.lost();
    // A reader that has seen enough (`espalier inspect m | head`) is no error.
    const isFailure = lost !== undefined && lost.code !== 'EPIPE';
    if (isFailure) stderr.write(`espalier: cannot write the result to stdout: ${lost.message}\n`);
    // The code is set, not exited with: what is still on its way to a pipe arrives.
    process.exitCode = isFailure && code === 0 ? 1 : code;
  },
);
