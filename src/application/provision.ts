/** Turns a dump into a snapshot that can be woken, without waiting for a disk. */
import type { SnapshotRecord } from '../registry/index.ts';
import type { LayerEntry } from '../snapshots/index.ts';
import type { Work } from './context.ts';

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
    application: { name, hostname, address, spec, shown: shownOf(record.data) },
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

/** Directories of the machine that an application's root shows. */
export const shownOf = (data: Readonly<Record<string, unknown>>): string[] =>
  (data['shown'] as string[] | undefined) ?? [];

/** Layers that a running application has mapped. */
export const layersOf = (data: Readonly<Record<string, unknown>>): LayerEntry[] =>
  (data['layers'] as LayerEntry[] | undefined) ?? [];
