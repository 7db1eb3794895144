/** Tables of portable kernels: functions that bind one to a heap. */
import type { KernelName, Kernels } from '../specification/kernels.ts';
import type { Heap } from '../types.ts';

export type PortableTable<K extends KernelName> = { readonly [N in K]: (heap: Heap) => Kernels[N] };

/** The kernels of a table, bound to a heap. */
export function bindKernels<K extends KernelName>(table: PortableTable<K>, heap: Heap): Pick<Kernels, K> {
  const bound = Object.entries<(heap: Heap) => unknown>(table).map(([name, bind]) => [name, bind(heap)]);
  return Object.fromEntries(bound) as Pick<Kernels, K>;
}
