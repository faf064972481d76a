/**
 * The seal: proof that files have not changed since their checksums were verified, without reading them.
 *
 * The kernel changes a file's ctime with every write and every change of its inode, and gives nobody a way to set it. So a
 * file with the same device, inode, size, mtime and ctime as when it was verified holds the same bytes, and a wake need not
 * read hundreds of megabytes first. A file copied, restored from a backup or altered breaks the seal, and is read again.
 */
import { lstatSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { sealIn } from './layout.ts';

const Seal = z.record(z.string(), z.string());
/** What the kernel said of each file. */
export type Seal = z.infer<typeof Seal>;

/** A file's identity as far as the kernel vouches for it; undefined when it is not an ordinary file that exists. */
const fingerprint = (path: string): string | undefined => {
  const stat = lstatSync(path, { bigint: true, throwIfNoEntry: false });
  if (!stat?.isFile()) return undefined;
  return [stat.dev, stat.ino, stat.size, stat.mtimeNs, stat.ctimeNs].join(' ');
};

/** A file of a snapshot: its name in the seal, and where it is. */
export interface Sealable {
  readonly name: string;
  readonly path: string;
}

export const within = (directory: string, names: readonly string[]): Sealable[] =>
  names.map((name) => ({ name, path: join(directory, name) }));

/** Remembers the files as they are now: they have just been verified, or just been written; but for those that are `known` already. */
export const setSeal = (directory: string, files: readonly Sealable[], known: Seal = {}): Seal => {
  const seal = Object.fromEntries(
    files.map(({ name, path }) => [name, known[name] ?? fingerprint(path) ?? '']),
  );
  writeFileSync(sealIn(directory), JSON.stringify(seal), { mode: 0o600 });
  return seal;
};

/** As it was set; an unreadable one vouches for nothing. */
export const readSeal = (directory: string): Seal => {
  try {
    return Seal.parse(JSON.parse(readFileSync(sealIn(directory), 'utf8')));
  } catch {
    return {};
  }
};

/** The files that the seal does not vouch for, by name. */
export const unsealed = (seal: Seal, files: readonly Sealable[]): Set<string> => {
  const doubtful = files.filter(({ name, path }) => {
    const now = fingerprint(path);
    return now === undefined || now !== seal[name];
  });
  return new Set(doubtful.map(({ name }) => name));
};
