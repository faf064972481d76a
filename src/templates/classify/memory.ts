/** Processes, what is private memory of theirs, and what they share. */
import type { DumpSummary, MappingKind, SavedMapping, SavedProcess } from '../../criu/index.ts';
import { OWN, groupBy, processName, titleOf } from './found.ts';
import type { Found } from './found.ts';

const PRIVATE: ReadonlySet<MappingKind> = new Set(['heap', 'stack', 'anonymous', 'other']);

const sum = (mappings: readonly SavedMapping[]): number =>
  mappings.reduce((total, { bytes }) => total + bytes, 0);

/** What a process may change of a file that is mapped for it alone, such as the variables of a program. */
const isPrivateCopy = ({ kind, prot }: SavedMapping): boolean => kind === 'file' && prot.includes('w');

const areas = (mappings: readonly SavedMapping[]): Record<string, number> => {
  const kinds = groupBy(mappings, ({ kind }) => (kind === 'file' ? 'files' : kind));
  return Object.fromEntries([...kinds].map(([kind, ones]) => [kind, sum(ones)]));
};

const processOf = (process: SavedProcess): Found => ({
  type: 'process',
  name: titleOf(process),
  data: { pid: process.pid, parent: process.parent, threads: process.threads },
  traits: { systemUnique: true },
  action: "the same PID in the clone's own namespace",
  access: OWN,
});

const privateMemory = (process: SavedProcess): Found[] => {
  const own = process.mappings.filter((one) => PRIVATE.has(one.kind) || isPrivateCopy(one));
  const record = (how: string, some: readonly SavedMapping[]): Omit<Found, 'traits' | 'action'> => ({
    type: 'memory',
    name: `${titleOf(process)}, ${how}`,
    data: { pid: process.pid, bytes: sum(some), mappings: some.length, ...areas(some) },
    access: OWN,
  });
  const layered = own.filter((one) => one.layered);
  const beside = own.filter((one) => !one.layered);
  const found: Found[] = [];
  if (layered.length > 0)
    found.push({
      ...record('in a layer', layered),
      traits: { modifiable: true, large: true },
      action: "mapped from the template's layer; changes are private",
    });
  if (beside.length > 0)
    found.push({
      ...record('beside layers', beside),
      traits: { modifiable: true },
      action: 'copied from the template',
    });
  return found;
};

/** Memory without a name that processes have in common, and files in memory. */
const sharedMemory = (summary: DumpSummary): Found[] => {
  const uses = [
    ...summary.processes.flatMap(({ pid, mappings }) =>
      mappings
        .filter(({ kind, same }) => same !== 0 && kind !== 'system v')
        .map(({ path, same, bytes }) => ({ pid, path, same, bytes })),
    ),
    ...summary.objects
      .filter(({ kind }) => kind === 'memfd')
      .flatMap(({ name, same, holders }) => holders.map(({ pid }) => ({ pid, path: name, same, bytes: 0 }))),
  ];
  return [...groupBy(uses, ({ same }) => String(same)).values()].map((ones) => {
    const pids = [...new Set(ones.map(({ pid }) => pid))];
    const path = ones.find((one) => one.path !== '')?.path;
    return {
      type: 'shared-memory',
      name: path ?? `anonymous, of ${processName(summary, pids[0])}`,
      data: { bytes: Math.max(...ones.map(({ bytes }) => bytes)), processes: pids },
      traits: { shared: true, modifiable: true },
      action: "copied; shared by the clone's processes",
      access: OWN,
    };
  });
};

const TYPES = { memory: 'shared-memory', semaphores: 'semaphore', queue: 'message-queue' } as const;
const COUNTED = { memory: 'bytes', semaphores: 'semaphores', queue: 'messages' } as const;

/** As ipcs(1) writes keys. */
const hexadecimal = (key: number): string => `0x${key.toString(16).padStart(8, '0')}`;

const systemV = ({ systemV: all, processes }: DumpSummary): Found[] =>
  all.map(({ kind, key, id, size }) => {
    const attached = processes.filter(({ mappings }) =>
      mappings.some((one) => kind === 'memory' && one.kind === 'system v' && one.same === id),
    );
    return {
      type: TYPES[kind],
      name: `key ${hexadecimal(key)}, ID ${id}`,
      data: {
        key,
        id,
        [COUNTED[kind]]: size,
        ...(kind === 'memory' ? { processes: attached.map(({ pid }) => pid) } : {}),
      },
      traits: { shared: true, modifiable: true, systemUnique: true },
      action: "copied; the same key and ID in the clone's own namespace",
      access: OWN,
    };
  });

export const memory = (summary: DumpSummary): Found[] => [
  ...summary.processes.map(processOf),
  ...summary.processes.flatMap(privateMemory),
  ...sharedMemory(summary),
  ...systemV(summary),
];
