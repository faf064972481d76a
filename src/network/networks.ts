/**
 * All networks of a daemon (mission D7). Networks never overlap, so that an address says which it belongs to: what is asked for an address is
 * asked of its network.
 */
import { AppShotError } from '../common/index.ts';
import type { Logger } from '../common/index.ts';
import { Nftables, listAddresses, listLinks } from '../kernel/index.ts';
import type { NetlinkSocket } from '../kernel/index.ts';
import { contains, parseAddress, parseNetwork } from '../registry/index.ts';
import type { AddressRange, NetworkRecord } from '../registry/index.ts';
import { Border, forward } from './border.ts';
import type { WebPort } from './border-rules.ts';
import type { KnownAddress, Reachability } from './filter.ts';
import { Network } from './network.ts';
import type { Port } from './network.ts';
import { removeLeftovers, suffixOf } from './leftovers.ts';

/** What a network is made from: the daemon's own has the number 0. */
export type NetworkPlan = Pick<NetworkRecord, 'name' | 'number' | 'cidr' | 'outgoing'>;

export interface NetworksOptions {
  readonly netlink: NetlinkSocket;
  /** At most six characters that are the daemon's own in its network namespace: no other's begin with them. */
  readonly instance: string;
  readonly log: Logger;
  /** The first is the daemon's own. */
  readonly plans: readonly NetworkPlan[];
  /** Where this machine has a web gateway. */
  readonly web?: readonly WebPort[];
  /** The addresses of the applications that there are already. */
  readonly known: readonly KnownAddress[];
}

interface Member {
  readonly plan: NetworkPlan;
  readonly network: Network;
}

const LOOPBACK = { base: 0x7f000000, broadcast: 0x7fffffff };

const rangeAround = (owner: string, address: number, prefix: number): AddressRange => {
  const size = 2 ** (32 - prefix);
  return { owner, base: Math.floor(address / size) * size, prefix };
};

export class Networks {
  readonly #options: NetworksOptions;
  readonly #members = new Map<string, Member>();
  readonly #border: Border | undefined;
  #onWanted: ((address: string) => void) | undefined;

  /** Makes their bridges and rules, or takes hold of them. Fails with `BAD_NETWORK`. */
  constructor(options: NetworksOptions) {
    this.#options = options;
    this.#border = this.#openBorder();
    this.#removeLeftovers(options.plans);
    for (const plan of options.plans) this.#open(plan);
    this.#drawBorders();
  }

