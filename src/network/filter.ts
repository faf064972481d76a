/**
 * What may wake a sleeping application: kernel rules on packets that this machine sends or forwards to its address.
 *
 * A packet to a port on which the application listens, or of a connection it holds, passes; nobody owns the address, so the
 * kernel asks for it by ARP and holds the packet, and the question wakes the application. All others get the answer they
 * would get if it ran: a reset, or port unreachable. What comes from an address that it ignores and would wake it is dropped: it
 * cannot be answered, and a reset would end a connection that is open. Those to an address that no application has are refused at once, since
 * the kernel is told to be far more patient than usual with an address that does not answer.
 */
import { Nftables, isErrno } from '../kernel/index.ts';
import type { NftCommand } from '../kernel/index.ts';
import { formatAddress } from '../registry/index.ts';
import type { Network as Cidr } from '../registry/index.ts';
import { rangesOf } from './ignored.ts';

export interface Endpoint {
  readonly protocol: 'tcp' | 'udp';
  readonly port: number;
}

/** A connection as seen from the application. */
export interface Connection {
  readonly localPort: number;
  readonly remote: string;
  readonly remotePort: number;
}

/** What a sleeping application can be reached by. */
export interface Reachability {
  readonly listening: readonly Endpoint[];
  readonly connections: readonly Connection[];
}

type Json = Readonly<Record<string, unknown>>;

const FAMILY = 'inet';
const payload = (protocol: string, field: string): Json => ({ payload: { protocol, field } });
const match = (left: unknown, right: unknown): Json => ({ match: { op: '==', left, right } });
const concat = (...parts: unknown[]): Json => ({ concat: parts });
const [SOURCE, DESTINATION] = [payload('ip', 'saddr'), payload('ip', 'daddr')];
const SETS: Readonly<Record<string, Json>> = {
  /** The addresses of applications: packets to all others in the network are refused at once. */
  known: { type: 'ipv4_addr' },
  asleep: { type: 'ipv4_addr' },
  tcp: { type: ['ipv4_addr', 'inet_service'] },
  udp: { type: ['ipv4_addr', 'inet_service'] },
  connections: { type: ['ipv4_addr', 'inet_service', 'ipv4_addr', 'inet_service'] },
  /** Applications, asleep or not, and whom they ignore. */
  ignored: { type: ['ipv4_addr', 'ipv4_addr'], flags: ['interval'] },
};

const reach = (protocol: 'tcp' | 'udp'): Json =>
  match(concat(DESTINATION, payload(protocol, 'dport')), `@${protocol}`);
const established = (address: Json, port: Json): Json =>
  match(concat(address, port, DESTINATION, payload('tcp', 'dport')), '@connections');
const ofReply = (key: string): Json => ({ ct: { key, dir: 'reply' } });
/**
 * Who asks at a published port from this machine, or from the application's own bridge, is the gateway to the application: the
 * kernel makes it so only after these rules.
 */
const translated: readonly Json[] = [
  // Which ports they are depends on it.
  match({ meta: { key: 'l4proto' } }, 'tcp'),
  match({ ct: { key: 'direction' } }, 'original'),
  established(ofReply('ip daddr'), ofReply('proto-dst')),
];
/** A segment of a connection that has begun. */
const CONNECTED: Json = {
  match: { op: '!=', left: { '&': [payload('tcp', 'flags'), ['syn', 'ack']] }, right: 'syn' },
};
const protocolIs = (protocol: string): Json => match({ meta: { key: 'l4proto' } }, protocol);

/** For a packet that would wake. */
const REACHES: readonly (readonly Json[])[] = [
  [match(concat(DESTINATION, SOURCE), '@ignored'), { drop: null }],
  [{ accept: null }],
];
const REACHED = { goto: { target: 'reaches' } };

/** The rules for a packet to an address that is asleep, in order. */
const CHECK: readonly (readonly Json[])[] = [
  [reach('tcp'), REACHED],
  [reach('udp'), REACHED],
  [established(SOURCE, payload('tcp', 'sport')), REACHED],
  [...translated, REACHED],
  [protocolIs('tcp'), { reject: { type: 'tcp reset' } }],
  [protocolIs('udp'), { reject: { type: 'icmp', expr: 'port-unreachable' } }],
  [{ drop: null }],
];

/** An address that an application has, and what it can be reached by if it sleeps. */
export interface KnownAddress {
  readonly address: string;
  readonly reachable?: Reachability | undefined;
  /** Networks (CIDR) whose packets do not wake it. */
  readonly ignored?: readonly string[];
}

export class WakeFilter {
  readonly #nft: Nftables;
  readonly #table: string;

