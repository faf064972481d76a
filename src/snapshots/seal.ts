/**
 * The seal: proof that files have not changed since their checksums were verified, without reading them.
 *
 * The kernel changes a file's ctime with every write and every change of its inode, and gives nobody a way to set it. So a
 * file with the same device, inode, size, mtime and ctime as when it was verified holds the same bytes, and a wake need not
 * read hundreds of megabytes first. A file copied, restored from a backup or altered breaks the seal, and is read again.
 */
import { lstatSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { sealIn } from './layout.ts';

const Seal = z.record(z.string(), z.string());

/** A file's identity as far as the kernel vouches for it; undefined when it is not an ordinary file that exists. */
const fingerprint = (path: string): string | undefined => {
  const stat = lstatSync(path, { bigint: true, throwIfNoEntry: false });
  if (!stat?.isFile()) return undefined;
  return [stat.dev, stat.ino, stat.size, stat.mtimeNs, stat.ctimeNs].join(' ');
};

/** Remembers the files as they are now: they have just been verified, or just been written. */
export const setSeal = async (directory: string, names: readonly string[]): Promise<void> => {
  const seal = Object.fromEntries(names.map((name) => [name, fingerprint(join(directory, name))]));
  await writeFile(sealIn(directory), JSON.stringify(seal));
};

/** The names among `names` that the seal does not vouch for. */
export const unsealed = (directory: string, names: readonly string[]): string[] => {
  let seal: Record<string, string>;
  try {
    seal = Seal.parse(JSON.parse(readFileSync(sealIn(directory), 'utf8')));
  } catch {
    seal = {};
  }
  return names.filter((name) => {
    const now = fingerprint(join(directory, name));
    return now === undefined || now !== seal[name];
  });
};
