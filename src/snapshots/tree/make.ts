/** Makes single files as the entries of a tree say. The directory they go to is the caller's, and nobody else's. */
import {
  chmodSync,
  closeSync,
  constants,
  copyFileSync,
  ftruncateSync,
  lchownSync,
  openSync,
  symlinkSync,
  writeSync,
} from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { makeNode, setTimes, setXattr } from '../../kernel/index.ts';
import type { ObjectStore } from '../objects.ts';
import type { Entry, FileEntry, NodeEntry } from './entry.ts';
import { bytesOf } from './names.ts';

type Place = string | Buffer;
type SpecialEntry = Exclude<Entry, { type: 'file' | 'directory' | 'link' }>;

const { S_IFBLK, S_IFCHR, S_IFIFO, S_IFSOCK } = constants;
const TYPES = { fifo: S_IFIFO, socket: S_IFSOCK, character: S_IFCHR, block: S_IFBLK } as const;
const NEW = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
/** Shares blocks where the file system can, else copies. */
const COPY = constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL;
/** Copied at once, since to hand it to another thread takes longer. In bytes. */
const SMALL = 64 << 10;

/** A symbolic link, a fifo, a socket or a device. */
export const makeNodeAt = (entry: SpecialEntry, place: Place): void => {
  if (entry.type === 'symlink') return symlinkSync(bytesOf(entry.target), place);
  const [major, minor] = 'device' in entry ? entry.device : [0, 0];
  return makeNode(place, TYPES[entry.type] | 0o600, { major, minor });
};

const writeAt = (fd: number, bytes: Uint8Array, position: number): void => {
  for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at, bytes.length - at, position + at);
};

/** The runs of data at their places; what lies between stays a hole. */
const writeParts = async (objects: ObjectStore, entry: FileEntry, fd: number): Promise<void> => {
  for (const [start, , digest] of entry.parts ?? []) {
    let at = start;
    for await (const piece of objects.read(digest)) {
      writeAt(fd, piece as Buffer, at);
      at += (piece as Buffer).length;
    }
  }
};

/** A file with its content; what else its entry says is for `applyInode`. */
export const writeFileAt = async (objects: ObjectStore, entry: FileEntry, place: Place): Promise<void> => {
  const [first] = entry.parts ?? [];
  if (first?.[1] === entry.size) {
    const source = objects.path(first[2]);
    if (entry.size <= SMALL) copyFileSync(source, place, COPY);
    else await copyFile(source, place, COPY);
    return;
  }
  const fd = openSync(place, NEW, 0o600);
  try {
    if (entry.data !== undefined) writeAt(fd, Buffer.from(entry.data, 'base64'), 0);
    else await writeParts(objects, entry, fd);
    ftruncateSync(fd, entry.size);
  } finally {
    closeSync(fd);
  }
};

/** Owner, mode, attributes, time, in this order: each would change those before it. */
export const applyInode = (entry: NodeEntry, place: Place): void => {
  lchownSync(place, entry.uid, entry.gid);
  if (entry.type !== 'symlink') chmodSync(place, entry.mode);
  for (const [name, value] of entry.xattrs ?? []) setXattr(place, name, Buffer.from(value, 'base64'));
  const written = BigInt(entry.mtime);
  setTimes(place, { read: written, written });
};
