/** Facts for tests: an application of one process that holds nothing, changed as told. */
import type { InetSocket, UnixSocket } from '../../src/kernel/index.ts';
import type {
  ApplicationFacts,
  DescriptorFacts,
  InodeFacts,
  MappedFacts,
  MountFacts,
  ProcessFacts,
  SocketFacts,
} from '../../src/resources/facts.ts';

export const ROOT = 1000;
const MOUNT = 50;

const inode: InodeFacts = { type: 'file', inode: 1, links: 1, bytes: 0, major: 0, minor: 0 };

export const descriptor = (target: string, given: Partial<DescriptorFacts> = {}): DescriptorFacts => ({
  ...inode,
  fd: 3,
  target,
  flags: 0,
  mount: MOUNT,
  info: [],
  ...given,
});

export const device = (
  target: string,
  major: number,
  minor: number,
  given: Partial<DescriptorFacts> = {},
): DescriptorFacts => descriptor(target, { type: 'character', major, minor, ...given });

export const mapped = (target: string, given: Partial<InodeFacts> = {}): MappedFacts => ({
  ...inode,
  target,
  ...given,
});

const namespaces = Object.fromEntries(
  ['cgroup', 'ipc', 'mnt', 'net', 'pid', 'time', 'user', 'uts'].map((type, at) => [type, `${type}:[${at}]`]),
);

export const process = (given: Partial<ProcessFacts> = {}): ProcessFacts => ({
  systemPid: ROOT,
  pid: 2,
  systemParent: 1,
  name: 'server',
  uid: 0,
  state: 'S',
  threads: 1,
  tracer: 0,
  filters: 1,
  session: 2,
  rss: 0,
  memory: { anonymous: 0, file: 0, shared: 0 },
  namespaces: { ...namespaces, time_for_children: namespaces['time'] ?? '', ...given.namespaces },
  descriptors: [],
  mapped: [],
  timers: [],
  ...Object.fromEntries(Object.entries(given).filter(([key]) => key !== 'namespaces')),
});

export const mount = (given: Partial<MountFacts> = {}): MountFacts => ({
  id: MOUNT,
  parent: 1,
  point: '/',
  device: '0:39',
  type: 'overlay',
  options: ['rw', 'nfs_export=on'],
  ...given,
});

export const unix = (number: number, given: Partial<UnixSocket> = {}): UnixSocket => ({
  type: 'stream',
  state: 'ESTABLISHED',
  inode: number,
  receiveQueue: 0,
  sendQueue: 0,
  ...given,
});

export const inet = (number: number, given: Partial<InetSocket> = {}): InetSocket => ({
  state: 'ESTABLISHED',
  localAddress: '10.0.0.2',
  localPort: 80,
  remoteAddress: '10.0.0.1',
  remotePort: 4000,
  receiveQueue: 0,
  sendQueue: 0,
  inode: number,
  uid: 0,
  ...given,
});

/** Sockets by table; a list for each, with their inodes in it. */
export const socketTables = (given: {
  tcp?: InetSocket[];
  udp?: InetSocket[];
  unix?: UnixSocket[];
  netlink?: [number, number][];
  unlisted?: [number, string][];
}): SocketFacts => {
  const index = <Entry extends { inode: number }>(entries: Entry[] = []): Map<number, Entry> =>
    new Map(entries.map((entry) => [entry.inode, entry]));
  return {
    tcp: index(given.tcp),
    udp: index(given.udp),
    unix: index(given.unix),
    netlink: new Map(given.netlink),
    unlisted: new Map(given.unlisted),
  };
};

export const application = (
  processes: readonly ProcessFacts[],
  given: { mounts?: MountFacts[]; sockets?: SocketFacts } = {},
): ApplicationFacts => ({
  root: ROOT,
  processes,
  mounts: new Map((given.mounts ?? [mount()]).map((each) => [each.id, each])),
  sockets: given.sockets ?? socketTables({}),
});
