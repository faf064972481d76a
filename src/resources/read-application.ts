/** Everything about an application's processes, from /proc and sock_diag: about 15 ms for 30 processes. */
import { readFileSync } from 'node:fs';
import type { NetlinkSocket } from '../kernel/index.ts';
import type { ApplicationFacts, ApplicationProcesses, ProcessFacts } from './facts.ts';
import { parseMountInfo } from './proc-text.ts';
import { pidDepth, readProcess, unlessGone } from './read-process.ts';
import type { MappedCache } from './read-process.ts';
import { readSockets } from './read-sockets.ts';

export interface ResourceInput extends ApplicationProcesses {
  /** A NETLINK_SOCK_DIAG socket of the application's network namespace. */
  readonly diagnosis: NetlinkSocket;
}

/** PID 1 holds tasks for less than a millisecond, as the guard of their memory, and none while they are saved: no debugger. */
const withoutGuard =
  (initPid: number) =>
  (process: ProcessFacts): ProcessFacts =>
    process.tracer === initPid ? { ...process, tracer: 0 } : process;

export const readApplication = ({ pids, initPid, rootPid, diagnosis }: ResourceInput): ApplicationFacts => {
  const depth = pidDepth(initPid);
  const mounts = parseMountInfo(unlessGone(() => readFileSync(`/proc/${rootPid}/mountinfo`, 'utf8')) ?? '');
  const cache: MappedCache = new Map();
  const processes = pids
    .map((pid) => readProcess(pid, depth, { mounts, cache }))
    .filter((process) => process !== undefined)
    .map(withoutGuard(initPid));
  return { root: rootPid, processes, mounts, sockets: readSockets(diagnosis, rootPid, processes) };
};
