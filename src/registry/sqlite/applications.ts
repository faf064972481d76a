/** The rows of applications. Every function here runs inside a transaction of its caller. */
import type { State } from '../../api/index.ts';
import { AppShotError } from '../../common/index.ts';
import type { ApplicationChange, ApplicationRecord, Expected, Failure, Operation } from '../registry.ts';
import { applyChange } from './merge.ts';
import type { ParseJson, Store } from './store.ts';

type Row = Record<string, unknown>;

const toRecord = (row: Row, parseJson: ParseJson): ApplicationRecord => ({
  aid: row['aid'] as string,
  name: row['name'] as string,
  state: row['state'] as State,
  spec: parseJson(row['spec']) as ApplicationRecord['spec'],
  address: row['address'] as string,
  hostname: row['hostname'] as string,
  epoch: row['epoch'] as number,
  createdAt: row['createdAt'] as string,
  since: row['since'] as string,
  snapshot: row['snapshot'] as string | null,
  environment: row['environment'] as string | null,
  step: row['step'] as string | null,
  operation: row['operation'] as Operation | null,
  failure: row['failure'] === null ? null : (parseJson(row['failure']) as Failure),
  data: parseJson(row['data']) as ApplicationRecord['data'],
});

/** The columns that never change, then those that do. */
const FIXED = ['aid', 'name', 'spec', 'address', 'hostname', 'createdAt'] as const;
const VARYING = [
  'state',
  'epoch',
  'since',
  'snapshot',
  'environment',
  'step',
  'operation',
  'failure',
  'data',
] as const;

type NewApplication = Pick<ApplicationRecord, 'aid' | 'name' | 'state' | 'spec' | 'address' | 'hostname'>;

const BLANK = {
  epoch: 1,
  snapshot: null,
  environment: null,
  step: null,
  operation: null,
  failure: null,
  data: {},
} as const;

const varyingValues = (record: ApplicationRecord) => ({
  state: record.state,
  epoch: record.epoch,
  since: record.since,
  snapshot: record.snapshot,
  environment: record.environment,
  step: record.step,
  operation: record.operation,
  failure: record.failure === null ? null : JSON.stringify(record.failure),
  data: JSON.stringify(record.data),
});

const now = (): string => new Date().toISOString();

/** The record in a new state, and so with a new epoch. */
const enter = (record: ApplicationRecord, state: State, change: ApplicationChange): ApplicationRecord => ({
  ...applyChange(record, change),
  state,
  epoch: record.epoch + 1,
  since: state === record.state ? record.since : now(),
});

const isExpected = (record: ApplicationRecord, { states, epoch }: Expected): boolean =>
  states.includes(record.state) && (epoch === undefined || record.epoch === epoch);

const prepare = (store: Store) => {
  const columns = [...FIXED, ...VARYING];
  const assignments = VARYING.map((column) => `${column} = :${column}`).join(', ');
  return {
    insert: store.prepare(
      `INSERT INTO applications (${columns.join(', ')}) VALUES (${columns.map((column) => `:${column}`).join(', ')})`,
    ),
    write: store.prepare(`UPDATE applications SET ${assignments} WHERE aid = :aid`),
    byAid: store.prepare('SELECT * FROM applications WHERE aid = ?'),
    byName: store.prepare('SELECT * FROM applications WHERE name = ?'),
    all: store.prepare('SELECT * FROM applications ORDER BY rowid'),
    remove: store.prepare('DELETE FROM applications WHERE aid = ?'),
  };
};

export const applicationTable = (store: Store) => {
  const statements = prepare(store);
  const read = (row: Row | undefined) => (row === undefined ? undefined : toRecord(row, store.parseJson));
  const get = (aid: string): ApplicationRecord | undefined => read(statements.byAid.get(aid));
  const find = (nameOrAid: string): ApplicationRecord | undefined =>
    get(nameOrAid) ?? read(statements.byName.get(nameOrAid));
  const write = (record: ApplicationRecord): ApplicationRecord => {
    statements.write.run({ aid: record.aid, ...varyingValues(record) });
    return record;
  };
  return {
    get,
    find,
    list: (): ApplicationRecord[] => statements.all.all().map((row) => toRecord(row, store.parseJson)),
    /** Throws AID_TAKEN or NAME_TAKEN; a name and an AID may not meet either, so that `find` is never ambiguous. */
    checkFree(aid: string, name: string): void {
      if (find(aid) !== undefined) throw new AppShotError('AID_TAKEN', { aid });
      const holder = find(name);
      if (holder !== undefined) throw new AppShotError('NAME_TAKEN', { name, aid: holder.aid });
    },
    insert(fixed: NewApplication, change: ApplicationChange): ApplicationRecord {
      const { aid, name, address, hostname } = fixed;
      const at = now();
      const record = applyChange<ApplicationRecord>({ ...fixed, ...BLANK, createdAt: at, since: at }, change);
      const spec = JSON.stringify(record.spec);
      statements.insert.run({ aid, name, address, hostname, spec, createdAt: at, ...varyingValues(record) });
      return record;
    },
    update(aid: string, change: ApplicationChange): ApplicationRecord {
      const record = get(aid);
      if (record === undefined) throw new AppShotError('APP_NOT_FOUND', { name: aid });
      return write(applyChange(record, change));
    },
    /** `undefined` when the application is not as expected. */
    transition(
      aid: string,
      expected: Expected,
      state: State,
      change: ApplicationChange,
    ): ApplicationRecord | undefined {
      const record = get(aid);
      if (record === undefined || !isExpected(record, expected)) return undefined;
      return write(enter(record, state, change));
    },
    remove: (aid: string): boolean => statements.remove.run(aid).changes > 0,
  };
};
