/** What the system or the engine throws at a file, as an error that names the file. */
import { EspalierError, show } from '../base/errors.ts';
import { isError } from '../base/realm.ts';

const TOO_LARGE: readonly unknown[] = ['ERR_FS_FILE_TOO_LARGE', 'ERR_STRING_TOO_LONG'];

/**
 * TOO_LARGE for a file beyond what Node reads in one piece, MEMORY where the engine has no room for it, else IO.
 * @param verb - what was tried
 */
export function fileError(who: string, path: string, verb: string, cause: unknown): EspalierError {
  const text = `${who}: cannot ${verb} ${show(path)}`;
  if (TOO_LARGE.includes((cause as { code?: unknown } | undefined)?.code))
    return new EspalierError(
      'TOO_LARGE',
      `${text}: it is larger than what is read in one piece (2 GiB, and 512 MiB of text); cut it in several (data in parts, of which only images and inputs are read bit by bit; weights in half precision or compressed)`,
      { name: path, limit: 2 ** 31 - 1, cause },
    );
  if (isError(cause) && cause.name === 'RangeError')
    return new EspalierError(
      'MEMORY',
      `${text}: there is no memory for it (${cause.message}); cut it in several, or give the process more`,
      { name: path, cause },
    );
  return new EspalierError('IO', `${text}: ${isError(cause) ? cause.message : show(cause)}`, {
    name: path,
    cause,
  });
}
