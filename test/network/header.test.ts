import { expect, test } from 'vitest';
import { sequential, dense, relu } from '../../src/network/index.ts';
import { writeNetwork } from '../../src/network/write.ts';

test.each([
  ['one dense layer', [dense(3)]],
  ['dense, relu, dense', [dense(8), relu(), dense(2)]],
  ['a narrow one', [dense(2), relu(), dense(2)]],
])('The header of a tiny network is below 1 kB: %s', (_, layers) => {
  const bytes = writeNetwork(sequential({ input: [4] }, layers));
  const header = 8 + Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  expect(header).toBeLessThan(1000);
});
