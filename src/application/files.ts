/** The files of an application as a part of its snapshots: kept at the instant of its memory, made again for another life. */
import { chmodSync, existsSync, mkdirSync, readFileSync, readdirSync } from 'node:fs';
import { rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ApplicationRecord } from '../registry/index.ts';
import { captureTree, materialiseTree, readTree } from '../snapshots/index.ts';
import type { Root, TreeIndex } from '../snapshots/index.ts';
import type { House } from './context.ts';
import { mappingsOf } from './processes.ts';
import { shownOf } from './provision.ts';

/** What the environment puts into the root by itself. */
const OWN_MOUNTS = 'upper/.appshot';

/** The directories that hold what an application wrote: over its root, in /dev/shm, over what is shown to it. */
const rootsOf = (house: House, aid: string): Root[] => {
  const { upper, shm, shown } = house.layout.application(aid);
  const layers = existsSync(shown) ? readdirSync(shown).toSorted() : [];
  return [
    { name: 'upper', directory: upper },
    { name: 'shm', directory: shm },
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

/**
 * Keeps the files of an application that does not run, or is frozen; returns the digest of their tree. Fails with `NO_SPACE`; the
 * snapshot is then one of memory alone.
 */
export const captureFiles = async (
  house: House,
  aid: string,
  mapped: Mapped = () => false,
): Promise<string> => {
  const { index } = house.layout.application(aid);
  const captured = await captureTree(rootsOf(house, aid), house.objects, {
    previous: readIndex(index),
    exclude: (path) => path === OWN_MOUNTS,
    mapped,
  });
  await writeFile(`${index}.new`, JSON.stringify(captured.index), { mode: 0o600 });
  await rename(`${index}.new`, index);
  return captured.tree;
};

/** What processes that go on have mapped shared and writable, by the names of the tree. */
export const mappedShared = (record: ApplicationRecord, pids: readonly number[]): Mapped => {
  const shown = shownOf(record.data);
  const nameOf = (path: string): string => {
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
  for (const path of [paths.upper, paths.work, paths.shm, paths.shown, paths.index])
    await rm(path, { recursive: true, force: true });
  for (const name of readdirSync(fresh)) await rename(join(fresh, name), join(paths.directory, name));
  await rm(fresh, { recursive: true, force: true });
  for (const name of existsSync(paths.shown) ? readdirSync(paths.shown) : [])
    mkdirSync(join(paths.shown, name, 'work'), { recursive: true });
  for (const path of [paths.work, paths.log, paths.engineLog]) mkdirSync(path, { recursive: true });
  chmodSync(paths.shm, 0o1777);
};
