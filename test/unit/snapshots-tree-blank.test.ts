/** Trees of which some paths are blank. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { ObjectStore } from '../../src/snapshots/objects.ts';
import { encodeTree } from '../../src/snapshots/tree/encode.ts';
import { blankTree, readTree } from '../../src/snapshots/tree/index.ts';
import type { Entry } from '../../src/snapshots/tree/index.ts';
import { directory, file, treeOf } from '../support/tree-entries.ts';

const link = (path: string, to: string): Entry => ({ path, type: 'link', to });
const opaque = { xattrs: [['trusted.overlay.opaque', 'eQ==']] };

it('has files without content, and directories without files but those that are kept', async () => {
  const base = await mkdtemp(join(tmpdir(), 'appshot-blank-'));
  onTestFinished(() => rm(base, { recursive: true, force: true }));
  const objects = new ObjectStore(base);
  const kept = { ...file('upper/kept', 'kept'), mode: 0o640 };
  const tree = treeOf(
    directory('upper/cache'),
    directory('upper/cache/deep'),
    file('upper/cache/deep/here', 'here'),
    file('upper/cache/two', 'two names'),
    directory('upper/gone'),
    directory('upper/gone/deep'),
    kept,
    file('upper/one', 'several names'),
    link('upper/three', 'upper/one'),
    link('upper/two', 'upper/cache/two'),
    link('upper/zero', 'upper/one'),
  );
  const { digest } = await objects.put(encodeTree(tree));
  const blank = ['upper/cache', 'upper/gone', 'upper/one'];
  const made = await blankTree(objects, digest, { blank, keeps: ['upper/cache/deep/here'] });
  expect((await readTree(objects, made)).entries).toEqual([
    directory('upper'),
    { ...directory('upper/cache'), ...opaque },
    directory('upper/cache/deep'),
    file('upper/cache/deep/here', 'here'),
    { ...directory('upper/gone'), ...opaque },
    kept,
    file('upper/one', ''),
    file('upper/three', 'several names'),
    file('upper/two', 'two names'),
    link('upper/zero', 'upper/three'),
  ]);
});
