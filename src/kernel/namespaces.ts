/**
 * Namespaces by descriptor. `setns` moves only the calling thread, so a visit to another network namespace is
 * synchronous: enter, run, come back. A thread that cannot come back must not go on, since whatever it did next would
 * reach the wrong network: the process is aborted.
 */
import { writeSync } from 'node:fs';
import { bind, openFd, withFd } from './sys.ts';

export type NamespaceType = 'net' | 'mnt' | 'pid' | 'user' | 'uts' | 'ipc' | 'time';

const CLONE_NEWNET = 0x40000000;

const setns = bind('setns', ['int', 'int']);

/** A descriptor of a process's namespace; it keeps the namespace alive until closed. Throws ENOENT, EACCES. */
export const openNamespace = (pid: number, type: NamespaceType): number => openFd(`/proc/${pid}/ns/${type}`);

const comeBack = (home: number): void => {
  try {
    setns(home, CLONE_NEWNET);
  } catch (error) {
    writeSync(2, `appshot: cannot return to the network namespace: ${String(error)}\n`);
    process.abort();
  }
};

/**
 * Runs `visit` with the calling thread in the network namespace `fd`. Sockets that it opens stay in that namespace.
 * `visit` must finish before it returns: no promises, and nothing that starts a thread. Calls may be nested.
 */
export const withNetworkNamespace = <Result>(fd: number, visit: () => Result): Result =>
  withFd(openFd('/proc/thread-self/ns/net'), (home) => {
    setns(fd, CLONE_NEWNET);
    try {
      return visit();
    } finally {
      comeBack(home);
    }
  });
