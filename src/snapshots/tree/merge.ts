/**
 * One tree of two: what an application wrote over what its template had written, as if one application had written all of it.
 *
 * Both are layers of an overlay, so this does what the overlay does: a name of the upper one counts, directories on both sides become
 * one, an opaque directory has nothing of what is below it, and a whiteout hides a name. Whiteouts stay, because they hide
 * the machine's files too, but not where a directory above them is opaque: there the kernel would show them.
 */
import { sortKey } from './encode.ts';
import { OPAQUE, TIES, isWhiteout } from './entry.ts';
import type { Entry, NodeEntry } from './entry.ts';

/** The kernel keeps it on a file with several names that it copied up: all of its names lead to the copy. */
const LINKED = 'trusted.overlay.nlink';

interface Named {
  readonly path: string;
  readonly key: string;
  /** Names of one file share it. */
  readonly inode: NodeEntry;
}

const nameInodes = (entries: readonly Entry[]): Named[] => {
  const inodes = new Map<string, NodeEntry>();
  return entries.flatMap((entry) => {
    const inode = entry.type === 'link' ? inodes.get(entry.to) : entry;
    if (inode === undefined) return [];
    inodes.set(entry.path, inode);
    return [{ path: entry.path, key: sortKey(entry.path), inode }];
  });
};

const hasAttribute = ({ xattrs = [] }: NodeEntry, attribute: string): boolean =>
  xattrs.some(([name]) => name === attribute);

const isOpaque = ({ xattrs = [] }: NodeEntry): boolean =>
  xattrs.some(([name, value]) => name === OPAQUE.name && value === OPAQUE.value);

const makeOpaque = (entry: NodeEntry): NodeEntry => ({
  ...entry,
  xattrs: [
    ...(entry.xattrs ?? []).filter(([name]) => name !== OPAQUE.name),
    [OPAQUE.name, OPAQUE.value] as [string, string],
  ].toSorted(([one], [other]) => (one < other ? -1 : 1)),
});

/** What ties an inode to the layers that it had below it: it has others now. */
const untied = (entry: NodeEntry): NodeEntry => {
  if (!entry.xattrs?.some(([name]) => TIES.has(name))) return entry;
  const { xattrs, ...rest } = entry;
  const kept = xattrs.filter(([name]) => !TIES.has(name));
  return kept.length === 0 ? rest : { ...rest, xattrs: kept };
};

type Pair = readonly [below: Named | undefined, above: Named | undefined];

const compare = (below: Named | undefined, above: Named | undefined): number => {
  if (below === undefined) return 1;
  if (above === undefined || below.key < above.key) return -1;
  return Number(below.key > above.key);
};

/** Both sides in one order; of a name that both have, both. */
function* pairs(base: readonly Named[], over: readonly Named[]): Generator<Pair> {
  for (let [low, high] = [0, 0]; low < base.length || high < over.length;) {
    const order = compare(base[low], over[high]);
    yield [order <= 0 ? base[low++] : undefined, order >= 0 ? over[high++] : undefined];
  }
}

/** Files of the base that were copied up under one of their names: their other names lead to the copies. */
const copiedUp = (base: readonly Named[], over: readonly Named[]): Map<NodeEntry, NodeEntry> => {
  const copies = over.filter(({ inode }) => hasAttribute(inode, LINKED));
  if (copies.length === 0) return new Map();
  const inodes = new Map(base.map(({ path, inode }) => [path, inode]));
  return new Map(
    copies.flatMap(({ path, inode }) => {
      const original = inodes.get(path);
      return original?.type === inode.type ? [[original, inode] as const] : [];
    }),
  );
};

/** The directory that is there, when one is: of both sides it has the upper one's attributes. */
const joined = (below: NodeEntry | undefined, above: NodeEntry): NodeEntry => {
  if (above.type !== 'directory' || below === undefined || isOpaque(above)) return above;
  return below.type !== 'directory' || isOpaque(below) ? makeOpaque(above) : above;
};

class Merger {
  readonly #entries: Entry[] = [];
  readonly #first = new Map<NodeEntry, string>();
  readonly #alone: readonly string[];
  /** Where nothing of the base is seen any more, and where nothing of the machine is. */
  #covered = '/';
  #opaque = '/';

  constructor(alone: readonly string[]) {
    this.#alone = alone.map((root) => `${root}/`);
  }

  merge(base: readonly Named[], over: readonly Named[]): Entry[] {
    const copies = copiedUp(base, over);
    for (const [below, above] of pairs(base, over)) {
      const isHidden = below?.path.startsWith(this.#covered) ?? false;
      if (above !== undefined) this.#above(above, isHidden ? undefined : below);
      else if (below !== undefined && !isHidden)
        this.#add(below.path, copies.get(below.inode) ?? below.inode);
    }
    return this.#entries;
  }

  #above({ path, inode }: Named, below: Named | undefined): void {
    if (below !== undefined && (inode.type !== 'directory' || isOpaque(inode))) this.#covered = `${path}/`;
    this.#add(path, joined(below?.inode, inode));
  }

  #isBare(path: string): boolean {
    return path.startsWith(this.#opaque) || this.#alone.some((root) => path.startsWith(root));
  }

  #add(path: string, inode: NodeEntry): void {
    const isBare = this.#isBare(path);
    if (isWhiteout(inode)) {
      if (!isBare) this.#entries.push({ ...untied(inode), path });
      return;
    }
    if (inode.type === 'directory' && !isBare && isOpaque(inode)) this.#opaque = `${path}/`;
    const first = this.#first.get(inode);
    if (first !== undefined) this.#entries.push({ path, type: 'link', to: first });
    else {
      this.#first.set(inode, path);
      const kept = untied(inode);
      this.#entries.push(kept.path === path ? kept : { ...kept, path });
    }
  }
}

/**
 * The entries of one tree over those of another, with the same names of roots; both are in the order of a walk, and so is the result.
 * Roots that are `alone` lie over nothing of the machine's. Pure.
 */
export const mergeTree = (
  base: readonly Entry[],
  over: readonly Entry[],
  alone: readonly string[] = [],
): Entry[] => new Merger(alone).merge(nameInodes(base), nameInodes(over));
