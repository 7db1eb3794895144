/** `espalier import` and `export`: from ONNX and TensorFlow.js to the library's own format, and to ONNX. */
import { parameterCount, saveFile } from '../../index.ts';
import { defineCommand, grouped, table } from '../command.ts';
import type { Command, Invocation, Result } from '../command.ts';
import { checkEnding, checkPlaces } from '../files.ts';
import { openModel, PLAIN_OPTIONS, PREPROCESS_OPTION, READ_OPTIONS, unfitted } from '../model.ts';
import { modelBytes } from '../onnx.ts';
import { flag, required, text } from '../options.ts';
import { UsageError } from '../io.ts';

const IMPORT_OPTIONS = {
  output: required(text('MODEL', 'safetensors file to write', 'o')),
  preprocess: PREPROCESS_OPTION,
  ...PLAIN_OPTIONS,
  ...READ_OPTIONS,
};

export const importCommand: Command = defineCommand({
  name: 'import',
  summary: "a model of ONNX or TensorFlow.js in the library's own format",
  positionals: ['MODEL'],
  description:
    'Reads an ONNX model, or the model.json of TensorFlow.js (or the folder that holds it), makes one node of functions that it spells out, and writes a safetensors file that holds network and weights. Weights in other files are looked for beside the model, and nowhere else. What it cannot read is told of in one error, all of it.',
  example: 'espalier import model.onnx -o model.safetensors',
  options: IMPORT_OPTIONS,
  run: (invocation) => convert(invocation, '.safetensors', false),
});

const EXPORT_OPTIONS = {
  output: required(text('OUT.onnx', 'ONNX model to write', 'o')),
  dense: flag('all weights as floats, decoded: larger, for tools that want to see them'),
  ...PLAIN_OPTIONS,
  ...READ_OPTIONS,
};

export const exportCommand: Command = defineCommand({
  name: 'export',
  summary: 'a model as ONNX, which any runtime of it runs',
  positionals: ['MODEL'],
  description:
    'Quantized weights stay as small as they are: codebooks and codes are decoded in the graph (operator set 17). Preprocessing and task are not part of an ONNX model.',
  example: 'espalier export small.safetensors -o small.onnx',
  options: EXPORT_OPTIONS,
  run: (invocation) =>
    convert(
      { ...invocation, values: { ...invocation.values, preprocess: undefined } },
      '.onnx',
      invocation.values.dense,
    ),
});

async function convert(
  {
    values,
    positionals: [path],
    progress,
  }: Pick<Invocation<typeof IMPORT_OPTIONS>, 'values' | 'positionals' | 'progress'>,
  ending: '.safetensors' | '.onnx',
  dense: boolean,
): Promise<Result> {
  const { output, preprocess } = values;
  await checkPlaces({ sources: { MODEL: path, '--preprocess': preprocess }, outputs: { '--output': output } });
  if (!output.toLowerCase().endsWith(ending))
    throw new UsageError(`--output: expected a name that ends in ${ending}, got ${JSON.stringify(output)}`);
  checkEnding('--output', output, '.safetensors');
  const model = await openModel(path, values, { preprocess, note: progress.note });
  const network = unfitted(model, preprocess);
  const bytes = modelBytes(output, network, { dense });
  await saveFile(output, bytes);
  const parameters = parameterCount(network);
  return {
    json: {
      output,
      bytes: bytes.length,
      originalBytes: model.fileBytes,
      parameters,
      nodes: network.nodes.length,
      notes: model.notes,
    },
    text: table(
      [
        ['written', output],
        ['bytes', `${grouped(bytes.length)} (before ${grouped(model.fileBytes)})`],
        ['parameters', grouped(parameters)],
        ['nodes', grouped(network.nodes.length)],
      ],
      [1],
    ),
  };
}
