/** The rows of environments; the columns `aid` and `data` are of earlier versions. Every function here runs inside a transaction of its caller. */
import type { EnvironmentRecord } from '../registry.ts';
import type { Store } from './store.ts';

const toRecord = (row: Record<string, unknown>): EnvironmentRecord => ({
  id: row['id'] as string,
  pid: row['pid'] as number,
  startTime: row['startTime'] as number,
  createdAt: row['createdAt'] as string,
});

export const environmentTable = (store: Store) => {
  const put = store.prepare(
    `INSERT INTO environments (id, pid, startTime, aid, createdAt, data)
     VALUES (:id, :pid, :startTime, NULL, :createdAt, '{}')`,
  );
  const all = store.prepare('SELECT * FROM environments ORDER BY rowid');
  const remove = store.prepare('DELETE FROM environments WHERE id = ?');
  return {
    add(environment: Omit<EnvironmentRecord, 'createdAt'>): EnvironmentRecord {
      const record = { ...environment, createdAt: new Date().toISOString() };
      put.run({ ...record });
      return record;
    },
    list: (): EnvironmentRecord[] => all.all().map(toRecord),
    remove: (id: string): boolean => remove.run(id).changes > 0,
  };
};
