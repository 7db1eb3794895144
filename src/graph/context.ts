/** What a run is given, as its caller gives it. */
import { show } from '../base/errors.ts';
import { givenKernels } from '../kernels/given.ts';
import { loadKernels } from '../kernels/load.ts';
import type { KernelSet } from '../kernels/types.ts';
import type { Network } from './network.ts';
import type { Context, TransformReport } from './transform.ts';

/** A {@link Context} whose kernels may be left out: then they are the best set that the platform runs. */
export type GivenContext<C extends Pick<Context, 'kernels'> = Context> = Omit<C, 'kernels'> & {
  readonly kernels?: KernelSet;
};

/** A transform that also runs without kernels in its context. */
export type GivenTransform = (
  network: Network,
  context: GivenContext,
) => Promise<{ network: Network; report: TransformReport }>;

/**
 * The context with kernels; own properties only, as of options. @throws {TypeError} if it is no object, or its kernels
 * are none
 */
export async function resolveContext<C extends Pick<Context, 'kernels'>>(
  who: string,
  context: GivenContext<C>,
): Promise<C> {
  if (typeof context !== 'object' || context === null || Array.isArray(context))
    throw new TypeError(
      `${who}: context: expected an object { kernels, threads, seed, training, validation, signal, onEvent }, got ${show(context)}`,
    );
  const own = Object.assign(Object.create(null) as GivenContext<C>, context);
  return Object.assign(own, {
    kernels: await givenKernels(who, 'context.kernels', own.kernels, loadKernels),
  }) as unknown as C;
}
