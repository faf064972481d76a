/**
 * What belongs to one lab, read from the kernel's tables and never asked of AppShot: what a test compares before and after,
 * and what is ended when the lab is disposed of.
 *
 * A process belongs when it carries the lab's mark in its environment, lives in the lab's network namespace, has its root
 * in the lab's directory, names that directory in its command line inside a PID namespace of its own, or shares a PID
 * namespace with, or descends from, one that does. Mentions in other mounts do not count: a mount of the lab may be seen
 * from anywhere on the machine.
 */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../../src/exec/index.ts';

/** Marks a process of the lab; `client` marks the ones that tests started as clients. */
export const LAB_VARIABLE = 'APPSHOT_LAB';
export const CLIENT_VARIABLE = 'APPSHOT_LAB_CLIENT';

export interface LabMarks {
  readonly name: string;
  /** Directory of all the lab's files. */
  readonly directory: string;
  readonly namespace: { readonly inode: number };
}

export interface LabProcess {
  readonly pid: number;
  readonly parent: number;
  readonly command: string;
  readonly client: boolean;
  readonly cgroups: string;
}

interface Facts extends LabProcess {
  readonly pidNamespace: string;
  readonly marked: boolean;
}

/** Processes end while we read about them. */
const readOr = (read: () => string): string => {
  try {
    return read();
  } catch {
    return '';
  }
};

const factsOf = (pid: string, lab: LabMarks, ours: string): Facts => {
  const file = (name: string): string => readOr(() => readFileSync(`/proc/${pid}/${name}`, 'latin1'));
  const link = (name: string): string => readOr(() => readlinkSync(`/proc/${pid}/${name}`));
  const environment = file('environ').split('\0');
  const root = file('mountinfo')
    .split('\n')
    .filter((line) => line.split(' ')[4] === '/');
  const stat = file('stat');
  const pidNamespace = link('ns/pid');
  return {
    pid: Number(pid),
    parent: Number(stat.slice(stat.lastIndexOf(')') + 4).split(' ')[0]),
    command: file('comm').trim(),
    client: environment.includes(`${CLIENT_VARIABLE}=${lab.name}`),
    cgroups: file('cgroup'),
    pidNamespace,
    marked:
      environment.includes(`${LAB_VARIABLE}=${lab.name}`) ||
      link('ns/net') === `net:[${lab.namespace.inode}]` ||
      root.some((line) => line.includes(`${lab.directory}/`)) ||
      (pidNamespace !== ours && file('cmdline').includes(`${lab.directory}/`)),
  };
};

/** All processes of the lab now, its clients too. */
export const processesOf = (lab: LabMarks): LabProcess[] => {
  const ours = readlinkSync('/proc/self/ns/pid');
  const all = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .map((pid) => factsOf(pid, lab, ours));
  const found = new Set(all.filter((one) => one.marked));
  for (let before = -1; before !== found.size;) {
    before = found.size;
    const pids = new Set([...found].map((one) => one.pid));
    const namespaces = new Set([...found].map((one) => one.pidNamespace));
    namespaces.delete(ours);
    namespaces.delete('');
    for (const one of all) if (pids.has(one.parent) || namespaces.has(one.pidNamespace)) found.add(one);
  }
  return [...found];
};

/** Mount points of this machine that mention the lab's directory, innermost first. */
export const mountsOf = (lab: LabMarks, pid: number | 'self' = 'self'): string[] =>
  readFileSync(`/proc/${pid}/mountinfo`, 'utf8')
    .split('\n')
    .filter((line) => line.includes(`${lab.directory}/`))
    .map((line) => line.split(' ')[4] ?? '')
    .toReversed();

/** The part of a cgroup path that AppShot made, from its own directory on. */
const CGROUP = /\/appshot[^/\n]*/;

/** Directories of the lab's cgroups, innermost first: everything below the ones that its processes are in. */
export const cgroupsOf = (roots: readonly string[]): string[] => {
  const below = (directory: string): string[] => [
    ...readdirSync(directory, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .flatMap((entry) => below(join(directory, entry.name))),
    directory,
  ];
  return readdirSync('/sys/fs/cgroup')
    .filter((name) => statSync(`/sys/fs/cgroup/${name}`).isDirectory())
    .flatMap((controller) => roots.map((root) => `/sys/fs/cgroup/${controller}${root}`))
    .filter((directory) => statSync(directory, { throwIfNoEntry: false }) !== undefined)
    .flatMap(below);
};

export const cgroupRootsOf = (processes: readonly LabProcess[]): string[] => [
  ...new Set(
    processes.flatMap((one) =>
      one.cgroups.split('\n').flatMap((line) => {
        const match = CGROUP.exec(line);
        return match ? [line.slice(line.indexOf(':/') + 1, match.index + match[0].length)] : [];
      }),
    ),
  ),
];

/** Names of links of one kind in the lab's namespace; the ends that were moved into environments do not show. */
export const linksOf = async (lab: LabMarks, kind: string): Promise<string[]> => {
  const { stdout } = await run('ip', ['-n', lab.name, '-json', 'link', 'show', 'type', kind]);
  const links = JSON.parse(stdout || '[]') as { ifname?: string }[];
  return links.flatMap((link) => link.ifname ?? []);
};

/** System V objects of this machine (not those in applications, which have their own). */
export const systemVObjects = (): string[] =>
  ['sem', 'shm', 'msg'].flatMap((kind) =>
    readFileSync(`/proc/sysvipc/${kind}`, 'utf8')
      .trimEnd()
      .split('\n')
      .slice(1)
      .map((line) => `${kind} ${line.trim().split(/\s+/).slice(0, 2).join(' ')}`),
  );

/** What the daemon holds open, by kind; but for the one inotify descriptor that an event loop opens with its first watch and keeps. */
export const descriptorsOf = (pid: number): string[] =>
  readdirSync(`/proc/${pid}/fd`)
    .map((fd) => readOr(() => readlinkSync(`/proc/${pid}/fd/${fd}`)))
    .filter((target) => target !== 'anon_inode:inotify');

/** Where the daemon with this run directory has its dumps until they are durable. */
const stageOf = (runDirectory: string): string =>
  `/dev/shm/appshot-${createHash('sha256').update(runDirectory).digest('hex').slice(0, 6)}`;

/** The stages of all daemons that have their run directories in the lab's. */
export const stagesOf = ({ directory }: Pick<LabMarks, 'directory'>): string[] =>
  (existsSync(directory) ? readdirSync(directory) : [])
    .map((name) => stageOf(join(directory, name)))
    .filter((stage) => existsSync(stage));

/** Files of the lab that loop devices of this machine are made of. */
export const loopsOf = ({ directory }: Pick<LabMarks, 'directory'>): string[] =>
  readdirSync('/sys/block')
    .filter((name) => name.startsWith('loop'))
    .map((name) => readOr(() => readFileSync(`/sys/block/${name}/loop/backing_file`, 'utf8')).trim())
    .filter((path) => path.startsWith(`${directory}/`));
