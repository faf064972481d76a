import { expect } from 'vitest';
import { eventually } from '../eventually.ts';
import { fixture } from './program.ts';
import type { Place, Program } from './program.ts';

const PORT = 5432;

const psqlArguments = (at: Place): string[] => [
  '--no-psqlrc',
  ...[
    '-qAt',
    '-h',
    at.address,
    '-p',
    String(PORT),
    '-U',
    'postgres',
    '-d',
    'postgres',
    '-v',
    'ON_ERROR_STOP=1',
  ],
];

export const query = async (at: Place, sql: string): Promise<string> => {
  const { stdout } = await at.lab.exec('psql', [...psqlArguments(at), '-c', sql]);
  return stdout.trim();
};

/** PostgreSQL with all its processes; a psql keeps a transaction open across each sleep. */
export const postgres: Program = {
  name: 'postgres',
  port: PORT,
  launch: {
    processes: { postgres: { user: 'postgres', command: [fixture('postgres.sh'), String(PORT)] } },
  },
  ready: async (at) => {
    await eventually(async () => expect(await query(at, 'SELECT 1')).toBe('1'), 30_000, 100);
  },
  begin: async (at) => {
    await query(at, 'CREATE TABLE entry (id int PRIMARY KEY)');
    await query(at, 'INSERT INTO entry SELECT generate_series(1, 1000)');
    const session = await at.lab.talk('psql', psqlArguments(at));
    let last = 1000;
    const insertUncommitted = async (): Promise<void> => {
      session.tell(`BEGIN; INSERT INTO entry VALUES (${last + 1}) RETURNING 'inserted ' || id;`);
      await session.hear(new RegExp(`^inserted ${last + 1}$`));
    };
    await insertUncommitted();
    return {
      goOn: async () => {
        expect(await query(at, 'SELECT count(*) FROM entry')).toBe(String(last));
        session.tell(`SELECT 'mine ' || count(*) FROM entry;`);
        await session.hear(new RegExp(`^mine ${last + 1}$`));
        session.tell(`COMMIT; SELECT 'committed';`);
        await session.hear(/^committed$/);
        expect(await query(at, 'SELECT max(id), count(*) FROM entry')).toBe(`${last + 1}|${last + 1}`);
        last += 1;
        await insertUncommitted();
      },
      close: session.close,
    };
  },
  openIdle: async (at) => {
    const session = await at.lab.talk('psql', psqlArguments(at));
    const backend = async (): Promise<string | undefined> => {
      session.tell(`SELECT 'backend ' || pg_backend_pid() || ' ' || pg_is_in_recovery();`);
      return (await session.hear(/^backend (\d+ false)$/))[1];
    };
    const first = await backend();
    return {
      check: async () => expect(await backend()).toBe(first),
      close: session.close,
    };
  },
};
