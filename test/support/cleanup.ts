/**
 * Ends everything of a lab: also when its test failed, was interrupted or killed. Three nets: `dispose` after a test; on a
 * signal or an uncaught error the labs of this process; and before a lab is made, those whose process is gone.
 */
import { existsSync, readdirSync, rmSync, rmdirSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from '../../src/exec/index.ts';
import { cgroupRootsOf, cgroupsOf, mountsOf, processesOf, stagesOf } from './belongings.ts';
import type { LabMarks } from './belongings.ts';
import { eventually } from './eventually.ts';

const NAMED = /^appshot-lab-(\d+)-\d+$/;

export const labDirectory = (name: string): string => join(tmpdir(), name);

const killAll = (lab: LabMarks): number => {
  const processes = processesOf(lab);
  for (const { pid } of processes) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It ended by itself.
    }
  }
  return processes.length;
};

/** Returns the cgroups that the processes were in. */
const endProcesses = async (lab: LabMarks): Promise<string[]> => {
  const roots = cgroupRootsOf(processesOf(lab));
  await eventually(() => {
    const left = killAll(lab);
    if (left > 0) throw new Error(`${left} processes of ${lab.name} do not end`);
  });
  return roots;
};

const removeCgroups = async (roots: readonly string[]): Promise<void> => {
  // The kernel lets go of an ended process's cgroup a moment later.
  await eventually(() => {
    for (const directory of cgroupsOf(roots)) rmdirSync(directory);
  });
};

/** Removes processes, cgroups, mounts, the network namespace and files of a lab, in this order. */
export const removeEverything = async (lab: LabMarks): Promise<void> => {
  const roots = await endProcesses(lab);
  await removeCgroups(roots);
  for (const mount of mountsOf(lab)) await run('umount', ['--lazy', mount], { acceptExit: [0, 32] });
  if (existsSync(`/run/netns/${lab.name}`)) await run('ip', ['netns', 'delete', lab.name]);
  for (const directory of [...stagesOf(lab), lab.directory])
    rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
};

const alive = (pid: number): boolean => existsSync(`/proc/${pid}`);

/** Removes the labs whose process is gone. */
export const sweep = async (): Promise<void> => {
  const names = ['/run/netns', tmpdir()].flatMap((place) => (existsSync(place) ? readdirSync(place) : []));
  for (const name of new Set(names)) {
    const owner = NAMED.exec(name)?.[1];
    if (owner === undefined || alive(Number(owner))) continue;
    const inode = statSync(`/run/netns/${name}`, { throwIfNoEntry: false })?.ino ?? -1;
    await removeEverything({ name, directory: labDirectory(name), namespace: { inode } });
  }
};

const open = new Set<LabMarks>();
let watching = false;

const endAndExit = async (code: number): Promise<void> => {
  await Promise.allSettled([...open].map(removeEverything));
  process.exit(code);
};

const watchForTheEnd = (): void => {
  process.once('SIGINT', () => void endAndExit(130));
  process.once('SIGTERM', () => void endAndExit(143));
  // Nothing can be awaited any more: the processes end now, the next run's sweep removes the rest.
  process.once('exit', () => [...open].forEach(killAll));
};

/** From now on the lab is removed if this process ends; call the result once it is removed. */
export const guard = (lab: LabMarks): (() => void) => {
  if (!watching) watchForTheEnd();
  watching = true;
  open.add(lab);
  return () => open.delete(lab);
};
