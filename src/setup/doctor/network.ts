/**
 * What the virtual network is made of. Everything is tried in a network namespace made for it, which no packet can leave and
 * which is gone when the probe ends.
 */
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { start } from '../../exec/index.ts';
import {
  FrameSocket,
  NETLINK_ROUTE,
  NETLINK_SOCK_DIAG,
  NetlinkSocket,
  Nftables,
  close,
  createBridge,
  createVethPair,
  linkByName,
  listSockets,
  listUnixSockets,
  openNamespace,
  setLink,
  withNetworkNamespace,
} from '../../kernel/index.ts';
import { PortGuard, Publisher } from '../../network/index.ts';
import { check, degraded, missing, ok } from './finding.ts';
import type { Check, Verdict } from './finding.ts';

const NEIGHBOUR_SETTINGS = '/proc/sys/net/ipv4/neigh/default';
/** An Ethernet header (to all, local experimental EtherType 0x88b5) and nothing in it: IEEE Std 802, clause 9.2.4. */
const FRAME = Buffer.concat([
  Buffer.alloc(6, 0xff),
  Buffer.alloc(6, 0x02),
  Buffer.from([0x88, 0xb5]),
  Buffer.alloc(46),
]);

/** Calls `probe` with the calling thread in an empty network namespace. */
const inScratchNetwork = async <T>(probe: () => T): Promise<T> => {
  const keeper = await start('unshare', ['--net', 'cat'], { stdio: ['pipe', 'pipe', 'ignore'] });
  try {
    // What cat gives back shows that it runs, so the namespace is there. The end of its output means that it was refused.
    keeper.stdin?.write('\n');
    const answer = await Promise.race([once(keeper.stdout ?? process.stdin, 'data'), keeper.exited]);
    if (!Array.isArray(answer)) throw new Error('a network namespace was refused');
    const namespace = openNamespace(keeper.pid, 'net');
    try {
      return withNetworkNamespace(namespace, probe);
    } finally {
      close(namespace);
    }
  } finally {
    await keeper.stop();
  }
};

const withRoutes = <T>(probe: (nl: NetlinkSocket) => T): Promise<T> =>
  inScratchNetwork(() => {
    using nl = NetlinkSocket.open(NETLINK_ROUTE);
    return probe(nl);
  });

const withDiag = <T>(probe: (nl: NetlinkSocket) => T): Promise<T> =>
  inScratchNetwork(() => {
    using nl = NetlinkSocket.open(NETLINK_SOCK_DIAG);
    return probe(nl);
  });

const makeVeth = (nl: NetlinkSocket): number => createVethPair(nl, { name: 'near', peerName: 'far' });

const sendOnVeth = (nl: NetlinkSocket): void => {
  const near = makeVeth(nl);
  setLink(nl, linkByName(nl, 'far')?.index ?? 0, { up: true });
  setLink(nl, near, { up: true });
  using socket = new FrameSocket();
  socket.send(near, FRAME);
};

const addTable = (): void => {
  using nft = new Nftables();
  nft.run([{ add: { table: { family: 'inet', name: 'probe' } } }]);
};

export interface NeighbourSettings {
  /** How often the address of a host is asked for before it counts as unreachable. */
  readonly probes: number;
  /** Milliseconds between two questions. */
  readonly intervalMs: number;
  /** Bytes of packets held while the question is open. */
  readonly queueBytes: number;
  /** Most hosts known at once. */
  readonly mostEntries: number;
}

export const judgeNeighbours = (settings: NeighbourSettings): Verdict => {
  const { probes, intervalMs, queueBytes, mostEntries } = settings;
  const found = `${probes} questions ${intervalMs} ms apart, ${queueBytes} bytes held, ${mostEntries} hosts`;
  if (probes * intervalMs < 1000)
    return missing(found, 'a sleeping application counts as unreachable before it can wake');
  if (queueBytes < 64 * 1024)
    return degraded(found, 'of many packets to a sleeping application some are lost and sent again');
  if (mostEntries < 1024)
    return degraded(found, 'with hundreds of applications, neighbours are forgotten and asked for again');
  return ok(found);
};

