/**
 * The files of a template as a file system of their own, in one file that is mounted read-only.
 *
 * The kernel refuses to lay a directory over one that it lies in, and it compares directories of one file system: so what is laid
 * between an application's own layer and this machine's `/` must not be on the machine's file system. A mount is held as a
 * descriptor by the daemon alone; layers that are in use outlive it, and when the last one goes so does the loop device.
 */
import { mkdirSync, statfsSync, truncateSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { AppShotError, fsyncPath } from '../common/index.ts';
import { run } from '../exec/index.ts';
import { KernelError, close, isErrno, mountImage, moveMount, umount } from '../kernel/index.ts';
import type { LayersBeneath } from './root.ts';

/** What is to go into an image. */
export interface Contents {
  /** Bytes of data, and number of files of every kind. */
  readonly bytes: number;
  readonly files: number;
}

/** Of ext4: what an inode takes, with extended attributes and a directory's block where it has them. In bytes. */
const PER_FILE = 8192;
const SLACK = 16 << 20;
const BLOCK = 4096;
/** Nothing is written to an image twice, so it needs no journal; and it never grows. */
const FORMAT = ['-q', '-F', '-t', 'ext4', '-b', String(BLOCK), '-I', '256', '-m', '0'];
const FEATURES = ['-O', '^has_journal,^resize_inode', '-E', 'lazy_itable_init=1,nodiscard'];

/**
 * Until now the files were in memory: what the disk has no room for is told here alone, as a fault of the loop device. Fails with
 * `NO_SPACE`, `TOOL_FAILED`.
 */
const writeBack = async (path: string, mounted: number): Promise<void> => {
  try {
    await run('sync', ['--file-system', `/proc/${process.pid}/fd/${mounted}`]);
  } catch (cause) {
    const { bavail, bsize } = statfsSync(path);
    if (bavail * bsize > SLACK) throw cause;
    throw new AppShotError(
      'NO_SPACE',
      { path: dirname(path), step: 'writing files of a template' },
      { cause },
    );
  }
};

/** Fails with `LOOP_UNAVAILABLE`. */
const mount = (image: string, options: { readOnly?: boolean } = {}): number => {
  try {
    return mountImage(image, options);
  } catch (cause) {
    if (!(cause instanceof KernelError)) throw cause;
    throw new AppShotError('LOOP_UNAVAILABLE', { image, reason: cause.message }, { cause });
  }
};

/** mke2fs is where only root's PATH leads on some machines. */
const TOOLS = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' };

/**
 * Makes an image at `path`, which is sparse: `fill` writes into the directory that it is given. Fails with `NO_SPACE`, `TOOL_FAILED`,
 * `LOOP_UNAVAILABLE`, and as `fill` does; what is left at `path` then is nobody's.
 */
export const makeLayerImage = async (
  path: string,
  { bytes, files }: Contents,
  fill: (directory: string) => Promise<void>,
): Promise<void> => {
  writeFileSync(path, '', { mode: 0o600 });
  truncateSync(path, Math.ceil((bytes * 1.05 + files * PER_FILE + SLACK) / BLOCK) * BLOCK);
  await run('mke2fs', [...FORMAT, ...FEATURES, '-N', String(files + 64), path], { env: TOOLS });
  const mounted = mount(path);
  try {
    await fill(`/proc/self/fd/${mounted}`);
    await writeBack(path, mounted);
  } finally {
    close(mounted);
  }
  await fsyncPath(path);
};

interface Mounted {
  readonly descriptor: number;
  readonly directory: string;
}

/** The images that a daemon has mounted. */
export class LayerImages {
  readonly #mounted = new Map<string, Mounted>();
  /** Before Linux 6.15 a layer must be mounted somewhere when it becomes one. */
  #needsPlace = false;

  #mount(path: string, place: string): Mounted {
    const known = this.#mounted.get(path);
    if (known) return known;
    const descriptor = mount(path, { readOnly: true });
    if (this.#needsPlace) {
      mkdirSync(place, { recursive: true });
      // A daemon that was killed has left its own.
      umount(place);
      moveMount(descriptor, place);
    }
    const mounted = { descriptor, directory: this.#needsPlace ? place : `/proc/self/fd/${descriptor}` };
    this.#mounted.set(path, mounted);
    return mounted;
  }

  /** Calls `use` with the layers in the image at `path`; `place` is a directory where it may be mounted. Throws as `use` does. */
  use<T>(path: string, place: string, use: (layers: LayersBeneath) => T): T {
    const { directory } = this.#mount(path, place);
    const layers = { upper: `${directory}/upper`, shm: `${directory}/shm`, shown: `${directory}/shown` };
    try {
      return use(layers);
    } catch (error) {
      if (this.#needsPlace || !isErrno(error, 'EINVAL')) throw error;
      this.release(path, place);
      this.#needsPlace = true;
      return this.use(path, place, use);
    }
  }

  /** Before the image is removed. */
  release(path: string, place: string): void {
    const mounted = this.#mounted.get(path);
    if (!mounted) return;
    this.#mounted.delete(path);
    close(mounted.descriptor);
    if (mounted.directory === place) umount(place);
  }

  /** All of them: the daemon ends. */
  close(): void {
    for (const [path, { directory }] of this.#mounted) this.release(path, directory);
  }
}
