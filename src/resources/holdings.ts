/** What is tracked of an application: everything that its processes hold of the kernel, in users' words. */
import type { Holding } from '../api/index.ts';
import { formatSize } from '../common/index.ts';
import { isTerminal } from './detectors/devices.ts';
import { kernelObjectName } from './detectors/kernel-objects.ts';
import { describeSocket } from './describe-socket.ts';
import type { Holders } from './describe-socket.ts';
import { socketInode } from './facts.ts';
import type { ApplicationFacts, DescriptorFacts, InodeFacts, ProcessFacts, SocketFacts } from './facts.ts';
import { ipcHoldings } from './ipc.ts';
import { readApplication } from './read-application.ts';
import type { ResourceInput } from './read-application.ts';

const CLOCKS = ['real time', 'monotonic', 'CPU time of the process', 'CPU time of the thread'] as const;
const BOOT_TIME = 7;
const SHM = /^\/dev\/shm\//;
const OBJECT_KINDS: Readonly<Record<string, string>> = { eventpoll: 'epoll' };

type Description = Omit<Holding, 'pid'>;

const fileKind = (file: InodeFacts & { target: string }): string => {
  const { target } = file;
  if (isTerminal(file)) return 'terminal';
  if (file.type === 'character' || file.type === 'block') return 'device';
  if (target.startsWith('/memfd:')) return 'memfd';
  if (SHM.test(target)) return 'posix-shared-memory';
  if (file.type === 'file' && file.links === 0) return 'deleted-file';
  return file.type === 'directory' || file.type === 'fifo' ? file.type : 'file';
};

const describeFile = (file: InodeFacts & { target: string }): Description => {
  const kind = fileKind(file);
  const description = file.target.replace(/ \(deleted\)$/, '');
  return {
    kind,
    description: kind === 'deleted-file' ? `${description}, ${formatSize(file.bytes)}` : description,
  };
};

/** `inotify wd:1 ...` lines and the like: how many things an object watches. */
const watched = ({ info }: DescriptorFacts): number =>
  info.filter((line) => /^(inotify wd|fanotify (ino|mnt_id)):/.test(line)).length;

const describeDescriptor = (facts: DescriptorFacts, sockets: SocketFacts, holders: Holders): Description => {
  const { target } = facts;
  const inode = socketInode(target);
  if (inode !== undefined) return describeSocket(inode, sockets, holders);
  const object = kernelObjectName(target);
  if (object !== undefined) {
    const count = watched(facts);
    const description = count === 0 ? `descriptor ${facts.fd}` : `descriptor ${facts.fd}, watching ${count}`;
    return { kind: OBJECT_KINDS[object] ?? object, description };
  }
  if (target.startsWith('pipe:')) return { kind: 'pipe', description: target };
  if (target.startsWith('/')) return describeFile(facts);
  return { kind: 'kernel-object', description: target };
};

/** `lock:\t1: POSIX  ADVISORY  WRITE 4711 fe:00:1234 0 EOF` */
const LOCK = /^lock:\s+\d+: (\S+)\s+\S+\s+(\S+) \S+ \S+ (\S+) (\S+)$/;

const locks = ({ descriptors }: ProcessFacts): Description[] =>
  descriptors.flatMap(({ target, info }) =>
    info.flatMap((line) => {
      const match = LOCK.exec(line);
      if (match === null) return [];
      const [, style = '', access = '', from, to] = match;
      const range = from === '0' && to === 'EOF' ? '' : `, bytes ${from} to ${to}`;
      return [{ kind: 'lock', description: `${style} ${access.toLowerCase()} lock of ${target}${range}` }];
    }),
  );

const clockName = (clock: number): string =>
  CLOCKS[clock] ?? (clock === BOOT_TIME ? 'boot time' : `clock ${clock}`);

const timers = (process: ProcessFacts): Description[] =>
  process.timers.map(({ id, clock }) => ({
    kind: 'posix-timer',
    description: `ID ${id}, ${clockName(clock)}`,
  }));

const memory = ({ memory: { anonymous, file, shared }, rss, threads }: ProcessFacts): Description[] => [
  {
    kind: 'memory',
    description:
      `${formatSize(rss)} in use: ${formatSize(anonymous)} of its own, ` +
      `${formatSize(file)} of files, ${formatSize(shared)} shared`,
  },
  { kind: 'threads', description: String(threads) },
];

/** Mapped objects that are worth a line of their own: shared memory, devices, what has no file. */
const mappings = ({ mapped }: ProcessFacts): Description[] =>
  mapped
    .filter((file) => SHM.test(file.target) || file.type === 'character' || file.target.startsWith('/memfd:'))
    .map(describeFile);

const ofProcess = (process: ProcessFacts, sockets: SocketFacts, holders: Holders): Holding[] => {
  const all = [
    ...memory(process),
    ...process.descriptors.map((facts) => describeDescriptor(facts, sockets, holders)),
    ...mappings(process),
    ...locks(process),
    ...timers(process),
  ];
  const distinct = new Map(all.map((each) => [`${each.kind} ${each.description}`, each]));
  return [...distinct.values()].map((each) => ({ ...each, pid: process.pid }));
};

/** What the processes hold, from facts. Pure. The same thing is listed once for each process that holds it. */
export const holdingsOf = ({ processes, sockets }: ApplicationFacts): Holding[] => {
  const holders: Holders = new Map(
    processes.flatMap(({ pid, name, descriptors }) =>
      descriptors.flatMap(({ target }) => {
        const inode = socketInode(target);
        return inode === undefined ? [] : [[inode, { pid, name }] as const];
      }),
    ),
  );
  return processes.flatMap((process) => ofProcess(process, sockets, holders));
};

/** What the application holds: by process, then the System V objects, which outlive processes. About 15 ms for 30 processes. */
export const holdings = (input: ResourceInput): Holding[] => [
  ...holdingsOf(readApplication(input)),
  ...ipcHoldings(input.rootPid),
];
