import type { Readable, Writable } from 'node:stream';
import { AppShotError } from '../common/index.ts';
import { start } from './start.ts';
import type { Exit, Started } from './start.ts';

export interface RunOptions {
  /** Written to the tool's standard input, which is then closed. Without it the input is empty. */
  readonly input?: string | Uint8Array;
  /** SIGTERM after this many milliseconds, SIGKILL a second later. Standard: none. */
  readonly timeoutMs?: number;
  readonly cwd?: string;
  /** The whole environment of the tool; ours when left out. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Ends the tool as the timeout does. */
  readonly signal?: AbortSignal;
  /** Exit codes that are no failure. Standard: 0 alone. */
  readonly acceptExit?: readonly number[];
}

export interface RunResult {
  readonly stdout: string;
  readonly stderr: string;
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** Milliseconds from start to end. */
  readonly ms: number;
}

/** Longest output kept of one stream, in characters: a tool gone wild must not fill the memory of the daemon. */
const OUTPUT_LIMIT = 64 * 1024 * 1024;
/** How much of the end of standard error goes into an error's details. */
const EVIDENCE = 4000;
/** From SIGTERM to SIGKILL. */
const GRACE_MS = 1000;

/** The whole of one output stream, once every process that holds it has closed it, or we destroyed our end. */
const collect = (stream: Readable | null): Promise<string> => {
  if (stream === null) return Promise.resolve('');
  let text = '';
  stream.setEncoding('utf8');
  stream.on('data', (chunk: string) => {
    text += chunk;
    if (text.length > OUTPUT_LIMIT) text = text.slice(-OUTPUT_LIMIT);
  });
  return new Promise((resolve) => {
    stream.once('error', () => stream.destroy());
    stream.once('close', () => resolve(text));
  });
};

/** Ends a tool for good: what it left running may hold its output open, which must not keep us waiting. */
const end = async (tool: Started): Promise<void> => {
  await tool.stop(GRACE_MS);
  tool.stdout?.destroy();
  tool.stderr?.destroy();
};

const feed = (stream: Writable | null, input: string | Uint8Array | undefined): void => {
  if (stream === null) return;
  // A tool may end without reading all of its input (EPIPE); its exit code then tells whether that was a failure.
  stream.on('error', () => undefined);
  stream.end(input);
};

/** Ends the tool when the time is up or the caller aborts; says which it was. */
const guard = (
  tool: Started,
  options: RunOptions,
): { ended: () => string | undefined; clear: () => void } => {
  let ended: string | undefined;
  const endBecause = (reason: string): void => {
    ended ??= reason;
    void end(tool);
  };
  const onAbort = (): void => endBecause('the caller ended it');
  const timer =
    options.timeoutMs === undefined
      ? undefined
      : setTimeout(() => endBecause(`no end after ${options.timeoutMs} ms`), options.timeoutMs);
  options.signal?.addEventListener('abort', onAbort, { once: true });
  if (options.signal?.aborted === true) onAbort();
  return {
    ended: () => ended,
    clear: () => {
      clearTimeout(timer);
      options.signal?.removeEventListener('abort', onAbort);
    },
  };
};

const statusOf = (exit: Exit, ended: string | undefined): string =>
  ended ?? (exit.signal === null ? `exit code ${exit.code}` : `signal ${exit.signal}`);

const failure = (
  tool: string,
  args: readonly string[],
  result: RunResult,
  ended: string | undefined,
): AppShotError => {
  const evidence = result.stderr.trimEnd().slice(-EVIDENCE);
  const lastLine = evidence.split('\n').at(-1)?.trim();
  return new AppShotError(
    'TOOL_FAILED',
    { tool, status: statusOf(result, ended), stderr: lastLine || 'it printed no reason' },
    { details: { args, code: result.code, signal: result.signal, ms: result.ms, stderr: evidence } },
  );
};

/**
 * Runs a tool to its end. Throws `TOOL_FAILED` (tool, arguments, exit code, signal, milliseconds, end of standard error)
 * when it cannot be started, ends with a code outside `acceptExit`, by a signal, by the timeout or by the abort signal.
 */
export const run = async (
  tool: string,
  args: readonly string[] = [],
  options: RunOptions = {},
): Promise<RunResult> => {
  const began = performance.now();
  const started = await start(tool, args, {
    stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    ...(options.env === undefined ? {} : { env: options.env }),
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  const guarded = guard(started, options);
  try {
    feed(started.stdin, options.input);
    const [stdout, stderr, exit] = await Promise.all([
      collect(started.stdout),
      collect(started.stderr),
      started.exited,
    ]);
    const result = { stdout, stderr, ...exit, ms: Math.round(performance.now() - began) };
    const accepted = exit.code !== null && (options.acceptExit ?? [0]).includes(exit.code);
    if (!accepted || guarded.ended() !== undefined) throw failure(tool, args, result, guarded.ended());
    return result;
  } finally {
    guarded.clear();
  }
};
