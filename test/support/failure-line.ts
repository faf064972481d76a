/** How a command of AppShot says that it failed. */
import { expect } from 'vitest';
import { ERRORS } from '../../src/common/index.ts';
import type { ErrorCode } from '../../src/common/index.ts';
import type { CommandResult } from './lab.ts';

interface Failure {
  readonly code: string;
  readonly exit: number | null;
  readonly line: string;
}

/** The one line for people: what and why, what to do, the code. Throws when there is more, or less, or a gap in it. */
export const failureLine = ({
  stdout,
  stderr,
  code: exit,
}: Pick<CommandResult, 'stdout' | 'stderr' | 'code'>): Failure => {
  const [, line, code] = /^appshot: ([^\n]+) \[([A-Z_]+)\]\n$/.exec(stderr) ?? [];
  const gap = /\{\w+\}|undefined|\[object/;
  if (line === undefined || code === undefined || gap.test(line) || stdout !== '') {
    throw new Error(`not one clear line: ${JSON.stringify({ stdout, stderr, exit })}`);
  }
  return { code, exit, line };
};

/** What `failureLine` gives for a code whose line says this. */
export const failure = (code: ErrorCode, says: string | RegExp): unknown => ({
  code,
  exit: ERRORS[code].exit,
  line: typeof says === 'string' ? expect.stringContaining(says) : expect.stringMatching(says),
});
