/** What goes wrong with snapshots on disk, in the words of the error registry. */
import { AppShotError } from '../common/index.ts';

export const corrupt = (snapshot: string, file: string, reason: string, cause?: unknown): AppShotError =>
  new AppShotError('SNAPSHOT_CORRUPT', { snapshot, file, reason }, { cause });

const FULL = /\b(ENOSPC|EDQUOT)\b|No space left on device/;

/** Whether a disk was full. A thread's error has lost its code on the way, and a tool's has none, but not its words. */
export const isFull = (error: unknown): boolean => {
  const { code = '', message } = error as NodeJS.ErrnoException;
  return FULL.test(code) || FULL.test(message);
};

/** What a write failed with: `NO_SPACE` when the disk is full, else the error as it is. */
export const orNoSpace = (error: unknown, path: string, step: string): unknown =>
  isFull(error) ? new AppShotError('NO_SPACE', { path, step }, { cause: error }) : error;
