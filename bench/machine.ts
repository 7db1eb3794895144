/** The machine that a result is of. */
import { cpus, release, totalmem, type } from 'node:os';

export interface Machine {
  readonly processor: string;
  /** For file names: 'amd-epyc'. */
  readonly slug: string;
  /** In one line. */
  readonly description: string;
}

export function describeMachine(): Machine {
  const all = cpus();
  const processor = all[0].model.trim();
  return {
    processor,
    slug: processor
      .toLowerCase()
      .replace(/\(r\)|\(tm\)/g, '')
      .replace(/[^a-z0-9]+/g, '-')
      .replace(/^-|-$/g, ''),
    description: `${processor}, ${all.length} cores, ${(totalmem() / 2 ** 30).toFixed(1)} GB, ${type()} ${release().split('-')[0]}`,
  };
}
