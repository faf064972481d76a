/**
 * The tables of an application that sleeps, from the images of its snapshot: what it calls everything, with nothing of it on the machine
 * but its files, and its address, to which this machine answers.
 */
import { TRANSLATION_TYPES } from '../../api/index.ts';
import type { TranslationType } from '../../api/index.ts';
import { describeImages } from '../../criu/index.ts';
import type { DumpSummary, Fields, Image } from '../../criu/index.ts';
import type { BoundPort, Registered, SystemVObject } from './facts.ts';
import { systemVRow } from './live.ts';
import { addressRows, hostnameRows, linkRows, pathRows, portRows, sharedMemoryRows } from './registered.ts';
import { TranslationTables } from './table.ts';
import type { Row } from './table.ts';

/** What the images say: those of a dump, decoded, without those of memory. */
interface SavedView {
  readonly summary: DumpSummary;
  /** The entries of `pstree.img`. */
  readonly tree: readonly Fields[];
  /** The address that it had: a clone which has not been awake yet has another one. */
  readonly address: string;
  /** Ports that packets wake it by. */
  readonly listening: readonly BoundPort[];
  /** Nanoseconds at which its clocks stand. */
  readonly clocks: Readonly<Record<string, string>>;
}

const saved = (virtual: string | number, note: string): Row => ({
  virtual: String(virtual),
  system: null,
  since: 'allocation',
  note,
});

const distinct = (rows: readonly Row[]): Row[] => [
  ...new Map(rows.map((row) => [row.virtual, row])).values(),
];

const KINDS = { memory: 'shm', semaphores: 'sem', queue: 'msg' } as const;

const systemVOf = ({ systemV }: DumpSummary): SystemVObject[] =>
  systemV.map(({ kind, id, key }) => ({ kind: KINDS[kind], id, key: key >>> 0 }));

/** `10.10.0.2:80`, `[::]:80`, and of any IPv4 address `0.0.0.0:80`. */
const ADDRESS_AND_PORT = /^\[?([^\]]*)\]?:(\d+)$/;

const boundOf = ({ summary: { sockets }, address: former }: SavedView, own: string): BoundPort[] =>
  sockets.flatMap(({ protocol, local, state }) => {
    const [, address, port] = ADDRESS_AND_PORT.exec(local) ?? [];
    const isBound = (protocol === 'tcp' && state === 'listening') || protocol === 'udp';
    if (!isBound || address === undefined || port === '0') return [];
    return [{ protocol, address: address === former ? own : address, port: Number(port) }];
  });

const usedPaths = ({ processes }: DumpSummary) =>
  processes
    .flatMap(({ workingDirectory, descriptors }) => [
      workingDirectory,
      ...descriptors.map(({ what }) => what),
    ])
    .map((path) => path.replace(/^fifo (?=\/)/, ''))
    .filter((path) => path.startsWith('/'))
    .map((path) => ({ path }));

const groupRows = ({ tree }: SavedView, field: 'pgid' | 'sid'): Row[] =>
  distinct(tree.map((entry) => saved(Number(entry[field]), '')).filter(({ virtual }) => virtual !== '0'));

const ROWS: Readonly<Record<TranslationType, (view: SavedView, registered: Registered) => Row[]>> = {
  pid: ({ summary }) =>
    summary.processes.map(({ pid, name }, index): Row => {
      const row = saved(pid, name);
      return index === 0 ? { ...row, since: 'registration' } : row;
    }),
  tid: ({ tree }) =>
    tree.flatMap((entry) =>
      ((entry['threads'] as number[] | undefined) ?? []).map((id) =>
        saved(id, `of process ${Number(entry['pid'])}`),
      ),
    ),
  pgid: (view) => groupRows(view, 'pgid'),
  sid: (view) => groupRows(view, 'sid'),
  ipc: ({ summary }, registered) => [
    ...systemVOf(summary).map((object) => systemVRow(object, undefined)),
    ...sharedMemoryRows(registered),
  ],
  fd: ({ summary }) =>
    summary.processes.flatMap(({ pid, descriptors }) =>
      descriptors.map(({ fd, what }) => saved(`${pid}:${fd}`, what)),
    ),
  address: (_, registered) => addressRows({ ...registered, link: undefined }),
  hostname: (_, registered) => hostnameRows(registered, undefined),
  port: (view, registered) =>
    portRows([...view.listening, ...boundOf(view, registered.address)], registered, undefined),
  path: ({ summary }, registered) => pathRows(usedPaths(summary), registered),
  link: (_, registered) => linkRows(registered),
  clock: ({ clocks }) =>
    Object.entries(clocks).map(([clock, nanoseconds]) => ({
      ...saved(clock, `stands at ${Number(BigInt(nanoseconds) / 1_000_000n) / 1000} s`),
      since: 'registration',
    })),
};

/** What a snapshot and its manifest say. */
export interface SavedFacts extends Pick<SavedView, 'address' | 'listening' | 'clocks'> {
  /** Decoded; those of memory may be left out. Of what has no snapshot there are none. */
  readonly images: readonly Image[];
}

/** Those of these types. */
export const savedTablesOf = (
  { images, ...facts }: SavedFacts,
  registered: Registered,
  types: readonly TranslationType[] = TRANSLATION_TYPES,
): TranslationTables => {
  const tree = images.find(({ name }) => name === 'pstree.img')?.entries.map(({ message }) => message) ?? [];
  const view: SavedView = { summary: describeImages(images), tree, ...facts };
  const tables = new TranslationTables(registered.node);
  for (const type of types) for (const row of ROWS[type](view, registered)) tables.of(type).insert(row);
  return tables;
};
