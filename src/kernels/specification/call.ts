/** Calls of kernels with their arguments by name. */
import { KERNELS, type Call, type KernelName, type Kernels } from './kernels.ts';

/**
 * Calls one kernel.
 * @param scratch - offset of the caller's working space
 * @example
 * callKernel(workspace.kernels, 'sumSquares', workspace.scratch, { x: 0, count: 100, out: 100 });
 */
export function callKernel<K extends KernelName>(
  kernels: Pick<Kernels, K>,
  kernel: K,
  scratch: number,
  call: Call<K>,
): void {
  const row = KERNELS[kernel].arguments.map((name) => (call as Readonly<Record<string, number>>)[name]);
  (kernels[kernel] as (...row: number[]) => void)(scratch, ...row);
}
