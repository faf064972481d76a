/**
 * Captures a tree: walks the roots, keeps the contents of files as objects, and the list of everything as one more object.
 *
 * Directories are held open on the way down and names looked up in them, so that an application that still runs cannot lead the walk
 * elsewhere. What looks as it did at the last capture is not read again; what was written so recently that another write might
 * leave no trace in its ctime is not remembered.
 */
import { closeSync, constants, lstatSync, openSync, readdirSync, readlinkSync } from 'node:fs';
import type { BigIntStats } from 'node:fs';
import { getXattr, isErrno, listXattrs, unpackDevice } from '../../kernel/index.ts';
import type { ObjectStore } from '../objects.ts';
import { FileChanged, fingerprint, keepContent } from './content.ts';
import { byPath, encodeTree } from './encode.ts';
import type { Tree } from './encode.ts';
import { DEEPEST, isPath } from './entry.ts';
import type { Entry, Inode } from './entry.ts';
import { mergeTree } from './merge.ts';
import { openPlace, placeIn, textOf } from './names.ts';
import { Pace } from './pace.ts';

const DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
const KEPT_XATTRS = /^(trusted|user|security)\.|^system\.posix_acl_/;
/** The kernel's clock for files ticks at least 100 times a second; two ticks, in nanoseconds. */
const RECENT = 20_000_000n;

export interface Root {
  /** Such as `upper` or `shown/0/upper`: a relative path, none within another. */
  readonly name: string;
  readonly directory: string;
  /** It is no layer over files of the machine. */
  readonly alone?: boolean;
}

/** What inodes held at the last capture, by their fingerprint. Plain data; what it says is only worth something beside the same files. */
export interface TreeIndex {
  readonly version: 1;
  readonly inodes: Record<string, Inode>;
}

export interface CaptureOptions {
  /** From the last capture of the same application. */
  readonly previous?: TreeIndex | undefined;
  /** Leaves out a path (with the name of its root) and what is below it. */
  readonly exclude?: (path: string) => boolean;
  /**
   * Says of a file that a process that lives on has it mapped shared and writable: such a mapping can change it without a trace in its
   * ctime, so it is read now, and at the next capture again.
   */
  readonly mapped?: (path: string) => boolean;
  /** What the roots lie over: the tree that is kept is that of both together. */
  readonly base?: Tree | undefined;
}

export interface Captured {
  /** Digest of the tree, an object of the store. */
  readonly tree: string;
  readonly index: TreeIndex;
  /** Of contents that were read, in bytes; content that the store had already counts too. */
  readonly bytes: number;
  /** Everything but directories. */
  readonly files: number;
}

/**
 * Captures the roots. Nothing is flushed. Fails with `FileChanged` when a file changes while it is read, twice; with `NO_SPACE`; with the
 * file system's error; objects that were written until then stay until they are swept.
 */
export const captureTree = async (
  roots: readonly Root[],
  objects: ObjectStore,
  options: CaptureOptions = {},
): Promise<Captured> => new Capture(objects, options).run(roots);

class Capture {
  readonly #objects: ObjectStore;
  readonly #options: CaptureOptions;
  readonly #previous: Readonly<Record<string, Inode>>;
  readonly #pace = new Pace();
  readonly #recent = BigInt(Date.now()) * 1_000_000n - RECENT;
  readonly #entries: Entry[] = [];
  readonly #inodes: Record<string, Inode> = {};
  /** First paths of files with several names. */
  readonly #linked = new Map<string, string>();
  #bytes = 0;
  #files = 0;

  constructor(objects: ObjectStore, options: CaptureOptions) {
    this.#objects = objects;
    this.#options = options;
    this.#previous = options.previous?.version === 1 ? options.previous.inodes : {};
  }

