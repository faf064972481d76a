/**
 * The network of a daemon's applications: who is connected, who is asked for, and what may wake a sleeper.
 *
 * Putting to sleep: `close` the address to what cannot wake it, then `disconnect`. Waking, or turning back: `connect`, which
 * opens the address and lets held packets flow. In between, a question that is a reason reaches `onWanted`.
 */
import type { Logger } from '../common/index.ts';
import {
  NETLINK_SOCK_DIAG,
  NetlinkSocket,
  Nftables,
  abortConnections,
  deleteNeighbour,
  isErrno,
  listSockets,
  setNeighbour,
  setNeighbourParameters,
} from '../kernel/index.ts';
import type { ArpQuestion, InetSocket } from '../kernel/index.ts';
import { Bridge, PATIENT_INSIDE, macOf, namesOf } from './bridge.ts';
import { WakeFilter } from './filter.ts';
import type { KnownAddress, Reachability } from './filter.ts';
import { isIgnored } from './ignored.ts';
import { isReason } from './question.ts';
import type { Asker } from './question.ts';

const NO_ADDRESS = '0.0.0.0';

/** The network side of an environment. */
export interface Port {
  /** Index of the outer end of its veth pair, and of the inner one. */
  readonly link: number;
  readonly innerLink: number;
  /** Netlink inside: routes, and socket diagnosis. */
  readonly inner: NetlinkSocket;
  readonly diagnosis: NetlinkSocket;
}

/** What the network knows of a disconnected address. */
interface Absent {
  readonly reachable: Reachability;
  /** Addresses of applications whose kernels hold packets for it. */
  readonly askers: Set<string>;
}

export interface NetworkOptions {
  readonly netlink: NetlinkSocket;
  /** CIDR. */
  readonly network: string;
  /** At most six characters that are the daemon's own in its network namespace. */
  readonly instance: string;
  readonly log: Logger;
  /** The addresses of the applications that there are already. */
  readonly known: readonly KnownAddress[];
}

/** Prepares a new port: its kernel waits for sleepers too. */
export const preparePort = (port: Pick<Port, 'inner' | 'innerLink'>): void =>
  setNeighbourParameters(port.inner, port.innerLink, PATIENT_INSIDE);

export class Network {
  readonly bridge: Bridge;
  readonly #log: Logger;
  readonly #filter: WakeFilter | undefined;
  /** Those that the rules know although they have not been connected. */
  readonly #admitted = new Set<string>();
  readonly #connected = new Map<string, Port>();
  readonly #absent = new Map<string, Absent>();
  /** By application: networks (CIDR) whose packets do not wake it. */
  readonly #ignored = new Map<string, readonly string[]>();
  /** The sockets of those who asked last, and when they were looked at, in nanoseconds. */
  readonly #looked = new WeakMap<Port, { readonly at: bigint; readonly sockets: readonly InetSocket[] }>();
  #onWanted: (address: string) => void = () => undefined;

