/** Applications as the API shows them. */
import type { AppView, WokenMemory } from '../api/index.ts';
import type { ApplicationRecord } from '../registry/index.ts';

export const viewOf = (record: ApplicationRecord): AppView => ({
  aid: record.aid,
  name: record.name,
  state: record.state,
  address: record.address,
  hostname: record.hostname,
  createdAt: record.createdAt,
  since: record.since,
  memory: (record.data['memory'] as WokenMemory | undefined) ?? null,
});
