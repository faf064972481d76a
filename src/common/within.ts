import { setTimeout as pause } from 'node:timers/promises';

/** Whether a promise resolves within `ms` milliseconds; rejects when it does so within them. No timer is left behind. */
export const endsWithin = async (promise: Promise<unknown>, ms: number): Promise<boolean> => {
  const timer = new AbortController();
  const late = pause(ms, false, { signal: timer.signal }).catch(() => false);
  return await Promise.race([promise.then(() => true), late]).finally(() => timer.abort());
};
