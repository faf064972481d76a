/**
 * The tables, as a list of migrations: a file of version N (its `user_version`) gets those behind the Nth, each in one transaction with
 * the new version. A migration that has been published is never edited.
 */
import type { DatabaseSync } from 'node:sqlite';

/** Marks the file as a registry of AppShot (SQLite's `application_id`): "ApSh". */
const APPLICATION_ID = 0x41705368;

const MIGRATIONS = [
  `CREATE TABLE applications (
     aid TEXT PRIMARY KEY,
     name TEXT NOT NULL UNIQUE,
     state TEXT NOT NULL,
     spec TEXT NOT NULL,
     address TEXT NOT NULL UNIQUE,
     hostname TEXT NOT NULL,
     epoch INTEGER NOT NULL,
     createdAt TEXT NOT NULL,
     since TEXT NOT NULL,
     snapshot TEXT,
     environment TEXT,
     step TEXT,
     operation TEXT,
     failure TEXT,
     data TEXT NOT NULL
   ) STRICT;
   CREATE TABLE addresses (address INTEGER PRIMARY KEY, aid TEXT NOT NULL UNIQUE) STRICT;
   CREATE TABLE lastAddresses (network TEXT PRIMARY KEY, address INTEGER NOT NULL) STRICT;
   CREATE TABLE snapshots (
     id TEXT PRIMARY KEY,
     aid TEXT NOT NULL REFERENCES applications (aid) ON DELETE CASCADE,
     takenAt TEXT NOT NULL,
     bytes INTEGER NOT NULL,
     parent TEXT,
     manifest TEXT NOT NULL,
     digest TEXT NOT NULL,
     pinned INTEGER NOT NULL
   ) STRICT;
   CREATE INDEX snapshotsByAid ON snapshots (aid);
   CREATE TABLE environments (
     id TEXT PRIMARY KEY,
     pid INTEGER NOT NULL,
     startTime INTEGER NOT NULL,
     aid TEXT,
     createdAt TEXT NOT NULL,
     data TEXT NOT NULL
   ) STRICT;`,
  `ALTER TABLE snapshots ADD COLUMN kind TEXT NOT NULL DEFAULT 'sleep';
   ALTER TABLE snapshots ADD COLUMN durable INTEGER NOT NULL DEFAULT 1;
   ALTER TABLE snapshots ADD COLUMN expiresAt TEXT;
   ALTER TABLE snapshots ADD COLUMN tree TEXT;`,
  // The owner of a snapshot may be a template.
  `CREATE TABLE owned (
     id TEXT PRIMARY KEY,
     aid TEXT NOT NULL,
     takenAt TEXT NOT NULL,
     bytes INTEGER NOT NULL,
     parent TEXT,
     manifest TEXT NOT NULL,
     digest TEXT NOT NULL,
     pinned INTEGER NOT NULL,
     kind TEXT NOT NULL,
     durable INTEGER NOT NULL,
     expiresAt TEXT,
     tree TEXT
   ) STRICT;
   INSERT INTO owned SELECT id, aid, takenAt, bytes, parent, manifest, digest, pinned, kind, durable, expiresAt, tree
     FROM snapshots ORDER BY rowid;
   DROP TABLE snapshots;
   ALTER TABLE owned RENAME TO snapshots;
   CREATE INDEX snapshotsByAid ON snapshots (aid);
   CREATE TABLE templates (
     id TEXT PRIMARY KEY,
     name TEXT NOT NULL UNIQUE,
     createdAt TEXT NOT NULL,
     snapshot TEXT NOT NULL,
     instances INTEGER NOT NULL,
     data TEXT NOT NULL
   ) STRICT;`,
  `CREATE TABLE networks (
     name TEXT PRIMARY KEY,
     number INTEGER NOT NULL UNIQUE,
     cidr TEXT NOT NULL UNIQUE,
     outgoing INTEGER NOT NULL,
     createdAt TEXT NOT NULL
   ) STRICT;`,
];

const pragma = (database: DatabaseSync, name: string): number =>
  Number(database.prepare(`PRAGMA ${name}`).get()?.[name]);

/** Why the file cannot be used as a registry by this version, if it cannot. */
export const findMisfit = (database: DatabaseSync): string | undefined => {
  const [id, version] = [pragma(database, 'application_id'), pragma(database, 'user_version')];
  const isEmpty = database.prepare('SELECT 1 FROM sqlite_schema LIMIT 1').get() === undefined;
  if (id !== APPLICATION_ID && !(id === 0 && isEmpty)) return "it is another program's database";
  if (version > MIGRATIONS.length) return `a newer AppShot has written it (version ${version})`;
  const problem = Object.values(database.prepare('PRAGMA quick_check(1)').get() ?? {})[0];
  return problem === 'ok' ? undefined : String(problem);
};

/** Brings the file to this version. */
export const migrate = (database: DatabaseSync): void => {
  for (let version = pragma(database, 'user_version'); version < MIGRATIONS.length; version += 1) {
    database.exec(
      `BEGIN IMMEDIATE; ${MIGRATIONS[version]}
       PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${version + 1}; COMMIT`,
    );
  }
};
