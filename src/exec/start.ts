import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';
import { AppShotError } from '../common/index.ts';
import { checkCommand } from './checks.ts';

/** One descriptor of the child: a pipe to us, nothing, ours, or the open descriptor of that number. */
export type Stdio = 'pipe' | 'ignore' | 'inherit' | number;

export interface StartOptions {
  /** Descriptors 0, 1, 2 and on, in this order. Standard: no input, both outputs as pipes. */
  readonly stdio?: readonly Stdio[];
  /** The whole environment of the child; ours when left out. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  /** Makes the child the leader of its own session, so that it outlives us and our terminal's signals. */
  readonly detached?: boolean;
}

/** How a program ended: with a code, or by a signal; the other one is null. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A program that runs. */
export interface Started {
  readonly pid: number;
  /** The streams exist where `stdio` says `pipe`. */
  readonly stdin: Writable | null;
  readonly stdout: Readable | null;
  readonly stderr: Readable | null;
  /** Settles when the program has ended; it never rejects. Output may still be on its way in the pipes. */
  readonly exited: Promise<Exit>;
  /** Sends a signal; false when the program has ended already. */
  signal(name: NodeJS.Signals): boolean;
  /** SIGTERM, and SIGKILL when it still runs after `graceMs` milliseconds (standard: 5000). Returns how it ended. */
  stop(graceMs?: number): Promise<Exit>;
  /** Lets our own process end although this one goes on. */
  unref(): void;
}

const stop = async (child: ChildProcess, exited: Promise<Exit>, graceMs: number): Promise<Exit> => {
  child.kill('SIGTERM');
  const kill = setTimeout(() => child.kill('SIGKILL'), graceMs);
  try {
    return await exited;
  } finally {
    clearTimeout(kill);
  }
};

const failedToStart = (tool: string, args: readonly string[], cause: unknown): AppShotError => {
  const code = (cause as NodeJS.ErrnoException).code ?? 'unknown';
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new AppShotError(
    'TOOL_FAILED',
    { tool, status: code, stderr: reason },
    { cause, details: { args, code } },
  );
};

/**
 * Starts `tool` (a path, or a name on the PATH) and returns once the kernel has executed it.
 * Throws `TOOL_FAILED` when that is refused: not found (`details.code` is ENOENT), not executable (EACCES), ...
 */
export const start = async (
  tool: string,
  args: readonly string[],
  options: StartOptions = {},
): Promise<Started> => {
  checkCommand(tool, args, options.env);
  const child = spawn(tool, args, {
    cwd: options.cwd,
    env: options.env ?? process.env,
    detached: options.detached ?? false,
    stdio: [...(options.stdio ?? ['ignore', 'pipe', 'pipe'])],
  });
  const exited = new Promise<Exit>((resolve) => {
    child.once('exit', (code, signal) => resolve({ code, signal }));
  });
  await once(child, 'spawn').catch((cause: unknown) => {
    throw failedToStart(tool, args, cause);
  });
  // A signal that may no longer be sent is reported as an 'error' event too, and must not end the daemon.
  child.on('error', () => undefined);
  return {
    pid: child.pid as number,
    stdin: child.stdin,
    stdout: child.stdout,
    stderr: child.stderr,
    exited,
    signal: (name) => child.kill(name),
    stop: (graceMs = 5000) => stop(child, exited, graceMs),
    unref: () => child.unref(),
  };
};
