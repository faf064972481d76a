/**
 * The files of an application as it sees them, reached from out here: its root and what is mounted on it, none of which is mounted yet.
 *
 * What the application has made leads nowhere but to files of its own: symbolic links are followed as if each mount were the whole tree,
 * and what they lead to is looked up again, because it may lie below another mount.
 */
import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  lstatSync,
  mkdirSync,
  openSync,
  readlinkSync,
  statSync,
} from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { close, followInRoot, isErrno } from '../kernel/index.ts';
import { placeOf } from './copy.ts';
import type { Spot } from './copy.ts';
import type { PlacedMount } from './environment.ts';

const O_PATH = 0o10000000;
const DIRECTORY = O_PATH | constants.O_DIRECTORY;
/** More links than the kernel follows. */
const MOST_MOUNTS = 40;

/** What is mounted where the path lies, and the path from there. */
interface Located {
  readonly descriptor: number;
  readonly target: string;
  readonly path: string;
}

const isAtOrBelow = (path: string, directory: string): boolean =>
  path === directory || path.startsWith(`${directory}/`);

/** Makes a directory with the owner and mode of the one that it lies in. */
const makeLike = (directory: number, place: Buffer): void => {
  const { uid, gid, mode } = statSync(`/proc/self/fd/${directory}`);
  mkdirSync(place, { mode: 0o700 });
  const made = openSync(place, constants.O_DIRECTORY | constants.O_NOFOLLOW);
  try {
    fchownSync(made, uid, gid);
    fchmodSync(made, mode & 0o7777);
  } finally {
    closeSync(made);
  }
};

export class Inside implements Disposable {
  readonly #mounts: readonly PlacedMount[];
  readonly #open: number[] = [];

  constructor(root: number, mounts: readonly PlacedMount[]) {
    this.#mounts = [{ descriptor: root, target: '' }, ...mounts];
  }

  [Symbol.dispose](): void {
    this.#open.splice(0).forEach(close);
  }

  /** Where a path that exists really lies; undefined when nothing is there. */
  real(path: string): string | undefined {
    for (let at = path, links = 0; links < MOST_MOUNTS; links++) {
      const located = this.#locate(at);
      const found = this.#follow(located, O_PATH);
      if (found === undefined) return this.#elsewhere(at);
      const real = resolve('/', `${located.target}${readlinkSync(`/proc/self/fd/${found}`)}`);
      if (real === at || this.#locate(real).target === located.target) return real;
      at = real;
    }
    return undefined;
  }

  /** The name of a path that need not exist, in its directory; that is made, with its parents, each with the owner and mode of its own. */
  spot(path: string): Spot {
    return { directory: this.#directory(dirname(path)), name: basename(path) };
  }

  /** The same for a path as `real` gives it, which may be where something is mounted. */
  realSpot(path: string): Spot {
    const { descriptor, path: below } = this.#locate(path);
    return below === '/' ? { directory: descriptor, name: '.' } : this.spot(path);
  }

  /** An empty directory. */
  makeDirectory(path: string): void {
    this.#directory(path);
  }

  isMounted(path: string): boolean {
    return this.#mounts.some(({ target }) => target === path);
  }

  isDirectory(path: string): boolean {
    const real = this.real(path);
    return real !== undefined && lstatSync(placeOf(this.realSpot(real))).isDirectory();
  }

  /** A link on the way may lead below another mount, where the kernel does not find it. */
  #elsewhere(path: string): string | undefined {
    const parent = path === '/' ? undefined : this.real(dirname(path));
    return parent === undefined || parent === dirname(path)
      ? undefined
      : this.real(join(parent, basename(path)));
  }

  #directory(path: string): number {
    const real = this.real(path);
    if (real !== undefined) {
      const found = this.#follow(this.#locate(real), DIRECTORY);
      if (found !== undefined) return found;
    }
    const parent = this.#directory(dirname(path));
    makeLike(parent, placeOf({ directory: parent, name: basename(path) }));
    return this.#directory(path);
  }

  #locate(path: string): Located {
    const within = this.#mounts.filter(({ target }) => isAtOrBelow(path, target) || target === '');
    const { descriptor, target } = within.reduce((best, one) =>
      one.target.length >= best.target.length ? one : best,
    );
    return { descriptor, target, path: path.slice(target.length) || '/' };
  }

  #follow({ descriptor, path }: Located, flags: number): number | undefined {
    try {
      const found = followInRoot(descriptor, path, flags);
      this.#open.push(found);
      return found;
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return undefined;
      throw error;
    }
  }
}
