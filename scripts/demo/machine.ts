/** What the demo measures, read from the kernel and not from AppShot. */
import { readFileSync } from 'node:fs';

const KIB_PER_MB = 1000_000 / 1024;

const field = (file: string, name: string): number => {
  const match = new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(readFileSync(file, 'utf8'));
  if (match === null) throw new Error(`${file} has no ${name}`);
  return Number(match[1]) / KIB_PER_MB;
};

/** Memory that all programs of this machine hold, without files, in MB. */
export const programsMb = (): number => field('/proc/meminfo', 'AnonPages');

/** Memory that these processes have written and share with nobody, in MB. Throws when one is gone. */
export const ownMb = (pids: readonly number[]): number =>
  pids.reduce((total, pid) => total + field(`/proc/${pid}/smaps_rollup`, 'Private_Dirty'), 0);

/** Memory that these processes hold, in MB; what they share with others counts in part. Throws when one is gone. */
export const heldMb = (pids: readonly number[]): number =>
  pids.reduce((total, pid) => total + field(`/proc/${pid}/smaps_rollup`, 'Pss'), 0);
