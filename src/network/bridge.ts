/**
 * The bridge of a network, and the sentinel that hears who is asked for.
 *
 * A running application's veth is a port of the bridge; a sleeping one's address belongs to nobody, so its senders' kernels
 * ask for it by broadcast and hold their packets. The sentinel is a veth pair whose far end receives every such question; it is
 * always up, and so keeps the bridge up. The bridge stays when the daemon ends: applications go on.
 */
import { readFileSync } from 'node:fs';
import {
  NetlinkSocket,
  addAddress,
  addRoute,
  createBridge,
  createVethPair,
  deleteLink,
  deleteNeighbour,
  deleteRoute,
  isErrno,
  linkByName,
  listAddresses,
  listLinks,
  listenArp,
  setLink,
  setNeighbour,
  setNeighbourParameters,
} from '../kernel/index.ts';
import type { ArpListener, ArpQuestion } from '../kernel/index.ts';
import { AppShotError } from '../common/index.ts';
import { formatAddress, overlap, parseAddress, parseNetwork } from '../registry/index.ts';
import type { Network as Cidr } from '../registry/index.ts';

/**
 * How senders wait for a sleeping application: a question each 250 ms, for two minutes at most (a wake is expected to take
 * milliseconds, a large one that is copied seconds), and 16 MiB of held packets for each address.
 */
const PATIENT = { retransmitMs: 250, multicastProbes: 480, queueBytes: 16 << 20 } as const;
/** The same for an application's own kernel, which no filter tells at once that an address is nobody's: 20 s. */
export const PATIENT_INSIDE = { ...PATIENT, multicastProbes: 80 } as const;
/** The route that catches packets for the network when the bridge is gone; any other route to it wins over this one. */
const UNREACHABLE_METRIC = 0x7fffffff;

export interface BridgeNames {
  readonly bridge: string;
  readonly sentinel: string;
  readonly far: string;
}

/** What the links of a network are called; an interface's name has 15 characters at most. */
export const namesOf = (instance: string): BridgeNames => ({
  bridge: `asb${instance}`,
  sentinel: `ass${instance}`,
  far: `asf${instance}`,
});

export class Bridge {
  readonly names: BridgeNames;
  readonly gateway: string;
  readonly cidr: Cidr;
  readonly #netlink: NetlinkSocket;
  readonly #index: number;
  #sentinel: ArpListener | undefined;

  /** Makes the bridge of `network` (CIDR), or takes hold of it. Fails with `BAD_NETWORK` when another interface has it. */
  constructor(netlink: NetlinkSocket, network: string, names: BridgeNames) {
    this.#netlink = netlink;
    this.names = names;
    this.cidr = parseNetwork(network);
    this.gateway = formatAddress(this.cidr.gateway);
    this.#refuseOverlap();
    this.#index = this.#ensureBridge();
    this.#ensureSentinel();
  }

  #refuseOverlap(): void {
    const own = linkByName(this.#netlink, this.names.bridge)?.index;
    const taken = listAddresses(this.#netlink).find(
      (one) => one.index !== own && overlap(this.cidr, baseOf(one)),
    );
    if (!taken) return;
    const reason = `an interface of this machine has ${taken.address}/${taken.prefix}`;
    throw new AppShotError('BAD_NETWORK', { network: this.cidr.cidr, reason });
  }

