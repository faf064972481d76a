/**
 * The SQLite file: opened and checked, one transaction at a time, SQLite's errors turned into the registry's.
 *
 * The journal is a write-ahead log. With `synchronous` NORMAL a commit is a write without a flush: it survives the end of
 * the daemon, and a power cut leaves the file whole but may undo the last commits. FULL flushes the log, and all earlier commits with it,
 * before a commit returns.
 */
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { StatementSync } from 'node:sqlite';
import { AppShotError, fsyncPath, isOutOfSpace } from '../../common/index.ts';
import { findMisfit, migrate } from './schema.ts';

/** What survives a power cut. */
type Durability = 'NORMAL' | 'FULL';

/** Milliseconds to wait for another process that is writing: the event loop stands still meanwhile. */
const BUSY_TIMEOUT = 2000;

/** SQLite's primary result codes. */
const CORRUPT = 11;
const FULL = 13;
const NOT_A_DATABASE = 26;

const toRegistryError = (error: unknown, path: string): unknown => {
  const { code, errcode = 0, errstr = '' } = error as { code?: string; errcode?: number; errstr?: string };
  if (code !== 'ERR_SQLITE_ERROR') return error;
  const primary = errcode & 0xff;
  const options = { cause: error, details: { sqlite: errcode } };
  if (primary === FULL) return new AppShotError('NO_SPACE', { path, step: 'writing the registry' }, options);
  const isCorrupt = primary === CORRUPT || primary === NOT_A_DATABASE;
  return new AppShotError(
    isCorrupt ? 'REGISTRY_CORRUPT' : 'REGISTRY_UNUSABLE',
    { path, reason: errstr },
    options,
  );
};

/** As a commit with `synchronous` FULL does, but in another thread. What is no longer in the log was flushed before it left it. */
const flushLog = async (path: string): Promise<void> => {
  try {
    await fsyncPath(`${path}-wal`);
    await fsyncPath(dirname(path));
  } catch (error) {
    if (isOutOfSpace(error))
      throw new AppShotError('NO_SPACE', { path, step: 'writing the registry' }, { cause: error });
    const reason = (error as Error).message;
    throw new AppShotError('REGISTRY_UNUSABLE', { path, reason }, { cause: error });
  }
};

/** Parses what the registry itself wrote as JSON; anything else means that the file was altered. */
export type ParseJson = (text: unknown) => unknown;

export interface Store {
  readonly parseJson: ParseJson;
  prepare(sql: string): StatementSync;
  /** Runs a read; errors are the registry's. */
  read<T>(action: () => T): T;
  /** Runs `action` in a write transaction, undone when it throws. */
  write<T>(durability: Durability, action: () => T): T;
  /** Everything that was committed survives a power cut. Nothing else waits for the disk meanwhile. */
  flush(): Promise<void>;
  close(): void;
}

const openChecked = (path: string): DatabaseSync => {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const database = new DatabaseSync(path, { timeout: BUSY_TIMEOUT, enableForeignKeyConstraints: true });
  try {
    const misfit = findMisfit(database);
    if (misfit !== undefined) throw new AppShotError('REGISTRY_CORRUPT', { path, reason: misfit });
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL');
    migrate(database);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
};

const runTransaction = <T>(database: DatabaseSync, durability: Durability, action: () => T): T => {
  // SQLite ignores a change of this setting inside a transaction.
  database.exec(`PRAGMA synchronous = ${durability}; BEGIN IMMEDIATE`);
  try {
    const result = action();
    database.exec('COMMIT');
    return result;
  } catch (error) {
    // Some errors, a full disk among them, have already rolled back.
    if (database.isTransaction) database.exec('ROLLBACK');
    throw error;
  }
};

/** Opens or creates the file and its directory. Throws REGISTRY_CORRUPT, REGISTRY_UNUSABLE or NO_SPACE. */
export const openStore = (path: string): Store => {
  const guard = <T>(action: () => T): T => {
    try {
      return action();
    } catch (error) {
      throw toRegistryError(error, path);
    }
  };
  const parseJson = (text: unknown): unknown => {
    try {
      return JSON.parse(String(text)) as unknown;
    } catch (error) {
      throw new AppShotError(
        'REGISTRY_CORRUPT',
        { path, reason: (error as Error).message },
        { cause: error },
      );
    }
  };
  const database = guard(() => openChecked(path));
  return {
    parseJson,
    prepare: (sql) => database.prepare(sql),
    read: guard,
    write: (durability, action) => guard(() => runTransaction(database, durability, action)),
    flush: () => flushLog(path),
    close: () => guard(() => database.close()),
  };
};