  async run(roots: readonly Root[]): Promise<Captured> {
    const sorted = roots.toSorted((one, other) => byPath(one.name, other.name));
    for (const { name, directory } of sorted) await this.#root(name, directory);
    const { digest, size } = await this.#objects.put(encodeTree(this.#tree(sorted)));
    const index: TreeIndex = { version: 1, inodes: this.#inodes };
    return { tree: digest, index, bytes: this.#bytes + size, files: this.#files };
  }

  #tree(sorted: readonly Root[]): Tree {
    const names = sorted.map(({ name }) => name);
    const { base } = this.#options;
    if (base === undefined) return { roots: names, entries: this.#entries };
    const alone = sorted.filter((root) => root.alone).map(({ name }) => name);
    return {
      roots: [...new Set([...base.roots, ...names])].toSorted(byPath),
      entries: mergeTree(base.entries, this.#entries, alone),
    };
  }

  async #root(name: string, directory: string): Promise<void> {
    if (!isPath(name)) throw new RangeError(`${name} cannot be the name of a root`);
    this.#linked.clear();
    const fd = openSync(directory, DIRECTORY);
    try {
      const stat = lstatSync(`${openPlace(fd)}/.`, { bigint: true });
      await this.#add(name, `${openPlace(fd)}/.`, stat);
      await this.#walk(fd, name, stat.dev, name.split('/').length + 1);
    } finally {
      closeSync(fd);
    }
  }

  async #walk(directory: number, path: string, device: bigint, depth: number): Promise<void> {
    for (const name of namesIn(directory)) {
      const below = `${path}/${name}`;
      if (this.#options.exclude?.(below) ?? false) continue;
      if (depth > DEEPEST) throw new RangeError(`${below} lies deeper than ${DEEPEST} directories`);
      const stat = await this.#entry(directory, name, below);
      // What is mounted on a directory is not the application's own.
      if (stat?.isDirectory() === true && stat.dev === device)
        await this.#descend(directory, name, below, device, depth);
      if (this.#pace.due) await this.#pace.rest();
    }
  }

  async #descend(
    directory: number,
    name: string,
    path: string,
    device: bigint,
    depth: number,
  ): Promise<void> {
    const fd = openSync(placeIn(directory, name), DIRECTORY);
    try {
      await this.#walk(fd, path, device, depth + 1);
    } finally {
      closeSync(fd);
    }
  }

  /** Adds what is there under this name, if anything still is; a file that changes meanwhile gets one more chance. */
  async #entry(directory: number, name: string, path: string): Promise<BigIntStats | undefined> {
    const place = placeIn(directory, name);
    for (let attempt = 1; ; attempt++) {
      const stat = lstatSync(place, { bigint: true, throwIfNoEntry: false });
      if (stat === undefined) return undefined;
      try {
        await this.#add(path, place, stat);
        return stat;
      } catch (error) {
        if (attempt === 2 || !isChange(error)) throw error;
      }
    }
  }

  async #add(path: string, place: string | Buffer, stat: BigIntStats): Promise<void> {
    const several = !stat.isDirectory() && stat.nlink > 1n;
    const to = several ? this.#linked.get(String(stat.ino)) : undefined;
    if (to === undefined) {
      const inode = await this.#inode(path, place, stat);
      this.#entries.push({ path, ...inode });
      if (several) this.#linked.set(String(stat.ino), path);
    } else this.#entries.push({ path, type: 'link', to });
    if (!stat.isDirectory()) this.#files++;
  }

  async #inode(path: string, place: string | Buffer, stat: BigIntStats): Promise<Inode> {
    const mapped = this.#options.mapped?.(path) ?? false;
    const key = fingerprint(stat);
    const known = mapped ? undefined : this.#previous[key];
    const inode =
      known !== undefined && this.#hasContent(known) ? known : await this.#read(path, place, stat);
    if (!mapped && stat.ctimeNs < this.#recent) this.#inodes[key] = inode;
    return inode;
  }

  /** The store may have lost sight of what only older snapshots referred to. */
  #hasContent(inode: Inode): boolean {
    return inode.type !== 'file' || (inode.parts ?? []).every(([, , digest]) => this.#objects.has(digest));
  }

  async #read(path: string, place: string | Buffer, stat: BigIntStats): Promise<Inode> {
    const common = {
      mode: Number(stat.mode) & 0o7777,
      uid: Number(stat.uid),
      gid: Number(stat.gid),
      mtime: String(stat.mtimeNs),
      ...xattrsOf(place),
    };
    if (stat.isFile()) {
      const content = await keepContent(this.#objects, place, stat, path);
      this.#bytes += (content.parts ?? []).reduce((sum, [, length]) => sum + length, 0);
      return { type: 'file', ...common, ...content };
    }
    if (stat.isDirectory()) return { type: 'directory', ...common };
    if (stat.isSymbolicLink())
      return { type: 'symlink', ...common, target: textOf(readlinkSync(place, { encoding: 'buffer' })) };
    if (stat.isFIFO()) return { type: 'fifo', ...common };
    if (stat.isSocket()) return { type: 'socket', ...common };
    const { major, minor } = unpackDevice(stat.rdev);
    return { type: stat.isBlockDevice() ? 'block' : 'character', ...common, device: [major, minor] };
  }
}

const isChange = (error: unknown): boolean =>
  error instanceof FileChanged ||
  isErrno(error, 'ENOENT', 'ENODATA') ||
  ['ENOENT', 'ELOOP', 'EINVAL'].includes((error as NodeJS.ErrnoException).code ?? '');

const namesIn = (directory: number): string[] => {
  const names = readdirSync(openPlace(directory));
  // Node puts this character where bytes are not text.
  return names.some((name) => name.includes('\ufffd'))
    ? readdirSync(openPlace(directory), { encoding: 'buffer' }).map(textOf).toSorted()
    : names.toSorted();
};

const xattrsOf = (place: string | Buffer): Pick<Inode, 'xattrs'> => {
  const names = listXattrs(place).filter((name) => KEPT_XATTRS.test(name));
  if (names.length === 0) return {};
  return { xattrs: names.map((name) => [name, getXattr(place, name).toString('base64')]) };
};
