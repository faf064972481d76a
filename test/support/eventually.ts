import { setTimeout as pause } from 'node:timers/promises';

/**
 * Tries until `attempt` succeeds, and returns what it returned; after `timeoutMs` it throws what the last try threw.
 * Only for what has no event to wait for: a program that listens some day, tables of the kernel.
 */
export const eventually = async <T>(
  attempt: () => T | Promise<T>,
  timeoutMs = 10_000,
  intervalMs = 20,
): Promise<T> => {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (performance.now() > deadline) throw error;
    }
    await pause(intervalMs);
  }
};