  #ensureBridge(): number {
    const nl = this.#netlink;
    // Without an address of its own, its address would change with its ports, and with it every sender's.
    const mac = macOf(this.gateway);
    const index = linkByName(nl, this.names.bridge)?.index ?? createBridge(nl, this.names.bridge, { mac });
    setLink(nl, index, { up: true });
    ignoring('EEXIST', () => addAddress(nl, index, { address: this.gateway, prefix: this.cidr.prefix }));
    ignoring('EEXIST', () => addRoute(nl, unreachable(this.cidr)));
    setNeighbourParameters(nl, index, PATIENT);
    return index;
  }

  #ensureSentinel(): void {
    const nl = this.#netlink;
    const { sentinel, far } = this.names;
    const port = linkByName(nl, sentinel)?.index ?? createVethPair(nl, { name: sentinel, peerName: far });
    setLink(nl, port, { up: true, master: this.#index });
    setLink(nl, linkByName(nl, far)?.index ?? 0, { up: true });
  }

  /** Calls back for each question heard. */
  listen(onQuestion: (question: ArpQuestion) => void, onError: (error: Error) => void): void {
    this.#sentinel = listenArp(this.names.far, onQuestion, onError);
  }

  /** Connects a veth whose other end has this address; packets held for it leave at once. */
  attach(link: number, address: string, mac: string): void {
    setLink(this.#netlink, link, { master: this.#index });
    // Where packets are held there is an entry already. A new one only saves a question: a full table (gc_thresh3) is no failure.
    ignoring('ENOBUFS', () =>
      setNeighbour(this.#netlink, { index: this.#index, address, mac, state: 'reachable' }),
    );
    // A published port that leads back to who asks: translated by the bridge, its frames do not pass by this machine.
    if (translatesFrames()) setLink(this.#netlink, link, { hairpin: true });
  }

  /** Whether a veth is connected. */
  holds(link: number): boolean {
    return listLinks(this.#netlink).some(({ index, master }) => index === link && master === this.#index);
  }

  /** Disconnects a veth and forgets its address: from here on the next packet to it asks. */
  detach(link: number, address: string): void {
    setLink(this.#netlink, link, { master: 0 });
    this.forget(address);
  }

  /** Packets held for the address are lost, and the next one asks. */
  forget(address: string): void {
    deleteNeighbour(this.#netlink, { index: this.#index, address });
  }

  /** Ends the sentinel; the bridge stays. */
  async close(): Promise<void> {
    await this.#sentinel?.close();
  }

  /** Removes the bridge, the sentinel and the route. */
  remove(): void {
    ignoring('ESRCH', () => deleteRoute(this.#netlink, unreachable(this.cidr)));
    removeBridge(this.#netlink, this.names);
  }
}

const unreachable = ({ base, prefix }: Pick<Cidr, 'base' | 'prefix'>): Parameters<typeof addRoute>[1] => ({
  destination: formatAddress(base),
  prefix,
  type: 'unreachable',
  metric: UNREACHABLE_METRIC,
});

/** Removes what there is of a bridge, its sentinel and the routes for its addresses. The bridge goes last: it tells the rest. */
export const removeBridge = (netlink: NetlinkSocket, { sentinel, bridge }: BridgeNames): void => {
  const [port, own] = [linkByName(netlink, sentinel)?.index, linkByName(netlink, bridge)?.index];
  if (port !== undefined) deleteLink(netlink, port);
  if (own === undefined) return;
  for (const address of listAddresses(netlink).filter(({ index }) => index === own)) {
    const { base, prefix } = baseOf(address);
    const size = 2 ** (32 - prefix);
    const range = { base: base - (base % size), prefix };
    ignoring('ESRCH', () => deleteRoute(netlink, unreachable(range)));
  }
  deleteLink(netlink, own);
};

const BRIDGE_FILTER = '/proc/sys/net/bridge/bridge-nf-call-iptables';

/** Whether bridges have the rules of IP look at their frames (br_netfilter), as container engines let them. */
const translatesFrames = (): boolean => {
  try {
    return readFileSync(BRIDGE_FILTER, 'utf8').trim() !== '0';
  } catch {
    return false;
  }
};

const baseOf = ({
  address,
  prefix,
}: {
  address: string;
  prefix: number;
}): { base: number; prefix: number } => ({
  base: parseAddress(address) ?? 0,
  prefix,
});

const ignoring = (name: string, action: () => void): void => {
  try {
    action();
  } catch (error) {
    if (!isErrno(error, name)) throw error;
  }
};

/** The hardware address that goes with an address, for life and on every node: locally administered, from the address. */
export const macOf = (address: string): string =>
  ['02', 'a5', ...address.split('.').map((byte) => Number(byte).toString(16).padStart(2, '0'))].join(':');
