/**
 * Published ports: virtual port multiplexing by kernel rules. A port of this machine (the first port) leads to a port of one or many
 * instances (the second port); each new connection goes to the next instance in turn, and the kernel records its translation, by
 * which all of its packets go, also when instances come and go. An address that is asleep belongs to nobody, so its packets
 * are held by the kernel's ARP until it is awake, as all packets to it are.
 *
 * Clients elsewhere are seen by their own addresses. Clients on the loopback interface, and neighbours of the target on its bridge, are
 * seen as the gateway, since answers to them would not come back here otherwise.
 *
 * The machine must forward (`net.ipv4.ip_forward`) for clients elsewhere; `route_localnet` of the bridges is set here.
 */
import {
  KernelError,
  NETLINK_NETFILTER,
  NetlinkSocket,
  Nftables,
  forgetTracked,
  isErrno,
  linkByName,
  listAddresses,
  listLinks,
  listTracked,
  routeLoopback,
} from '../kernel/index.ts';
import type { NftCommand, TrackedConnection, TrackedFilter } from '../kernel/index.ts';
import { isLost, isOlder, mayLose, translationOf } from './publish-flows.ts';
import type { Ports, Translation } from './publish-flows.ts';
import { Rules, keyOf } from './publish-rules.ts';
import type { PublishedPort, Side } from './publish-rules.ts';

/** Marks connections of published ports, so that they can be told from others: `AS` and `P`. */
const MARK = 0x41535000;
const PROBE = 'appshot_probe';

export interface PublisherOptions {
  /** The name of an nf_tables table that is this publisher's own in its network namespace. */
  readonly table: string;
  /** What the names of all bridges begin with that may be a side, and of no other's. */
  readonly bridges: string;
  /** What its connections are marked with (conntrack mark, 32 bits); other publishers need another. */
  readonly mark?: number;
}

const byKey = (ports: readonly PublishedPort[]): Map<string, PublishedPort> => {
  const map = new Map(ports.map((published) => [keyOf(published), published]));
  if (map.size < ports.length) throw new RangeError('a port is published twice');
  return map;
};

const same = (one: unknown, other: unknown): boolean => JSON.stringify(one) === JSON.stringify(other);

export class Publisher {
  readonly #nft = new Nftables();
  readonly #netlink = NetlinkSocket.open();
  readonly #conntrack = NetlinkSocket.open(NETLINK_NETFILTER);
  readonly #rules: Rules;
  readonly #mark: number;
  readonly #prefix: string;
  /** What the kernel has; undefined as long as it may have an earlier publisher's. */
  #ports: Ports | undefined;
  #sides: readonly Side[] = [];

  /**
   * In the calling thread's network namespace. What an earlier publisher left goes on until the first `replace`, which takes
   * its place in one transaction.
   */
  constructor({ table, bridges, mark = MARK }: PublisherOptions) {
    this.#prefix = bridges;
    this.#rules = new Rules(table, mark);
    this.#mark = mark;
  }

  /** Why this kernel cannot publish ports, or undefined. Leaves nothing behind. */
  static obstacle(): string | undefined {
    if (!Nftables.available()) return 'libnftables is missing';
    const rules = new Rules(PROBE, MARK);
    const targets = [1, 2].map((host) => ({ address: `192.0.2.${host}`, port: 1 }));
    try {
      using nft = new Nftables();
      using conntrack = NetlinkSocket.open(NETLINK_NETFILTER);
      nft.run([
        ...rules.base(),
        ...rules.sides([]),
        ...rules.open({ protocol: 'udp', port: 1, targets }),
        ...rules.remove(),
      ]);
      listTracked(conntrack, { mark: MARK, protocol: 'udp' });
      return undefined;
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      return `the kernel refuses to translate ports: ${error.message}`;
    }
  }

