/**
 * The identity of files that processes have mapped: the build ID of ELF files, a checksum of others.
 *
 * What was read is remembered by device, inode, size, mtime and ctime, so that a second sleep costs a stat for each file. The
 * kernel's clock of files is coarse: a file changed within the last moments could change again without another ctime, and is not
 * remembered.
 */
import { closeSync, constants, fstatSync, openSync, readSync, statSync } from 'node:fs';
import type { BigIntStats } from 'node:fs';
import { checksum } from '../checksum.ts';
import { buildId, isElf } from './build-id.ts';
import type { Read } from './build-id.ts';
import type { MappedFile } from './schema.ts';

/** Larger files without a build ID are known by their size alone: reading them would hold up the sleep. */
export const LARGEST_HASHED = 256 << 20;
const MOST_REMEMBERED = 20_000;
const SETTLED_AFTER_MS = 100;

export interface FileToIdentify {
  /** Inside the application. */
  readonly path: string;
  /** Where this process can read it, such as /proc/PID/map_files/RANGE. */
  readonly hostPath: string;
  /** Whether it is mapped executable, which makes it code even when it isn't ELF. */
  readonly executable?: boolean;
}

type Identity = Pick<MappedFile, 'size' | 'code' | 'buildId' | 'sha256'>;

const remembered = new Map<string, Identity>();

const keyOf = (stat: BigIntStats): string =>
  `${stat.dev} ${stat.ino} ${stat.size} ${stat.mtimeNs} ${stat.ctimeNs}`;

const remember = (stat: BigIntStats, identity: Identity): void => {
  if (Date.now() - Number(stat.ctimeMs) < SETTLED_AFTER_MS) return;
  const oldest = remembered.keys().next();
  if (remembered.size >= MOST_REMEMBERED && !oldest.done) remembered.delete(oldest.value);
  remembered.set(keyOf(stat), identity);
};

const reader =
  (fd: number): Read =>
  (offset, length) => {
    const bytes = Buffer.alloc(length);
    return bytes.subarray(0, readSync(fd, bytes, 0, length, offset));
  };

/** Reads what tells a file from others; undefined when it isn't an ordinary file (any more). */
const inspect = async (hostPath: string): Promise<Identity | undefined> => {
  // A FIFO in its place must not block this process, nor a terminal become its own.
  const fd = openSync(hostPath, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  try {
    const stat = fstatSync(fd, { bigint: true });
    if (!stat.isFile()) return undefined;
    const read = reader(fd);
    const size = Number(stat.size);
    const found = { size, code: isElf(read(0, 4)), buildId: buildId(read) };
    const identity: Identity =
      found.buildId !== undefined || size > LARGEST_HASHED
        ? found
        : { ...found, sha256: await checksum(`/proc/self/fd/${fd}`) };
    remember(stat, identity);
    return identity;
  } finally {
    closeSync(fd);
  }
};

const GONE = new Set(['ENOENT', 'ENOTDIR', 'ELOOP', 'ENXIO', 'ESRCH']);
const isGone = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && GONE.has(String(error.code));

/** `undefined` when there is no such ordinary file. */
const identify = async (hostPath: string): Promise<Identity | undefined> => {
  try {
    const stat = statSync(hostPath, { bigint: true, throwIfNoEntry: false });
    if (!stat?.isFile()) return undefined;
    return remembered.get(keyOf(stat)) ?? (await inspect(hostPath));
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
};

/**
 * The identities of files, once for each path, sorted by path. A path that has no ordinary file is left out. Rejects with the
 * file system's error when a file is there and can't be read.
 */
export const mappedFiles = async (files: readonly FileToIdentify[]): Promise<MappedFile[]> => {
  const found = new Map<string, MappedFile>();
  for (const { path, hostPath, executable = false } of files) {
    const known = found.get(path);
    if (known) {
      known.code ||= executable;
      continue;
    }
    // One after the other: a disk is no faster for being asked for everything at once, and memory stays small.
    const identity = await identify(hostPath);
    if (identity) found.set(path, { path, ...identity, code: identity.code || executable });
  }
  return [...found.values()].toSorted((a, b) => (a.path < b.path ? -1 : 1));
};
