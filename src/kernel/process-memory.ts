/**
 * Writes into another process's memory: process_vm_writev(2). Unlike /proc/PID/mem it waits for pages that a userfaultfd's handler
 * brings, and does not write what the process itself may not write.
 */
import { KernelError, about, addressOf, bind } from './sys.ts';

/** Bytes for one place; the address in bytes. */
export interface MemoryWrite {
  readonly at: number;
  readonly bytes: Uint8Array;
}

/** UIO_MAXIOV: so many places in one call. */
const MOST = 1024;
const IOVEC = 16;
const EFAULT = 14;

const writev = bind('process_vm_writev', ['int', 'void *', 'ulong', 'void *', 'ulong', 'ulong'], 'long');

/** Array of `struct iovec`. */
const vectors = (parts: readonly (readonly [at: bigint, length: number])[]): Buffer => {
  const bytes = Buffer.alloc(parts.length * IOVEC);
  parts.forEach(([at, length], index) => {
    bytes.writeBigUInt64LE(at, index * IOVEC);
    bytes.writeBigUInt64LE(BigInt(length), index * IOVEC + 8);
  });
  return bytes;
};

/**
 * Writes all of it, in order. Throws `KernelError`: EFAULT with the address for a place that cannot be written; what comes before it is
 * written then.
 */
export const writeProcessMemory = (pid: number, writes: readonly MemoryWrite[]): void => {
  for (let from = 0; from < writes.length; from += MOST) {
    const some = writes.slice(from, from + MOST);
    const bytes = Buffer.concat(some.map((one) => one.bytes));
    const local = vectors([[addressOf(bytes), bytes.length]]);
    const remote = vectors(some.map((one) => [BigInt(one.at), one.bytes.length]));
    let left = about(`process ${pid}, from ${some[0]?.at.toString(16)} on`, () =>
      writev(pid, local, 1, remote, some.length, 0),
    );
    const refused = some.find((one) => (left -= one.bytes.length) < 0);
    if (refused) throw new KernelError('process_vm_writev', EFAULT, `at ${refused.at.toString(16)}`);
  }
};
