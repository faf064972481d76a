/** The end of an engine's log, as evidence and as a reason. */
import { open } from 'node:fs/promises';

const TAIL_BYTES = 16 << 10;
const TAIL_LINES = 12;

/** The last lines of a log; none when it cannot be read. */
export const logTail = async (path: string): Promise<string[]> => {
  try {
    await using file = await open(path, 'r');
    const { size } = await file.stat();
    const buffer = Buffer.alloc(Math.min(size, TAIL_BYTES));
    await file.read(buffer, 0, buffer.length, size - buffer.length);
    return buffer.toString('utf8').split('\n').filter(Boolean).slice(-TAIL_LINES);
  } catch {
    return [];
  }
};

/**
 * What the engine complains of and goes on, in a user namespace: a limit that it may not raise (it is raised before it starts), filters
 * that it may not suspend (ours lets it work).
 */
const HARMLESS = /: rlimit: |suspend(ing)? seccomp/;

/** The first error that a log's end tells, without its time and place; it is mostly the cause of the others. */
export const reasonIn = (lines: readonly string[]): string | undefined => {
  const error = lines.find((line) => line.includes('Error (') && !HARMLESS.test(line));
  return error?.replace(/^.*?Error \([^)]*\):\s*/, '').trim();
};
