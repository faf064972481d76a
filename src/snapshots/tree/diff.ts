/** What changed between two trees. */
import type { Tree } from './encode.ts';
import { byPath } from './encode.ts';
import { isWhiteout } from './entry.ts';
import type { Entry, NodeEntry } from './entry.ts';
import { Pace } from './pace.ts';

export type ChangedPart = 'type' | 'content' | 'mode' | 'owner' | 'time' | 'attributes';

/** One side of a change. */
export interface Side {
  /** `whiteout`: hides a file of the layers below, so for the application the file was removed. */
  readonly type: NodeEntry['type'] | 'whiteout';
  /** In bytes, of an ordinary file; else 0. */
  readonly size: number;
}

export interface TreeChange {
  readonly path: string;
  readonly change: 'added' | 'removed' | 'changed';
  /** What of it, when it was there before and still is. */
  readonly what: readonly ChangedPart[];
  readonly before?: Side;
  readonly after?: Side;
}

/** By path; one more name of a file stands for the file. */
const inodesOf = (tree: Tree): Map<string, NodeEntry> => {
  const found = new Map<string, NodeEntry>();
  for (const entry of tree.entries) {
    const inode = entry.type === 'link' ? found.get(entry.to) : entry;
    if (inode !== undefined) found.set(entry.path, inode);
  }
  return found;
};

const side = (entry: NodeEntry): Side => ({
  type: isWhiteout(entry) ? 'whiteout' : entry.type,
  size: entry.type === 'file' ? entry.size : 0,
});

const contentOf = (entry: Entry): unknown => {
  if (entry.type === 'file') return [entry.size, entry.data, entry.parts];
  if (entry.type === 'symlink') return entry.target;
  return 'device' in entry ? entry.device : undefined;
};

const PARTS: Record<ChangedPart, (entry: NodeEntry) => unknown> = {
  type: ({ type }) => type,
  content: contentOf,
  mode: ({ mode }) => mode,
  owner: ({ uid, gid }) => [uid, gid],
  time: ({ mtime }) => mtime,
  attributes: ({ xattrs = [] }) => xattrs,
};

const differences = (before: NodeEntry, after: NodeEntry): ChangedPart[] => {
  if (JSON.stringify(before) === JSON.stringify(after)) return [];
  const what = (Object.keys(PARTS) as ChangedPart[]).filter(
    (part) => JSON.stringify(PARTS[part](before)) !== JSON.stringify(PARTS[part](after)),
  );
  // A directory's time says no more than the changes in it.
  return before.type === 'directory' && what.join('') === 'time' ? [] : what;
};

const changeOf = (path: string, before?: NodeEntry, after?: NodeEntry): TreeChange | undefined => {
  if (before === undefined) return after && { path, change: 'added', what: [], after: side(after) };
  if (after === undefined) return { path, change: 'removed', what: [], before: side(before) };
  const what = differences(before, after);
  if (what.length === 0) return undefined;
  return { path, change: 'changed', what, before: side(before), after: side(after) };
};

/** The changes from one tree to another, in the order of their paths. */
export const diffTrees = async (before: Tree, after: Tree): Promise<TreeChange[]> => {
  const [old, young] = [inodesOf(before), inodesOf(after)];
  const pace = new Pace();
  const changes: TreeChange[] = [];
  for (const path of new Set([...old.keys(), ...young.keys()])) {
    const change = changeOf(path, old.get(path), young.get(path));
    if (change !== undefined) changes.push(change);
    if (pace.due) await pace.rest();
  }
  return changes.toSorted((one, other) => byPath(one.path, other.path));
};
