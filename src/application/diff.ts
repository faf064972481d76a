/** What changed between two snapshots of an application: processes, files, memory, descriptors, sockets. */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { DiffReport } from '../api/index.ts';
import { decodeImage, describeImages, imageKind } from '../criu/index.ts';
import type { DumpSummary } from '../criu/index.ts';
import type { SnapshotRecord } from '../registry/index.ts';
import { compareMemory, diffTrees, readTree } from '../snapshots/index.ts';
import type { ImagesAt } from '../snapshots/index.ts';
import type { House } from './context.ts';

type Report = Omit<DiffReport, 'aid' | 'name'>;

const describe = (house: House, directory: string): DumpSummary =>
  describeImages(
    readdirSync(directory)
      .filter((name) => imageKind(name) !== undefined && !name.startsWith('pagemap-'))
      .map((name) => decodeImage(house.schema, name, readFileSync(join(directory, name)))),
  );

/** What only the second list has, and what only the first. Equal ones are matched one by one. */
const compare = <T>(before: readonly T[], after: readonly T[]): { added: T[]; removed: T[] } => {
  const left = new Map<string, T[]>();
  for (const one of before) left.set(JSON.stringify(one), [...(left.get(JSON.stringify(one)) ?? []), one]);
  const added = after.filter((one) => left.get(JSON.stringify(one))?.pop() === undefined);
  return { added, removed: [...left.values()].flat() };
};

const descriptorsOf = ({ processes }: DumpSummary): Report['descriptors']['added'] =>
  processes.flatMap(({ pid, name, descriptors }) =>
    descriptors.map(({ fd, what }) => ({ pid, process: name, fd, what })),
  );

const socketsOf = ({ sockets }: DumpSummary): Report['sockets']['added'] =>
  sockets.map(({ protocol, local, remote, state }) => ({
    kind: protocol,
    local,
    remote: remote === '' ? null : remote,
    state: state === '' ? null : state,
  }));

const filesOf = async (
  house: House,
  before: SnapshotRecord,
  after: SnapshotRecord,
): Promise<Report['files']> => {
  if (before.tree === null || after.tree === null || before.tree === after.tree) return [];
  const [old, young] = [
    await readTree(house.objects, before.tree, before.id),
    await readTree(house.objects, after.tree, after.id),
  ];
  return (await diffTrees(old, young))
    .filter(({ before: from, after: to }) => from?.type !== 'directory' && to?.type !== 'directory')
    .map(({ path, change, after: to }) => ({
      path: pathInside(house, after, path),
      // What hides a file of the machine removes it for the application.
      change: to?.type === 'whiteout' ? 'removed' : change,
      bytes: to?.type === 'file' ? to.size : null,
    }));
};

/** As the application sees a path of a tree: `upper/etc/x` is /etc/x, `shm/x` is /dev/shm/x. */
const pathInside = (house: House, snapshot: SnapshotRecord, path: string): string => {
  const [root = '', ...rest] = path.split('/');
  if (root === 'upper') return `/${rest.join('/')}`;
  if (root === 'shm') return `/dev/shm/${rest.join('/')}`;
  const shown = house.store.read(snapshot).application.shown[Number(rest[0])] ?? '';
  return `${shown}/${rest.slice(2).join('/')}`;
};

const hexadecimal = (address: number): string => `0x${address.toString(16)}`;

const whatIs = (summary: DumpSummary, pid: number, start: number): string => {
  const mappings = summary.processes.find((one) => one.pid === pid)?.mappings ?? [];
  const found = mappings.find((one) => BigInt(`0x${one.start}`) === BigInt(start));
  if (!found || found.kind === 'anonymous') return '[anonymous]';
  return found.path === '' ? `[${found.kind}]` : found.path;
};

const imagesOf = (house: House, snapshot: SnapshotRecord): ImagesAt => {
  const { layers } = house.store.read(snapshot).memory;
  return {
    images: house.store.images(snapshot),
    layerFile: (name) => {
      const layer = layers.find(({ digest }) => digest.startsWith(name));
      if (!layer) throw new Error(`the layer ${name} is not of the snapshot ${snapshot.id}`);
      return house.store.layers.path(layer);
    },
  };
};

/** Reads both; some seconds for gigabytes of memory. Fails with `SNAPSHOT_CORRUPT`. */
export const diffSnapshots = async (
  house: House,
  before: SnapshotRecord,
  after: SnapshotRecord,
): Promise<Report> => {
  for (const one of [before, after]) await house.store.verify(one);
  const [old, young] = [before, after].map((one) => describe(house, house.store.images(one))) as [
    DumpSummary,
    DumpSummary,
  ];
  const memory: Report['memory'] = [];
  for (const { pid, name } of young.processes)
    for (const found of await compareMemory(
      house.schema,
      pid,
      imagesOf(house, before),
      imagesOf(house, after),
    ))
      memory.push({
        pid,
        process: name,
        start: hexadecimal(found.start),
        end: hexadecimal(found.end),
        what: whatIs(young, pid, found.start),
        pagesChanged: found.pages,
      });
  const programs = ({ processes }: DumpSummary) => processes.map(({ pid, name }) => ({ pid, command: name }));
  return {
    from: before.id,
    to: after.id,
    files: await filesOf(house, before, after),
    memory,
    descriptors: compare(descriptorsOf(old), descriptorsOf(young)),
    sockets: compare(socketsOf(old), socketsOf(young)),
    processes: compare(programs(old), programs(young)),
  };
};
