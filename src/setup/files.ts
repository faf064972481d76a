/** Names in the engine directory that begin with a dot are things in the making; what a crash leaves of them is swept. */
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fsyncPath, newId } from '../common/index.ts';

/** Moves something finished to its name, for good: after this returns it survives a power cut. */
export const moveIntoPlace = async (from: string, to: string): Promise<void> => {
  await rename(from, to);
  await fsyncPath(dirname(to));
};

/** Calls `make` with a new directory in `parent`, which is removed afterwards, whatever happens. */
export const withTemporaryDirectory = async <T>(
  parent: string,
  make: (directory: string) => Promise<T>,
): Promise<T> => {
  const directory = join(parent, `.${newId()}`);
  await mkdir(directory, { mode: 0o755 });
  try {
    return await make(directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
};

/** Removes what earlier runs left half made. Only for the holder of the lock. */
export const sweep = async (directory: string): Promise<void> => {
  for (const name of await readdir(directory)) {
    if (name.startsWith('.')) await rm(join(directory, name), { recursive: true, force: true });
  }
};
