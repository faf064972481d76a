/**
 * The control groups of environments, on cgroup v2, v1 or a machine with both.
 *
 * Membership, CPU time and the news that a group is empty come from the v2 hierarchy, which every such machine has (or
 * gets mounted here, privately); limits come from whichever hierarchy has the controller. Groups of v1 are made for those that have a
 * limit only: with each group for memory, the kernel keeps something for each mount of a file system on the machine, and it lingers as
 * long as a page or a name that was read in it does.
 */
import { existsSync, mkdirSync, readFileSync, readdirSync, rmdirSync, watch, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Limits } from '../api/index.ts';
import { mountFilesystem, umount } from '../kernel/index.ts';
import { unescapeName } from '../resources/index.ts';

const CONTROLLERS = ['memory', 'pids', 'cpu'] as const;
type Controller = (typeof CONTROLLERS)[number];
/** Of cpu.max and cpu.cfs_period_us, in microseconds. */
const CPU_PERIOD = 100_000;
/** How long processes may take to stand still: they do within a few milliseconds, or not at all. */
const FREEZE_MS = 2000;

export interface CgroupUsage {
  /** Microseconds of CPU time so far. */
  readonly cpuMicroseconds: number;
  /** Bytes: what the kernel charges to the group, or where none counts, what is resident and not a file's. */
  readonly memory: number;
  readonly tasks: number;
}

interface Mounts {
  readonly unified: string;
  readonly v1: Partial<Record<Controller, string>>;
  /** Those of them that this daemon mounted itself. */
  readonly own: readonly string[];
}

/** Mount points by type and options from the lines of mountinfo. Source: proc_pid_mountinfo(5). */
export const parseCgroupMounts = (
  mountinfo: string,
): { unified?: string; v1: Partial<Record<Controller, string>> } => {
  const found: { unified?: string; v1: Partial<Record<Controller, string>> } = { v1: {} };
  for (const line of mountinfo.split('\n')) {
    const [left = '', right = ''] = line.split(' - ');
    const [type, , options = ''] = right.split(' ');
    const path = unescapeName(left.split(' ')[4] ?? '');
    if (type === 'cgroup2') found.unified ??= path;
    if (type === 'cgroup')
      for (const controller of CONTROLLERS)
        if (options.split(',').includes(controller)) found.v1[controller] ??= path;
  }
  return found;
};

const readText = (path: string): string | undefined => {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return undefined;
  }
};

/** Some environments (ip netns exec) hide the mounts below /sys: then the hierarchies are mounted in `directory`. */
const mountMissing = (found: ReturnType<typeof parseCgroupMounts>, directory: string): Mounts => {
  if (found.unified) return { unified: found.unified, v1: found.v1, own: [] };
  const unified = join(directory, 'unified');
  mkdirSync(unified, { recursive: true });
  mountFilesystem('cgroup2', 'none', unified);
  const own = new Set((readText(join(unified, 'cgroup.controllers')) ?? '').split(' '));
  const v1: Partial<Record<Controller, string>> = {};
  for (const controller of CONTROLLERS.filter((name) => !own.has(name))) {
    const path = join(directory, controller);
    mkdirSync(path, { recursive: true });
    try {
      mountFilesystem('cgroup', 'none', path, 0, controller);
      v1[controller] = path;
    } catch {
      rmdirSync(path);
    }
  }
  return { unified, v1, own: [unified, ...Object.values(v1)] };
};

/** Of memory that is no file's; a page that processes share counts for each. Source: proc_pid_status(5). */
const residentBytes = (pids: readonly number[]): number =>
  pids
    .flatMap((pid) => [
      ...(readText(`/proc/${pid}/status`) ?? '').matchAll(/^Rss(?:Anon|Shmem):\s+(\d+) kB$/gm),
    ])
    .reduce((sum, [, kib]) => sum + Number(kib) * 1024, 0);