  /** Without nf_tables networks are apart only as far as the machine forwards nothing; `appshot doctor` says so. */
  #openBorder(): Border | undefined {
    return Nftables.available() ? new Border(`appshot_${this.#options.instance}_border`) : undefined;
  }

  /** Makes the rules what the networks are. What leaves them must be forwarded. */
  #drawBorders(): void {
    const members = [...this.#members.values()];
    this.#border?.replace(
      members.map(({ plan, network }) => ({
        name: plan.name,
        bridge: network.bridge.names.bridge,
        cidr: plan.cidr,
        outgoing: plan.outgoing,
      })),
      this.#options.web,
    );
    if (members.some(({ plan }) => plan.outgoing)) forward();
  }

  /**
   * Makes a network, or leaves nothing of it. Fails with `BAD_NETWORK` when an interface of this machine has some of its addresses, and as
   * the kernel refuses.
   */
  async add(plan: NetworkPlan): Promise<void> {
    // Its number may have been that of one that could not be removed.
    this.#removeLeftovers(this.plans);
    try {
      this.#open(plan);
      this.#drawBorders();
    } catch (error) {
      await this.remove(plan.name).catch((err: unknown) =>
        this.#options.log.error({ err, network: plan.name }, 'something may be left of a network'),
      );
      throw error;
    }
  }

  /** What cannot be removed is told in the log, and tried again with the next network. */
  #removeLeftovers(plans: readonly NetworkPlan[]): void {
    const { netlink, instance, log } = this.#options;
    try {
      const numbers = plans.map(({ number }) => number);
      const left = removeLeftovers(netlink, instance, numbers);
      if (left.length > 0) log.warn({ numbers: left }, 'what was left of former networks was removed');
    } catch (err) {
      log.error({ err }, 'what is left of former networks could not be removed');
    }
  }

  #open(plan: NetworkPlan): void {
    const { netlink, instance, log } = this.#options;
    const cidr = parseNetwork(plan.cidr);
    const known = this.#options.known.filter(({ address }) => contains(cidr, parseAddress(address) ?? 0));
    const network = new Network({
      netlink,
      network: plan.cidr,
      instance: `${instance}${suffixOf(plan.number)}`,
      log,
      known,
    });
    this.#members.set(plan.name, { plan, network });
    if (this.#onWanted) network.listen(this.#onWanted);
  }

  /** Removes one that has no applications. */
  async remove(name: string): Promise<void> {
    const member = this.#members.get(name);
    this.#members.delete(name);
    await member?.network.shut({ remove: true });
    // Of one that was made in part there is no member.
    this.#removeLeftovers(this.plans);
    this.#drawBorders();
  }

  /** Who has addresses that no further network may have: the daemon's own network, and interfaces of this machine. */
  beside(): AddressRange[] {
    const { netlink, plans } = this.#options;
    const names = new Map(listLinks(netlink).map(({ index, name }) => [index, name]));
    const bridges = new Set([...this.#members.values()].map(({ network }) => network.bridge.names.bridge));
    const own = plans
      .slice(0, 1)
      .map(({ name, cidr }) => ({ owner: `the network ${name}`, ...parseNetwork(cidr) }));
    const others = listAddresses(netlink).filter(({ index }) => !bridges.has(names.get(index) ?? ''));
    return [
      ...own,
      ...others.flatMap(({ index, address, prefix }) => {
        const number = parseAddress(address);
        return number === undefined ? [] : [rangeAround(`the interface ${names.get(index)}`, number, prefix)];
      }),
    ];
  }

  get plans(): readonly NetworkPlan[] {
    return [...this.#members.values()].map(({ plan }) => plan);
  }

  /** Fails with `NETWORK_NOT_FOUND`. */
  named(name: string): Network {
    const member = this.#members.get(name);
    if (member) return member.network;
    throw new AppShotError('NETWORK_NOT_FOUND', { name });
  }

  /** The addresses of a network; of the daemon's own when none is named. Fails with `NETWORK_NOT_FOUND`. */
  cidrOf(name = this.#options.plans[0]?.name ?? ''): string {
    return this.named(name).bridge.cidr.cidr;
  }

  /** Whether the address is of this network, or this machine's own. */
  isNear(name: string, address: string): boolean {
    const [number, member] = [parseAddress(address), this.#members.get(name)];
    if (number === undefined || member === undefined) return false;
    if (contains(member.network.bridge.cidr, number) || contains(LOOPBACK, number)) return true;
    return listAddresses(this.#options.netlink).some((own) => own.address === address);
  }

  /** The network that an address belongs to. */
  of(address: string): Network {
    const number = parseAddress(address) ?? 0;
    for (const { network } of this.#members.values())
      if (contains(network.bridge.cidr, number)) return network;
    throw new Error(`${address} belongs to no network`);
  }

  /** Begins to listen; `onWanted` is called with the address of a sleeper, each time it is asked for. */
  listen(onWanted: (address: string) => void): void {
    this.#onWanted = onWanted;
    for (const { network } of this.#members.values()) network.listen(onWanted);
  }

  /** Packets to an application from these networks (CIDR) do not wake it, as long as the address is known. */
  ignore(address: string, ignored: readonly string[]): void {
    this.of(address).ignore(address, ignored);
  }

  /** The address answers only to what `reachable` names from now on, as a sleeper's must. */
  close(address: string, reachable: Reachability): void {
    this.of(address).close(address, reachable);
  }

  /** Takes a closed address off its bridge; every kernel here forgets where it was, so that the next packet asks. */
  disconnect(address: string, port: Port): void {
    this.of(address).disconnect(address, port);
  }

  /** Addresses of one network that will be connected soon: the rules know all of them after one change, which takes a millisecond. */
  expect(addresses: readonly string[]): void {
    const [first] = addresses;
    if (first !== undefined) this.of(first).expect(addresses);
  }

  /** Puts the address on its bridge behind this port: held packets flow. */
  connect(address: string, port: Port): void {
    this.of(address).connect(address, port);
  }

  /** Forgets an address that is no application's any more. */
  forget(address: string): void {
    this.of(address).forget(address);
  }

  /** Stops listening. With `remove` the bridges go too; without, applications that run go on. */
  async shut(options: { remove: boolean }): Promise<void> {
    for (const { network } of this.#members.values()) await network.shut(options);
    if (options.remove) this.#border?.dispose();
  }
}
