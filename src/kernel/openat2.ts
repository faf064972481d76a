/**
 * Opens what lies in another tree of files without being led out of it: openat2(2), `struct open_how` (linux/openat2.h). Whoever owns
 * the tree may change it at any time, so checking a path first and opening it then is not enough.
 */
import { KernelError, O_CLOEXEC, bind, openFd } from './sys.ts';

/** The same number on every architecture. */
const SYS_OPENAT2 = 437;
const HOW_SIZE = 24;
const RESOLVE_NO_MAGICLINKS = 0x02n;
const RESOLVE_NO_SYMLINKS = 0x04n;
const RESOLVE_IN_ROOT = 0x10n;
const O_DIRECTORY = 0o200000;
const O_PATH = 0o10000000;

const syscall = bind('syscall', ['long', 'int', 'str', 'void *', 'ulong'], 'long');

/** A descriptor of a process's root directory, in its mount namespace; only good for opening what lies below. Throws ENOENT. */
export const openRoot = (pid: number): number => openFd(`/proc/${pid}/root`, O_PATH | O_DIRECTORY);

const open = (root: number, path: string, flags: number, mode: number, resolve: bigint): number => {
  const how = Buffer.alloc(HOW_SIZE);
  how.writeBigUInt64LE(BigInt(flags | O_CLOEXEC), 0);
  how.writeBigUInt64LE(BigInt(mode), 8);
  how.writeBigUInt64LE(RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | resolve, 16);
  try {
    return syscall(SYS_OPENAT2, root, path, how, how.length);
  } catch (error) {
    throw error instanceof KernelError ? new KernelError('openat2', error.code, path) : error;
  }
};

/**
 * Opens `path` with O_* flags (and `mode`, where it may be created) as if the directory `root` were `/`, close-on-exec. Throws ELOOP when
 * any part of it is a symbolic link.
 */
export const openInRoot = (root: number, path: string, flags = 0, mode = 0): number =>
  open(root, path, flags, mode, RESOLVE_NO_SYMLINKS);

/** The same, and symbolic links lead to where they would if `root` were `/`. */
export const followInRoot = (root: number, path: string, flags = 0): number => open(root, path, flags, 0, 0n);
