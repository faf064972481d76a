/** The files of an application as a part of its snapshots: kept at the instant of its memory, made again for another life. */
import { chmodSync, existsSync, mkdirSync, readFileSync, readdirSync } from 'node:fs';
import { rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ApplicationRecord } from '../registry/index.ts';
import { captureTree, materialiseTree, readTree } from '../snapshots/index.ts';
import type { Root, Tree, TreeIndex } from '../snapshots/index.ts';
import type { Places } from '../templates/index.ts';
import type { House } from './context.ts';
import { originOf, placesOf } from './identity.ts';
import { mappingsOf } from './processes.ts';
import { shownOf } from './provision.ts';

/** What the environment puts into the root by itself. */
const OWN_MOUNTS = 'upper/.appshot';

const SHM = 'shm';

/** The directories that hold what an application wrote: over its root, in /dev/shm, over what is shown to it. */
const rootsOf = (house: House, aid: string): Root[] => {
  const { upper, shm, shown } = house.layout.application(aid);
  const layers = existsSync(shown) ? readdirSync(shown).toSorted() : [];
  return [
    { name: 'upper', directory: upper },
    { name: SHM, directory: shm, alone: true },
    ...layers.map((index) => ({ name: `shown/${index}/upper`, directory: join(shown, index, 'upper') })),
  ];
};

const readIndex = (path: string): TreeIndex | undefined => {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as TreeIndex;
  } catch {
    // Without it all files are read.
    return undefined;
  }
};

/** Paths that a process which goes on has mapped shared and writable: their times do not tell of changes. */
export type Mapped = (path: string) => boolean;

/** Trees of templates that were read last: each clone's snapshot holds its template's. */
const read = new Map<string, Promise<Tree>>();
const MOST_READ = 4;

const treeOf = (house: House, digest: string): Promise<Tree> => {
  const tree = read.get(digest) ?? readTree(house.objects, digest);
  read.delete(digest);
  read.set(digest, tree);
  tree.catch(() => read.delete(digest));
  for (const [oldest] of read) if (read.size > MOST_READ) read.delete(oldest);
  return tree;
};

/** What the application's directories lie over. */
const baseOf = async (house: House, aid: string, digest: string): Promise<Tree> => {
  const tree = await treeOf(house, digest);
  // What it was taken back to has all of /dev/shm, and lies over nothing.
  if (existsSync(house.layout.application(aid).shmWork)) return tree;
  return { ...tree, entries: tree.entries.filter(({ path }) => !path.startsWith(`${SHM}/`)) };
};

/**
 * Keeps the files of an application that does not run, or is frozen; returns the digest of their tree. That of a clone is whole without
 * its template. Fails with `NO_SPACE`; the snapshot is then one of memory alone.
 */
export const captureFiles = async (
  house: House,
  record: ApplicationRecord,
  mapped: Mapped = () => false,
): Promise<string> => {
  const { aid } = record;
  const base = originOf(record)?.tree ?? undefined;
  const { index } = house.layout.application(aid);
  const captured = await captureTree(rootsOf(house, aid), house.objects, {
    previous: readIndex(index),
    exclude: (path) => path === OWN_MOUNTS,
    mapped,
    ...(base !== undefined && { base: await baseOf(house, aid, base) }),
  });
  await writeFile(`${index}.new`, JSON.stringify(captured.index), { mode: 0o600 });
  await rename(`${index}.new`, index);
  return captured.tree;
};

/** Where a file really lies that is seen through a redirection. */
const redirected = (path: string, redirects: Places['redirects']): string => {
  const over = redirects
    .filter(({ from }) => path === from || path.startsWith(`${from}/`))
    .toSorted((one, other) => other.from.length - one.from.length)[0];
  return over === undefined ? path : `${over.to}${path.slice(over.from.length)}`;
};

/** What processes that go on have mapped shared and writable, by the names of the tree. */
export const mappedShared = (record: ApplicationRecord, pids: readonly number[]): Mapped => {
  const shown = shownOf(record.data);
  const redirects = placesOf(record)?.redirects ?? [];
  const nameOf = (name: string): string => {
    const path = redirected(name, redirects);
    if (path.startsWith('/dev/shm/')) return `shm/${path.slice('/dev/shm/'.length)}`;
    const index = shown.findIndex((directory) => path.startsWith(`${directory}/`));
    return index < 0 ? `upper${path}` : `shown/${index}/upper${path.slice((shown[index] ?? '').length)}`;
  };
  const names = new Set(
    pids
      .flatMap(mappingsOf)
      .filter(({ permissions }) => permissions.includes('w') && permissions.endsWith('s'))
      .map(({ path }) => nameOf(path)),
  );
  return (path) => names.has(path);
};

/** Makes the files of a snapshot those of an application, in place of what it has. */
export const restoreFiles = async (
  house: House,
  aid: string,
  { tree, snapshot, foreign = false }: { tree: string; snapshot: string; foreign?: boolean },
): Promise<void> => {
  const paths = house.layout.application(aid);
  const fresh = `${paths.directory}/restored`;
  await rm(fresh, { recursive: true, force: true });
  const { roots } = await readTree(house.objects, tree, snapshot);
  const targets = Object.fromEntries(roots.map((name) => [name, join(fresh, name)]));
  for (const directory of Object.values(targets)) mkdirSync(directory, { recursive: true });
  await materialiseTree(house.objects, tree, targets, { snapshot, foreign });
  for (const path of [paths.upper, paths.work, paths.shm, paths.shmWork, paths.shown, paths.index])
    await rm(path, { recursive: true, force: true });
  for (const name of readdirSync(fresh)) await rename(join(fresh, name), join(paths.directory, name));
  await rm(fresh, { recursive: true, force: true });
  for (const name of existsSync(paths.shown) ? readdirSync(paths.shown) : [])
    mkdirSync(join(paths.shown, name, 'work'), { recursive: true });
  for (const path of [paths.work, paths.log, paths.engineLog]) mkdirSync(path, { recursive: true });
  chmodSync(paths.shm, 0o1777);
};
