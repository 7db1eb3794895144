/** docs/onnx.md names what is read and what is written. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import * as espalier from '../../src/index.ts';
import { relu } from '../../src/network/functions.ts';
import { dense, sequential } from '../../src/network/index.ts';
import { writeOnnx } from '../../src/onnx/index.ts';
import { readModel } from '../../src/onnx/model.ts';
import type { NodeProto } from '../../src/onnx/model.ts';
import { OPERATOR_NAMES, operatorNamed } from '../../src/onnx/operators/table.ts';
import { OPERATORS } from '../../src/operators/table.ts';
import { codeBlocks, runCode } from '../blocks.ts';
import { examplesOf, networkOf } from '../operators/examples.ts';

const page = readFileSync(join(import.meta.dirname, '../../docs/onnx.md'), 'utf8');
const sectionOf = (title: string): string =>
  page.split(/^## /m).find((section) => section.startsWith(`${title}\n`)) ?? '';
/** Rows of the first table of a section, without its head. */
const rowsOf = (section: string): string[][] =>
  section
    .split('\n')
    .filter((line) => line.startsWith('| '))
    .slice(1)
    .filter((line) => !line.startsWith('| ---'))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
const named = (text: string): string[] => [...text.matchAll(/`([^`]+)`/g)].map(([, name]) => name);

it('names every operator that is read, and no other', () => {
  const names = rowsOf(sectionOf('What is read')).flatMap(([, operators]) => named(operators));
  expect([...names].sort()).toEqual([...OPERATOR_NAMES]);
  const [, computed] = rowsOf(sectionOf('What is read')).find(([title]) => title.startsWith('only where all')) ?? [];
  const isBuilt = (name: string): boolean => {
    const [operator, domain] = name.split('.').reverse();
    return (
      operatorNamed({ operator, domain: domain === undefined ? '' : `com.${domain}` } as NodeProto)?.build !== undefined
    );
  };
  expect(named(computed).sort()).toEqual(OPERATOR_NAMES.filter((name) => !isBuilt(name)));
});

it('has an example that runs as it stands', async () => {
  const files = new Map<string, Uint8Array>([
    ['model.onnx', writeOnnx(sequential({ input: [64], seed: 1 }, [dense(256), relu(), dense(8)]))],
  ]);
  const promises = {
    readFile: (path: string) => Promise.resolve(files.get(path)),
    writeFile: (path: string, bytes: Uint8Array) => Promise.resolve(void files.set(path, bytes)),
  };
  const [code] = codeBlocks(page);
  const small = await runCode(code, 'small', {}, { espalier, 'node:fs/promises': promises });
  expect((small as espalier.Network).parameters.get('dense1.weight')?.kind).toBe('product');
  const [before, after] = ['model.onnx', 'small.onnx'].map((path) => files.get(path)?.length ?? 0);
  expect(after).toBeLessThan(before / 3);
});

it('says of each of our operators which of theirs it is written as', () => {
  const expected = Object.keys(OPERATORS).map((kind) => {
    const models = examplesOf(kind).map((example) => readModel(writeOnnx(networkOf([example], 'alone'))));
    const operators = models.flatMap(({ graph }) => graph.nodes.map(({ operator }) => operator));
    return [`\`${kind}\``, [...new Set(operators)].map((name) => `\`${name}\``).join(', ')];
  });
  const rows = rowsOf(sectionOf('What is written'));
  expect(rows.map((row) => row.join(' | ')).sort()).toEqual(expected.map((row) => row.join(' | ')).sort());
});
