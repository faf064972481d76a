/** TCP sockets that belong to the network namespace in which the calling thread is while they are made. */
import { encodeIpv4 } from './ip-text.ts';
import { O_CLOEXEC, about, bind, close, isErrno } from './sys.ts';

const AF_INET = 2;
const SOCK_STREAM = 1;
const O_NONBLOCK = 0o4000;
const ADDRESS_SIZE = 16;

const socket = bind('socket', ['int', 'int', 'int']);
const connect = bind('connect', ['int', 'void *', 'uint']);

/** `struct sockaddr_in`. */
const socketAddress = (address: string, port: number): Buffer => {
  const buffer = Buffer.alloc(ADDRESS_SIZE);
  buffer.writeUInt16LE(AF_INET, 0);
  buffer.writeUInt16BE(port, 2);
  buffer.set(encodeIpv4(address), 4);
  return buffer;
};

/**
 * Begins to connect to an IPv4 address and does not wait: the descriptor is for `new net.Socket({ fd })`, which then owns it and tells
 * what became of the connection. Throws ECONNREFUSED and the like where that is known at once.
 */
export const beginConnection = (address: string, port: number): number => {
  const fd = socket(AF_INET, SOCK_STREAM | O_NONBLOCK | O_CLOEXEC, 0);
  try {
    about(`${address}:${port}`, () => connect(fd, socketAddress(address, port), ADDRESS_SIZE));
  } catch (error) {
    if (isErrno(error, 'EINPROGRESS')) return fd;
    close(fd);
    throw error;
  }
  return fd;
};
