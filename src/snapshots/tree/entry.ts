/**
 * A tree is the list of everything below some directories, its *roots*, each under a name such as `upper` or `shown/0/upper`. An entry's
 * path begins with the name of its root; the root itself is an entry too. Docs: docs/snapshot-format.md.
 */
import { z } from 'zod';
import { isSpelling } from './names.ts';

/** Content of at most so many bytes lies in the entry itself. */
export const INLINE = 1024;
/** More is refused: one descriptor is held for each directory on the way down. */
export const DEEPEST = 512;
export const MOST_PARTS = 4096;
const LONGEST_NAME = 255;
const LONGEST_TARGET = 4095;
const LARGEST_FILE = 2 ** 53 - 1;
const LARGEST_XATTR = 65_536;

const isName = (name: string): boolean =>
  name !== '' &&
  name !== '.' &&
  name !== '..' &&
  name.length <= LONGEST_NAME &&
  !name.includes('\0') &&
  isSpelling(name);

/** Relative, without `.`, `..` or empty names. */
export const isPath = (path: string): boolean => {
  const names = path.split('/');
  return names.length <= DEEPEST && names.every(isName);
};

const Path = z.string().refine(isPath, 'it is not a path');
const Id = z.number().int().min(0).max(0xffff_fffe);
const Size = z.number().int().min(0).max(LARGEST_FILE);
const DeviceNumber = z.number().int().min(0).max(0xffff_ffff);
const Digest = z.string().regex(/^[0-9a-f]{64}$/);

const COMMON = {
  path: Path,
  mode: z.number().int().min(0).max(0o7777),
  uid: Id,
  gid: Id,
  /** When it was written last: nanoseconds since 1970, too large for a JSON number. */
  mtime: z.string().regex(/^(0|-?[1-9]\d{0,18})$/),
  /** Extended attributes, values in base64, sorted by name. */
  xattrs: z
    .array(
      z.tuple([
        z.string().regex(/^(trusted|user|security|system\.posix_acl)[._][^\0]{1,250}$/),
        z.base64().max(LARGEST_XATTR * 2),
      ]),
    )
    .max(1024)
    .optional(),
};

/** Where a run of data begins, its length (both in bytes), and the object that holds it. */
const Part = z.tuple([Size, Size.min(1), Digest]);

export const Entry = z.discriminatedUnion('type', [
  z.strictObject({ ...COMMON, type: z.literal('directory') }),
  /** Has either `data`, its content in base64, or `parts`: between them, and behind the last one, are holes. */
  z.strictObject({
    ...COMMON,
    type: z.literal('file'),
    size: Size,
    data: z
      .base64()
      .max(INLINE * 2)
      .optional(),
    parts: z.array(Part).max(MOST_PARTS).optional(),
  }),
  z.strictObject({
    ...COMMON,
    type: z.literal('symlink'),
    target: z
      .string()
      .min(1)
      .max(LONGEST_TARGET)
      .refine((target) => !target.includes('\0') && isSpelling(target)),
  }),
  z.strictObject({ ...COMMON, type: z.enum(['fifo', 'socket']) }),
  /** A character device 0:0 in an overlay's upper layer hides what the layers below have under its name. */
  z.strictObject({
    ...COMMON,
    type: z.enum(['character', 'block']),
    device: z.tuple([DeviceNumber, DeviceNumber]),
  }),
  /** One more name of the file at `to`, an earlier entry. */
  z.strictObject({ path: Path, type: z.literal('link'), to: Path }),
]);
export type Entry = z.infer<typeof Entry>;
export type FileEntry = Extract<Entry, { type: 'file' }>;
export type NodeEntry = Exclude<Entry, { type: 'link' }>;
/** All that an inode holds, without the name that leads to it. */
export type Inode = NodeEntry extends infer Each
  ? Each extends NodeEntry
    ? Omit<Each, 'path'>
    : never
  : never;

/** Whether an entry hides what the layers below have under its name. */
export const isWhiteout = (entry: Entry): boolean =>
  entry.type === 'character' && entry.device.every((part) => part === 0);

/** An attribute of a directory that hides what the layers below have under its name; the value is `y`. */
export const OPAQUE = { name: 'trusted.overlay.opaque', value: 'eQ==' } as const;

/** They tie an upper layer to the very directories below it: over others, the kernel would refuse to mount it. */
export const TIES: ReadonlySet<string> = new Set([
  'trusted.overlay.origin',
  'trusted.overlay.nlink',
  'trusted.overlay.uuid',
]);
