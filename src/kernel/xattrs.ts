/**
 * What Node does not do with files: extended attributes, device nodes, times to the nanosecond. A path is text or bytes, and a
 * symbolic link at its end is never followed.
 */
import { AT_FDCWD, KernelError, about, bind, isErrno } from './sys.ts';

/** A name of a file need not be text: bytes are taken as they are. */
export type PathLike = string | Uint8Array;

const AT_SYMLINK_NOFOLLOW = 0x100;
const NANOSECONDS = 1_000_000_000n;
/** XATTR_LIST_MAX and XATTR_SIZE_MAX: nothing is larger. */
const LARGEST = 65_536;

const llistxattr = bind('llistxattr', ['void *', 'void *', 'ulong'], 'long');
const lgetxattr = bind('lgetxattr', ['void *', 'str', 'void *', 'ulong'], 'long');
const lsetxattr = bind('lsetxattr', ['void *', 'str', 'void *', 'ulong', 'int']);
const mknod = bind('mknod', ['void *', 'uint', 'ulong']);
const utimensat = bind('utimensat', ['int', 'void *', 'void *', 'int']);

/** Calls are synchronous, so all of them may read into the same memory. */
const answer = Buffer.alloc(LARGEST);

const terminated = (path: PathLike): Buffer =>
  typeof path === 'string' ? Buffer.from(`${path}\0`) : Buffer.concat([path, Buffer.of(0)]);

const text = (path: PathLike): string => (typeof path === 'string' ? path : Buffer.from(path).toString());

/** The names of a file's extended attributes, sorted; none where the file system has no such thing. Throws `KernelError`. */
export const listXattrs = (path: PathLike): string[] => {
  try {
    const length = llistxattr(terminated(path), answer, LARGEST);
    return length === 0
      ? []
      : answer
          .toString('utf8', 0, length - 1)
          .split('\0')
          .toSorted();
  } catch (error) {
    if (isErrno(error, 'EOPNOTSUPP')) return [];
    throw error instanceof KernelError ? new KernelError(error.call, error.code, text(path)) : error;
  }
};

/** The value of an extended attribute. Throws `KernelError`: ENODATA when there is none of that name. */
export const getXattr = (path: PathLike, name: string): Buffer =>
  about(`${text(path)}: ${name}`, () =>
    Buffer.from(answer.subarray(0, lgetxattr(terminated(path), name, answer, LARGEST))),
  );

/** Sets or replaces an extended attribute. Throws `KernelError`. */
export const setXattr = (path: PathLike, name: string, value: Uint8Array): void =>
  void about(`${text(path)}: ${name}`, () => lsetxattr(terminated(path), name, value, value.length, 0));

/** A device's number as the kernel packs it into 64 bits. */
const packDevice = (major: number, minor: number): bigint => {
  const [high, low] = [BigInt(major), BigInt(minor)];
  return (low & 0xffn) | ((high & 0xfffn) << 8n) | ((low & ~0xffn) << 12n) | ((high & ~0xfffn) << 32n);
};

/** The two halves of a device's number, as stat gives it. */
export const unpackDevice = (device: bigint): { major: number; minor: number } => ({
  major: Number(((device >> 8n) & 0xfffn) | ((device >> 32n) & 0xfffff000n)),
  minor: Number((device & 0xffn) | ((device >> 12n) & 0xffffff00n)),
});

/** Makes a device, a fifo or a socket: `mode` holds the type (S_IF*) and the permissions, less the umask. Throws `KernelError`. */
export const makeNode = (path: PathLike, mode: number, { major = 0, minor = 0 } = {}): void =>
  void about(text(path), () => mknod(terminated(path), mode, packDevice(major, minor)));

/** Sets when a file was read and written last, in nanoseconds since 1970, which may be negative. Throws `KernelError`. */
export const setTimes = (path: PathLike, { read, written }: { read: bigint; written: bigint }): void => {
  const times = Buffer.alloc(32);
  for (const [index, time] of [read, written].entries()) {
    const rest = ((time % NANOSECONDS) + NANOSECONDS) % NANOSECONDS;
    times.writeBigInt64LE((time - rest) / NANOSECONDS, index * 16);
    times.writeBigInt64LE(rest, index * 16 + 8);
  }
  about(text(path), () => utimensat(AT_FDCWD, terminated(path), times, AT_SYMLINK_NOFOLLOW));
};
