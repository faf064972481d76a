/**
 * A small disk, which can be full. It is a file system as applications' memory is kept on: in tmpfs, which has no disk behind it, even
 * reading a hole of a file takes room.
 */
import {
  appendFileSync,
  closeSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  rmSync,
  statSync,
  statfsSync,
  truncateSync,
} from 'node:fs';
import { join } from 'node:path';
import { run } from '../../src/exec/index.ts';

export interface SmallDisk {
  /** Leaves this many bytes, whatever is written meanwhile: fills all that there is and gives that much back. */
  fill(left: number): void;
  makeRoom(): void;
}

/** Mounts a new ext4 of `bytes`, made with these options of mkfs, at `directory`, which is made; the lab that it is in unmounts it. */
export const mountDisk = async (
  directory: string,
  bytes: number,
  options: readonly string[] = [],
): Promise<void> => {
  const image = `${directory}.ext4`;
  const file = openSync(image, 'wx', 0o600);
  ftruncateSync(file, bytes);
  closeSync(file);
  await run('mkfs.ext4', ['-q', ...options, image]);
  mkdirSync(directory);
  await run('mount', ['-o', 'loop', image, directory]);
};

/** The same, small enough to fill. */
export const mountSmallDisk = async (directory: string, bytes: number): Promise<SmallDisk> => {
  await mountDisk(directory, bytes, ['-m', '0', '-O', '^has_journal']);
  const filler = join(directory, 'filler');
  return {
    fill: (left) => {
      const { bfree, bsize } = statfsSync(directory);
      try {
        appendFileSync(filler, Buffer.alloc(bfree * bsize, 1));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
      }
      truncateSync(filler, Math.max(0, statSync(filler).size - left));
    },
    makeRoom: () => rmSync(filler, { force: true }),
  };
};
