/** The rows of templates. Every function here runs inside a transaction of its caller. */
import { AppShotError } from '../../common/index.ts';
import type { TemplateRecord } from '../registry.ts';
import type { Store } from './store.ts';

export const templateTable = (store: Store) => {
  const add = store.prepare(
    `INSERT INTO templates (id, name, createdAt, snapshot, instances, data)
     VALUES (:id, :name, :createdAt, :snapshot, :instances, :data)`,
  );
  const byId = store.prepare('SELECT * FROM templates WHERE id = ?');
  const byName = store.prepare('SELECT * FROM templates WHERE name = ?');
  const all = store.prepare('SELECT * FROM templates ORDER BY rowid');
  const count = store.prepare('UPDATE templates SET instances = instances + ? WHERE id = ?');
  const remove = store.prepare('DELETE FROM templates WHERE id = ?');
  const toRecord = (row: Record<string, unknown>): TemplateRecord => ({
    id: row['id'] as string,
    name: row['name'] as string,
    createdAt: row['createdAt'] as string,
    snapshot: row['snapshot'] as string,
    instances: row['instances'] as number,
    data: store.parseJson(row['data']) as TemplateRecord['data'],
  });
  const find = (nameOrId: string): TemplateRecord | undefined => {
    const row = byName.get(nameOrId) ?? byId.get(nameOrId);
    return row === undefined ? undefined : toRecord(row);
  };
  return {
    add(template: TemplateRecord): void {
      const { name } = template;
      const holder = find(name);
      if (holder !== undefined) throw new AppShotError('TEMPLATE_TAKEN', { name });
      add.run({ ...template, data: JSON.stringify(template.data) });
    },
    find,
    list: (): TemplateRecord[] => all.all().map(toRecord),
    count(id: string, more: number): number {
      const found = find(id);
      if (found === undefined) throw new AppShotError('TEMPLATE_NOT_FOUND', { name: id });
      count.run(more, found.id);
      return found.instances + 1;
    },
    remove: (id: string): boolean => remove.run(id).changes > 0,
  };
};
