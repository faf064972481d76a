/** What the registry remembers of sleepers for the network: the port of entry of a restarted daemon. */
import type { KnownAddress } from '../network/index.ts';
import type { ApplicationRecord } from '../registry/index.ts';
import type { Reachable } from '../snapshots/index.ts';

/** What an application that sleeps, or is frozen, can be reached by; undefined for others. */
export const reachableOf = ({ state, data }: ApplicationRecord): Reachable | undefined =>
  state === 'asleep' || state === 'frozen' ? (data['reachable'] as Reachable | undefined) : undefined;

/** Networks (CIDR) whose packets neither wake an application nor keep it awake. */
export const ignoredBy = ({ spec }: Pick<ApplicationRecord, 'spec'>): readonly string[] =>
  spec.policy?.ignore ?? [];

export const knownAddress = (record: ApplicationRecord): KnownAddress => ({
  address: record.address,
  reachable: reachableOf(record),
  ignored: ignoredBy(record),
});
