/**
 * Proves that a CRIU works on the running kernel: it checks the kernel, then a process of ours is really saved and really
 * comes back. `criu check` alone is not enough: it passes where a restore then fails.
 */
import { once } from 'node:events';
import { mkdir, readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { run, start } from '../exec/index.ts';
import type { Started } from '../exec/index.ts';
import { socketFd } from '../kernel/index.ts';
import { withTemporaryDirectory } from './files.ts';

/** The oldest CRIU whose restore can be confined to a user namespace in the way that environments need. */
const OLDEST = '4.0';
const PATIENCE_MS = 30_000;
const LOG_LINES = 5;

type Command = readonly [string, ...string[]];

const criu = (command: Command, args: readonly string[]): ReturnType<typeof run> =>
  run(command[0], [...command.slice(1), ...args], { timeoutMs: PATIENCE_MS });

/** Reads `Version: 4.1.1` (also with a git revision behind it). */
export const parseVersion = (printed: string): string => {
  const version = /^Version: (\d+\.\d+(?:\.\d+)*)/m.exec(printed)?.[1];
  if (version === undefined)
    throw new Error(`CRIU prints no version: ${JSON.stringify(printed.slice(0, 100))}`);
  return version;
};

/** Negative when version `a` is older than `b`, 0 when they are the same; both are numbers joined by dots. */
export const compareVersions = (a: string, b: string): number => {
  const [left, right] = [a.split('.').map(Number), b.split('.').map(Number)];
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    const difference = (left[i] ?? 0) - (right[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
};

const endOfLog = async (images: string, log: string): Promise<string> => {
  const text = await readFile(join(images, log), 'utf8').catch(() => '');
  return text.trimEnd().split('\n').slice(-LOG_LINES).join('\n');
};

/** One run of CRIU on the images; a failure carries the end of CRIU's log. */
const step = async (
  command: Command,
  verb: string,
  images: string,
  args: readonly string[],
): Promise<void> => {
  const log = `${verb}.log`;
  const common = ['--images-dir', images, '--manage-cgroups=ignore', '--log-file', log, '-v2'];
  await criu(command, [verb, ...common, ...args]).catch(async (error: unknown) => {
    throw new Error(`a trial ${verb} failed: ${(await endOfLog(images, log)) || String(error)}`, {
      cause: error,
    });
  });
};

/** Ends what a restore brought back. It is nobody's child, so its end is not awaited. */
const endRestored = (pid: number): void => {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It had not come back.
  }
};

/** A program that holds a listening socket: on newer kernels an older CRIU fails with those alone. */
const startListener = async (): Promise<Started> => {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    return await start('sleep', ['120'], {
      stdio: [socketFd(server), 'ignore', 'ignore'],
      cwd: '/',
      env: {},
      detached: true,
    });
  } finally {
    server.close();
    await once(server, 'close');
  }
};

const saveAndBringBack = async (command: Command, images: string): Promise<void> => {
  const program = await startListener();
  try {
    await step(command, 'dump', images, ['--tree', String(program.pid)]);
    await program.exited;
  } catch (error) {
    await program.stop(0);
    throw error;
  }
  try {
    await step(command, 'restore', images, ['--restore-detached']);
    const name = await readFile(`/proc/${program.pid}/comm`, 'utf8').catch(() => 'nothing');
    if (name.trim() !== 'sleep')
      throw new Error(`a trial restore brought back ${name.trim()} instead of sleep`);
  } finally {
    endRestored(program.pid);
  }
};

/**
 * Runs the whole trial; its files live below `directory` meanwhile. Returns CRIU's version, throws with the reason when
 * this CRIU is not to be used on this kernel.
 */
export const trial = async (command: Command, directory: string): Promise<string> => {
  const version = parseVersion((await criu(command, ['--version'])).stdout);
  if (compareVersions(version, OLDEST) < 0) throw new Error(`version ${version} is older than ${OLDEST}`);
  await criu(command, ['check']);
  await withTemporaryDirectory(directory, async (work) => {
    const images = join(work, 'images');
    await mkdir(images);
    await saveAndBringBack(command, images);
  });
  return version;
};
