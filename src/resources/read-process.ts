/**
 * Reads one process from /proc, synchronously: about 12 µs for each descriptor. A process or descriptor that ends
 * meanwhile is left out; nothing else may fail for root.
 */
import { readFileSync, readdirSync, readlinkSync, statSync, statfsSync } from 'node:fs';
import type { Stats } from 'node:fs';
import type {
  DescriptorFacts,
  FileType,
  InodeFacts,
  MappedFacts,
  MountFacts,
  ProcessFacts,
} from './facts.ts';
import { parseFdInfo, parseFields, parseMaps, parseTimers, unescapeName } from './proc-text.ts';

const NAMESPACES = ['cgroup', 'ipc', 'mnt', 'net', 'pid', 'time', 'time_for_children', 'user', 'uts'];
const S_IFMT = 0o170000;
const TYPES: Readonly<Record<number, FileType>> = {
  0o010000: 'fifo',
  0o020000: 'character',
  0o040000: 'directory',
  0o060000: 'block',
  0o100000: 'file',
  0o120000: 'link',
  0o140000: 'socket',
};
/** `st_blocks` counts these, whatever the file system's own block is. */
const BLOCK_BYTES = 512;
const KIB = 1024;
const NOTHING: InodeFacts = { type: 'other', inode: 0, links: 1, bytes: 0, major: 0, minor: 0 };
const GONE = new Set(['ENOENT', 'ESRCH', 'ENODEV', 'ENOTCONN']);

/** What `read` gives, or undefined when what it asks about has ended. */
export const unlessGone = <Value>(read: () => Value): Value | undefined => {
  try {
    return read();
  } catch (error) {
    if (GONE.has((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
};

const inodeFacts = (stats: Stats): InodeFacts => ({
  type: TYPES[stats.mode & S_IFMT] ?? 'other',
  inode: stats.ino,
  links: stats.nlink,
  bytes: stats.blocks * BLOCK_BYTES,
  major: (stats.rdev >>> 8) & 0xfff,
  minor: (stats.rdev & 0xff) | ((stats.rdev >>> 12) & 0xfff00),
});

/** Objects that were looked at already, by device, inode and name: libraries are the same in most processes. */
export type MappedCache = Map<string, InodeFacts>;

interface Reading {
  readonly mounts: ReadonlyMap<number, MountFacts>;
  readonly cache: MappedCache;
}

type FdInfo = ReturnType<typeof parseFdInfo>;
const UNTOLD: FdInfo = { flags: 0, mount: -1, info: [] };
/** Objects without a path whose fdinfo matters; that of others may be long (epoll), and says nothing of use. */
const TELLING = /^(pipe:|anon_inode:(\[(pidfd|fanotify)\]|inotify)$)/;

const readFdInfo = (pid: number, fd: number): FdInfo =>
  parseFdInfo(readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'utf8'));

const readDescriptor = (pid: number, fd: number, { mounts }: Reading): DescriptorFacts | undefined =>
  unlessGone(() => {
    const path = `/proc/${pid}/fd/${fd}`;
    const target = readlinkSync(path);
    if (!target.startsWith('/'))
      return { ...NOTHING, fd, target, ...(TELLING.test(target) ? readFdInfo(pid, fd) : UNTOLD) };
    const facts = { ...inodeFacts(statSync(path)), fd, target, ...readFdInfo(pid, fd) };
    return mounts.has(facts.mount) ? facts : { ...facts, fileSystem: statfsSync(path).type };
  });

const readDescriptors = (pid: number, reading: Reading): DescriptorFacts[] =>
  (unlessGone(() => readdirSync(`/proc/${pid}/fd`)) ?? [])
    .map((fd) => readDescriptor(pid, Number(fd), reading))
    .filter((facts) => facts !== undefined);

const readMapped = (pid: number, text: string, cache: MappedCache): MappedFacts[] =>
  parseMaps(text).map(({ identity, range, target }) => {
    const known =
      cache.get(identity) ??
      unlessGone(() => inodeFacts(statSync(`/proc/${pid}/map_files/${range}`))) ??
      NOTHING;
    cache.set(identity, known);
    return { ...known, target };
  });

/** A column of a line such as `NSpid: 4711 17`: one number for each PID namespace, from the reader's down. */
const column = (text: string | undefined, depth: number): number => Number(text?.split('\t')[depth - 1] ?? 0);

/** How many PID namespaces deep an environment lies, seen from here. */
export const pidDepth = (initPid: number): number =>
  unlessGone(
    () =>
      parseFields(readFileSync(`/proc/${initPid}/status`, 'utf8'))
        .get('NSpid')
        ?.split('\t').length,
  ) ?? 1;

/** Only what /proc/PID/status tells. */
export const readStatus = (systemPid: number, depth: number) =>
  unlessGone(() => {
    const fields = parseFields(readFileSync(`/proc/${systemPid}/status`, 'utf8'));
    const number = (key: string): number => parseInt(fields.get(key) ?? '0', 10);
    return {
      systemPid,
      pid: column(fields.get('NSpid'), depth),
      session: column(fields.get('NSsid'), depth),
      systemParent: number('PPid'),
      name: unescapeName(fields.get('Name') ?? ''),
      uid: number('Uid'),
      state: fields.get('State')?.[0] ?? '',
      threads: number('Threads'),
      tracer: number('TracerPid'),
      filters: number('Seccomp_filters'),
      rss: number('VmRSS') * KIB,
      memory: {
        anonymous: number('RssAnon') * KIB,
        file: number('RssFile') * KIB,
        shared: number('RssShmem') * KIB,
      },
    };
  });

/** Everything about one process; undefined when it has ended. */
export const readProcess = (systemPid: number, depth: number, reading: Reading): ProcessFacts | undefined => {
  const status = readStatus(systemPid, depth);
  if (status === undefined) return undefined;
  const read = (name: string): string =>
    unlessGone(() => readFileSync(`/proc/${systemPid}/${name}`, 'utf8')) ?? '';
  const namespaces = NAMESPACES.map(
    (type) => [type, unlessGone(() => readlinkSync(`/proc/${systemPid}/ns/${type}`)) ?? ''] as const,
  );
  return {
    ...status,
    namespaces: Object.fromEntries(namespaces.filter(([, name]) => name !== '')),
    descriptors: readDescriptors(systemPid, reading),
    mapped: readMapped(systemPid, read('maps'), reading.cache),
    timers: parseTimers(read('timers')),
  };
};
