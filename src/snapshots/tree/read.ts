/** Reads trees from a store, and tells what they refer to. */
import { AppShotError } from '../../common/index.ts';
import type { ObjectStore } from '../objects.ts';
import { BadTree, LARGEST_TREE, decodeTree } from './encode.ts';
import type { Tree } from './encode.ts';
import type { Entry } from './entry.ts';
import { Pace } from './pace.ts';

const LIST = 'the list of its files';

const corrupt = (snapshot: string, reason: string, cause: unknown): AppShotError =>
  new AppShotError('SNAPSHOT_CORRUPT', { snapshot, file: LIST, reason }, { cause });

/** A tree by its digest. Fails with `SNAPSHOT_CORRUPT` when it is missing, altered or not a tree; `snapshot` is what the error names. */
export const readTree = async (objects: ObjectStore, digest: string, snapshot = digest): Promise<Tree> => {
  await objects.verify(digest, { snapshot, file: LIST });
  try {
    return await decodeTree(await objects.bytes(digest, LARGEST_TREE));
  } catch (error) {
    if (error instanceof BadTree || error instanceof RangeError)
      throw corrupt(snapshot, error.message, error);
    throw error;
  }
};

/** The objects that hold an entry's content. */
const objectsOf = (entry: Entry): string[] =>
  entry.type === 'file' ? (entry.parts ?? []).map(([, , digest]) => digest) : [];

/** Digests of all objects that a tree needs, its own first. Only its own is read. Fails as `readTree` does. */
export const treeObjects = async (
  objects: ObjectStore,
  digest: string,
  snapshot = digest,
): Promise<string[]> => {
  const { entries } = await readTree(objects, digest, snapshot);
  return [...new Set([digest, ...entries.flatMap(objectsOf)])];
};

/** Makes sure that the objects of an entry are there, whole, and as long as the entry says. */
const verifyContent = async (objects: ObjectStore, entry: Entry, snapshot: string): Promise<void> => {
  if (entry.type !== 'file') return;
  for (const [, length, digest] of entry.parts ?? []) {
    await objects.verify(digest, { snapshot, file: entry.path });
    if (objects.size(digest) === length) continue;
    const reason = `the object ${digest} does not have ${length} bytes`;
    throw new AppShotError('SNAPSHOT_CORRUPT', { snapshot, file: entry.path, reason });
  }
};

/** Reads a tree and makes sure of every object it needs. Fails with `SNAPSHOT_CORRUPT`, naming the file and the object. */
export const verifyTree = async (objects: ObjectStore, digest: string, snapshot = digest): Promise<Tree> => {
  const tree = await readTree(objects, digest, snapshot);
  const pace = new Pace();
  for (const entry of tree.entries) {
    await verifyContent(objects, entry, snapshot);
    if (pace.due) await pace.rest();
  }
  return tree;
};
