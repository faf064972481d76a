/** A tree of which some paths are blank: files empty, directories with nothing in them. */
import type { ObjectStore } from '../objects.ts';
import { encodeTree } from './encode.ts';
import { OPAQUE } from './entry.ts';
import type { Entry, NodeEntry } from './entry.ts';
import { readTree } from './read.ts';

/** Nothing of the machine's is seen in it either; elsewhere than in a layer the attribute means nothing. */
const emptied = (entry: NodeEntry): NodeEntry => {
  if (entry.type === 'directory')
    return {
      ...entry,
      xattrs: [...(entry.xattrs ?? []).filter(([name]) => name !== OPAQUE.name), OPAQUE_PAIR],
    };
  return entry.type === 'file' ? { ...withoutParts(entry), size: 0, data: '' } : entry;
};

const OPAQUE_PAIR: [string, string] = [OPAQUE.name, OPAQUE.value];

const withoutParts = ({
  parts: _parts,
  ...entry
}: Extract<Entry, { type: 'file' }>): Extract<Entry, { type: 'file' }> => entry;

/**
 * Keeps a copy of a tree in which the paths, with the names of their roots, are blank; returns its digest. What a blank file has in common
 * with other names stays with those. `keeps` are paths below a blank directory that are as they were, with the directories on the way.
 * Fails with `SNAPSHOT_CORRUPT`, `NO_SPACE`.
 */
export const blankTree = async (
  objects: ObjectStore,
  digest: string,
  { blank, keeps }: { blank: readonly string[]; keeps: readonly string[] },
): Promise<string> => {
  const { roots, entries } = await readTree(objects, digest);
  const [empty, kept] = [new Set(blank), new Set(keeps)];
  const isLeft = (path: string): boolean => innermost(path, empty, kept) !== 'blank' || leadsTo(path, keeps);
  const inodes = new Map<string, NodeEntry>();
  const first = new Map<NodeEntry, string>();
  const left: Entry[] = [];
  for (const entry of entries) {
    const inode = entry.type === 'link' ? inodes.get(entry.to) : entry;
    if (!inode) continue;
    inodes.set(entry.path, inode);
    if (empty.has(entry.path)) left.push({ ...emptied(inode), path: entry.path });
    else if (isLeft(entry.path)) {
      const known = first.get(inode);
      if (known === undefined) first.set(inode, entry.path);
      left.push(
        known === undefined ? { ...inode, path: entry.path } : { path: entry.path, type: 'link', to: known },
      );
    }
  }
  return (await objects.put(encodeTree({ roots, entries: left }))).digest;
};

const leadsTo = (path: string, keeps: readonly string[]): boolean =>
  keeps.some((one) => one.startsWith(`${path}/`));

/** What was said of the innermost directory above a path, or of the path itself. */
const innermost = (
  path: string,
  empty: ReadonlySet<string>,
  kept: ReadonlySet<string>,
): 'blank' | 'kept' | undefined => {
  for (let at = path; at !== ''; at = at.slice(0, Math.max(0, at.lastIndexOf('/')))) {
    if (empty.has(at)) return 'blank';
    if (kept.has(at)) return 'kept';
  }
  return undefined;
};
