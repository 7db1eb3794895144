/** What the library says of errors, in the words of the command line: flags for options, and who to call left out. */
import * as library from '../index.ts';

/** Names that stand in front of messages: functions of the library, and its parts. */
const NAMES = new Set([
  ...Object.keys(library).filter((name) => typeof (library as Record<string, unknown>)[name] === 'function'),
  ...['graph', 'encoding', 'readCheckpoint', 'writeCheckpoint', 'writeSafetensors', 'predict', 'k-means'],
]);

/** Cures of the API, and those of the command line. */
const CURES: readonly (readonly [api: RegExp, flag: string])[] = [
  [/pass \{ verify: false \}/g, 'give --no-checksum'],
  [/raise the limit: \{ limits: \{ \w+: \d+ \} \} \(on the command line --no-limits\)/g, 'give --no-limits'],
  [/\(options\.preprocessing, on the command line (--preprocess [\w.]+)\)/g, '($1)'],
  [/ \(lastGoodNetwork\(error\) has the last good weights\)/g, ''],
  [/pass it as \{ files: \{ .* \} \}/g, 'put it there, as a file in the same folder'],
  [/with \{ shapes: \{ "([^"]*)": \[(?:'batch'|undefined), ([^\]]*)\] \} \}/g, 'with --shape "$1=batch, $2"'],
  [/with \{ shapes: \{ "([^"]*)": \[([^\]]*)\] \} \}/g, 'with --shape "$1=$2"'],
  [/\{ skipBad: true \}/g, '--skip-bad'],
  [/labels: 'none', on the command line --unlabelled/g, '--unlabelled'],
  [/lower learningRate or clip, or lengthen the warm-up/g, 'lower --learning-rate'],
  [/give context\.training and context\.validation, or leave it out/g, 'give --data DIR, or leave it out'],
  [/give targets, or a teacher with teacherWeight 1/g, 'give targets, or --teacher-weight 1'],
  [/\bteacherWeight\b/g, '--teacher-weight'],
  [/\bcontext\.training\b/g, '--part'],
  [/\bcontext\.validation\b/g, '--validation'],
];

/** A message of the library without the function that it begins with, and with cures that the command line has. */
export function inWords(message: string): string {
  // Behind the name of a file the function stands second.
  const parts = message.split(': ');
  const who = parts.slice(0, 2).findIndex((part) => NAMES.has(part));
  const text = who < 0 ? message : parts.filter((_, i) => i !== who).join(': ');
  return CURES.reduce((said, [api, flag]) => said.replaceAll(api, flag), text);
}
