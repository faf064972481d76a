/**
 * Keeps the content of a file: a small one in its entry, others as objects, one for each run of data, so that a hole takes no room and
 * no time.
 */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import type { BigIntStats } from 'node:fs';
import { dataExtents } from '../../kernel/index.ts';
import { readRange } from '../objects.ts';
import type { ObjectStore } from '../objects.ts';
import { INLINE, MOST_PARTS } from './entry.ts';
import type { FileEntry } from './entry.ts';

/** Read and kept at once, since to hand it to another thread takes longer. In bytes. */
const SMALL = 64 << 10;
/** Smaller holes are kept as zeros: that costs less than one more object. In bytes. */
const SMALLEST_HOLE = 64 << 10;
const READ = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

export type Content = Pick<FileEntry, 'size' | 'data' | 'parts'>;

/** A file was written, replaced or removed while it was read: so the application still runs. */
export class FileChanged extends Error {
  constructor(path: string) {
    super(`${path} changed while it was read`);
    this.name = 'FileChanged';
  }
}

/** What identifies an inode and its content: every write and every change of it moves its ctime, which nobody can set. */
export const fingerprint = ({ dev, ino, size, ctimeNs }: BigIntStats): string =>
  `${dev} ${ino} ${size} ${ctimeNs}`;

/** The runs of data of a file, those with small holes between them joined, until there are few enough. */
const dataRuns = (fd: number, size: number): [start: number, end: number][] => {
  const found = [...dataExtents(fd, 0, size)];
  for (let hole = SMALLEST_HOLE; ; hole *= 2) {
    const runs: [number, number][] = [];
    for (const [start, end] of found) {
      const last = runs.at(-1);
      if (last !== undefined && start - last[1] < hole) last[1] = end;
      else runs.push([start < hole ? 0 : start, end]);
    }
    if (runs.length <= MOST_PARTS) return runs;
  }
};

const readWhole = (fd: number, size: number): Buffer => {
  const bytes = Buffer.allocUnsafe(size);
  let at = 0;
  for (let got = -1; got !== 0 && at < size; at += got) got = readSync(fd, bytes, at, size - at, at);
  return bytes.subarray(0, at);
};

const keepSmall = (fd: number, size: number, objects: ObjectStore): Content => {
  const bytes = readWhole(fd, size);
  if (size <= INLINE) return { size, data: bytes.toString('base64') };
  return { size, parts: [[0, size, objects.putBytes(bytes).digest]] };
};

const keepLarge = async (fd: number, size: number, objects: ObjectStore): Promise<Content> => {
  const parts: NonNullable<Content['parts']> = [];
  for (const [start, end] of dataRuns(fd, size)) {
    const whole = end - start === size;
    const { digest } = await (whole
      ? objects.adopt(`/proc/self/fd/${fd}`)
      : objects.put(readRange(fd, start, end)));
    parts.push([start, end - start, digest]);
  }
  return { size, parts };
};

/**
 * Keeps the file at `place` that looked like `stat` a moment ago. Fails with `FileChanged` when it does not any more, before or after
 * it was read; with `NO_SPACE`; or with the file system's error. `path` is what errors call it.
 */
export const keepContent = async (
  objects: ObjectStore,
  place: string | Buffer,
  stat: BigIntStats,
  path: string,
): Promise<Content> => {
  const fd = openSync(place, READ);
  try {
    const size = Number(stat.size);
    const isSame = (): boolean => fingerprint(fstatSync(fd, { bigint: true })) === fingerprint(stat);
    if (!isSame()) throw new FileChanged(path);
    const content = size <= SMALL ? keepSmall(fd, size, objects) : await keepLarge(fd, size, objects);
    if (!isSame()) throw new FileChanged(path);
    return content;
  } finally {
    closeSync(fd);
  }
};