const remove = (path: string): void => {
  try {
    rmdirSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
};

export class Cgroups {
  readonly #roots: readonly string[];
  readonly #unified: string;
  readonly #mounts: Mounts;
  readonly #v1: Partial<Record<Controller, string>>;

  private constructor(mounts: Mounts, name: string) {
    const below = (path: string): string => join(path, name);
    this.#mounts = mounts;
    this.#unified = below(mounts.unified);
    this.#v1 = Object.fromEntries(Object.entries(mounts.v1).map(([key, path]) => [key, below(path)]));
    this.#roots = [...new Set([this.#unified, ...Object.values(this.#v1)])];
  }

  /** The groups of one daemon are below `name`; `directory` is where missing hierarchies may be mounted. */
  static open(name: string, directory: string): Cgroups {
    const mounts = mountMissing(parseCgroupMounts(readFileSync('/proc/self/mountinfo', 'utf8')), directory);
    const cgroups = new Cgroups(mounts, name);
    mkdirSync(cgroups.#unified, { recursive: true });
    for (const path of [mounts.unified, cgroups.#unified]) cgroups.#delegate(path);
    return cgroups;
  }

  #delegate(path: string): void {
    const available = (readText(join(path, 'cgroup.controllers')) ?? '').split(' ');
    for (const controller of CONTROLLERS.filter((name) => available.includes(name)))
      writeFileSync(join(path, 'cgroup.subtree_control'), `+${controller}`);
  }

  /** Makes the group of an environment; returns the files that a process joins it by. */
  create(id: string): string[] {
    mkdirSync(join(this.#unified, id), { recursive: true });
    return this.memberFiles(id);
  }

  memberFiles(id: string): string[] {
    return this.#roots.map((root) => join(root, id, 'cgroup.procs')).filter((path) => existsSync(path));
  }

  /** The v1 group of a controller, with all that is in the environment already. */
  #limited(root: string, id: string): string {
    const path = join(root, id);
    mkdirSync(path, { recursive: true });
    for (const pid of this.processes(id)) writeFileSync(join(path, 'cgroup.procs'), String(pid));
    return path;
  }

  /** The IDs of all groups that exist, whoever made them. */
  list(): string[] {
    return readdirSync(this.#unified, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name);
  }

  /** System PIDs of the processes in a group. */
  processes(id: string): number[] {
    return (readText(join(this.#unified, id, 'cgroup.procs')) ?? '').split('\n').filter(Boolean).map(Number);
  }

  /**
   * Sets the limits that are given, before what they hold for is started; a limit whose controller the kernel lacks is not kept
   * (`appshot doctor` says so).
   */
  limit(id: string, limits: Limits): void {
    const set = (controller: Controller, v2: string, v1: string, value: string, value1 = value): void => {
      const old = this.#v1[controller];
      const path = old ? join(this.#limited(old, id), v1) : join(this.#unified, id, v2);
      if (existsSync(path)) writeFileSync(path, old ? value1 : value);
    };
    if (limits.memory) set('memory', 'memory.max', 'memory.limit_in_bytes', String(limits.memory));
    if (limits.pids) set('pids', 'pids.max', 'pids.max', String(limits.pids));
    if (limits.cpus) {
      const quota = String(Math.round(limits.cpus * CPU_PERIOD));
      set('cpu', 'cpu.max', 'cpu.cfs_quota_us', `${quota} ${CPU_PERIOD}`, quota);
    }
  }

  usage(id: string): CgroupUsage {
    const processes = this.processes(id);
    const old = this.#v1.memory;
    const memory = readText(
      old ? join(old, id, 'memory.usage_in_bytes') : join(this.#unified, id, 'memory.current'),
    );
    return {
      cpuMicroseconds: this.cpu(id),
      memory: memory === undefined ? residentBytes(processes) : Number(memory),
      tasks: processes.length,
    };
  }

  /**
   * Bytes of memory that would be free without the processes of a group: no cache of files. As the kernel charges them to the group, or where
   * it does not count for it, what is resident. Source: cgroup-v2.rst and cgroup-v1/memory.rst of the kernel, "memory.stat".
   */
  held(id: string): number {
    const old = this.#v1.memory;
    const stat = readText(old ? join(old, id, 'memory.stat') : join(this.#unified, id, 'memory.stat'));
    if (stat === undefined) return residentBytes(this.processes(id));
    const [anonymous, shared] = old ? ['total_rss', 'total_shmem'] : ['anon', 'shmem'];
    const bytes = (name: string): number => Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(stat)?.[1] ?? 0);
    return bytes(anonymous) + bytes(shared);
  }

  /** Microseconds of CPU time of a group so far. */
  cpu(id: string): number {
    const stat = readText(join(this.#unified, id, 'cpu.stat')) ?? '';
    return Number(/^usage_usec (\d+)/m.exec(stat)?.[1] ?? 0);
  }

  /** Resolves when `cgroup.events` of a group says so: the kernel tells of each change of that file. */
  async #until(id: string, reached: (events: string) => boolean, end?: AbortSignal): Promise<void> {
    const file = join(this.#unified, id, 'cgroup.events');
    const isReached = (): boolean => reached(readText(file) ?? '');
    if (isReached()) return;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const watcher = watch(file, () => void (isReached() && resolve()));
    end?.addEventListener('abort', () => reject(new Error(`the group ${id} does not stand still`)), {
      once: true,
    });
    // The change may have come between the look and the watch.
    if (isReached()) resolve();
    await promise.finally(() => watcher.close());
  }

  /** Resolves when no process is left in the group. */
  emptied(id: string): Promise<void> {
    return this.#until(id, (events) => !events.includes('populated 1'));
  }

  /**
   * Stops every process of a group, PID 1 of the environment too; resolves when all stand still. They can still be ended. Rejects when one
   * waits for a device or a file system all the time.
   */
  async freeze(id: string): Promise<void> {
    writeFileSync(join(this.#unified, id, 'cgroup.freeze'), '1');
    const isFrozen = (events: string): boolean => events === '' || events.includes('frozen 1');
    await this.#until(id, isFrozen, AbortSignal.timeout(FREEZE_MS));
  }

  /** Lets them go on; nothing happens where they do. */
  thaw(id: string): void {
    const file = join(this.#unified, id, 'cgroup.freeze');
    if (readText(file) === '1') writeFileSync(file, '0');
  }

  /** Removes the empty groups of an environment; nothing happens where there are none. */
  remove(id: string): void {
    for (const root of this.#roots) remove(join(root, id));
  }

  /** Removes the daemon's own groups when no environment is left in them, and what was mounted for them. */
  close(): void {
    const left = this.list().length > 0;
    if (!left) for (const root of this.#roots) remove(root);
    for (const path of this.#mounts.own) umount(path);
  }
}
