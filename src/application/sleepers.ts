/** What the registry remembers of sleepers for the network: the port of entry of a restarted daemon. */
import type { KnownAddress } from '../network/index.ts';
import type { ApplicationRecord } from '../registry/index.ts';
import type { Reachable } from '../snapshots/index.ts';

/** What a sleeping application can be reached by; undefined for one that does not sleep. */
export const reachableOf = ({ state, data }: ApplicationRecord): Reachable | undefined =>
  state === 'asleep' ? (data['reachable'] as Reachable | undefined) : undefined;

export const knownAddress = (record: ApplicationRecord): KnownAddress => ({
  address: record.address,
  reachable: reachableOf(record),
});
