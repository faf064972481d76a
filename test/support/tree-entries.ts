/** Entries of trees that no file stands for. */
import type { Entry, Tree } from '../../src/snapshots/tree/index.ts';

/** What most entries of a test have in common. */
export const COMMON = { mode: 0o644, uid: 0, gid: 0, mtime: '1750000000123456789' } as const;

export const directory = (path: string): Entry => ({ path, type: 'directory', ...COMMON, mode: 0o755 });
export const file = (path: string, text: string): Entry => ({
  path,
  type: 'file',
  ...COMMON,
  size: text.length,
  data: Buffer.from(text).toString('base64'),
});
export const symlink = (path: string, target: string): Entry => ({
  path,
  type: 'symlink',
  ...COMMON,
  target,
});

/** A tree of one root, `upper`, with these entries in it. */
export const treeOf = (...entries: Entry[]): Tree => ({
  roots: ['upper'],
  entries: [directory('upper'), ...entries],
});