  /** Makes the bridge and its rules, or takes hold of them. Fails with `BAD_NETWORK`. */
  constructor({ netlink, network, instance, log, known }: NetworkOptions) {
    this.#log = log;
    this.bridge = new Bridge(netlink, network, namesOf(instance));
    const all = known.map((one) => ({ ...one, ignored: this.#withLoopback(one.ignored ?? []) }));
    this.#filter = this.#openFilter(`appshot_${instance}`, all);
    for (const { address, reachable, ignored } of all) {
      if (reachable) this.#absent.set(address, { reachable, askers: new Set() });
      this.#ignored.set(address, ignored);
    }
  }

  /** Without nf_tables every packet wakes; `appshot doctor` says so. */
  #openFilter(table: string, known: readonly KnownAddress[]): WakeFilter | undefined {
    try {
      if (Nftables.available())
        return new WakeFilter(table, this.bridge.names.bridge, this.bridge.cidr, known);
    } catch (err) {
      this.#log.warn({ err }, 'no packet filter: packets to ports that are not listened on wake too');
    }
    return undefined;
  }

  /** Begins to listen; `onWanted` is called with the address of a sleeper, each time it is asked for. */
  listen(onWanted: (address: string) => void): void {
    this.#onWanted = onWanted;
    this.bridge.listen(
      (question) => this.#hear(question),
      (err) => this.#log.error({ err }, 'the sentinel failed'),
    );
  }

  #hear({ targetAddress, sourceAddress, at }: ArpQuestion): void {
    const absent = this.#absent.get(targetAddress);
    // Whoever has no address has no packet either: it asks whether this one is free.
    if (!absent || sourceAddress === NO_ADDRESS) return;
    if (this.#connected.has(sourceAddress)) absent.askers.add(sourceAddress);
    const asker = this.#asker(sourceAddress, at);
    // This machine asks only for packets that have passed the rules, which know who is ignored.
    if (asker.kind !== 'machine' && isIgnored(this.#ignored.get(targetAddress) ?? [], sourceAddress)) return;
    if (isReason(asker, targetAddress, absent.reachable)) this.#onWanted(targetAddress);
  }

  #asker(source: string, at: bigint): Asker {
    const port = this.#connected.get(source);
    if (port) return { kind: 'application', sockets: this.#socketsOf(port, at) };
    return { kind: source === this.bridge.gateway && this.#filter ? 'machine' : 'stranger' };
  }

  /** As they are since a question came: whoever scans a network asks for all of its sleepers at once. */
  #socketsOf(port: Port, since: bigint): readonly InetSocket[] {
    const before = this.#looked.get(port);
    if (before && before.at > since) return before.sockets;
    const at = process.hrtime.bigint();
    const sockets = listSockets(port.diagnosis, { protocol: 'tcp', family: 'both' });
    this.#looked.set(port, { at, sockets });
    return sockets;
  }

  /** Where programs of this machine reach an application through a published port, they become the gateway only later. */
  #withLoopback(ignored: readonly string[]): readonly string[] {
    return isIgnored(ignored, this.bridge.gateway) ? [...ignored, '127.0.0.0/8'] : ignored;
  }

  /** Packets from these networks (CIDR) do not wake the address, until it is forgotten. */
  ignore(address: string, given: readonly string[]): void {
    const before = this.#ignored.get(address) ?? [];
    const ignored = this.#withLoopback(given);
    if (before.join(' ') === ignored.join(' ')) return;
    this.#filter?.ignore(address, before, ignored);
    this.#ignored.set(address, ignored);
  }

  /** The address answers only to what `reachable` names from now on, as a sleeper's must. */
  close(address: string, reachable: Reachability): void {
    const before = this.#absent.get(address);
    if (before) this.#filter?.open(address, before.reachable);
    this.#filter?.close(address, reachable);
    this.#absent.set(address, { reachable, askers: before?.askers ?? new Set() });
  }

  /** Takes a closed address off the bridge; every kernel here forgets where it was, so that the next packet asks. */
  disconnect(address: string, port: Port): void {
    this.bridge.detach(port.link, address);
    this.#connected.delete(address);
    this.#loseSight(address);
  }

  #loseSight(address: string): void {
    for (const other of this.#connected.values())
      deleteNeighbour(other.inner, { index: other.innerLink, address });
  }

  /** Addresses that will be connected soon: the rules know all of them after one change, which takes a millisecond. */
  expect(addresses: readonly string[]): void {
    this.#filter?.admit(...addresses);
    for (const address of addresses) this.#admitted.add(address);
  }

  /** Puts the address on the bridge behind this port: held packets flow. */
  connect(address: string, port: Port): void {
    const absent = this.#absent.get(address);
    this.#absent.delete(address);
    this.#connected.set(address, port);
    // Held packets have passed the rules: they need not wait until the rules are gone, which takes a millisecond.
    this.bridge.attach(port.link, address, macOf(address));
    for (const asker of absent?.askers ?? []) this.#introduce(asker, address);
    if (absent) this.#filter?.open(address, absent.reachable);
    else if (!this.#admitted.delete(address)) this.#filter?.admit(address);
  }

  #introduce(asker: string, address: string): void {
    const port = this.#connected.get(asker);
    if (port)
      setNeighbour(port.inner, { index: port.innerLink, address, mac: macOf(address), state: 'reachable' });
  }

  /**
   * Forgets an address that is no application's any more. What this machine has open to it is broken off: nobody is there to say so, and
   * whoever waits for an answer would wait for ever.
   */
  forget(address: string): void {
    const absent = this.#absent.get(address);
    if (absent) this.#filter?.open(address, absent.reachable);
    this.ignore(address, []);
    this.#ignored.delete(address);
    this.#admitted.delete(address);
    this.#filter?.dismiss(address);
    this.#absent.delete(address);
    this.#connected.delete(address);
    // As long as a packet is held, its connection sends nothing that could be refused.
    this.bridge.forget(address);
    this.#loseSight(address);
    this.#abort(address);
  }

  #abort(address: string): void {
    using diagnosis = NetlinkSocket.open(NETLINK_SOCK_DIAG);
    try {
      abortConnections(diagnosis, address);
    } catch (err) {
      if (!isErrno(err, 'EOPNOTSUPP')) this.#log.warn({ err, address }, 'connections were not broken off');
    }
  }

  /** Stops listening. With `remove` the bridge goes too; without, applications that run go on. */
  async shut({ remove }: { remove: boolean }): Promise<void> {
    await this.bridge.close();
    if (!remove) return;
    this.#filter?.dispose();
    this.bridge.remove();
  }
}
