/** Folders of pictures (Node): found by name, with what is known of them, read one by one. */
import { checkNumber, EspalierError, show, showAll } from '../base/errors.ts';
import { requireNode } from '../base/platform.ts';
import { ownOptions } from '../base/rules.ts';
import type { Preprocessing, Task } from '../graph/preprocessing.ts';
import { checkComplete, classTargets, labelTargets, pointTargets, readPointsJson, readRows } from './picture-labels.ts';
import { isHeldOut, openPictures } from './pictures.ts';
import type { Picture, PicturesOptions, PictureSet, PictureTargets } from './pictures.ts';
import { readPts } from './pts.ts';
import { inFile } from './rows.ts';

export interface PictureFolderOptions extends Omit<PicturesOptions, 'targets' | 'partName'> {
  preprocessing: Preprocessing;
  /** Pixels of a file's bytes: fast-png, jpeg-js, sharp or any other decoder. */
  decode(bytes: Uint8Array, name: string): Picture | Promise<Picture>;
  /** Part to open: 'train', 'validation', 'all', or the name of a sub-folder `train`, `validation`, `test`. Default 'all'. */
  part?: string | undefined;
  /** Share that is held out for 'validation' where there are no such sub-folders, by a hash of the name. Default 0.2. */
  validation?: number | undefined;
  /** 'none': whatever is known of the pictures is left unread. Default 'auto': what is there. */
  labels?: 'auto' | 'none' | undefined;
  /** What the targets mean, or of which kind they are, where several are there. */
  task?: Task | Task['kind'] | undefined;
}

/** Defaults of {@link PictureFolderOptions}. */
export const PICTURE_FOLDER_DEFAULTS = { part: 'all', validation: 0.2, labels: 'auto' } as const;

const NAMES = [
  ...(['preprocessing', 'decode', 'part', 'validation', 'labels', 'task'] as const),
  ...(['skipBad', 'memoryLimit', 'signal', 'onProgress'] as const),
];
const PARTS = ['train', 'validation', 'test'];
const ENDING = /\.(png|jpe?g)$/i;

/** Whether a folder holds PNG or JPEG files, itself or below; hidden ones do not count. False where there is no folder. */
export async function holdsPictures(directory: string): Promise<boolean> {
  return (await picturesIn('holdsPictures', directory).catch(() => [])).length > 0;
}

/**
 * Opens a folder of PNG and JPEG files, at any depth, in the order of their paths. What is known of them is the first of these
 * that is there: `labels.csv` (a path and its class a row, or numbers), `points.csv` (a path and x, y, x, y, ... in pixels),
 * `points.json` ({ path: [[x, y], ...] }), a `.pts` file beside each picture, sub-folders of which each is a class (two at least,
 * and no picture beside them). Otherwise they are unlabelled.
 *
 * Where sub-folders are called `train`, `validation` and `test`, these are the parts. Otherwise a picture belongs to 'validation'
 * or to 'train' by its name alone ({@link isHeldOut}).
 *
 * @throws {TypeError | RangeError} for wrong arguments
 * @throws {EspalierError} MISSING (no folder, no such part), DATA (no pictures, labels that do not fit, broken pictures), IO;
 *   file, picture and line are named
 * @example
 * import { openPictureFolder } from 'espalier/data';
 * const train = await openPictureFolder('pictures', { part: 'train', preprocessing, decode: (bytes) => decoded(bytes) });
 */
export async function openPictureFolder(directory: string, given: PictureFolderOptions): Promise<PictureSet> {
  const who = 'openPictureFolder';
  const { decode, labels, task, part, validation, ...rest } = ownOptions(who, 'options', given, NAMES);
  if (typeof directory !== 'string')
    throw new TypeError(`${who}: directory: expected a string, got ${show(directory)}`);
  if (typeof decode !== 'function') throw new TypeError(`${who}: decode: expected a function, got ${show(decode)}`);
  const share = checkNumber(who, 'validation', validation ?? PICTURE_FOLDER_DEFAULTS.validation, 0, 1);
  const name = part ?? PICTURE_FOLDER_DEFAULTS.part;
  const { base, all, chosen } = await choose(who, directory, name, share);
  const { readFile } = requireNode(who, 'node:fs').promises;
  const { join } = requireNode(who, 'node:path');
  const targets = labels === 'none' ? undefined : await targetsOf(who, base, all, chosen, task);
  return openPictures(chosen, async (i) => decode(new Uint8Array(await readFile(join(base, chosen[i]))), chosen[i]), {
    ...rest,
    partName: name,
    ...(targets && { targets }),
  });
}

interface Chosen {
  /** Folder that the names start from. */
  readonly base: string;
  readonly all: readonly string[];
  readonly chosen: readonly string[];
}

