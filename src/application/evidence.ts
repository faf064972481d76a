/** Turns an engine's failure into one clear reason, with the end of its log as evidence. */
import { join } from 'node:path';
import { AppShotError, toAppShotError } from '../common/index.ts';
import { logTail, reasonIn } from '../criu/index.ts';
import type { Work } from './context.ts';

/** The failure that the engine's log explains; a full disk is named as such. */
export const engineFailure = async (work: Work, log: string, error: unknown): Promise<AppShotError> => {
  const path = join(work.house.layout.application(work.record.aid).engineLog, log);
  const lines = await logTail(path);
  const { code } = (error ?? {}) as NodeJS.ErrnoException;
  if (code === 'ENOSPC' || lines.some((line) => line.includes('No space left on device')))
    return new AppShotError(
      'NO_SPACE',
      { path: work.house.layout.directory, step: 'save' },
      { cause: error },
    );
  const known = error === undefined ? undefined : toAppShotError(error);
  if (known && known.code !== 'ENGINE_FAILED') return known;
  const reason = reasonIn(lines) ?? known?.message ?? 'it gave no reason';
  return new AppShotError('ENGINE_FAILED', { reason }, { cause: error, details: { log: path, lines } });
};