  /**
   * From now on these ports are published, and no others; `sides` are the networks of all targets. One transaction: throws
   * `KernelError` and changes nothing when the kernel refuses. Throws RangeError for a port that is there twice.
   */
  replace(ports: readonly PublishedPort[], sides: readonly Side[]): void {
    const [before, after] = [this.#ports, byKey(ports)];
    const changed = [...after.values()].filter((one) => !same(before?.get(keyOf(one)), one));
    const newSides = before === undefined || !same(this.#sides, sides);
    const bridges = sides.map(({ bridge }) => bridge);
    // The rules keep strangers from this machine's loopback: a bridge leads there only as long as they know of it.
    const led = before === undefined ? this.#allBridges() : this.#bridges;
    this.#routeLoopback(
      led.filter((bridge) => !bridges.includes(bridge)),
      false,
    );
    this.#run([
      ...(before === undefined ? this.#rules.base() : []),
      ...(newSides ? this.#rules.sides(sides) : []),
      ...[...(before ?? [])]
        .filter(([key]) => !after.has(key))
        .flatMap(([, gone]) => this.#rules.close(gone)),
      ...changed.flatMap((one) =>
        before?.has(keyOf(one)) ? this.#rules.change(one) : this.#rules.open(one),
      ),
    ]);
    this.#ports = after;
    this.#sides = sides;
    if (newSides) this.#routeLoopback(bridges, true);
    this.#forget(before, changed);
  }

  get #bridges(): string[] {
    return this.#sides.map(({ bridge }) => bridge);
  }

  /** An earlier publisher may have ended without a word. */
  #allBridges(): string[] {
    return listLinks(this.#netlink)
      .map(({ name }) => name)
      .filter((name) => name.startsWith(this.#prefix));
  }

  #run(commands: readonly NftCommand[]): void {
    if (commands.length > 0) this.#nft.run(commands);
  }

  #routeLoopback(bridges: readonly string[], allowed: boolean): void {
    for (const bridge of bridges) {
      const link = linkByName(this.#netlink, bridge);
      if (link) routeLoopback(this.#netlink, link.index, allowed);
    }
  }

  /** Lets those move on that must, now that the rules are new. A look through the kernel's table takes milliseconds: none is idle. */
  #forget(before: Ports | undefined, changed: readonly PublishedPort[]): void {
    const ports = this.#ports ?? new Map<string, PublishedPort>();
    const losing = [...(before ?? [])].filter(([key, one]) => mayLose(one, ports.get(key)));
    const lost = (protocol: 'tcp' | 'udp'): boolean =>
      before === undefined || losing.some(([, one]) => one.protocol === protocol);
    const opened = changed.filter((one) => one.protocol === 'udp' && !before?.has(keyOf(one)));
    const tcp = lost('tcp') ? this.#tracked({ mark: this.#mark, protocol: 'tcp', answered: false }) : [];
    const udp = lost('udp') || opened.length > 0 ? this.#tracked({ protocol: 'udp' }) : [];
    const local = new Set(udp.length === 0 ? [] : listAddresses(this.#netlink).map(({ address }) => address));
    for (const one of [...tcp, ...udp]) {
      const mine = one.mark === this.#mark;
      if (mine ? isLost(one, ports) : opened.some((published) => isOlder(one, published, local)))
        forgetTracked(this.#conntrack, one);
    }
  }

  #tracked(filter: TrackedFilter): TrackedConnection[] {
    return listTracked(this.#conntrack, filter);
  }

  /** The connections through published ports that the kernel has a record of, also those that are ending. */
  translations(): Translation[] {
    return this.#tracked({ mark: this.#mark })
      .filter(({ translated }) => translated)
      .map(translationOf);
  }

  /** Gives up the handles; the ports stay published, for a later publisher to take over. */
  close(): void {
    for (const handle of [this.#nft, this.#netlink, this.#conntrack]) handle.close();
  }

  /** Publishes nothing any more. Connections that are open break. */
  dispose(): void {
    this.#routeLoopback(this.#bridges, false);
    try {
      this.#nft.run(this.#rules.remove());
    } catch (error) {
      if (!isErrno(error, 'ENOENT')) throw error;
    }
    this.close();
  }
}
