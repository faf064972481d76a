/**
 * Keeps an application's logs bounded. Its processes hold them open, and a snapshot remembers their sizes: so a log that has grown
 * too large is copied beside itself and cut in place, and only while the application runs. What is written in the instant
 * between is lost, as with every rotation that copies.
 */
import { copyFile, readdir, stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';

/** Bytes; with its one predecessor a log takes twice as much at most. */
const LARGEST_LOG = 64 << 20;

/** Cuts the logs in `directory` that are larger than `limit`; what they held is in NAME.1 then. */
export const boundLogs = async (directory: string, limit = LARGEST_LOG): Promise<void> => {
  for (const name of await readdir(directory)) {
    const path = join(directory, name);
    if (!name.endsWith('.log') || (await stat(path)).size <= limit) continue;
    await copyFile(path, `${path}.1`);
    await truncate(path);
  }
};
