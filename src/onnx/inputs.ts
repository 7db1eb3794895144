/** Inputs of a model as those of a network: their sides, and the batch in front of them. */
import { EspalierError, show } from '../base/errors.ts';
import { acrossBatchError, isAcrossBatch } from './building.ts';
import type { Layout, Value } from './building.ts';
import type { NodeProto, ValueProto } from './model.ts';
import type { Conversion } from './nodes.ts';
import { elementOf, elementWord } from './tensor.ts';

/** Inputs that are no initializers and that something needs. */
export function networkInputs(
  { graph, shapes }: Conversion,
  nodes: readonly NodeProto[],
  layout: Layout,
  refuse: (name: string, error: EspalierError) => void,
): { inputs: Value[]; batch: number | undefined } {
  const used = new Set([...nodes.flatMap((node) => node.inputs), ...graph.outputs.map(({ name }) => name)]);
  const proper = graph.inputs.filter(({ name }) => !graph.initializers.has(name) && used.has(name));
  const sizes = new Set<number | undefined>();
  const valueOf = (input: ValueProto): Value => {
    const dimensions = dimensionsOf(input, Object.hasOwn(shapes, input.name) ? shapes[input.name] : undefined);
    if (layout === 'batched') {
      if (dimensions.length === 0)
        throw acrossBatchError(`readOnnx: input ${show(input.name)} is a single number: it has no batch`);
      sizes.add(dimensions[0]);
    }
    const shape = (layout === 'batched' ? dimensions.slice(1) : dimensions).map((side, axis) => {
      if (side !== undefined) return side;
      // A batch that the model leaves open is one where it runs as a whole.
      if (layout === 'whole' && axis === 0) return 1;
      const at = layout === 'batched' ? axis + 1 : axis;
      throw new EspalierError(
        'UNSUPPORTED',
        `readOnnx: input ${show(input.name)}: dimension ${at} is open (${show(input.dimensions?.[at] ?? 'nothing said')}); a network has one size: fix it with { shapes: { ${show(input.name)}: [${dimensions.map((known, i) => known ?? (i === 0 ? "'batch'" : i === at ? '224' : '?')).join(', ')}] } }`,
        { name: input.name },
      );
    });
    return { kind: 'value', name: input.name, shape, type: 'float' };
  };
  const inputs = proper.flatMap((input): Value[] => {
    try {
      return [valueOf(input)];
    } catch (error) {
      if (!(error instanceof EspalierError) || error.code !== 'UNSUPPORTED' || isAcrossBatch(error)) throw error;
      refuse(input.name, error);
      return [];
    }
  });
  sizes.delete(undefined);
  if (sizes.size > 1) throw acrossBatchError(`readOnnx: inputs have batches of ${[...sizes].join(' and ')}`);
  return { inputs, batch: [...sizes][0] };
}

/** Dimensions of a network input; undefined: open. @throws {EspalierError} UNSUPPORTED for what is no tensor of floats */
function dimensionsOf(
  { name, code, other, dimensions }: ValueProto,
  fixed: readonly (number | undefined)[] | undefined,
): (number | undefined)[] {
  const refuse = (text: string): EspalierError =>
    new EspalierError('UNSUPPORTED', `readOnnx: input ${show(name)}: ${text}`, { name });
  if (other !== undefined) throw refuse(`${other} values; expected a tensor of floats`);
  if (code !== undefined && code !== 0) {
    const element = elementOf(code);
    if (element !== 'float' && element !== 'double')
      throw refuse(
        `elements of type ${elementWord(code)}; expected floats: a model that takes whole numbers must be exported with its conversion to floats left out`,
      );
  }
  if (fixed && dimensions && fixed.length !== dimensions.length)
    throw refuse(`shapes: expected ${dimensions.length} sides, got ${fixed.length}`);
  const found = fixed ?? dimensions;
  if (!found)
    throw refuse(`its shape is not said; give it with { shapes: { ${show(name)}: [undefined, 3, 224, 224] } }`);
  return found.map((side, i) => {
    const known = side ?? dimensions?.[i];
    return typeof known === 'number' ? known : undefined;
  });
}
