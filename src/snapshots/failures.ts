/** What goes wrong with snapshots on disk, in the words of the error registry. */
import { AppShotError } from '../common/index.ts';

export const corrupt = (snapshot: string, file: string, reason: string, cause?: unknown): AppShotError =>
  new AppShotError('SNAPSHOT_CORRUPT', { snapshot, file, reason }, { cause });

/** A full disk as such, also when a thread's error has lost its code on the way; anything else as it is. */
export const noSpace = (error: unknown, path: string): unknown => {
  const full = /\b(ENOSPC|EDQUOT)\b/.test(error instanceof Error ? error.message : '');
  return full ? new AppShotError('NO_SPACE', { path, step: 'keeping a snapshot' }, { cause: error }) : error;
};
