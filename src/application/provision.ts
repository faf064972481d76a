/** Turns a dump into a snapshot that can be woken, without waiting for a disk. */
import { AppShotError } from '../common/index.ts';
import type { SnapshotRecord } from '../registry/index.ts';
import type { LayerEntry } from '../snapshots/index.ts';
import { environmentOf } from './context.ts';
import type { Work } from './context.ts';
import { engineFailure } from './evidence.ts';
import { generationOf } from './identity.ts';
import { isTraced, systemPid } from './processes.ts';

/** Completes the dump that the engine holds; the registry does not know of it yet. Synchronous: the processes are frozen. */
export const provision = (work: Work, kind: SnapshotRecord['kind']): SnapshotRecord => {
  const { house, record, held, reachable, fingerprint } = work;
  if (!held || !reachable || !fingerprint) throw new Error('nothing was saved');
  const { name, hostname, address, spec, aid } = record;
  const facts = {
    aid,
    kind,
    parent: record.snapshot,
    engine: { version: house.engine.version },
    application: {
      name,
      hostname,
      address,
      spec,
      shown: shownOf(record.data),
      generation: generationOf(record),
    },
    clocks: held.clocks,
    processes: held.processes,
    reachable,
    fingerprint,
  };
  const { manifest, path, digest, bytes } = house.store.provision(
    held.snapshot,
    facts,
    layersOf(record.data),
  );
  work.bytes = bytes;
  return {
    id: held.snapshot,
    aid,
    takenAt: manifest.takenAt,
    kind,
    bytes,
    parent: record.snapshot,
    manifest: path,
    digest,
    durable: false,
    tree: null,
    ...(work.retention ?? { pinned: false, expiresAt: null }),
  };
};

/**
 * Makes sure that the engine still holds the processes: if it has ended they have gone on since, and the snapshot is of the past. The
 * kernel lets go of them before anybody can tell this daemon. Fails with `ENGINE_FAILED`.
 */
export const requireHeld = async (work: Work): Promise<void> => {
  const { house, record, lost } = work;
  const root = systemPid(house, environmentOf(work), Number(record.data['rootPid']));
  if (lost === undefined && isTraced(root)) return;
  const ended = new AppShotError('ENGINE_FAILED', { reason: 'it ended while it held the processes' });
  throw await engineFailure(work, 'dump.log', lost ?? ended);
};

/** Directories of the machine that an application's root shows. */
export const shownOf = (data: Readonly<Record<string, unknown>>): string[] =>
  (data['shown'] as string[] | undefined) ?? [];

/** Layers that a running application has mapped. */
export const layersOf = (data: Readonly<Record<string, unknown>>): LayerEntry[] =>
  (data['layers'] as LayerEntry[] | undefined) ?? [];
