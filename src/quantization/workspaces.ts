/** Workspaces for k-means, with threads where there is work enough for them. */
import type { KernelSet, Workspace } from '../kernels/types.ts';
import type { AssignmentPlan } from './assignment.ts';

/**
 * Differences, squares and sums that are done, bounds and all, by the time that a worker thread has started (some 50
 * ms).
 */
const WORTH_THREADS = 1e9;

export interface Workspaces {
  /** One for the plan: that of the plan before, threads and all, if its programs are the same. */
  open(plan: AssignmentPlan): Promise<Workspace>;
  dispose(): void;
}

/** @param work - points x codewords x coordinates x iterations of all that is to come */
export function createWorkspaces(kernels: KernelSet, threads: number, work: number): Workspaces {
  let key = '';
  let workspace: Workspace | undefined;
  return {
    async open(plan) {
      if (workspace && key !== '' && plan.key === key) return workspace;
      workspace?.dispose();
      workspace = undefined;
      workspace = await kernels.open({ ...plan.workspace, threads: work < WORTH_THREADS ? 1 : threads });
      key = plan.key;
      return workspace;
    },
    dispose: () => workspace?.dispose(),
  };
}
