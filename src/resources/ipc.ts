/** System V objects of an application's IPC namespace: /proc/sysvipc, which shows the objects of whoever reads it. */
import { readFileSync } from 'node:fs';
import type { Holding } from '../api/index.ts';
import { close, isErrno, openNamespace, withIpcNamespace } from '../kernel/index.ts';
import { parseTable } from './proc-text.ts';

type Row = ReadonlyMap<string, string>;

/** As ipcs(1) writes keys. */
const keyOf = (row: Row): string => `key 0x${(Number(row.get('key')) >>> 0).toString(16).padStart(8, '0')}`;

const KINDS = [
  {
    file: 'shm',
    kind: 'system-v-shared-memory',
    describe: (row: Row) =>
      `ID ${row.get('shmid')}, ${row.get('size')} bytes, attached ${row.get('nattch')} times`,
  },
  {
    file: 'sem',
    kind: 'system-v-semaphores',
    describe: (row: Row) => `ID ${row.get('semid')}, ${row.get('nsems')} semaphores`,
  },
  {
    file: 'msg',
    kind: 'system-v-messages',
    describe: (row: Row) => `ID ${row.get('msqid')}, ${row.get('qnum')} messages, ${row.get('cbytes')} bytes`,
  },
] as const;

const readTables = (): Holding[] =>
  KINDS.flatMap(({ file, kind, describe }) =>
    parseTable(readFileSync(`/proc/sysvipc/${file}`, 'utf8')).map((row) => ({
      kind,
      description: `${keyOf(row)}, ${describe(row)}`,
    })),
  );

/** Those of the namespace of process `pid`; none when it has ended. They belong to no process, so none is named. */
export const ipcHoldings = (pid: number): Holding[] => {
  try {
    const namespace = openNamespace(pid, 'ipc');
    try {
      return withIpcNamespace(namespace, readTables);
    } finally {
      close(namespace);
    }
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ESRCH')) return [];
    throw error;
  }
};
