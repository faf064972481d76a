/** A directory belongs to one daemon at a time: `daemon.json` there names it by PID and start time. */
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { AppShotError, writeAtomically } from '../common/index.ts';
import { startTimeOf } from '../environments/index.ts';

const Owner = z.object({ pid: z.number().int().positive(), startTime: z.number() });

const ownerOf = (path: string): z.infer<typeof Owner> | undefined => {
  try {
    return Owner.parse(JSON.parse(readFileSync(path, 'utf8')));
  } catch {
    return undefined;
  }
};

/** Claims a directory; returns what gives it back. Fails with `DAEMON_RUNNING` while another daemon lives there. */
export const claim = async (directory: string): Promise<() => void> => {
  const path = join(directory, 'daemon.json');
  const owner = ownerOf(path);
  if (owner && owner.pid !== process.pid && startTimeOf(owner.pid) === owner.startTime)
    throw new AppShotError('DAEMON_RUNNING', { pid: owner.pid, path: directory });
  await writeAtomically(path, JSON.stringify({ pid: process.pid, startTime: startTimeOf(process.pid) }));
  return () => rmSync(path, { force: true });
};
