/** Pipes and terminals, and what has no name: the kernel objects that processes wait on, and other sockets. */
import type { DumpSummary, SavedObject } from '../../criu/index.ts';
import { OWN, groupBy, pidsOf, processName } from './found.ts';
import type { ClassifyInput, Found } from './found.ts';
import { isNameless } from './sockets.ts';

/** From whom to whom a pipe leads; of each end its first holder. */
const route = (summary: DumpSummary, from: SavedObject | undefined, to: SavedObject | undefined): string => {
  const [[writer], [reader]] = [from?.holders ?? [], to?.holders ?? []];
  const beginning = writer ? `${processName(summary, writer.pid)} fd ${writer.fd}` : 'nobody';
  if (!reader) return `${beginning} to nobody`;
  const far = reader.pid === writer?.pid ? '' : `${processName(summary, reader.pid)} `;
  return `${beginning} to ${far}fd ${reader.fd}`;
};

const pipes = (summary: DumpSummary): Found[] => {
  const ends = summary.objects.filter(({ kind }) => kind === 'pipe' || kind === 'fifo');
  return [...groupBy(ends, ({ kind, same }) => `${kind} ${same}`).values()].map((some) => {
    const [writer, reader] = [some.find(({ writes }) => writes), some.find(({ reads }) => reads)];
    const pids = pidsOf(some);
    const path = some[0]?.name ?? '';
    return {
      type: 'pipe',
      name: path === '' ? route(summary, writer, reader) : path,
      // Both ends name what waits in the pipe.
      data: { processes: pids, waiting: some[0]?.waiting ?? 0 },
      traits: { shared: pids.length > 1, modifiable: true },
      action: 'copied with what waits in it',
      access: OWN,
    };
  });
};

const terminals = (summary: DumpSummary): Found[] => {
  const ends = summary.objects.filter(({ kind }) => kind === 'terminal');
  return [...groupBy(ends, ({ name, same }) => `${name} ${same}`).values()].map((some) => ({
    type: 'terminal',
    name: some[0]?.name ?? '',
    data: { processes: pidsOf(some) },
    traits: { modifiable: true, systemUnique: true },
    action: "copied; same number in the clone's own /dev/pts",
    access: OWN,
  }));
};

/** How many of a kind each process has. */
const nameless = (
  type: 'socket' | 'kernel-object',
  summary: DumpSummary,
  objects: readonly SavedObject[],
  kindOf: (object: SavedObject) => string,
): Found[] => {
  const groups = groupBy(
    objects,
    (object) => `${kindOf(object)} of ${processName(summary, object.holders[0]?.pid)}`,
  );
  return [...groups].map(([name, some]) => {
    const pids = pidsOf(some);
    return {
      type,
      name,
      data: { count: some.length, processes: pids },
      traits: { shared: pids.length > 1, modifiable: true },
      action: 'made anew as it was',
      access: OWN,
    };
  });
};

const OTHER_SOCKETS = new Set(['packet socket', 'netlink socket']);
/** What has a place of its own in the table. */
const PLACED = new Set([
  ...['file', 'directory', 'device', 'memfd', 'pipe', 'fifo', 'terminal', 'socket'],
  ...OTHER_SOCKETS,
]);

/** Sockets and kernel objects that nothing is called by. */
const others = (summary: DumpSummary): Found[] => {
  const inet = summary.objects.filter((one) => one.socket && isNameless(one.socket));
  const raw = summary.objects.filter(({ kind }) => OTHER_SOCKETS.has(kind));
  const objects = summary.objects.filter(({ kind }) => !PLACED.has(kind));
  return [
    ...nameless('socket', summary, inet, ({ socket }) => socket?.protocol ?? ''),
    ...nameless('socket', summary, raw, ({ kind }) => kind),
    ...nameless('kernel-object', summary, objects, ({ kind }) => kind),
  ];
};

export const channels = ({ summary }: ClassifyInput): Found[] => [
  ...pipes(summary),
  ...terminals(summary),
  ...others(summary),
];
