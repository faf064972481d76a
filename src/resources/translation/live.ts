/** The tables of an application that runs. Pure but for the places of its files, which are looked up. */
import { TRANSLATION_TYPES } from '../../api/index.ts';
import type { TranslationType } from '../../api/index.ts';
import type { HeldDescriptor, IdPair, KernelView, Registered, SystemVObject } from './facts.ts';
import { addressRows, hostnameRows, linkRows, pathRows, portRows, sharedMemoryRows } from './registered.ts';
import { TranslationTables } from './table.ts';
import type { Row } from './table.ts';

const idRow = ({ system, virtual }: IdPair, note: string, since: Row['since'] = 'allocation'): Row => ({
  virtual: String(virtual),
  system: String(system),
  since,
  note,
});

const processRows = ({ processes, initPid, rootPid }: KernelView): Row[] =>
  processes.map((process) => {
    if (process.system === initPid) return idRow(process, "its environment's first process", 'registration');
    return idRow(process, process.name, process.system === rootPid ? 'registration' : 'allocation');
  });

/** Groups and sessions that several processes are in, once; those that were made outside have no name inside. */
const sharedIds = (view: KernelView, of: 'group' | 'session'): Row[] => {
  const members = new Map<number, { id: IdPair; names: string[] }>();
  for (const { [of]: id, virtual } of view.processes) {
    if (id.virtual === 0) continue;
    const known = members.get(id.virtual) ?? { id, names: [] };
    known.names.push(String(virtual));
    members.set(id.virtual, known);
  }
  return [...members.values()].map(({ id, names }) =>
    idRow(id, `process${names.length === 1 ? '' : 'es'} ${names.join(', ')}`),
  );
};

const keyText = (key: number): string => `0x${key.toString(16).padStart(8, '0')}`;

/** Named by ID, and by key unless it is private. */
export const systemVRow = ({ kind, id, key }: SystemVObject, namespace: string | undefined): Row => ({
  virtual: `${kind}:${id}`,
  also: key === 0 ? [] : [`${kind}:${keyText(key)}`],
  system: namespace === undefined ? null : `${namespace}:${kind}:${id}`,
  since: 'allocation',
});

/** One row for each POSIX message queue, whoever has it open. */
const queueRows = (descriptors: readonly HeldDescriptor[], namespace: string): Row[] => [
  ...new Map(
    descriptors
      .filter(({ isQueue }) => isQueue)
      .map(({ target, object }) => {
        const virtual = `posix-mq:${target}`;
        const objects = object === undefined ? [] : [object];
        const row: Row = { virtual, system: `${namespace}:${virtual}`, objects, since: 'allocation' };
        return [virtual, row] as const;
      }),
  ).values(),
];

const ipcRows = (view: KernelView, registered: Registered): Row[] => {
  const namespace = view.namespace('ipc');
  return [
    ...view.systemV.map((object) => systemVRow(object, namespace)),
    ...sharedMemoryRows(registered),
    ...queueRows(view.descriptors, namespace),
  ];
};

const descriptorRow = ({ process, fd, target, object }: HeldDescriptor): Row => ({
  virtual: `${process.virtual}:${fd}`,
  system: `${process.system}:${fd}`,
  objects: object === undefined ? [] : [object],
  since: 'allocation',
  note: target,
});

const DELETED = / \(deleted\)$/;

const usedPaths = ({ descriptors, workingDirectories }: KernelView) => [
  ...workingDirectories.map((path) => ({ path })),
  ...descriptors
    .filter(({ target, isQueue }) => target.startsWith('/') && !isQueue && !DELETED.test(target))
    .map(({ target, object }) => ({ path: target, object })),
];

const clockRows = (view: KernelView): Row[] =>
  view.clocks.map(({ clock, seconds }) => ({
    virtual: clock,
    system: `${view.namespace('time')}:${clock}`,
    since: 'registration',
    note: `${Math.abs(seconds)} s ${seconds < 0 ? 'behind' : 'ahead of'} this machine's`,
  }));

const ROWS: Readonly<Record<TranslationType, (view: KernelView, registered: Registered) => Row[]>> = {
  pid: processRows,
  tid: ({ threads }) =>
    threads.map((thread) => idRow(thread, `${thread.name}, of process ${thread.process.virtual}`)),
  pgid: (view) => sharedIds(view, 'group'),
  sid: (view) => sharedIds(view, 'session'),
  ipc: ipcRows,
  fd: ({ descriptors }) => descriptors.map(descriptorRow),
  address: (_, registered) => addressRows(registered),
  hostname: (view, registered) => hostnameRows(registered, (type) => view.namespace(type)),
  port: (view, registered) => portRows(view.bound, registered, (type) => view.namespace(type)),
  path: (view, registered) => pathRows(usedPaths(view), registered),
  link: (_, registered) => linkRows(registered),
  clock: clockRows,
};

/** Those of these types; nothing is read of the kernel for the others. Throws `TranslationConflict`, which the kernel rules out. */
export const tablesOf = (
  view: KernelView,
  registered: Registered,
  types: readonly TranslationType[] = TRANSLATION_TYPES,
): TranslationTables => {
  const tables = new TranslationTables(registered.node);
  for (const type of types) for (const row of ROWS[type](view, registered)) tables.of(type).insert(row);
  return tables;
};
