/** The machine that a result is of. */
import { readFileSync } from 'node:fs';
import { cpus, release, totalmem, type } from 'node:os';

export interface Machine {
  readonly processor: string;
  /** For file names: 'amd-epyc-family-25-model-17'. */
  readonly slug: string;
  /** In one line. */
  readonly description: string;
}

export function describeMachine(): Machine {
  const all = cpus();
  const processor = `${all[0].model.trim()}${generation()}`;
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

/** Family and model where Linux tells them: virtual machines give processors years apart the one name 'AMD EPYC'. */
function generation(): string {
  let text: string;
  try {
    text = readFileSync('/proc/cpuinfo', 'utf8');
  } catch {
    return '';
  }
  const [family, model] = [/^cpu family\s*: (\d+)$/m, /^model\s*: (\d+)$/m].map((line) => line.exec(text)?.[1]);
  return family === undefined || model === undefined ? '' : ` (family ${family}, model ${model})`;
}