const readNeighbourSettings = async (): Promise<NeighbourSettings> => {
  const read = async (name: string): Promise<number> =>
    Number((await readFile(`${NEIGHBOUR_SETTINGS}/${name}`, 'utf8')).trim());
  return {
    probes: await read('mcast_solicit'),
    intervalMs: await read('retrans_time_ms'),
    queueBytes: await read('unres_qlen_bytes'),
    mostEntries: await read('gc_thresh3'),
  };
};

const modulesAdvice = (module: string): string =>
  `load it with \`modprobe ${module}\`, or use a kernel that has it`;

const loopbackIsUp = (): boolean => {
  using nl = NetlinkSocket.open(NETLINK_ROUTE);
  return linkByName(nl, 'lo')?.up === true;
};

export const networkChecks: readonly Check[] = [
  check({
    name: 'loopback',
    meaning: 'CRIU learns through it what the kernel can do for TCP, and does not start without it',
    advice: 'run `ip link set lo up` in this network namespace',
    gather: loopbackIsUp,
    judge: (up) => (up ? ok('lo is up') : missing('lo is down')),
  }),
  check({
    name: 'veth',
    meaning: 'connects each application to the virtual network',
    advice: modulesAdvice('veth'),
    needsRoot: true,
    gather: () => withRoutes(makeVeth),
    judge: () => ok('made a pair'),
  }),
  check({
    name: 'bridge',
    meaning: 'the virtual network of this machine',
    advice: modulesAdvice('bridge'),
    needsRoot: true,
    gather: () => withRoutes((nl) => createBridge(nl, 'probe')),
    judge: () => ok('made one'),
  }),
  check({
    name: 'packet sockets',
    meaning: 'hear who asks for a sleeping application',
    advice: modulesAdvice('af_packet'),
    needsRoot: true,
    gather: () => withRoutes(sendOnVeth),
    judge: () => ok('sent a frame'),
  }),
  check({
    name: 'libnftables',
    meaning: 'rules that hold or refuse packets are set through it',
    advice: 'install libnftables1, or run `appshot setup`',
    gather: () => Nftables.available(),
    judge: (there) => (there ? ok('loads') : missing('libnftables.so.1 cannot be loaded')),
  }),
  check({
    name: 'nf_tables',
    meaning: 'tells packets that may wake a sleeping application from others; without it every packet wakes',
    advice: modulesAdvice('nf_tables'),
    needsRoot: true,
    gather: () => inScratchNetwork(addTable),
    judge: () => ok('added a table'),
  }),
  check({
    name: 'published ports',
    meaning: 'ports of this machine lead to applications (`--publish`)',
    advice: modulesAdvice('nft_chain_nat nft_numgen nf_conntrack_netlink'),
    needsRoot: true,
    gather: () => inScratchNetwork(() => Publisher.obstacle()),
    judge: (reason) => (reason === undefined ? ok('translated a port') : degraded(reason)),
  }),
  check({
    name: 'address guard',
    meaning: 'holds each application to its own address, and counts what it is asked',
    advice: 'use a kernel with nf_tables for bridges (CONFIG_NF_TABLES_BRIDGE)',
    needsRoot: true,
    gather: () => inScratchNetwork(() => PortGuard.obstacle()),
    judge: (reason) => (reason === undefined ? ok('guarded a port') : degraded(reason)),
  }),
  check({
    name: 'inet_diag',
    meaning: 'TCP and UDP sockets are found and saved with it',
    advice: modulesAdvice('tcp_diag udp_diag'),
    needsRoot: true,
    gather: () =>
      withDiag((nl) => {
        listSockets(nl, { protocol: 'tcp', family: 'both' });
        listSockets(nl, { protocol: 'udp', family: 'both' });
      }),
    judge: () => ok('listed sockets'),
  }),
  check({
    name: 'unix_diag',
    meaning: 'Unix sockets are found and saved with it',
    advice: modulesAdvice('unix_diag'),
    needsRoot: true,
    gather: () => withDiag((nl) => void listUnixSockets(nl)),
    judge: () => ok('listed sockets'),
  }),
  check({
    name: 'neighbour settings',
    meaning: 'the kernel holds packets for an application that wakes',
    advice: `set ${NEIGHBOUR_SETTINGS}/{mcast_solicit,retrans_time_ms,unres_qlen_bytes,gc_thresh3} to 3, 1000, 212992, 1024 or more`,
    gather: readNeighbourSettings,
    judge: judgeNeighbours,
  }),
];
