/** The networks of a daemon, as users make and remove them. One change at a time. */
import { DEFAULT_NETWORK } from '../api/index.ts';
import type { NetworkRequest, NetworkView } from '../api/index.ts';
import { AppShotError } from '../common/index.ts';
import type { NetworkPlan } from '../network/index.ts';
import type { ApplicationRecord } from '../registry/index.ts';
import type { House } from './context.ts';
import { openNames } from './naming.ts';

/** What a change of any network is locked by: no AID. */
const LOCK = 'networks';

const isIn = ({ spec }: ApplicationRecord, name: string): boolean =>
  (spec.network ?? DEFAULT_NETWORK) === name;

export class NetworkList {
  readonly #house: House;
  /** When the daemon's own came to be. */
  readonly #since = new Date().toISOString();

  constructor(house: House) {
    this.#house = house;
  }

  #viewOf(
    { name, cidr, outgoing }: NetworkPlan,
    createdAt: string,
    records: readonly ApplicationRecord[],
  ): NetworkView {
    const { gateway, names } = this.#house.networks.named(name).bridge;
    const applications = records.filter((record) => isIn(record, name)).length;
    return { name, cidr, gateway, bridge: names.bridge, outgoing, applications, createdAt };
  }

  /** The daemon's own first, then oldest first. */
  async list(): Promise<NetworkView[]> {
    const { registry, networks } = this.#house;
    const [records, applications] = [await registry.listNetworks(), await registry.list()];
    const created = new Map(records.map(({ name, createdAt }) => [name, createdAt]));
    return networks.plans.map((plan) =>
      this.#viewOf(plan, created.get(plan.name) ?? this.#since, applications),
    );
  }

  /** Fails with `NETWORK_TAKEN`, `BAD_NETWORK`, `NETWORKS_EXHAUSTED`; then nothing is left of it. */
  create({ name, cidr, outgoing }: NetworkRequest): Promise<NetworkView> {
    return this.#house.lock.run(LOCK, 'a change of networks', async () => {
      const { registry, networks } = this.#house;
      if (name === DEFAULT_NETWORK) throw new AppShotError('NETWORK_TAKEN', { name });
      const record = await registry.addNetwork({ name, cidr, outgoing, beside: networks.beside() });
      try {
        await networks.add(record);
      } catch (error) {
        await registry.removeNetwork(name);
        throw error;
      }
      await openNames(this.#house, record);
      return this.#viewOf(record, record.createdAt, []);
    });
  }

  /** Fails with `NETWORK_NOT_FOUND`, `NETWORK_IN_USE`. */
  remove(name: string): Promise<void> {
    return this.#house.lock.run(LOCK, 'a change of networks', async () => {
      const { registry, networks } = this.#house;
      if (name === DEFAULT_NETWORK)
        throw new AppShotError('BAD_REQUEST', { field: 'network', reason: "the daemon's own network stays" });
      if (!(await registry.removeNetwork(name))) throw new AppShotError('NETWORK_NOT_FOUND', { name });
      await this.#house.names.shut(name);
      await networks.remove(name);
    });
  }
}
