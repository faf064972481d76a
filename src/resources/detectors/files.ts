/** Files and directories: where they lie, and what is left of them (criu/files-reg.c). */
import { GHOST_LIMIT } from '../../criu/index.ts';
import { formatSize } from '../../common/index.ts';
import type { DescriptorFacts, InodeFacts, MountFacts } from '../facts.ts';
import type { Detector, Finding, Judged } from './finding.ts';

/** File system magic numbers (linux/magic.h, ipc/mqueue.c, mm/secretmem.c). */
const MQUEUE = 0x19800202;
const SECRETMEM = 0x5345434d;
const DELETED = / \(deleted\)$/;
/** Memory that looks like a deleted file. The engine saves it as memory. */
const MEMORY = /^\/(memfd:|SYSV|dev\/zero \(deleted\)$|anon_hugepage|\[aio\])/;
const SECRET = '/secretmem (deleted)';

const secretMemory: Finding = {
  kind: 'secret-memory',
  what: 'secret memory (memfd_secret)',
  why: 'nobody but the program can read it, CRIU neither',
  advice: 'turn secret memory off in the program',
};

const DEVICE_BUFFER = '/dmabuf:';

const deviceBuffer: Finding = {
  kind: 'device',
  what: 'a buffer shared with a device (dma-buf)',
  why: 'it lies in the memory of the device, where CRIU cannot read it',
  advice: 'run it without the graphics processor or camera',
};

const isPath = ({ target }: { target: string }): boolean => target.startsWith('/');

/** The engine opens a file by its path on restore, so the file's mount must be the application's, and in sight. */
const place = (file: DescriptorFacts, { mounts, covered }: Judged): Finding | undefined => {
  const known = mounts.has(file.mount);
  if (known && !covered.has(file.mount)) return undefined;
  return {
    kind: 'mount',
    what: file.target,
    why: known
      ? 'another mount covers the place where it was opened'
      : 'it was opened outside the application, or its mount is gone',
    advice: 'open it inside the application, below a volume for instance',
  };
};

const TYPES: ReadonlySet<string> = new Set(['file', 'directory', 'link', 'character', 'fifo']);

const judgePlace = (file: DescriptorFacts, application: Judged): Finding | undefined => {
  if (file.fileSystem === MQUEUE)
    return {
      kind: 'message-queue',
      what: `the POSIX message queue ${file.target.replace(DELETED, '')}`,
      why: 'CRIU cannot save POSIX message queues',
      advice: 'use System V messages, a pipe or a socket instead',
    };
  if (file.fileSystem === SECRETMEM) return secretMemory;
  if (file.target.startsWith(DEVICE_BUFFER)) return deviceBuffer;
  return MEMORY.test(file.target) && file.fileSystem !== undefined ? undefined : place(file, application);
};

/** Descriptors of files that cannot be found again by their path. */
export const misplacedFiles: Detector = (process, application) => {
  // The mounts are those of the chain's first process; another detector names who has others.
  if (process.namespaces['mnt'] !== application.first?.namespaces['mnt']) return [];
  return process.descriptors
    .filter((file) => isPath(file) && TYPES.has(file.type))
    .map((file) => judgePlace(file, application))
    .filter((finding) => finding !== undefined);
};

const isLargeGhost = (file: InodeFacts & { target: string }): boolean =>
  file.type === 'file' &&
  file.links === 0 &&
  isPath(file) &&
  !MEMORY.test(file.target) &&
  file.bytes > GHOST_LIMIT;

/** Deleted files travel inside the snapshot, up to a size. */
export const largeDeletedFiles: Detector = ({ descriptors, mapped }) =>
  [...descriptors, ...mapped].filter(isLargeGhost).map((file) => ({
    kind: 'deleted-file',
    what: `the deleted file ${file.target.replace(DELETED, '')} (${formatSize(file.bytes)})`,
    why: `deleted files that are still open are saved up to ${formatSize(GHOST_LIMIT)}`,
    advice: 'close it, or keep it under a name on a volume',
  }));

export const secretMappings: Detector = ({ mapped }) =>
  mapped.some(({ target }) => target === SECRET) ? [secretMemory] : [];

const sees = (device: string, { mounts }: Judged): MountFacts | undefined =>
  [...mounts.values()].find((mount) => mount.device === device);

/** `sdev:27` of fdinfo: a number of the kernel's own, with 20 bits for the minor. */
const deviceOf = (line: string): string | undefined => {
  const match = /\bsdev:([0-9a-f]+)/.exec(line);
  if (match === null) return undefined;
  const number = parseInt(match[1] ?? '', 16);
  return `${number >>> 20}:${number & 0xfffff}`;
};

/**
 * Watches are saved by file handle (criu/fsnotify.c). An overlay opens its handles only when mounted with nfs_export=on; the
 * engine then searches a few directories below /etc and /var, which most watched files are not in.
 */
export const unresolvedWatches: Detector = ({ descriptors }, application) =>
  descriptors
    .flatMap(({ info }) => info.filter((line) => /^(inotify wd|fanotify ino):/.test(line)))
    .map((line) => sees(deviceOf(line) ?? '', application))
    .filter((mount) => mount?.type === 'overlay' && !mount.options.includes('nfs_export=on'))
    .map((mount) => ({
      kind: 'watch',
      what: `watched files below ${mount?.point ?? '/'} (inotify)`,
      why: 'CRIU cannot find out which files of an overlay are watched',
      advice: 'let the program watch a volume, or turn watching off',
    }));
