/**
 * The network of a daemon's applications: who is connected, who is asked for, and what may wake a sleeper.
 *
 * Putting to sleep: `close` the address to what cannot wake it, then `disconnect`. Waking, or turning back: `connect`, which
 * opens the address and lets held packets flow. In between, a question that is a reason reaches `onWanted`.
 */
import type { Logger } from '../common/index.ts';
import {
  Nftables,
  deleteNeighbour,
  listSockets,
  setNeighbour,
  setNeighbourParameters,
} from '../kernel/index.ts';
import type { ArpQuestion, NetlinkSocket } from '../kernel/index.ts';
import { Bridge, PATIENT_INSIDE, macOf } from './bridge.ts';
import { WakeFilter } from './filter.ts';
import type { KnownAddress, Reachability } from './filter.ts';
import { isReason } from './question.ts';
import type { Asker } from './question.ts';

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
  #onWanted: (address: string) => void = () => undefined;

  /** Makes the bridge and its rules, or takes hold of them. Fails with `BAD_NETWORK`. */
  constructor({ netlink, network, instance, log, known }: NetworkOptions) {
    this.#log = log;
    this.bridge = new Bridge(netlink, network, {
      bridge: `asb${instance}`,
      sentinel: `ass${instance}`,
      far: `asf${instance}`,
    });
    this.#filter = this.#openFilter(`appshot_${instance}`, known);
    for (const { address, reachable } of known)
      if (reachable) this.#absent.set(address, { reachable, askers: new Set() });
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

  #hear({ targetAddress, sourceAddress }: ArpQuestion): void {
    const absent = this.#absent.get(targetAddress);
    if (!absent) return;
    if (this.#connected.has(sourceAddress)) absent.askers.add(sourceAddress);
    if (isReason(this.#asker(sourceAddress), targetAddress, absent.reachable)) this.#onWanted(targetAddress);
  }

  #asker(source: string): Asker {
    const port = this.#connected.get(source);
    if (port)
      return {
        kind: 'application',
        sockets: listSockets(port.diagnosis, { protocol: 'tcp', family: 'both' }),
      };
    return { kind: source === this.bridge.gateway && this.#filter ? 'machine' : 'stranger' };
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

  /** Forgets an address that is no application's any more. */
  forget(address: string): void {
    const absent = this.#absent.get(address);
    if (absent) this.#filter?.open(address, absent.reachable);
    this.#admitted.delete(address);
    this.#filter?.dismiss(address);
    this.#absent.delete(address);
    this.#connected.delete(address);
  }

  /** Stops listening. With `remove` the bridge goes too; without, applications that run go on. */
  async shut({ remove }: { remove: boolean }): Promise<void> {
    await this.bridge.close();
    if (!remove) return;
    this.#filter?.dispose();
    this.bridge.remove();
  }
}
