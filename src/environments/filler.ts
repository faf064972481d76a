/**
 * The filler: gives restored processes the memory that lies in layers, before their first instruction (`copy`) or as they touch it
 * (`lazy`). It is a process of its own, which outlives the daemon; native/fill.c tells its protocol.
 */
import { once } from 'node:events';
import { closeSync, existsSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { AppShotError } from '../common/index.ts';
import { run, start } from '../exec/index.ts';
import type { Started } from '../exec/index.ts';

/** Descriptors of layers begin here. */
const FIRST_LAYER = 10;
/** Terabytes take no longer, in ms. */
const LONGEST_FILL = 3_600_000;

/** Part of an address space, in bytes; whole pages. */
export interface FillRange {
  readonly start: number;
  readonly length: number;
}

export interface FillProcess {
  /** On this machine. */
  readonly systemPid: number;
  /** Ascending; `layer` is an index into the layers. */
  readonly regions: readonly (FillRange & { layer: number; offset: number })[];
  /** What is there already, ascending. */
  readonly present: readonly FillRange[];
}

export interface FillPlan {
  readonly mode: 'copy' | 'lazy';
  readonly processes: readonly FillProcess[];
  /** Paths of the layers. */
  readonly layers: readonly string[];
  /** A file that is locked until all is filled, and a name beside it for the job. */
  readonly lock: string;
  /** System PID of the environment's PID 1. */
  readonly firstProcess: number;
}

const encodeJob = (processes: readonly FillProcess[]): string =>
  processes
    .flatMap(({ systemPid, regions, present }) => [
      systemPid,
      regions.length,
      ...regions.flatMap(({ start: at, length, layer, offset }) => [at, length, FIRST_LAYER + layer, offset]),
      present.length,
      ...present.flatMap(({ start: at, length }) => [at, length]),
    ])
    .map((field) => `${field}\0`)
    .join('');

const launch = async (
  init: string,
  { mode, layers, lock, firstProcess, processes }: FillPlan,
): Promise<Started> => {
  const job = `${lock}.job`;
  const open: number[] = [];
  const opened = (path: string): number => {
    const descriptor = openSync(path, 'r');
    open.push(descriptor);
    return descriptor;
  };
  try {
    writeFileSync(job, encodeJob(processes), { mode: 0o600 });
    const arguments_ = mode === 'lazy' ? [lock, String(firstProcess)] : [];
    const between = Array.from({ length: FIRST_LAYER - 4 }, () => 'ignore' as const);
    const descriptors = layers.map(opened);
    return await start(init, ['fill', mode, ...arguments_], {
      stdio: ['ignore', 'pipe', 'ignore', opened(job), ...between, ...descriptors],
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
      detached: true,
    });
  } finally {
    open.forEach((descriptor) => closeSync(descriptor));
    rmSync(job, { force: true });
  }
};

/** Resolves when nobody fills memory under this lock any more: a filler outlives the daemon that started it. */
export const fillerEnded = async (lock: string): Promise<void> => {
  if (existsSync(lock)) await run('flock', ['--shared', lock, 'true'], { timeoutMs: LONGEST_FILL });
};

/**
 * Resolves when the processes may run: to a promise for the moment at which all is in place. Fails with `ENVIRONMENT_FAILED`, and then they
 * must not run.
 */
export const fillMemory = async (init: string, plan: FillPlan): Promise<{ done: Promise<void> }> => {
  const started = await launch(init, plan);
  const ready = Promise.withResolvers<void>();
  const lines = createInterface({ input: started.stdout as NonNullable<Started['stdout']> });
  let problem = 'it ended without a word';
  lines.on('line', (line) => {
    if (line.startsWith('ok ')) ready.resolve();
    else if (line.startsWith('error ')) problem = line;
  });
  // A program's end may be known before its last words are read.
  const told = once(lines, 'close');
  const done = started.exited.then(async ({ code }) => {
    await told;
    ready.reject(new AppShotError('ENVIRONMENT_FAILED', { reason: `its memory: ${problem}` }));
    if (code !== 0) throw new AppShotError('ENVIRONMENT_FAILED', { reason: `its memory: ${problem}` });
  });
  done.catch(() => undefined);
  started.unref();
  await ready.promise;
  return { done };
};