async function choose(who: string, directory: string, part: string, share: number): Promise<Chosen> {
  const { join } = requireNode(who, 'node:path');
  const found = await picturesIn(who, directory);
  if (found.length === 0)
    throw new EspalierError(
      'DATA',
      `${who}: ${show(directory)} holds no picture: expected files that end in .png, .jpg or .jpeg`,
      { name: directory },
    );
  const folders = [...new Set(found.map((name) => (name.includes('/') ? name.split('/')[0] : '')))];
  const hasParts = folders.every((folder) => PARTS.includes(folder));
  if (part === 'all') return { base: directory, all: found, chosen: found };
  if (hasParts && folders.includes(part)) {
    const all = found.filter((name) => name.startsWith(`${part}/`)).map((name) => name.slice(part.length + 1));
    return { base: join(directory, part), all, chosen: all };
  }
  const from = hasParts && folders.includes('train') && part === 'validation' ? 'train' : '';
  if ((part !== 'train' && part !== 'validation') || (hasParts && from === ''))
    throw new EspalierError(
      'MISSING',
      `${who}: part: ${show(part)} is not in ${directory}: expected ${hasParts ? folders.join(' or ') : 'train or validation, which pictures are split into by their names, or a sub-folder of that name'}, or all`,
      { name: part },
    );
  const base = from === '' ? directory : join(directory, from);
  const all =
    from === '' ? found : found.filter((name) => name.startsWith('train/')).map((name) => name.slice('train/'.length));
  if (share === 0 && part === 'train') return { base, all, chosen: all };
  const chosen = all.filter((name) => isHeldOut(name, share) === (part === 'validation'));
  if (chosen.length === 0 || chosen.length === all.length)
    throw new EspalierError(
      'DATA',
      `${who}: ${show(directory)} holds ${all.length} pictures, too few to hold out a share of ${share}: ${chosen.length === 0 ? 'none is' : 'all are'} left for ${part}; add pictures, or take another share`,
      { name: directory },
    );
  return { base, all, chosen };
}

/** Paths of pictures within a folder, with forward slashes, in the order of their code units. */
async function picturesIn(who: string, directory: string): Promise<string[]> {
  const fs = requireNode(who, 'node:fs');
  const { join } = requireNode(who, 'node:path');
  const entries = await inFile(who, directory, () => fs.promises.readdir(directory, { withFileTypes: true })).catch(
    (error: unknown) => {
      if (fs.existsSync(directory)) throw error;
      throw new EspalierError('MISSING', `${who}: directory: there is no folder ${show(directory)}`, {
        name: directory,
        cause: error,
      });
    },
  );
  const names: string[] = [];
  for (const entry of entries) {
    if (entry.name.startsWith('.') || entry.name === '__MACOSX') continue;
    // Links to files count; of folders none is followed, so that no walk goes round in a circle.
    if (entry.isDirectory())
      names.push(...(await picturesIn(who, join(directory, entry.name))).map((name) => `${entry.name}/${name}`));
    else if (ENDING.test(entry.name) && (entry.isFile() || entry.isSymbolicLink())) names.push(entry.name);
  }
  return names.sort();
}

async function targetsOf(
  who: string,
  base: string,
  all: readonly string[],
  chosen: readonly string[],
  wanted: Task | Task['kind'] | undefined,
): Promise<PictureTargets | undefined> {
  const fs = requireNode(who, 'node:fs');
  const { join } = requireNode(who, 'node:path');
  const kind = typeof wanted === 'string' ? wanted : wanted?.kind;
  const task = typeof wanted === 'string' ? undefined : wanted;
  const read = (name: string): Promise<string> =>
    inFile(who, join(base, name), () => fs.promises.readFile(join(base, name), 'utf8'));
  const has = (name: string): boolean => fs.existsSync(join(base, name));
  const isOf = (...kinds: Task['kind'][]): boolean => kind === undefined || kinds.includes(kind);
  const complete = <T extends ReadonlyMap<string, unknown>>(file: string, entries: T): T => {
    checkComplete(`${who}: ${file}`, entries, chosen, all);
    return entries;
  };
  if (isOf('classes', 'regression') && has('labels.csv')) {
    const file = join(base, 'labels.csv');
    return labelTargets(
      `${who}: ${file}`,
      complete(file, readRows(`${who}: ${file}`, await read('labels.csv'))),
      chosen,
      wanted,
    );
  }
  if (isOf('landmarks')) {
    for (const [name, parse] of [
      ['points.csv', readRows],
      ['points.json', readPointsJson],
    ] as const) {
      const file = join(base, name);
      if (has(name))
        return pointTargets(
          `${who}: ${file}`,
          complete(file, parse(`${who}: ${file}`, await read(name))),
          chosen,
          task,
        );
    }
    const pts = chosen.map((name) => name.replace(ENDING, '.pts'));
    const bare = pts.filter((name) => !has(name));
    if (bare.length > 0 && bare.length < pts.length)
      throw new EspalierError(
        'DATA',
        `${who}: ${bare.length} of ${pts.length} pictures have no .pts file beside them: ${showAll(bare, 5)}; add them, or leave all labels unread (labels: 'none', on the command line --unlabelled)`,
        { name: bare[0] },
      );
    if (bare.length === 0) {
      const entries = new Map<string, string[]>();
      for (const [i, name] of pts.entries()) {
        const text = await read(name);
        entries.set(chosen[i], await inFile(who, join(base, name), () => Array.from(readPts(text).data, String)));
      }
      return pointTargets(`${who}: ${base}`, entries, chosen, task);
    }
  }
  const classes = [...new Set(all.map((name) => (name.includes('/') ? name.split('/')[0] : '')))];
  if (isOf('classes') && classes.length > 1) {
    if (classes.includes(''))
      throw new EspalierError(
        'DATA',
        `${who}: ${show(base)} holds pictures in sub-folders, of which each would be a class, and beside them; move ${show(all.find((name) => !name.includes('/')))} and the like into one, or leave labels unread (labels: 'none', on the command line --unlabelled)`,
        { name: base },
      );
    return classTargets(
      `${who}: ${base}`,
      chosen.map((name) => name.split('/')[0]),
      classes,
      false,
      task,
    );
  }
  if (kind === undefined || kind === 'regression') return undefined;
  if (typeof wanted === 'string')
    throw new EspalierError(
      'MISSING',
      `${who}: ${show(base)} holds nothing that says ${kind}: expected ${kind === 'classes' ? 'labels.csv, or a sub-folder for each class' : 'points.csv, points.json, or .pts files beside the pictures'}`,
      { name: kind },
    );
  return undefined;
}
