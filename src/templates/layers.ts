/** Where the files of an application lie in the tree of its snapshots, and by which path its programs know them. */
import { isWithin } from './places.ts';

const ROOT = 'upper';
const SHM = 'shm';
const SHM_INSIDE = '/dev/shm';

/** The path that programs know; undefined for a root of the tree itself. `shown` are the directories of the machine below its own. */
export const insideOf = (name: string, shown: readonly string[]): string | undefined => {
  const [root, ...below] = name.split('/');
  const rest = (names: readonly string[]): string | undefined =>
    names.length === 0 ? undefined : `/${names.join('/')}`;
  const under = (directory: string, path: string | undefined): string | undefined =>
    path === undefined ? undefined : `${directory}${path}`;
  if (root === ROOT) return rest(below);
  if (root === SHM) return under(SHM_INSIDE, rest(below));
  const directory = shown[Number(below[0])];
  return directory === undefined ? undefined : under(directory, rest(below.slice(2)));
};

/** The root of the tree in which a path lies, and the path from there. */
export const layerOf = (path: string, shown: readonly string[]): { root: string; below: string } => {
  const from = (root: string, directory: string): { root: string; below: string } => ({
    root,
    below: path.slice(directory.length + 1),
  });
  if (isWithin(path, SHM_INSIDE)) return from(SHM, SHM_INSIDE);
  const index = shown.findIndex((directory) => path !== directory && isWithin(path, directory));
  return index < 0 ? from(ROOT, '') : from(`shown/${index}/upper`, shown[index] ?? '');
};
