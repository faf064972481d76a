/**
 * One set-up at a time: a lock of the kernel (flock) on a file of the engine directory.
 *
 * The `flock` tool locks the open file that it inherits from us, so the lock is ours when the tool has ended, and the
 * kernel gives it back when we close the file or die: no stale lock can remain.
 */
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { start } from '../exec/index.ts';

/** A first set-up downloads packages; another one waits for it this long, in seconds. */
const PATIENCE = 1800;

const takeLock = async (fd: number, args: readonly string[]): Promise<boolean> => {
  const tool = await start('flock', ['--exclusive', ...args, '3'], {
    stdio: ['ignore', 'ignore', 'inherit', fd],
  });
  const { code } = await tool.exited;
  return code === 0;
};

/**
 * Calls `work` while holding the lock of `directory`. `onWait` is called when another set-up holds it.
 * Throws an Error when it was not free within half an hour.
 */
export const withLock = async <T>(
  directory: string,
  onWait: () => void,
  work: () => Promise<T>,
): Promise<T> => {
  const path = join(directory, 'lock');
  const file = await open(path, 'a', 0o600);
  try {
    if (!(await takeLock(file.fd, ['--nonblock']))) {
      onWait();
      if (!(await takeLock(file.fd, ['--timeout', String(PATIENCE)]))) {
        throw new Error(`another set-up has held ${path} for ${PATIENCE / 60} minutes`);
      }
    }
    return await work();
  } finally {
    await file.close();
  }
};
