/**
 * Materialises a tree: makes its files again, in empty directories.
 *
 * Everything is verified before the first file is written. Directories are made here, held open on the way down and entered through
 * their descriptors, so nothing lands outside of the targets, whatever the tree says. A directory's own attributes come last: what is made
 * in it would change its time, and its access list would pass to its files.
 */
import { closeSync, constants, linkSync, mkdirSync, openSync, readdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { AppShotError } from '../../common/index.ts';
import { orNoSpace } from '../failures.ts';
import type { ObjectStore } from '../objects.ts';
import { parentOf } from './encode.ts';
import type { Tree } from './encode.ts';
import { TIES, isWhiteout } from './entry.ts';
import type { Entry, NodeEntry } from './entry.ts';
import { applyInode, makeNodeAt, writeFileAt } from './make.ts';
import { openPlace, placeIn } from './names.ts';
import { Pace } from './pace.ts';
import { verifyTree } from './read.ts';

const DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
/** Devices that give access to nothing: null, zero, full, random, urandom, tty. */
const HARMLESS = new Set(['1:3', '1:5', '1:7', '1:8', '1:9', '5:0']);
/** They show other directories of the machine than the one that bears them. */
const UNSAFE_XATTRS = new Set(['trusted.overlay.redirect', 'trusted.overlay.metacopy']);

export interface MaterialiseOptions {
  /** What errors name; the digest unless given. */
  readonly snapshot?: string;
  /** The tree comes from another machine: what ties it to the directories there is left out. */
  readonly foreign?: boolean;
}

/**
 * Makes the files of the tree in the directories of `targets`, one for each of its roots; they must exist and be empty. Nothing is flushed.
 * Fails with `SNAPSHOT_CORRUPT`, naming the file and the object, before anything is written; with `NO_SPACE` or the file system's
 * error, and then the targets are empty again. RangeError: a target is missing or not empty.
 */
export const materialiseTree = async (
  objects: ObjectStore,
  digest: string,
  targets: Readonly<Record<string, string>>,
  { snapshot = digest, foreign = false }: MaterialiseOptions = {},
): Promise<void> => {
  const verified = await verifyTree(objects, digest, snapshot);
  const tree = foreign ? withoutTies(verified) : verified;
  for (const entry of tree.entries) refuseUnsafe(entry, snapshot);
  const places = new Map(tree.roots.map((root) => [root, emptyTarget(targets, root)]));
  try {
    await new Materialiser(objects, tree, places).run();
  } catch (error) {
    for (const place of places.values()) await empty(place);
    throw orNoSpace(error, [...places.values()][0] ?? '', 'making files again');
  }
};

const withoutTies = ({ roots, entries }: Tree): Tree => ({
  roots,
  entries: entries.map((entry) =>
    entry.type === 'link' || entry.xattrs === undefined
      ? entry
      : { ...entry, xattrs: entry.xattrs.filter(([name]) => !TIES.has(name)) },
  ),
});

const refuseUnsafe = (entry: Entry, snapshot: string): void => {
  const refuse = (reason: string): never => {
    throw new AppShotError('SNAPSHOT_CORRUPT', { snapshot, file: entry.path, reason });
  };
  if (entry.type === 'link') return;
  const unsafe = entry.xattrs?.find(([name]) => UNSAFE_XATTRS.has(name));
  if (unsafe !== undefined) refuse(`its attribute ${unsafe[0]} leads elsewhere`);
  if (entry.type !== 'character' && entry.type !== 'block') return;
  const harmless = isWhiteout(entry) || (entry.type === 'character' && HARMLESS.has(entry.device.join(':')));
  if (!harmless) refuse(`it is a device (${entry.device.join(':')}) of the machine`);
};

const emptyTarget = (targets: Readonly<Record<string, string>>, root: string): string => {
  const target = Object.hasOwn(targets, root) ? targets[root] : undefined;
  if (target === undefined) throw new RangeError(`there is no target for ${root}`);
  if (readdirSync(target).length > 0) throw new RangeError(`${target} is not empty`);
  return target;
};

const empty = async (directory: string): Promise<void> => {
  for (const name of readdirSync(directory, { encoding: 'buffer' }))
    await rm(Buffer.concat([Buffer.from(join(directory, '/')), name]), { recursive: true, force: true });
};

/** A directory that is being filled. */
interface Open {
  readonly entry: NodeEntry;
  readonly fd: number;
}

class Materialiser {
  readonly #objects: ObjectStore;
  readonly #tree: Tree;
  readonly #places: ReadonlyMap<string, string>;
  readonly #pace = new Pace();
  /** The directories down to the one that is being filled, of one root. */
  readonly #open: Open[] = [];
  #root = '';

  constructor(objects: ObjectStore, tree: Tree, places: ReadonlyMap<string, string>) {
    this.#objects = objects;
    this.#tree = tree;
    this.#places = places;
  }

  async run(): Promise<void> {
    try {
      for (const entry of this.#tree.entries) {
        await this.#make(entry);
        if (this.#pace.due) await this.#pace.rest();
      }
      this.#leave(0);
    } finally {
      for (const { fd } of this.#open) closeSync(fd);
    }
  }

  async #make(entry: Entry): Promise<void> {
    const root = this.#places.get(entry.path);
    if (root !== undefined && entry.type === 'directory') {
      this.#leave(0);
      this.#root = entry.path;
      this.#open.push({ entry, fd: openSync(root, DIRECTORY) });
      return;
    }
    const directory = this.#directoryOf(entry.path);
    const place = placeIn(directory, entry.path.slice(parentOf(entry.path).length + 1));
    if (entry.type === 'link') this.#link(entry.to, place);
    else if (entry.type === 'directory') {
      mkdirSync(place, { mode: 0o700 });
      this.#open.push({ entry, fd: openSync(place, DIRECTORY) });
    } else {
      if (entry.type === 'file') await writeFileAt(this.#objects, entry, place);
      else makeNodeAt(entry, place);
      applyInode(entry, place);
    }
  }

  /** Leaves the directories that the entry is not in, and gives the one that it is in. */
  #directoryOf(path: string): number {
    const parent = parentOf(path);
    this.#leave(this.#open.findIndex(({ entry }) => entry.path === parent) + 1);
    const last = this.#open.at(-1);
    if (last === undefined) throw new Error(`the directory of ${path} is not open`);
    return last.fd;
  }

  /** Completes the directories below the first `depth`. */
  #leave(depth: number): void {
    while (this.#open.length > depth) {
      const last = this.#open.at(-1);
      if (last === undefined) return;
      applyInode(last.entry, `${openPlace(last.fd)}/.`);
      closeSync(last.fd);
      this.#open.pop();
    }
  }

  /** Makes one more name of a file that was made already. */
  #link(to: string, place: string | Buffer): void {
    const [root] = this.#open;
    if (root === undefined || !to.startsWith(`${this.#root}/`))
      throw new Error(`${to} is not in the same root`);
    linkBelow(root.fd, to.slice(this.#root.length + 1).split('/'), place);
  }
}

/** Goes down by descriptors: all of these directories are our own, and the whole path may be longer than a call takes. */
const linkBelow = (directory: number, names: readonly string[], place: string | Buffer): void => {
  const [first = '', ...rest] = names;
  if (rest.length === 0) return linkSync(placeIn(directory, first), place);
  const fd = openSync(placeIn(directory, first), DIRECTORY);
  try {
    linkBelow(fd, rest, place);
  } finally {
    closeSync(fd);
  }
};
