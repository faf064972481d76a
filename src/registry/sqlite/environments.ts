/** The rows of environments. Every function here runs inside a transaction of its caller. */
import type { EnvironmentChange, EnvironmentRecord } from '../registry.ts';
import { applyChange } from './merge.ts';
import type { ParseJson, Store } from './store.ts';

const toRecord = (row: Record<string, unknown>, parseJson: ParseJson): EnvironmentRecord => ({
  id: row['id'] as string,
  pid: row['pid'] as number,
  startTime: row['startTime'] as number,
  aid: row['aid'] as string | null,
  createdAt: row['createdAt'] as string,
  data: parseJson(row['data']) as EnvironmentRecord['data'],
});

export const environmentTable = (store: Store) => {
  const put = store.prepare(
    `INSERT INTO environments (id, pid, startTime, aid, createdAt, data)
     VALUES (:id, :pid, :startTime, :aid, :createdAt, :data)`,
  );
  const set = store.prepare(
    'UPDATE environments SET pid = :pid, startTime = :startTime, aid = :aid, data = :data WHERE id = :id',
  );
  const byId = store.prepare('SELECT * FROM environments WHERE id = ?');
  const all = store.prepare('SELECT * FROM environments ORDER BY rowid');
  const remove = store.prepare('DELETE FROM environments WHERE id = ?');
  return {
    add(environment: Omit<EnvironmentRecord, 'createdAt'>): EnvironmentRecord {
      const record = { ...environment, createdAt: new Date().toISOString() };
      put.run({ ...record, data: JSON.stringify(record.data) });
      return record;
    },
    list: (): EnvironmentRecord[] => all.all().map((row) => toRecord(row, store.parseJson)),
    update(id: string, change: EnvironmentChange): EnvironmentRecord | undefined {
      const row = byId.get(id);
      if (row === undefined) return undefined;
      const applied = applyChange(toRecord(row, store.parseJson), change);
      const { pid, startTime, aid, data } = applied;
      set.run({ id, pid, startTime, aid, data: JSON.stringify(data) });
      return applied;
    },
    remove: (id: string): boolean => remove.run(id).changes > 0,
  };
};
