/** Everything that is tracked for one application (mission A12). */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { AppDetail, TopRow, UnseenVariable } from '../api/index.ts';
import type { CgroupUsage, Environment } from '../environments/index.ts';
import { logFile } from '../harness/index.ts';
import type { ApplicationRecord } from '../registry/index.ts';
import { networkUse } from '../resources/index.ts';
import type { Reachable } from '../snapshots/index.ts';
import { describeResources } from './check.ts';
import type { House } from './context.ts';
import { generationOf, originOf } from './identity.ts';
import { reachableOf } from './sleepers.ts';
import { viewOf } from './views.ts';

const snapshotOf = async (house: House, { snapshot }: ApplicationRecord): Promise<AppDetail['snapshot']> => {
  const found = snapshot === null ? undefined : await house.registry.getSnapshot(snapshot);
  if (!found) return null;
  const files = await readdir(house.store.images(found)).catch(() => []);
  return { id: found.id, takenAt: found.takenAt, bytes: found.bytes, files: files.length };
};

const liveUse = (environment: Environment): Reachable => {
  const { listening, connections } = networkUse(environment.diagnosis);
  return { listening: [...listening], connections: [...connections] };
};

const NOTHING: Reachable = { listening: [], connections: [] };

const cloneOrigin = (record: ApplicationRecord): AppDetail['template'] => {
  const origin = originOf(record);
  if (!origin) return null;
  const { id, name, instance } = origin;
  return { id, name, instance, unseen: (record.data['unseen'] as UnseenVariable[] | undefined) ?? [] };
};

/** Of a running application from the kernel, of a saved one from what was recorded with its snapshot. */
export const detailsOf = async (
  house: House,
  record: ApplicationRecord,
  environment: Environment | undefined,
): Promise<AppDetail> => {
  const paths = house.layout.application(record.aid);
  const running = record.state === 'running' && environment;
  const live = running ? describeResources(house, record, environment) : { processes: [], resources: [] };
  const use = running ? liveUse(environment) : (reachableOf(record) ?? NOTHING);
  return {
    ...viewOf(record),
    spec: record.spec,
    template: cloneOrigin(record),
    generation: generationOf(record),
    environment: record.environment,
    snapshot: await snapshotOf(house, record),
    processes: [...live.processes],
    resources: [...live.resources],
    listening: use.listening,
    connections: use.connections.length,
    failure: record.failure,
    lastSleep: (record.data['lastSleep'] as AppDetail['lastSleep'] | undefined) ?? null,
    lastWake: (record.data['lastWake'] as AppDetail['lastWake'] | undefined) ?? null,
    files: join(paths.upper),
    logs: record.spec.processes.flatMap(({ name }) => [
      logFile(paths.log, name, 'stdout'),
      logFile(paths.log, name, 'stderr'),
    ]),
  };
};

/** What the scheduler measured last, and decided. */
export type Activity = Pick<TopRow, 'cpu' | 'packets' | 'idleSeconds' | 'priority' | 'requests' | 'decision'>;

export const topRow = (
  record: ApplicationRecord,
  usage: CgroupUsage | undefined,
  activity: Activity,
): TopRow => ({
  aid: record.aid,
  name: record.name,
  state: record.state,
  memory: usage?.memory ?? null,
  tasks: usage?.tasks ?? null,
  ...activity,
});
