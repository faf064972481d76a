/** The rows of snapshots. Every function here runs inside a transaction of its caller. */
import type { SnapshotChange, SnapshotRecord } from '../registry.ts';
import type { Store } from './store.ts';

const toRecord = (row: Record<string, unknown>): SnapshotRecord => ({
  id: row['id'] as string,
  aid: row['aid'] as string,
  takenAt: row['takenAt'] as string,
  kind: row['kind'] as SnapshotRecord['kind'],
  bytes: row['bytes'] as number,
  parent: row['parent'] as string | null,
  manifest: row['manifest'] as string,
  digest: row['digest'] as string,
  durable: row['durable'] === 1,
  pinned: row['pinned'] === 1,
  expiresAt: row['expiresAt'] as string | null,
  tree: row['tree'] as string | null,
});

const toRow = (snapshot: SnapshotRecord) => ({
  ...snapshot,
  durable: Number(snapshot.durable),
  pinned: Number(snapshot.pinned),
});

export const snapshotTable = (store: Store) => {
  const add = store.prepare(
    `INSERT INTO snapshots (id, aid, takenAt, kind, bytes, parent, manifest, digest, durable, pinned, expiresAt, tree)
     VALUES (:id, :aid, :takenAt, :kind, :bytes, :parent, :manifest, :digest, :durable, :pinned, :expiresAt, :tree)`,
  );
  const change = store.prepare(
    `UPDATE snapshots SET bytes = :bytes, manifest = :manifest, digest = :digest, durable = :durable, pinned = :pinned,
     expiresAt = :expiresAt, tree = :tree WHERE id = :id`,
  );
  const byId = store.prepare('SELECT * FROM snapshots WHERE id = ?');
  const byAid = store.prepare('SELECT * FROM snapshots WHERE aid = ? ORDER BY rowid');
  const all = store.prepare('SELECT * FROM snapshots ORDER BY rowid');
  const remove = store.prepare('DELETE FROM snapshots WHERE id = ?');
  const removeOf = store.prepare('DELETE FROM snapshots WHERE aid = ?');
  const get = (id: string): SnapshotRecord | undefined => {
    const row = byId.get(id);
    return row === undefined ? undefined : toRecord(row);
  };
  return {
    add(snapshot: SnapshotRecord): void {
      add.run(toRow(snapshot));
    },
    get,
    list: (aid?: string): SnapshotRecord[] =>
      (aid === undefined ? all.all() : byAid.all(aid)).map((row) => toRecord(row)),
    update(id: string, changes: SnapshotChange): SnapshotRecord | undefined {
      const found = get(id);
      if (found === undefined) return undefined;
      const {
        aid: _aid,
        takenAt: _takenAt,
        kind: _kind,
        parent: _parent,
        ...row
      } = toRow({ ...found, ...changes });
      change.run(row);
      return { ...found, ...changes };
    },
    remove: (id: string): boolean => remove.run(id).changes > 0,
    /** All of an application or a template. */
    removeOf(aid: string): void {
      removeOf.run(aid);
    },
  };
};
