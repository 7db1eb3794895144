/** `espalier diff` and `apply`: an update of a model as its difference from what is there. */
import { applyPatch, diffFiles, loadFile, saveFile } from '../../index.ts';
import { defineCommand, grouped, percent, table } from '../command.ts';
import type { Command, Invocation, Result } from '../command.ts';
import { checkEnding, checkPlaces } from '../files.ts';
import { required, text } from '../options.ts';

const DIFF_OPTIONS = { output: required(text('PATCH', 'patch to write', 'o')) };

export const diffCommand: Command = defineCommand({
  name: 'diff',
  summary: 'a patch that makes one model file of another',
  positionals: ['OLD', 'NEW'],
  description:
    'Writes what NEW has that OLD has not: a small part of NEW where codes and structure stayed and codewords, scales or biases were trained on. Any two safetensors files will do. The patch is applied and compared before it is written.',
  example: 'espalier diff small.safetensors better.safetensors -o better.patch',
  options: DIFF_OPTIONS,
  run: diff,
});

async function diff({
  values: { output },
  positionals: [oldPath, newPath],
}: Invocation<typeof DIFF_OPTIONS>): Promise<Result> {
  await checkPlaces({ sources: { OLD: oldPath, NEW: newPath }, outputs: { '--output': output } });
  checkEnding('--output', output, '.safetensors');
  const file = await loadFile(newPath);
  const patch = diffFiles(await loadFile(oldPath), file);
  await saveFile(output, patch);
  return {
    json: { output, bytes: patch.length, newBytes: file.length },
    text: table(
      [
        ['written', output],
        ['bytes', `${grouped(patch.length)} (${percent(patch.length / file.length)} of ${grouped(file.length)})`],
      ],
      [1],
    ),
  };
}

const APPLY_OPTIONS = { output: required(text('MODEL', 'file to write, as it was when the patch was made', 'o')) };

export const applyCommand: Command = defineCommand({
  name: 'apply',
  summary: 'the new model file that a patch makes of the old one',
  positionals: ['OLD', 'PATCH'],
  description:
    'Bit by bit the file that espalier diff was given. Refused where OLD is not the file that the patch was made from.',
  example: 'espalier apply small.safetensors better.patch -o better.safetensors',
  options: APPLY_OPTIONS,
  run: apply,
});

async function apply({
  values: { output },
  positionals: [oldPath, patchPath],
}: Invocation<typeof APPLY_OPTIONS>): Promise<Result> {
  await checkPlaces({ sources: { OLD: oldPath, PATCH: patchPath }, outputs: { '--output': output } });
  checkEnding('--output', output, '.safetensors');
  const patch = await loadFile(patchPath);
  const file = applyPatch(await loadFile(oldPath), patch);
  await saveFile(output, file);
  return {
    json: { output, bytes: file.length, patchBytes: patch.length },
    text: table(
      [
        ['written', output],
        ['bytes', `${grouped(file.length)} (patch ${grouped(patch.length)})`],
      ],
      [1],
    ),
  };
}
