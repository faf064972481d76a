/** Who we are and what we stand on: user, capabilities, kernel, Node, SQLite, clock, memory of the machine's disks. */
import { existsSync } from 'node:fs';
import { readFile, statfs } from 'node:fs/promises';
import { release } from 'node:os';
import { dirname } from 'node:path';
import { missingCapabilities } from './capabilities.ts';
import type { MissingCapabilities } from './capabilities.ts';
import { check, degraded, missing, ok } from './finding.ts';
import type { Check, Verdict } from './finding.ts';

const MIB = 1024 * 1024;
const CLOCK_SOURCE = '/sys/devices/system/clocksource/clocksource0/current_clocksource';
/** Clock sources that are read by a call to a device, which takes microseconds instead of nanoseconds. */
const SLOW_CLOCKS = new Set(['acpi_pm', 'hpet', 'jiffies', 'pit']);
/** A wall clock before this was never set. */
const EARLIEST = Date.UTC(2025, 0, 1);

export const judgeUser = (uid: number | undefined): Verdict =>
  uid === 0 ? ok('root') : missing(`uid ${uid}`);

export const judgeCapabilities = ({ needed, optional }: MissingCapabilities): Verdict => {
  if (needed.length > 0) return missing(`lacks ${[...needed, ...optional].join(', ')}`);
  if (optional.length === 0) return ok('all that are used');
  return degraded(
    `lacks ${optional.join(', ')}`,
    'applications still sleep and wake, each in its own user namespace; resource limits cannot be raised above the hard ones, ' +
      'and socket buffers above net.core.{r,w}mem_max do not come back',
    'nothing needs to be done; grant them to the container or service to lift these bounds',
  );
};

/** `release` is that of `uname -r`. */
export const judgeKernel = (kernel: string): Verdict => {
  const [major = 0, minor = 0] = kernel.split('.').map((part) => Number.parseInt(part, 10));
  const number = major * 1000 + minor;
  if (number < 5012) return missing(kernel);
  if (number < 6007) {
    return degraded(kernel, 'works; deep stacks of overlay layers are limited by the length of their paths');
  }
  return ok(kernel);
};

export const judgeNode = (version: string): Verdict =>
  Number.parseInt(version.replace(/^v/, ''), 10) >= 24 ? ok(version) : missing(version);

export const judgeClock = ({ source, now }: { source: string; now: number }): Verdict => {
  const wall = new Date(now).toISOString();
  if (now < EARLIEST)
    return degraded(`${source}; it is ${wall}`, 'the wall clock was never set: times of snapshots are wrong');
  if (SLOW_CLOCKS.has(source))
    return degraded(`${source}; it is ${wall}`, 'reading the time is slow in every application');
  return ok(`${source}; it is ${wall}`);
};

export const judgeSpace = ({ path, free }: { path: string; free: number }): Verdict => {
  const found = `${Math.floor(free / MIB)} MiB free for ${path}`;
  if (free < 100 * MIB) return missing(found);
  return free < 2048 * MIB
    ? degraded(found, 'one large application may fill it when it falls asleep')
    : ok(found);
};

/** The directory itself, or the nearest one above it that exists. */
export const nearestExisting = (path: string): string =>
  existsSync(path) || path === dirname(path) ? path : nearestExisting(dirname(path));

const sqliteVersion = async (): Promise<string> => {
  const { DatabaseSync } = await import('node:sqlite');
  using database = new DatabaseSync(':memory:');
  return String(database.prepare('SELECT sqlite_version() AS version').get()?.['version']);
};

export const machineChecks: readonly Check[] = [
  check({
    name: 'user',
    meaning: 'the daemon and set-up need root',
    advice: 'run them with sudo',
    gather: () => process.geteuid?.(),
    judge: judgeUser,
  }),
  check({
    name: 'capabilities',
    meaning: 'namespaces, mounts, networks and the saving of processes need them',
    advice: 'grant them to the container or service that runs the daemon',
    needsRoot: true,
    gather: async () => missingCapabilities(await readFile('/proc/self/status', 'utf8')),
    judge: judgeCapabilities,
  }),
  check({
    name: 'kernel',
    meaning: 'mounts are made and moved with calls of Linux 5.12',
    advice: 'boot a newer kernel',
    gather: () => release(),
    judge: judgeKernel,
  }),
  check({
    name: 'Node',
    meaning: 'the daemon runs on it',
    advice: 'install Node 24 or later; in a checkout `npm run setup` does',
    gather: () => process.version,
    judge: judgeNode,
  }),
  check({
    name: 'SQLite',
    meaning: 'the registry of applications is kept in it',
    advice: 'use a Node built with SQLite',
    gather: sqliteVersion,
    judge: ok,
  }),
  check({
    name: 'clock',
    meaning: 'times of snapshots, and the speed of reading the time',
    advice: 'set the clock, and let the machine use its time-stamp counter (clocksource=tsc)',
    gather: async () => ({ source: (await readFile(CLOCK_SOURCE, 'utf8')).trim(), now: Date.now() }),
    judge: judgeClock,
  }),
  check({
    name: 'disk space',
    meaning: 'a sleeping application takes as much as its memory did',
    advice: 'free space there, or give another --data-dir',
    gather: async ({ dataDir }) => {
      const path = nearestExisting(dataDir);
      const { bavail, bsize } = await statfs(path);
      return { path: dataDir, free: bavail * bsize };
    },
    judge: judgeSpace,
  }),
];
