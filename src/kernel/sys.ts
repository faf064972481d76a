/**
 * The binding to libc. Each function is declared once, when its module loads; a call that answers -1 throws a
 * `KernelError`. Structures are built by hand in Buffers: the project supports 64-bit little-endian Linux with glibc
 * (x86-64, arm64), where their layouts agree.
 */
import koffi from 'koffi';

/** A C value that crosses the border; Buffers are passed by address, without a copy. */
export type CValue = number | bigint | string | Uint8Array | null;
export type CFunction<Result = number> = (...values: CValue[]) => Result;
export type CType = 'int' | 'uint' | 'long' | 'ulong' | 'void *' | 'str' | 'void';

const libc = koffi.load('libc.so.6');

/** The library called `file`, its functions declared on demand. Throws when the library is absent. */
export const loadLibrary = (file: string) => {
  const library = koffi.load(file);
  return <Result>(name: string, result: CType, types: CType[]): CFunction<Result> =>
    library.func(name, result, types);
};

const declare = <Result>(name: string, result: CType, types: CType[]): CFunction<Result> =>
  libc.func(name, result, types);

const errnoName = declare<string | null>('strerrorname_np', 'str', ['int']);
/** What libc says about an errno, such as `File exists`. */
export const errnoText = declare<string>('strerror', 'str', ['int']);

/** The kernel refused a call. */
export class KernelError extends Error {
  /** What was called, such as `setns` or `RTM_NEWLINK`. */
  readonly call: string;
  /** The name of the error, such as `EEXIST`. */
  readonly errno: string;
  /** The number of the error, such as 17. */
  readonly code: number;

  /** `detail` is what the kernel or the library said in its own words, or what the call was about. */
  constructor(call: string, code: number, detail = '') {
    const errno = errnoName(code) ?? `errno ${code}`;
    super(`${call}: ${errnoText(code)} (${errno})${detail === '' ? '' : `: ${detail}`}`);
    this.name = 'KernelError';
    this.call = call;
    this.errno = errno;
    this.code = code;
  }
}

/** Declares a function of libc that answers -1 and sets errno when it fails; the bound one throws instead. */
export const bind = (name: string, types: CType[], result: 'int' | 'long' = 'int'): CFunction => {
  const call = declare<number>(name, result, types);
  return (...values) => {
    const answer = call(...values);
    if (answer === -1) throw new KernelError(name, koffi.errno());
    return answer;
  };
};

/** True when `thrown` is a `KernelError` with one of these names. */
export const isErrno = (thrown: unknown, ...names: string[]): thrown is KernelError =>
  thrown instanceof KernelError && names.includes(thrown.errno);

/** The address of a Buffer's memory, for structures that point to others. The Buffer must outlive its use. */
export const addressOf = (buffer: Uint8Array): bigint => koffi.address(buffer);

export const O_CLOEXEC = 0o2000000;
export const AT_FDCWD = -100;

const openPath = bind('open', ['str', 'int']);
const closeFd = bind('close', ['int']);

/** Runs `call`; when the kernel refuses, the error says what it was about. */
export const about = <Result>(detail: string, call: () => Result): Result => {
  try {
    return call();
  } catch (error) {
    throw error instanceof KernelError ? new KernelError(error.call, error.code, detail) : error;
  }
};

/** Opens `path`, close-on-exec, with O_* flags. Node does not watch over the descriptor, so `close` must be used for it. */
export const openFd = (path: string, flags = 0): number =>
  about(path, () => openPath(path, flags | O_CLOEXEC));

/** Closes a descriptor that came from this room. */
export const close = (fd: number): void => void closeFd(fd);

/** Runs `use` with a descriptor and closes it, whatever happens. */
export const withFd = <Result>(fd: number, use: (fd: number) => Result): Result => {
  try {
    return use(fd);
  } finally {
    close(fd);
  }
};

/**
 * Calls `onReadable` from the event loop whenever `fd` can be read, or has an error to read; gives the function that
 * ends it, which must be called before `fd` is closed and may be called twice. The process stays alive meanwhile.
 */
export const watchReadable = (fd: number, onReadable: () => void): (() => void) => {
  let watching = true;
  // The library calls back outside Node's own scope, where promises would not go on; setImmediate returns to it in the same turn.
  const handle = koffi.node.poll(fd, { readable: true }, () => setImmediate(() => watching && onReadable()));
  return () => {
    watching = false;
    handle.close();
  };
};
