/** Descriptors over a Unix socket: sendmsg(2) with SCM_RIGHTS. `struct msghdr` and its parts are built by hand. */
import type { Server, Socket } from 'node:net';
import { KernelError, addressOf, bind, isErrno } from './sys.ts';

const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const MSG_NOSIGNAL = 0x4000;
const CONTROL_HEADER = 16;
const HEADER_SIZE = 56;
const MOST_FDS = 64;
const POLLOUT = 4;
const TIMEOUT_MS = 5000;

const sendmsg = bind('sendmsg', ['int', 'void *', 'int'], 'long');
const poll = bind('poll', ['void *', 'ulong', 'int']);

/** The descriptor of a socket of Node's that is connected or listens; valid until the socket is destroyed. */
export const socketFd = (socket: Socket | Server): number => {
  const { _handle: handle } = socket as (Socket | Server) & {
    readonly _handle?: { readonly fd?: unknown } | null;
  };
  const fd = handle?.fd;
  if (typeof fd !== 'number' || fd < 0) throw new TypeError('the socket is not open');
  return fd;
};

const controlMessage = (fds: readonly number[]): Buffer => {
  const length = CONTROL_HEADER + fds.length * 4;
  const control = Buffer.alloc((length + 7) & ~7);
  control.writeBigUInt64LE(BigInt(length), 0);
  control.writeInt32LE(SOL_SOCKET, 8);
  control.writeInt32LE(SCM_RIGHTS, 12);
  fds.forEach((fd, place) => control.writeInt32LE(fd, CONTROL_HEADER + place * 4));
  return control;
};

/** `msghdr` of one piece of data; the Buffers must outlive it. */
const messageHeader = (vector: Buffer, control: Buffer | undefined): Buffer => {
  const header = Buffer.alloc(HEADER_SIZE);
  header.writeBigUInt64LE(addressOf(vector), 16);
  header.writeBigUInt64LE(1n, 24);
  if (control !== undefined) {
    header.writeBigUInt64LE(addressOf(control), 32);
    header.writeBigUInt64LE(BigInt(control.length), 40);
  }
  return header;
};

const waitUntilWritable = (fd: number): void => {
  const polled = Buffer.alloc(8);
  polled.writeInt32LE(fd, 0);
  polled.writeInt16LE(POLLOUT, 4);
  if (poll(polled, 1, TIMEOUT_MS) === 0) throw new KernelError('sendmsg', 110, 'the receiver does not read');
};

/** Sends once, waiting while the socket is full; gives the number of bytes that went. */
const sendOnce = (socket: number, data: Uint8Array, control: Buffer | undefined): number => {
  const vector = Buffer.alloc(16);
  vector.writeBigUInt64LE(addressOf(data), 0);
  vector.writeBigUInt64LE(BigInt(data.length), 8);
  const header = messageHeader(vector, control);
  for (;;) {
    try {
      return sendmsg(socket, header, MSG_NOSIGNAL);
    } catch (error) {
      if (isErrno(error, 'EAGAIN')) waitUntilWritable(socket);
      else if (!isErrno(error, 'EINTR')) throw error;
    }
  }
};

/**
 * Sends `data` (at least one byte), and with its first byte copies of 1 to 64 descriptors, over a connected Unix stream
 * socket. What Node itself still has to write to the socket must be gone before. Blocks up to 5 s while the receiver does
 * not read. Throws EPIPE, ETIMEDOUT.
 */
export const sendFds = (socket: number, data: Uint8Array, fds: readonly number[]): void => {
  if (data.length === 0) throw new RangeError('descriptors travel with at least one byte');
  if (fds.length === 0 || fds.length > MOST_FDS)
    throw new RangeError(`cannot send ${fds.length} descriptors`);
  let sent = sendOnce(socket, data, controlMessage(fds));
  while (sent < data.length) sent += sendOnce(socket, data.subarray(sent), undefined);
};
