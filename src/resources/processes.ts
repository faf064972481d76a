/** The processes of an application as users know them: by the IDs inside (virtual) and on this machine (system). */
import { readFileSync } from 'node:fs';
import type { ProcessView } from '../api/index.ts';
import type { ApplicationProcesses } from './facts.ts';
import { pidDepth, readStatus, unlessGone } from './read-process.ts';

/** Command lines are as long as a program likes. */
const LONGEST_COMMAND = 4096;

/** Program and arguments; of a process that has none, such as a zombie, its name in brackets, as ps(1) does. */
const commandOf = (systemPid: number, name: string): string => {
  const text = unlessGone(() => readFileSync(`/proc/${systemPid}/cmdline`, 'utf8')) ?? '';
  const command = text.slice(0, LONGEST_COMMAND).replace(/\0+$/, '').replaceAll('\0', ' ');
  return command === '' ? `[${name}]` : command;
};

/** By virtual PID. A parent outside the application, such as the environment's PID 1, is its virtual PID or 0. */
export const listProcesses = ({ pids, initPid }: ApplicationProcesses): ProcessView[] => {
  const depth = pidDepth(initPid);
  const statuses = pids.map((pid) => readStatus(pid, depth)).filter((status) => status !== undefined);
  const virtual = new Map([[initPid, 1], ...statuses.map(({ systemPid, pid }) => [systemPid, pid] as const)]);
  return statuses
    .map(({ systemPid, pid, systemParent, uid, name, threads, rss }) => ({
      pid,
      systemPid,
      parent: virtual.get(systemParent) ?? 0,
      uid,
      command: commandOf(systemPid, name),
      threads,
      rss,
    }))
    .toSorted((a, b) => a.pid - b.pid);
};
