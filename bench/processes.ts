/** What processes of this machine use. */
import { readFileSync, readdirSync } from 'node:fs';
import type { Application } from '../test/support/application.ts';
import type { Bench } from './bench.ts';

/** Clock ticks a second, as user space sees them on every architecture. */
const TICKS = 100;

const kilobytes = (text: string, name: string): number =>
  Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(text)?.[1] ?? 0);

/** Resident memory in MB; what the kernel could share with other Node processes counts in full. */
export const residentMb = (pid: number): number =>
  (kilobytes(readFileSync(`/proc/${pid}/status`, 'utf8'), 'VmRSS') * 1024) / 1e6;

/** Nanoseconds for which its threads ran; those that have ended do not count. */
export const ranNs = (pid: number): number =>
  readdirSync(`/proc/${pid}/task`)
    .map((thread) => Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]))
    .reduce((total, one) => total + one, 0);

/** Milliseconds of processor time, of threads that have ended too; the clock's tick is 10 ms. Source: proc_pid_stat(5). */
export const usedMs = (pid: number): number => {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return ((Number(fields[11]) + Number(fields[12])) * 1000) / TICKS;
};

export interface PrivateMemory {
  /** Bytes that only this application has: written, or anonymous. */
  readonly dirty: number;
  /** Bytes of files that nobody else has mapped: the page cache's, which the kernel can take back. */
  readonly clean: number;
}

/** Of a running application's processes together. Source: proc_pid_smaps(5). */
export const privateMemory = async (bench: Bench, app: Application): Promise<PrivateMemory> => {
  const { processes } = await bench.client.inspect(app.aid);
  const rollups = processes.map(({ systemPid }) => readFileSync(`/proc/${systemPid}/smaps_rollup`, 'utf8'));
  const sum = (name: string): number =>
    rollups.reduce((total, text) => total + kilobytes(text, name) * 1024, 0);
  return { dirty: sum('Private_Dirty'), clean: sum('Private_Clean') };
};
