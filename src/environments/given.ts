/**
 * What a clone has in its own layers from the first, in place of what lies below them: files and directories that begin empty, and copies
 * of the template's. And what a template keeps outside of its layers, because its clones are to have the same one.
 */
import { closeSync, constants, existsSync, mkdirSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { AppShotError, isOutOfSpace } from '../common/index.ts';
import { isErrno, setOpaque } from '../kernel/index.ts';
import { copyTree } from './copy.ts';
import type { Redirect } from './environment.ts';
import { Inside } from './inside.ts';
import { INSIDE, mirror, mirrorMode } from './root.ts';
import type { ApplicationFiles, LayersBeneath, MadeRoot } from './root.ts';

/** A path that begins otherwise than over its template. */
export interface GivenPath {
  /** The layer that it lies in: `upper`, `shm` or `shown/N/upper`. */
  readonly root: string;
  /** From there. */
  readonly below: string;
  readonly kind: 'file' | 'directory';
  /** Whether it is empty, rather than a copy. */
  readonly blank: boolean;
}

const DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY;

const rootIn = ({ upper, shm, shown }: LayersBeneath, root: string): string => {
  if (root === 'upper') return upper;
  return root === 'shm' ? shm : join(shown, root.slice('shown/'.length));
};

const orNoSpace = (error: unknown, path: string): unknown => {
  // Of a call that Node makes, or of one of ours.
  return isOutOfSpace(error) || isErrno(error, 'ENOSPC', 'EDQUOT')
    ? new AppShotError('NO_SPACE', { path, step: 'copying files for clones' }, { cause: error })
    : error;
};

const makeBlank = (source: string, target: string, kind: GivenPath['kind']): void => {
  if (kind === 'directory') mkdirSync(target);
  else writeFileSync(target, '', { flag: 'wx' });
  mirrorMode(source, target);
  if (kind === 'directory') setOpaque(target);
};

const give = async (layer: number, upper: string, { below, kind, blank }: GivenPath): Promise<void> => {
  const lower = `/proc/self/fd/${layer}`;
  const source = join(lower, below);
  const parent = mirror(upper, dirname(source), lower);
  if (parent === undefined) return;
  const target = join(parent, basename(below));
  // What was copied with a directory above it.
  rmSync(target, { recursive: true, force: true });
  if (blank) return makeBlank(source, target, kind);
  const directory = openSync(parent, DIRECTORY);
  try {
    await copyTree({ directory: layer, name: below }, { directory, name: basename(below) });
  } finally {
    closeSync(directory);
  }
};

/**
 * Gives a clone that has not been woken yet what its template's rules say, outer paths before those within. `beneath` may go as soon as
 * the call has returned its promise. Rejects with `NO_SPACE`.
 */
export const giveFiles = async (
  files: ApplicationFiles,
  beneath: LayersBeneath,
  paths: readonly GivenPath[],
): Promise<void> => {
  // What the machine shows no more has no layer.
  const present = paths.filter(({ root }) => existsSync(rootIn(files, root)));
  const layers = new Map<string, number>();
  try {
    for (const { root } of present)
      if (!layers.has(root)) layers.set(root, openSync(rootIn(beneath, root), DIRECTORY));
    for (const one of present) await give(layers.get(one.root) ?? -1, rootIn(files, one.root), one);
  } catch (error) {
    throw orNoSpace(error, files.upper);
  } finally {
    for (const layer of layers.values()) closeSync(layer);
  }
};

/**
 * Copies what paths lead to in a root that is in nobody's use to a directory of the machine, each under its number. Rejects with
 * `NO_SPACE`.
 */
export const copyShared = async (
  { root, mounts }: Pick<MadeRoot, 'root' | 'mounts'>,
  paths: readonly string[],
  target: string,
): Promise<void> => {
  using inside = new Inside(root, mounts);
  mkdirSync(target, { mode: 0o755 });
  const directory = openSync(target, DIRECTORY);
  try {
    for (const [number, path] of paths.entries()) {
      const real = inside.real(path);
      if (real === undefined) throw new Error(`${path} is not in the template`);
      await copyTree(inside.realSpot(real), { directory, name: String(number) });
    }
  } catch (error) {
    throw orNoSpace(error, target);
  } finally {
    closeSync(directory);
  }
};

/** Lets the paths lead to what `copyShared` made of them, where a root has that. */
export const sharedRedirects = (paths: readonly string[]): Redirect[] =>
  paths.map((from, number) => ({ from, to: `${INSIDE.shared}/${number}` }));
