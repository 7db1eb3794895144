import { OPERATOR_CASES, modelOf } from '/work/wt-hostile/test/onnx/operator-models.ts';
import { small } from '/work/wt-hostile/test/onnx/making.ts';
import { writeFileSync } from 'node:fs';
const lines = [small(), ...OPERATOR_CASES.map(modelOf)].map((b) => Buffer.from(b).toString('base64')).sort((a, b) => a.length - b.length || (a < b ? -1 : 1));
writeFileSync('bench/fuzz/corpus/onnx.txt', [...new Set(lines)].join('\n') + '\n');
