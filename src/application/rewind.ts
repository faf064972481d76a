/**
 * Going back: the files of a snapshot take the place of the application's, and it sleeps on that snapshot. What it was before is in its
 * history. Files are replaced whole; a daemon that is killed meanwhile is followed by one that does it again.
 */
import type { RewindResult } from '../api/index.ts';
import { AppShotError } from '../common/index.ts';
import type { ApplicationRecord, SnapshotRecord } from '../registry/index.ts';
import type { House } from './context.ts';
import { verifyTree } from '../snapshots/index.ts';
import { restoreFiles } from './files.ts';
import { tellNames } from './naming.ts';
import { registerPublished } from './published.ts';

export type Closed = RewindResult['closed'];

/** The states in which the files are nobody's in use. */
const RESTING = ['asleep', 'stopped', 'failed'] as const;

/** Connections that were open in a snapshot. */
export const connectionsOf = (house: House, snapshot: SnapshotRecord): Closed => {
  const { reachable, application } = house.store.read(snapshot);
  return reachable.connections.map(({ localPort, remote, remotePort }) => ({
    local: `${application.address}:${localPort}`,
    remote: `${remote}:${remotePort}`,
  }));
};

/** Does it, or does it again. The application is `rewinding`. */
export const finishRewind = async (house: House, record: ApplicationRecord): Promise<ApplicationRecord> => {
  const id = String(record.data['rewind']);
  const snapshot = await house.registry.getSnapshot(id);
  if (!snapshot || snapshot.tree === null) throw new AppShotError('SNAPSHOT_NOT_FOUND', { snapshot: id });
  const { reachable } = await house.store.verify(snapshot);
  await restoreFiles(house, record.aid, { tree: snapshot.tree, snapshot: id });
  tellNames(house, record);
  const asleep = await house.registry.transition(record.aid, { states: ['rewinding'] }, 'asleep', {
    snapshot: id,
    failure: null,
    operation: null,
    step: null,
    data: { rewind: undefined, closeConnections: id, reachable: { ...reachable, connections: [] } },
  });
  if (!asleep) throw new Error(`${record.name} changed hands while it went back`);
  house.emit('asleep', asleep, { reason: `went back to ${id}` });
  return asleep;
};

/** Of an application that does not run, under its lock. Fails with `WRONG_STATE`, `SNAPSHOT_IN_USE`, `SNAPSHOT_CORRUPT`, `NO_SPACE`. */
export const rewindResting = async (
  house: House,
  record: ApplicationRecord,
  snapshot: SnapshotRecord,
): Promise<ApplicationRecord> => {
  if (snapshot.tree === null) throw new AppShotError('SNAPSHOT_WITHOUT_FILES', { snapshot: snapshot.id });
  // All is looked at before anything changes.
  await house.store.verify(snapshot);
  await verifyTree(house.objects, snapshot.tree, snapshot.id);
  // Another service may have what it published until it was stopped.
  const moved = await registerPublished(house, record, async () => {
    const change = { operation: 'rewind', data: { rewind: snapshot.id } } as const;
    const given = { states: RESTING, epoch: record.epoch };
    const rewinding = await house.registry.transition(record.aid, given, 'rewinding', change);
    if (rewinding) return rewinding;
    throw new AppShotError('WRONG_STATE', {
      name: record.name,
      state: record.state,
      verb: 'go back',
      advice: 'wait until what is under way has ended',
    });
  });
  house.emit('rewinding', moved);
  return finishRewind(house, moved);
};
