/** The rows of snapshots. Every function here runs inside a transaction of its caller. */
import type { SnapshotRecord } from '../registry.ts';
import type { Store } from './store.ts';

const toRecord = (row: Record<string, unknown>): SnapshotRecord => ({
  id: row['id'] as string,
  aid: row['aid'] as string,
  takenAt: row['takenAt'] as string,
  bytes: row['bytes'] as number,
  parent: row['parent'] as string | null,
  manifest: row['manifest'] as string,
  digest: row['digest'] as string,
  pinned: row['pinned'] === 1,
});

export const snapshotTable = (store: Store) => {
  const add = store.prepare(
    `INSERT INTO snapshots (id, aid, takenAt, bytes, parent, manifest, digest, pinned)
     VALUES (:id, :aid, :takenAt, :bytes, :parent, :manifest, :digest, :pinned)`,
  );
  const byId = store.prepare('SELECT * FROM snapshots WHERE id = ?');
  const byAid = store.prepare('SELECT * FROM snapshots WHERE aid = ? ORDER BY rowid');
  const remove = store.prepare('DELETE FROM snapshots WHERE id = ?');
  return {
    add(snapshot: SnapshotRecord): void {
      add.run({ ...snapshot, pinned: Number(snapshot.pinned) });
    },
    get(id: string): SnapshotRecord | undefined {
      const row = byId.get(id);
      return row === undefined ? undefined : toRecord(row);
    },
    list: (aid: string): SnapshotRecord[] => byAid.all(aid).map((row) => toRecord(row)),
    remove: (id: string): boolean => remove.run(id).changes > 0,
  };
};
