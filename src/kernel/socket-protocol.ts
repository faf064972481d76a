/** What kind of socket a process holds, also when no table of its network namespace lists it. */
import { bind, isErrno } from './sys.ts';

const LONGEST_NAME = 64;

const getxattr = bind('getxattr', ['str', 'str', 'void *', 'ulong'], 'long');

/**
 * The kernel's name for the protocol of a socket, such as `TCP`, `UNIX-STREAM` or `AF_VSOCK`, by a path like
 * `/proc/PID/fd/FD`. Undefined when there is no such descriptor any more, or it is no socket.
 */
export const socketProtocol = (path: string): string | undefined => {
  const name = Buffer.alloc(LONGEST_NAME);
  try {
    const length = getxattr(path, 'system.sockprotoname', name, name.length);
    return name.toString('latin1', 0, length).replace(/\0.*$/s, '');
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ESRCH', 'EOPNOTSUPP', 'ENODATA')) return undefined;
    throw error;
  }
};
