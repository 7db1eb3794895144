/**
 * Where the real data lie, for the tests that need them: `ESPALIER_DATA` names a folder with `faces68`, `w300`,
 * `models`, .... Without it such tests are skipped, loudly; with a wrong one they fail.
 */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';

function findRealData(): string | undefined {
  const given = process.env['ESPALIER_DATA'];
  if (!given) {
    console.warn(
      '\n*** ESPALIER_DATA is not set: tests on real data are SKIPPED. Set it to the folder that holds faces68/ ***\n',
    );
    return undefined;
  }
  const folder = resolve(given);
  if (!existsSync(join(folder, 'faces68')))
    throw new Error(
      `ESPALIER_DATA is ${JSON.stringify(given)}, but there is no ${join(folder, 'faces68')}: correct it, or unset it to skip the tests on real data`,
    );
  return folder;
}

/** Absolute path of the data folder, or undefined: then use `it.skipIf(realData === undefined)`. */
export const realData: string | undefined = findRealData();
