/** Turns an engine's failure into one clear reason, with the end of its log as evidence. */
import { statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { AppShotError, toAppShotError } from '../common/index.ts';
import { logTail, reasonIn } from '../criu/index.ts';
import type { Work } from './context.ts';

/** With less left than this, in bytes, an engine that could not even say why it failed has filled the disk. */
const NO_ROOM = 1 << 20;

const isFull = async (directory: string): Promise<boolean> => {
  const { bfree, bsize } = await statfs(directory);
  return bfree * bsize < NO_ROOM;
};

/** The failure that the engine's log explains; a full disk is named as such. */
export const engineFailure = async (work: Work, log: string, error: unknown): Promise<AppShotError> => {
  const path = join(work.house.layout.application(work.record.aid).engineLog, log);
  const lines = await logTail(path);
  const { code } = (error ?? {}) as NodeJS.ErrnoException;
  const explained = reasonIn(lines);
  const { directory } = work.house.layout;
  if (
    code === 'ENOSPC' ||
    lines.some((line) => line.includes('No space left on device')) ||
    // On a full disk its log stays empty.
    (explained === undefined && (await isFull(directory)))
  )
    return new AppShotError(
      'NO_SPACE',
      { path: directory, step: work.record.step ?? 'save' },
      { cause: error },
    );
  const known = error === undefined ? undefined : toAppShotError(error);
  if (known && known.code !== 'ENGINE_FAILED') return known;
  const reason = explained ?? known?.message ?? 'it gave no reason';
  return new AppShotError('ENGINE_FAILED', { reason }, { cause: error, details: { log: path, lines } });
};
