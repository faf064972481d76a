/**
 * What an application may send: packets from its own address and hardware address, whatever it is allowed to do inside its namespaces.
 *
 * The rules see each frame that enters a bridge through an environment's veth, before the bridge learns from it. IPv4 passes with the
 * bound address as its source, ARP when it speaks for the bound address or, looking whether one is free, for none. Everything else is
 * dropped: other sources, IPv6, VLAN tags, other protocols, and whatever comes from an interface that is bound to nothing. So `bind`
 * comes before the veth joins its bridge, and `unbind` after it has left. The same table counts what an application was asked (heard.ts).
 */
import {
  NETLINK_NETFILTER,
  NetlinkSocket,
  Nftables,
  isErrno,
  listLinks,
  listSetCounters,
} from '../kernel/index.ts';
import type { NftCommand, NftObject } from '../kernel/index.ts';
import { ACCEPT, DROP, concat, jump, match, meta, payload, replacement } from './border-expressions.ts';
import type { Table } from './border-expressions.ts';
import { HEARD_SETS, answerRules, deliveries, heardElements, readHeard } from './heard.ts';
import type { Heard } from './heard.ts';

const FAMILY = 'bridge' as const;
const IDENTITIES = 'identities';
/** Before br_netfilter (0) shows packets of a bridge to the rules for routed ones, and before a bridge's other rules (-300, -200). */
const PRIORITY = -350;
/** The source of an ARP probe (RFC 5227), which claims no address. */
const NO_ADDRESS = '0.0.0.0';
/** Groups that a bridge never passes on, but hands to this machine as if its port were none (IEEE Std 802.1Q, table 8-1). */
const RESERVED_GROUPS = { '&': [payload('ether', 'daddr'), 'ff:ff:ff:ff:ff:f0'] };

export interface Identity {
  readonly address: string;
  /** As `02:a5:0a:0a:00:02`. */
  readonly mac: string;
}

export interface Binding extends Identity {
  /** Name of the outer end of an environment's veth. */
  readonly interface: string;
  /** Networks (CIDR) whose packets do not count. */
  readonly ignored?: readonly string[];
}

const PORT = meta('iifname');
const senderBy = (hardware: [string, string], address: [string, string]) =>
  concat(PORT, payload(...hardware), payload(...address));
const hasIdentity = (...names: Parameters<typeof senderBy>) => match(senderBy(...names), `@${IDENTITIES}`);

const tableOf = (name: string, prefix: string, elements: readonly unknown[]): Table => ({
  family: FAMILY,
  name,
  sets: { [IDENTITIES]: { type: ['ifname', 'ether_addr', 'ipv4_addr'], elements }, ...HEARD_SETS },
  chains: {
    ports: {
      rules: [
        ...answerRules(senderBy(['ether', 'saddr'], ['ip', 'saddr'])),
        [
          match(payload('ether', 'type'), 'ip'),
          match(payload('ip', 'saddr'), NO_ADDRESS, '!='),
          hasIdentity(['ether', 'saddr'], ['ip', 'saddr']),
          ACCEPT,
        ],
        [
          match(payload('ether', 'type'), 'arp'),
          ...[match(payload('arp', 'htype'), 1), match(payload('arp', 'ptype'), 0x0800)],
          ...[match(payload('arp', 'hlen'), 6), match(payload('arp', 'plen'), 4)],
          hasIdentity(['ether', 'saddr'], ['arp', 'saddr ip']),
          hasIdentity(['arp', 'saddr ether'], ['arp', 'saddr ip']),
          ACCEPT,
        ],
        [DROP],
      ],
    },
    prerouting: {
      hook: { type: 'filter', hook: 'prerouting', prio: PRIORITY },
      rules: [[match(PORT, `${prefix}*`), jump('ports')]],
    },
    input: {
      hook: { type: 'filter', hook: 'input', prio: PRIORITY },
      rules: [[match(PORT, `${prefix}*`), match(RESERVED_GROUPS, '01:80:c2:00:00:00'), DROP]],
    },
    ...deliveries(prefix, PRIORITY),
  },
});

/** An application speaks for its address, and in a probe for none. */
const elementsOf = ({ interface: port, address, mac }: Binding): unknown[] =>
  [address, NO_ADDRESS].map((one) => concat(port, mac, one));

/** What a listed set holds. */
const bindingsIn = (listed: readonly NftObject[]): Binding[] =>
  listed
    .flatMap((one) => (one['set'] as { elem?: readonly { concat: [string, string, string] }[] }).elem ?? [])
    .map(({ concat: [port, mac, address] }) => ({ interface: port, mac, address }))
    .filter(({ address }) => address !== NO_ADDRESS);

