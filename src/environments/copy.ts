/**
 * Copies what an application has to another of its places, as it is: owners, modes, attributes, times, files of every kind. Blocks are
 * shared where the file system can; a file with several names becomes several files.
 *
 * Somebody else may write to a volume meanwhile. So names are looked up in open directories, and no symbolic link is followed; a file
 * that changes is copied as it is found.
 */
import {
  closeSync,
  constants,
  copyFileSync,
  fchmodSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  symlinkSync,
} from 'node:fs';
import type { BigIntStats } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { setImmediate } from 'node:timers/promises';
import {
  getXattr,
  isErrno,
  listXattrs,
  makeNode,
  setTimes,
  setXattr,
  unpackDevice,
} from '../kernel/index.ts';

const { COPYFILE_EXCL, COPYFILE_FICLONE, O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = constants;
const READ = O_RDONLY | O_NOFOLLOW | O_NONBLOCK;
const NEW = COPYFILE_EXCL | COPYFILE_FICLONE;
/** Copied at once, since to hand it to another thread takes longer. In bytes. */
const SMALL = 64n << 10n;
/** After so many entries others get their turn. */
const TURN = 64;

/** A name in an open directory. */
export interface Spot {
  readonly directory: number;
  readonly name: string | Buffer;
}

export const placeOf = ({ directory, name }: Spot): Buffer =>
  Buffer.concat([Buffer.from(`/proc/self/fd/${directory}/`), Buffer.from(name)]);

const withOpen = async (place: Buffer, flags: number, use: (fd: number) => unknown): Promise<void> => {
  const fd = openSync(place, flags);
  try {
    await use(fd);
  } finally {
    closeSync(fd);
  }
};

/** They tie a layer to the very directories below it, which the copy's are not. */
const TIES = new Set(['trusted.overlay.origin', 'trusted.overlay.nlink', 'trusted.overlay.uuid']);

const copyXattr = (from: Buffer, to: Buffer, name: string): void => {
  try {
    setXattr(to, name, getXattr(from, name));
  } catch (error) {
    // A volume's file system need not have such attributes.
    if (!isErrno(error, 'EOPNOTSUPP')) throw error;
  }
};

/** Owner, mode, attributes, time, in this order: each would change those before it. */
const giveAttributes = async (from: Buffer, stat: BigIntStats, to: Buffer): Promise<void> => {
  lchownSync(to, Number(stat.uid), Number(stat.gid));
  if (stat.isFile() || stat.isDirectory()) {
    await withOpen(to, READ, (fd) => fchmodSync(fd, Number(stat.mode & 0o7777n)));
    for (const name of listXattrs(from)) if (!TIES.has(name)) copyXattr(from, to, name);
  }
  setTimes(to, { read: stat.atimeNs, written: stat.mtimeNs });
};

const identityOf = ({ dev, ino }: BigIntStats): string => `${dev} ${ino}`;

class Copier {
  /** The copy itself, which may lie within what is copied. */
  #copy = '';
  #count = 0;

  async copy(source: Spot, target: Spot): Promise<void> {
    const [from, to] = [placeOf(source), placeOf(target)];
    const stat = lstatSync(from, { bigint: true, throwIfNoEntry: false });
    if (stat === undefined || identityOf(stat) === this.#copy) return;
    if (stat.isDirectory()) await this.#directory(from, to);
    else if (stat.isFile()) await this.#file(from, stat, to);
    else if (stat.isSymbolicLink()) symlinkSync(readlinkSync(from, { encoding: 'buffer' }), to);
    else makeNode(to, Number(stat.mode), unpackDevice(stat.rdev));
    await giveAttributes(from, stat, to);
    if (++this.#count % TURN === 0) await setImmediate();
  }

  async #file(from: Buffer, { size }: BigIntStats, to: Buffer): Promise<void> {
    await withOpen(from, READ, (fd) => {
      if (size > SMALL) return copyFile(`/proc/self/fd/${fd}`, to, NEW);
      return copyFileSync(`/proc/self/fd/${fd}`, to, NEW);
    });
  }

  async #directory(from: Buffer, to: Buffer): Promise<void> {
    mkdirSync(to, { mode: 0o700 });
    this.#copy ||= identityOf(lstatSync(to, { bigint: true }));
    await withOpen(from, READ | O_DIRECTORY, (source) =>
      withOpen(to, READ | O_DIRECTORY, async (target) => {
        for (const name of readdirSync(`/proc/self/fd/${source}`, { encoding: 'buffer' }))
          await this.copy({ directory: source, name }, { directory: target, name });
      }),
    );
  }
}

/** Copies it; `target` must not exist. Rejects with the file system's error, and may leave a part then. */
export const copyTree = (source: Spot, target: Spot): Promise<void> => new Copier().copy(source, target);
