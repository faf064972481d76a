/**
 * Namespaces by descriptor. `setns` moves only the calling thread, so a visit to another namespace is
 * synchronous: enter, run, come back. A thread that cannot come back must not go on, since whatever it did next would
 * reach the wrong network: the process is aborted.
 */
import { writeSync } from 'node:fs';
import { bind, openFd, withFd } from './sys.ts';

export type NamespaceType = 'net' | 'mnt' | 'pid' | 'user' | 'uts' | 'ipc' | 'time';

/** What can be visited, and how setns(2) calls it. */
const VISITED = { net: 0x40000000, ipc: 0x08000000 } as const;

const setns = bind('setns', ['int', 'int']);

/** A descriptor of a process's namespace; it keeps the namespace alive until closed. Throws ENOENT, EACCES. */
export const openNamespace = (pid: number, type: NamespaceType): number => openFd(`/proc/${pid}/ns/${type}`);

const comeBack = (home: number, type: keyof typeof VISITED): void => {
  try {
    setns(home, VISITED[type]);
  } catch (error) {
    writeSync(2, `appshot: cannot return to the ${type} namespace: ${String(error)}\n`);
    process.abort();
  }
};

const visitNamespace = <Result>(fd: number, type: keyof typeof VISITED, visit: () => Result): Result =>
  withFd(openFd(`/proc/thread-self/ns/${type}`), (home) => {
    setns(fd, VISITED[type]);
    try {
      const result = visit();
      if (result instanceof Promise)
        throw new TypeError(`a visit to another ${type} namespace must be synchronous`);
      return result;
    } finally {
      comeBack(home, type);
    }
  });

/**
 * Runs `visit` with the calling thread in the network namespace `fd`. Sockets that it opens stay in that namespace.
 * `visit` must finish before it returns: no promises, and nothing that starts a thread. Calls may be nested.
 */
export const withNetworkNamespace = <Result>(fd: number, visit: () => Result): Result =>
  visitNamespace(fd, 'net', visit);

/** The same for the IPC namespace `fd`: in there, /proc/sysvipc tells of its objects. */
export const withIpcNamespace = <Result>(fd: number, visit: () => Result): Result =>
  visitNamespace(fd, 'ipc', visit);
