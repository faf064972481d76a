/**
 * Files that are there whole or not at all, even after a power cut: written beside their place, flushed, renamed, and the directory
 * flushed, in that order.
 */
import { open, rename, rm } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { AppShotError } from './errors.ts';
import { newId } from './ids.ts';

const NO_SPACE = new Set(['ENOSPC', 'EDQUOT']);

/** Whether a system call found the disk full, or the user's share of it. */
export const isOutOfSpace = (error: unknown): boolean =>
  NO_SPACE.has((error as NodeJS.ErrnoException).code ?? '');

/** Opens a file, hands it over, and closes it whatever happens. */
const withFile = async <T>(
  path: string,
  flags: string,
  mode: number,
  use: (file: FileHandle) => Promise<T>,
): Promise<T> => {
  await using file = await open(path, flags, mode);
  return await use(file);
};

/** Makes a file's content, or the names in a directory (a file made, renamed or removed there), survive a power cut. */
export const fsyncPath = async (path: string): Promise<void> => {
  await withFile(path, 'r', 0, (file) => file.sync());
};

/**
 * Replaces or creates a file; readers see the old content or the new one. `mode` is that of the new file, 0600 unless given.
 * Fails with NO_SPACE, or the file system's own error; the old file is then as it was, and nothing is left beside it.
 */
export const writeAtomically = async (
  path: string,
  data: string | Uint8Array,
  mode = 0o600,
): Promise<void> => {
  const directory = dirname(path);
  const draft = join(directory, `.${basename(path)}.${newId()}.tmp`);
  try {
    await withFile(draft, 'wx', mode, async (file) => {
      await file.writeFile(data);
      await file.sync();
    });
    await rename(draft, path);
    await fsyncPath(directory);
  } catch (error) {
    await rm(draft, { force: true });
    if (!isOutOfSpace(error)) throw error;
    throw new AppShotError(
      'NO_SPACE',
      { path: directory, step: `writing ${basename(path)}` },
      { cause: error },
    );
  }
};

/**
 * Reads a JSON file of at most `maxBytes` (1 MiB unless given), checked before parsing. Throws the file system's error, a
 * RangeError when it is larger, a SyntaxError when it is not JSON.
 */
export const readJson = async (path: string, maxBytes = 1 << 20): Promise<unknown> =>
  withFile(path, 'r', 0, async (file) => {
    const { size } = await file.stat();
    if (size > maxBytes) throw new RangeError(`${path} has ${size} bytes, more than ${maxBytes}`);
    return JSON.parse(await file.readFile('utf8')) as unknown;
  });
