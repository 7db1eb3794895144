/** What the system or the engine throws at a file, as an error that names the file. */
import { EspalierError, show } from '../base/errors.ts';
import { isError } from '../base/realm.ts';

const TOO_LARGE: readonly unknown[] = ['ERR_FS_FILE_TOO_LARGE', 'ERR_STRING_TOO_LONG'];

/** What is to be done about the system's errors, by code. */
const CURES: Readonly<Record<string, string | undefined>> = Object.assign(Object.create(null) as object, {
  ENOENT: 'there is nothing of this name: look at the path and at the folder that it begins in',
  ENOTDIR: 'a part of the path in front of the last is a file, no folder: look at the path',
  EISDIR: 'it is a folder: name a file in it',
  EACCES: 'its permissions forbid it: change them, or name another place',
  EPERM: 'the system forbids it: name another place',
  EROFS: 'the file system is read-only: name another place',
  ENOSPC: 'the disk is full: make room, or name another place',
  EDQUOT: 'the quota is used up: make room, or name another place',
  EMFILE: 'too many files are open: close some, or raise the limit (ulimit -n)',
  ENFILE: 'too many files are open in the whole system: close some',
  ENAMETOOLONG: 'the name is too long: choose a shorter one',
  ELOOP: 'symbolic links lead in a circle: name the file itself',
  EBUSY: 'another program uses it: end that, or name another place',
  EIO: 'the device fails: look at the disk',
});

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
  const cure = CURES[String((cause as { code?: unknown } | undefined)?.code)];
  return new EspalierError('IO', `${text}: ${isError(cause) ? cause.message : show(cause)}${cure ? `; ${cure}` : ''}`, {
    name: path,
    cause,
  });
}
