/** The processes of a running application, by their IDs inside and on this machine. */
import { readFileSync, statSync } from 'node:fs';
import { AppShotError } from '../common/index.ts';
import type { Engine } from '../criu/index.ts';
import type { Environment } from '../environments/index.ts';

/** The PID in the innermost namespace, undefined when the process has gone. Source: proc_pid_status(5), NSpid. */
const virtualPid = (pid: number): number | undefined => {
  try {
    const [, list] = /^NSpid:\s*(.*)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
    return Number(list?.split(/\s+/).at(-1));
  } catch {
    return undefined;
  }
};

/** The system PID of the process that has this one inside. Fails with `ENVIRONMENT_FAILED` when there is none. */
export const systemPid = (
  house: { processesIn(environment: string): readonly number[] },
  environment: Environment,
  pid: number,
): number => {
  const found = house.processesIn(environment.id).find((one) => virtualPid(one) === pid);
  if (found !== undefined) return found;
  throw new AppShotError('ENVIRONMENT_FAILED', { reason: `its process ${pid} has ended` });
};

/** System PIDs of all processes in an environment, by those inside. */
export const systemPids = (
  house: { processesIn(environment: string): readonly number[] },
  environment: Environment,
): Map<number, number> =>
  new Map(house.processesIn(environment.id).map((pid) => [virtualPid(pid) ?? -1, pid]));

/** Whether some process is in a session whose leader has ended. Source: proc_pid_status(5), NSsid. */
export const hasOrphans = (pids: readonly number[]): boolean => {
  const status = pids.map((pid) => attempt(() => readFileSync(`/proc/${pid}/status`, 'utf8'), ''));
  const innermost = (name: string): string[] =>
    status.flatMap((text) => new RegExp(`^${name}:.*?(\\d+)$`, 'm').exec(text)?.[1] ?? []);
  const alive = new Set(innermost('NSpid'));
  return innermost('NSsid').some((session) => !alive.has(session));
};

const attempt = <T>(read: () => T, otherwise: T): T => {
  try {
    return read();
  } catch {
    return otherwise;
  }
};

/** About how many bytes of memory a dump of these processes will hold: what is their own, and what they share. */
export const savedBytes = (pids: readonly number[]): number =>
  pids
    .flatMap((pid) => attempt(() => readFileSync(`/proc/${pid}/status`, 'utf8'), '').split('\n'))
    .map((line) => Number(/^(?:RssAnon|RssShmem|VmSwap):\s+(\d+) kB$/.exec(line)?.[1] ?? 0))
    .reduce((sum, kib) => sum + kib * 1024, 0);

/** System PIDs of a process's children. */
export const childrenOf = (pid: number): number[] =>
  attempt(() => readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8'), '')
    .split(' ')
    .filter(Boolean)
    .map(Number);

/** Whether a process is the engine, or a task that it is still restoring: both execute the engine's file. */
export const isEngine = ({ command: [program] }: Engine, pid: number): boolean =>
  attempt(() => {
    const [running, engine] = [statSync(`/proc/${pid}/exe`), statSync(program)];
    return running.ino === engine.ino && running.dev === engine.dev;
  }, false);

/** Whether somebody traces a process, as the engine does with what it holds. Source: proc_pid_status(5), TracerPid. */
export const isTraced = (pid: number): boolean =>
  attempt(() => /^TracerPid:\s*[1-9]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8')), false);

/** A file that a process has mapped. */
export interface FileMapping {
  /** As the kernel names it below /proc/PID/map_files. */
  readonly range: string;
  /** Such as `r-xp`. */
  readonly permissions: string;
  /** In the file, in bytes. */
  readonly offset: number;
  /** As the application sees it. */
  readonly path: string;
}

/** `ADDRESSES PERMISSIONS OFFSET DEVICE INODE PATH`. Source: proc_pid_maps(5). */
const MAPPING = /^0*([0-9a-f]+)-0*([0-9a-f]+) (\S{4}) ([0-9a-f]+) \S+ \d+ +(\/.*)$/;

/** The files that a process has mapped and that have a name still. */
export const mappingsOf = (pid: number): FileMapping[] =>
  attempt(() => readFileSync(`/proc/${pid}/maps`, 'utf8'), '')
    .split('\n')
    .flatMap((line) => {
      const found = MAPPING.exec(line) ?? [];
      const [, start = '', end = '', permissions = '', offset = '', path = ' (deleted)'] = found;
      if (path.endsWith(' (deleted)')) return [];
      return [{ range: `${start}-${end}`, permissions, offset: parseInt(offset, 16), path }];
    });
