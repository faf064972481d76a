/** Namespaces and other features of the kernel, each tried where trying is cheap, else read from /proc. */
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, readlink, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { loadEngine } from '../../criu/index.ts';
import { hasGuard, makeLayerImage } from '../../environments/index.ts';
import { run } from '../../exec/index.ts';
import { close, overlay } from '../../kernel/index.ts';
import { check, degraded, missing, ok } from './finding.ts';
import type { Check, Verdict } from './finding.ts';
import { nearestExisting } from './machine.ts';

const PROBE_MS = 5000;

const NAMESPACES = [
  ['user', 'each application has its own, so that a snapshot can do nothing outside it'],
  ['pid', 'an application keeps its process IDs, beside others that have the same'],
  ['net', 'each application has its own network stack and ports'],
  ['mount', 'each application has its own file system'],
  ['uts', 'each application has its own host name'],
  ['ipc', 'System V and POSIX IPC come back with the same IDs'],
  ['time', "an application's monotonic clock goes on where it stopped"],
] as const;

const readLimit = async (type: string): Promise<string> => {
  const name = type === 'mount' ? 'mnt' : type;
  return (await readFile(`/proc/sys/user/max_${name}_namespaces`, 'utf8').catch(() => 'unknown')).trim();
};

const namespaceCheck = ([type, meaning]: (typeof NAMESPACES)[number]): Check =>
  check({
    name: `${type} namespaces`,
    meaning,
    advice: `use a kernel with CONFIG_${type === 'mount' ? 'NAMESPACES' : `${type.toUpperCase()}_NS`}, and raise /proc/sys/user/max_*_namespaces`,
    needsRoot: true,
    gather: async () => {
      await run('unshare', [`--${type}`, 'true'], { timeoutMs: PROBE_MS });
      return await readLimit(type);
    },
    judge: (limit) => ok(`made one; at most ${limit}`),
  });

/** `flags` are the VmFlags lines of /proc/PID/smaps: a new mapping is soft-dirty (`sd`) where the kernel keeps track. */
export const judgeSoftDirty = (smaps: string): Verdict =>
  /^VmFlags:.*\bsd\b/m.test(smaps)
    ? ok('the kernel keeps track')
    : degraded(
        'the kernel keeps no track (no sd in VmFlags)',
        'a snapshot cannot tell what changed since the last one; it finds out by comparing',
        'nothing needs to be done; CONFIG_MEM_SOFT_DIRTY would make later snapshots cheaper',
      );

export const judgeSeccomp = (actions: string): Verdict =>
  actions.split(/\s+/).includes('errno') ? ok('filters can be set') : missing(`only ${actions.trim()}`);

export const judgeGuard = (works: boolean): Verdict =>
  works
    ? ok('its filter can be set')
    : degraded(
        'its filter cannot be set (`init guard-filter` fails)',
        'saved memory is fetched page by page, or copied, when an application wakes: waking takes longer the more it has',
      );

export const judgeUserfaultfd = (there: boolean): Verdict =>
  there
    ? ok('/dev/userfaultfd is there')
    : degraded(
        'no /dev/userfaultfd',
        'without it `--memory lazy` is refused, and where there is no memory guard either, memory is copied',
      );

const tryOverlay = async (dataDir: string): Promise<string> => {
  const parent = nearestExisting(dataDir);
  const probe = await mkdtemp(join(parent, '.doctor-'));
  try {
    const [upper, work] = [join(probe, 'upper'), join(probe, 'work')];
    await mkdir(upper);
    await mkdir(work);
    // The mount is never put into the tree: it goes when its descriptor is closed.
    close(overlay({ lower: ['/'], upper, work }));
    return parent;
  } finally {
    await rm(probe, { recursive: true, force: true });
  }
};

const NO_TEMPLATES = 'no templates can be made or cloned; everything else works';