  /**
   * Replaces what an earlier daemon left, in one transaction with the addresses that are known: in between nobody is refused.
   * Throws `KernelError` where the kernel has no nf_tables.
   */
  constructor(table: string, bridge: string, network: Cidr, known: readonly KnownAddress[]) {
    this.#nft = new Nftables();
    this.#table = table;
    const own = { family: FAMILY, table };
    const rule = (chain: string, expr: readonly Json[]): NftCommand => ({
      add: { rule: { ...own, chain, expr } },
    });
    const hook = (name: string): NftCommand => ({
      add: { chain: { ...own, name, type: 'filter', hook: name, prio: 0, policy: 'accept' } },
    });
    const here = match({ meta: { key: 'oifname' } }, bridge);
    const prefix = { prefix: { addr: formatAddress(network.base), len: network.prefix } };
    const toNobody = [
      match(DESTINATION, prefix),
      { match: { op: '!=', left: DESTINATION, right: '@known' } },
    ];
    const nobody = [...toNobody, { reject: { type: 'icmp', expr: 'host-unreachable' } }];
    // A connection outlives ICMP messages; only a reset ends one whose application has gone.
    const late = [...toNobody, CONNECTED, { reject: { type: 'tcp reset' } }];
    const sleeper = [match(DESTINATION, '@asleep'), { goto: { target: 'check' } }];
    this.#nft.run([
      { add: { table: { family: FAMILY, name: table } } },
      { delete: { table: { family: FAMILY, name: table } } },
      { add: { table: { family: FAMILY, name: table } } },
      ...Object.entries(SETS).map(([name, type]) => ({ add: { set: { ...own, name, ...type } } })),
      ...['reaches', 'check'].map((name) => ({ add: { chain: { ...own, name } } })),
      ...['output', 'forward'].map(hook),
      // This machine, and all at once.
      this.#known('add', formatAddress(network.gateway), formatAddress(network.broadcast)),
      ...REACHES.map((expr) => rule('reaches', expr)),
      ...CHECK.map((expr) => rule('check', expr)),
      // What this machine's own clients send to a published port is on its way to the loopback interface still.
      ...[late, nobody, sleeper].map((expr) => rule('output', expr)),
      ...[late, nobody, sleeper].map((expr) => rule('forward', [here, ...expr])),
      ...known.flatMap(({ address, reachable, ignored = [] }) => [
        this.#known('add', address),
        ...this.#ignored('add', address, ignored),
        ...(reachable ? this.#commands('add', address, reachable) : []),
      ]),
    ]);
  }

  #elements(address: string, { listening, connections }: Reachability): Map<string, unknown[]> {
    const ports = (protocol: string): number[] => [
      ...new Set(listening.filter((one) => one.protocol === protocol).map(({ port }) => port)),
    ];
    const tuples = new Map(
      connections.map((one) => [
        `${one.remote} ${one.remotePort} ${one.localPort}`,
        concat(one.remote, one.remotePort, address, one.localPort),
      ]),
    );
    return new Map<string, unknown[]>([
      ['asleep', [address]],
      ['tcp', ports('tcp').map((port) => concat(address, port))],
      ['udp', ports('udp').map((port) => concat(address, port))],
      ['connections', [...tuples.values()]],
    ]);
  }

  #commands(verb: 'add' | 'delete', address: string, reachable: Reachability): NftCommand[] {
    return [...this.#elements(address, reachable)]
      .filter(([, elem]) => elem.length > 0)
      .map(([name, elem]) => ({ [verb]: { element: { family: FAMILY, table: this.#table, name, elem } } }));
  }

  /** What was never there needs no deleting. */
  #delete(commands: readonly NftCommand[]): void {
    try {
      this.#nft.run(commands);
    } catch (error) {
      if (!isErrno(error, 'ENOENT')) throw error;
    }
  }

  #known(verb: 'add' | 'delete', ...elem: string[]): NftCommand {
    return { [verb]: { element: { family: FAMILY, table: this.#table, name: 'known', elem } } };
  }

  #ignored(verb: 'add' | 'delete', address: string, ignored: readonly string[]): NftCommand[] {
    const elem = rangesOf(ignored).map((range) => concat(address, range));
    if (elem.length === 0) return [];
    return [{ [verb]: { element: { family: FAMILY, table: this.#table, name: 'ignored', elem } } }];
  }

  /** Packets from these networks (CIDR) do not wake the address any more; those from the ones before do. */
  ignore(address: string, before: readonly string[], ignored: readonly string[]): void {
    this.#delete(this.#ignored('delete', address, before));
    this.#nft.run(this.#ignored('add', address, ignored));
  }

  /** The addresses are applications': packets to them are delivered, or held. */
  admit(...addresses: string[]): void {
    this.#nft.run([this.#known('add', ...addresses)]);
  }

  /** The address is nobody's any more. */
  dismiss(address: string): void {
    this.#delete([this.#known('delete', address)]);
  }

  /** From now on only these packets reach the address. */
  close(address: string, reachable: Reachability): void {
    this.#nft.run([this.#known('add', address), ...this.#commands('add', address, reachable)]);
  }

  /** From now on all packets reach the address; `reachable` is what it was closed with. */
  open(address: string, reachable: Reachability): void {
    this.#delete(this.#commands('delete', address, reachable));
  }

  dispose(): void {
    this.#nft.run([{ delete: { table: { family: FAMILY, name: this.#table } } }]);
    this.#nft.close();
  }
}
