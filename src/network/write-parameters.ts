/**
 * Encodings by name for a file. A dense one is the tensor of its name; the parts of another are its name with a suffix,
 * and its header stands in the description.
 */
import type { PackableArray } from '../container/pack.ts';
import { isDense, trainedValues, writeEncoding } from '../encodings/index.ts';
import type { Encoding } from '../encodings/types.ts';
import { checkFinite } from '../base/errors.ts';

/**
 * The tensors, and what is to stand in the description under 'parameters', for JSON.stringify.
 * @throws {EspalierError} NONFINITE for a value that is not finite, naming the parameter
 */
export function writeParameters(
  who: string,
  parameters: Iterable<readonly [string, Encoding]>,
): { readonly tensors: readonly PackableArray[]; readonly entries: readonly unknown[] } {
  const taken = new Set(['__metadata__']);
  const tensors: PackableArray[] = [];
  const entries = Array.from(parameters, ([name, encoding]) => {
    checkFinite(who, name, trainedValues(encoding));
    const { header, tensors: parts } = writeEncoding(encoding);
    const renamed: Record<string, string> = {};
    for (const { suffix, ...part } of parts) {
      let stored = name + suffix;
      while (taken.has(stored)) stored += '~';
      taken.add(stored);
      if (stored !== name + suffix) renamed[suffix] = stored;
      tensors.push({ name: stored, ...part });
    }
    const isRenamed = Object.keys(renamed).length > 0;
    // The shape of a plain dense parameter stands with its tensor: its name says everything.
    const isPlain = isDense(encoding) && Object.keys(header).length === 2 && parts.length === 1 && !isRenamed;
    return isPlain ? name : { name, header, ...(isRenamed && { tensors: renamed }) };
  });
  return { tensors, entries };
}
