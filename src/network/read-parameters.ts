/**
 * Encodings by name from a file that {@link writeParameters} described: the parameters of a network, or encodings by
 * themselves. The file is untrusted; sizes are asked about before anything is allocated by them.
 */
import type { Json } from '../container/json.ts';
import type { SafetensorsFile } from '../container/safetensors.ts';
import { readEncoding } from '../encodings/reading.ts';
import type { Encoding, EncodingHeader, StoredTensor } from '../encodings/types.ts';
import { EspalierError, show } from '../base/errors.ts';
import type { Shape } from '../base/tensor.ts';
import { fail, list, object, readShape, text, toPlain } from './description.ts';

const STORED_DTYPES = ['F32', 'F16', 'U8', 'U16', 'I32'] as const satisfies readonly StoredTensor['dtype'][];

/** What a file says of a parameter, its values aside. */
export interface StoredParameter {
  readonly name: string;
  readonly shape: Shape;
  readonly header: EncodingHeader;
  /** Names of tensors by suffix, where they are not name + suffix. */
  readonly tensors: ReadonlyMap<string, string>;
}

/**
 * @param entries - what stands in the description under 'parameters'
 * @param check - throws if what is asked for is too much
 * @throws {EspalierError} FIELD, SHAPE, MISSING, GRAPH for a name that comes twice, LAYOUT for a tensor that serves twice,
 *   and whatever `readEncoding` throws
 */
export function readParameters(
  who: string,
  file: SafetensorsFile,
  entries: Json | undefined,
  check: (stored: readonly StoredParameter[]) => void,
): Map<string, Encoding> {
  const stored = list(who, 'parameters', entries).map((entry) => readStored(who, file, entry));
  check(stored);
  const tensorOf = storedTensors(who, file);
  const parameters = new Map<string, Encoding>();
  for (const { name, header, tensors } of stored) {
    if (parameters.has(name))
      throw new EspalierError('GRAPH', `${who}: two parameters are called ${show(name)}`, { name });
    parameters.set(
      name,
      readEncoding(name, header, (suffix) => tensorOf(name, suffix, tensors.get(suffix) ?? name + suffix)),
    );
  }
  return parameters;
}

function readStored(who: string, file: SafetensorsFile, entry: Json): StoredParameter {
  if (typeof entry === 'string') {
    const found = file.tensors.get(entry);
    if (found === undefined) throw missing(who, entry);
    return { name: entry, shape: found.shape, header: { kind: 'dense', shape: found.shape }, tensors: new Map() };
  }
  const fields = object(who, 'parameters', entry);
  const name = text(who, 'parameters: name', fields.get('name'));
  const header = object(who, `parameter ${show(name)}: header`, fields.get('header'));
  const renamed = object(who, `parameter ${show(name)}: tensors`, fields.get('tensors') ?? new Map());
  const shape = readShape(who, `parameter ${show(name)}: shape`, header.get('shape'));
  return {
    name,
    shape,
    header: { ...toPlain(header), kind: text(who, `parameter ${show(name)}: kind`, header.get('kind')), shape },
    tensors: new Map(
      [...renamed].map(([suffix, tensor]) => [suffix, text(who, `parameter ${show(name)}: tensors`, tensor)]),
    ),
  };
}

/**
 * The tensors of a file as parameters ask for them, each one once: one tensor under many names would be many times the
 * file. Nodes that share weights name one parameter.
 */
function storedTensors(
  who: string,
  file: SafetensorsFile,
): (parameter: string, suffix: string, name: string) => StoredTensor {
  const owners = new Map<string, string>();
  return (parameter, suffix, name) => {
    const found = file.tensors.get(name);
    if (found === undefined) throw missing(who, name);
    const owner = owners.get(name);
    if (owner !== undefined)
      throw new EspalierError(
        'LAYOUT',
        `${who}: the tensor ${show(name)} is stored for the parameter ${show(owner)} and asked for by ${show(parameter)} too; give each its own (nodes that share weights name one parameter)`,
        { name, found: parameter },
      );
    owners.set(name, parameter);
    const dtype = STORED_DTYPES.find((known) => known === found.dtype);
    if (dtype === undefined)
      return fail(who, `tensor ${show(name)}: dtype`, `one of ${STORED_DTYPES.join(', ')}`, found.dtype);
    return { suffix, dtype, shape: found.shape, bytes: found.bytes };
  };
}

function missing(who: string, name: string): EspalierError {
  return new EspalierError('MISSING', `${who}: the file has no tensor ${show(name)}, which its description names`, {
    name,
  });
}