export class PortGuard {
  readonly #nft: Nftables;
  readonly #netlink: NetlinkSocket;
  readonly #table: string;
  readonly #bound: Map<string, Binding>;

  /**
   * Why ports cannot be guarded in the calling thread's network namespace; undefined when they can. What it tries takes no
   * effect. Never throws.
   */
  static obstacle(): string | undefined {
    if (!Nftables.available()) return 'libnftables.so.1 cannot be loaded';
    const name = `appshot_probe_${process.pid}`;
    using nft = new Nftables();
    try {
      nft.run([...replacement(tableOf(name, 'probe', [])), { delete: { table: { family: FAMILY, name } } }]);
      return undefined;
    } catch (error) {
      return `nf_tables has no rules for bridges (module nf_tables_bridge): ${String(error)}`;
    }
  }

  /**
   * Guards the interfaces whose names begin with `prefix`, which must be this daemon's alone: those that are bound to nothing are
   * mute. Takes the place of an earlier daemon's guard in one transaction, with what is bound there if the interface still exists.
   * Works in the calling thread's network namespace, as all its functions. Throws `KernelError` where there is an obstacle.
   */
  constructor(table: string, prefix: string) {
    this.#nft = new Nftables();
    this.#netlink = NetlinkSocket.open(NETLINK_NETFILTER);
    this.#table = table;
    this.#bound = new Map(this.#found().map((binding) => [binding.interface, binding]));
    const bound = [...this.#bound.values()];
    this.#nft.run([
      ...replacement(tableOf(table, prefix, bound.flatMap(elementsOf))),
      ...this.#heardChange('add', bound),
    ]);
  }

  #found(): Binding[] {
    using netlink = NetlinkSocket.open();
    const links = new Set(listLinks(netlink).map(({ name }) => name));
    try {
      const set = { family: FAMILY, table: this.#table, name: IDENTITIES };
      return bindingsIn(this.#nft.run([{ list: { set } }])).filter((one) => links.has(one.interface));
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return [];
      throw error;
    }
  }

  #change(verb: 'add' | 'delete', name: string, elem: readonly unknown[]): NftCommand[] {
    return elem.length === 0
      ? []
      : [{ [verb]: { element: { family: FAMILY, table: this.#table, name, elem } } }];
  }

  #heardChange(verb: 'add' | 'delete', bindings: readonly Binding[]): NftCommand[] {
    return [...heardElements(bindings)].flatMap(([set, elements]) => this.#change(verb, set, elements));
  }

  #elements(verb: 'add' | 'delete', bindings: readonly Binding[]): NftCommand[] {
    return [
      ...this.#change(verb, IDENTITIES, bindings.flatMap(elementsOf)),
      ...this.#heardChange(verb, bindings),
    ];
  }

  /**
   * From now on what the interface sends must be from this address and hardware address, and no more from those it had. What it hears
   * is counted from 0, but for packets of networks that are ignored.
   */
  bind(port: string, identity: Identity, ignored: readonly string[] = []): void {
    this.bindAll([{ interface: port, ...identity, ignored }]);
  }

  /** Binds many in one transaction. */
  bindAll(bindings: readonly Binding[]): void {
    const former = bindings.flatMap((one) => this.#bound.get(one.interface) ?? []);
    this.#nft.run([...this.#elements('delete', former), ...this.#elements('add', bindings)]);
    for (const one of bindings) {
      this.#bound.delete(one.interface);
      this.#bound.set(one.interface, one);
    }
  }

  /** From now on nothing that the interface sends passes. Nothing happens when it is bound to nothing. */
  unbind(port: string): void {
    const former = this.#bound.get(port);
    if (!former) return;
    this.#nft.run(this.#elements('delete', [former]));
    this.#bound.delete(port);
  }

  /** What those that are bound were asked so far, by address; of two with the same address the one that was bound last. */
  heard(): Map<string, Heard> {
    const counted = readHeard((set) =>
      listSetCounters(this.#netlink, { family: FAMILY, table: this.#table, set }),
    );
    return new Map(
      [...this.#bound.values()].flatMap((one) => {
        const heard = counted.get(one.interface);
        return heard ? [[one.address, heard] as const] : [];
      }),
    );
  }

  /** Removes the rules: what is on a bridge may send anything. */
  dispose(): void {
    this.#nft.run([{ delete: { table: { family: FAMILY, name: this.#table } } }]);
    this.#nft.close();
    this.#netlink.close();
  }
}