/** Undefined when it does not work. */
const tryImage = async (dataDir: string): Promise<string | undefined> => {
  const parent = nearestExisting(dataDir);
  const probe = await mkdtemp(join(parent, '.doctor-'));
  try {
    await makeLayerImage(join(probe, 'image'), { bytes: 0, files: 1 }, async (directory) => {
      await mkdir(join(directory, 'upper'));
    });
    return parent;
  } catch {
    return undefined;
  } finally {
    await rm(probe, { recursive: true, force: true });
  }
};

export const kernelChecks: readonly Check[] = [
  ...NAMESPACES.map(namespaceCheck),
  check({
    name: 'overlayfs',
    meaning: 'an application writes to its own layer over the root file system',
    advice:
      'load the module overlay, and keep the data directory on a file system that can hold an upper layer (ext4, xfs, btrfs)',
    needsRoot: true,
    gather: ({ dataDir }) => tryOverlay(dataDir),
    judge: (parent) => ok(`mounted one with its upper layer in ${parent}`),
  }),
  check({
    name: 'loop devices',
    meaning: 'templates: clones find the files of theirs in a file system of its own',
    advice: 'load the module loop, let /dev/loop-control be there, and install e2fsprogs',
    needsRoot: true,
    gather: ({ dataDir }) => tryImage(dataDir),
    judge: (parent) =>
      parent === undefined ? degraded('none', NO_TEMPLATES) : ok(`mounted an image in ${parent}`),
  }),
  check({
    name: 'checkpoint/restore',
    meaning: 'saving and restoring processes',
    advice: 'use a kernel with CONFIG_CHECKPOINT_RESTORE',
    gather: () => existsSync('/proc/sys/kernel/ns_last_pid') && existsSync('/proc/self/map_files'),
    judge: (there) =>
      there ? ok('ns_last_pid and map_files are there') : missing('no ns_last_pid or map_files'),
  }),
  check({
    name: 'seccomp filters',
    meaning: 'io_uring, which cannot be saved, is hidden from applications with one',
    advice: 'use a kernel with CONFIG_SECCOMP_FILTER',
    gather: () => readFile('/proc/sys/kernel/seccomp/actions_avail', 'utf8'),
    judge: judgeSeccomp,
  }),
  check({
    name: 'memory guard',
    meaning: 'an application wakes over its saved memory as it lies in files, and cannot tell',
    advice: 'use Linux 5.19 or later on x86-64, with CONFIG_SECCOMP_FILTER',
    gather: ({ engineDir }) => hasGuard(loadEngine(engineDir).init),
    judge: judgeGuard,
  }),
  check({
    name: 'userfaultfd',
    meaning: 'memory can be fetched page by page after waking (`--memory lazy`)',
    advice: 'use Linux 6.1 or later with CONFIG_USERFAULTFD, and let /dev/userfaultfd be there',
    gather: () => existsSync('/dev/userfaultfd'),
    judge: judgeUserfaultfd,
  }),
  check({
    name: 'soft-dirty',
    meaning: 'tells which memory changed since the last snapshot',
    advice: 'use a kernel with CONFIG_MEM_SOFT_DIRTY',
    gather: () => readFile('/proc/self/smaps', 'utf8'),
    judge: judgeSoftDirty,
  }),
  check({
    name: 'pressure',
    meaning:
      'tells the scheduler when somebody waits for memory or a processor; without it, it goes by what is free and used',
    advice: 'use a kernel with CONFIG_PSI, and start it with psi=1',
    gather: () => readFile('/proc/pressure/memory', 'utf8').catch(() => ''),
    judge: (text) => (text ? ok('/proc/pressure can be read') : degraded('/proc/pressure cannot be read')),
  }),
  check({
    name: 'initial time namespace',
    meaning: 'clocks of applications are offset from that of the machine',
    advice: 'run the daemon outside a time namespace of its own',
    gather: async () => [
      await readlink('/proc/self/ns/time'),
      await readlink('/proc/self/ns/time_for_children'),
    ],
    judge: ([own, children]) =>
      own === children ? ok(`${own}`) : degraded(`${own}, but ${children} for children`),
  }),
];
