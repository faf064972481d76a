/** Trees of files that only root can make: an overlay's upper layer, owners, attributes, nodes, a full disk. */
import {
  chmodSync,
  chownSync,
  constants,
  existsSync,
  lchownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  rmdirSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import * as kernel from '../../src/kernel/index.ts';
import { ObjectStore } from '../../src/snapshots/objects.ts';
import { captureTree, diffTrees, materialiseTree, readTree } from '../../src/snapshots/tree/index.ts';
import type { Entry } from '../../src/snapshots/tree/index.ts';

const { S_IFCHR, S_IFIFO, S_IFSOCK } = constants;

const makePlace = (): { at: (name: string) => string; objects: ObjectStore } => {
  const base = mkdtempSync(join(tmpdir(), 'appshot-tree-'));
  onTestFinished(() => rmSync(base, { recursive: true, force: true }));
  const at = (name: string): string => {
    const path = join(base, name);
    mkdirSync(path, { recursive: true });
    return path;
  };
  return { at, objects: new ObjectStore(join(base, 'objects')) };
};

/** Captures, makes it again elsewhere, captures that; gives the entries by their paths. */
const roundTrip = async (
  objects: ObjectStore,
  upper: string,
  target: string,
): Promise<Map<string, Entry>> => {
  const { tree } = await captureTree([{ name: 'upper', directory: upper }], objects);
  await materialiseTree(objects, tree, { upper: target });
  const again = await captureTree([{ name: 'upper', directory: target }], objects);
  const [one, other] = [await readTree(objects, tree), await readTree(objects, again.tree)];
  expect(await diffTrees(one, other)).toStrictEqual([]);
  expect(again.tree).toBe(tree);
  return new Map(one.entries.map((entry) => [entry.path, entry]));
};

/** Runs with an overlay on `target`. */
const mounted = async <T>(
  {
    lower,
    upper,
    work,
    target,
    handles = false,
  }: Record<'lower' | 'upper' | 'work' | 'target', string> & { handles?: boolean },
  use: () => T | Promise<T>,
): Promise<T> => {
  const tree = kernel.overlay({ lower: [lower], upper, work, handles });
  kernel.moveMount(tree, target);
  kernel.close(tree);
  try {
    return await use();
  } finally {
    kernel.umount(target);
  }
};

describe('a tree', () => {
  test('keeps owners, modes, attributes, times and nodes of every kind', async () => {
    const { at, objects } = makePlace();
    const upper = at('upper');
    writeFileSync(join(upper, 'owned'), 'x');
    chownSync(join(upper, 'owned'), 1000, 65_533);
    chmodSync(join(upper, 'owned'), 0o6755);
    kernel.setXattr(join(upper, 'owned'), 'user.empty', Buffer.alloc(0));
    kernel.setXattr(join(upper, 'owned'), 'trusted.binary', Buffer.from([0, 255, 10, 0]));
    // cap_net_bind_service, effective, as setcap writes it.
    const capability = Buffer.from('0100000200040000000000000000000000000000', 'hex');
    kernel.setXattr(join(upper, 'owned'), 'security.capability', capability);
    mkdirSync(join(upper, 'sticky'), { mode: 0o700 });
    chmodSync(join(upper, 'sticky'), 0o3777);
    chownSync(join(upper, 'sticky'), 7, 8);
    // user::rwx,user:1:r--,group::r-x,mask::r-x,other::---, for what is made in it.
    const acl = '0200000001000700ffffffff020004000100000004000500ffffffff10000500ffffffff20000000ffffffff';
    kernel.setXattr(join(upper, 'sticky'), 'system.posix_acl_default', Buffer.from(acl, 'hex'));
    writeFileSync(join(upper, 'sticky/inside'), 'x', { mode: 0o604 });
    chmodSync(join(upper, 'sticky/inside'), 0o604);
    symlinkSync('owned', join(upper, 'symlink'));
    lchownSync(join(upper, 'symlink'), 5, 6);
    kernel.setXattr(join(upper, 'symlink'), 'trusted.of-the-link', Buffer.from('1'));
    kernel.setTimes(join(upper, 'symlink'), { read: 0n, written: -1n });
    kernel.makeNode(join(upper, 'fifo'), S_IFIFO | 0o620);
    kernel.makeNode(join(upper, 'socket'), S_IFSOCK | 0o777);
    kernel.makeNode(join(upper, 'null'), S_IFCHR | 0o666, { major: 1, minor: 3 });
    linkSync(join(upper, 'fifo'), join(upper, 'fifo too'));
    const found = await roundTrip(objects, upper, at('target'));
    expect(found.get('upper/owned')).toMatchObject({ mode: 0o6755, uid: 1000, gid: 65_533 });
    expect(found.get('upper/owned')).toMatchObject({
      xattrs: [
        ['security.capability', capability.toString('base64')],
        ['trusted.binary', 'AP8KAA=='],
        ['user.empty', ''],
      ],
    });
    expect(found.get('upper/symlink')).toMatchObject({ mtime: '-1', uid: 5, target: 'owned' });
    expect(found.get('upper/sticky')).toMatchObject({
      mode: 0o3777,
      xattrs: [['system.posix_acl_default', expect.any(String) as string]],
    });
    expect(found.get('upper/fifo too')).toMatchObject({ type: 'link', to: 'upper/fifo' });
    expect(found.get('upper/null')).toMatchObject({ type: 'character', device: [1, 3] });
  });

  test('keeps what an overlay removed, replaced and copied up', async () => {
    const { at, objects } = makePlace();
    const [lower, upper, target] = [at('lower'), at('upper'), at('mount')];
    for (const name of ['removed', 'kept', 'changed']) writeFileSync(join(lower, name), name);
    mkdirSync(join(lower, 'directory'));
    writeFileSync(join(lower, 'directory/hidden'), 'hidden');
    const view = (): string[] => readdirSync(target, { recursive: true, encoding: 'utf8' }).toSorted();
    const changed = await mounted({ lower, upper, work: at('work'), target }, () => {
      rmSync(join(target, 'removed'));
      writeFileSync(join(target, 'changed'), 'differently');
      rmSync(join(target, 'directory'), { recursive: true });
      mkdirSync(join(target, 'directory'));
      writeFileSync(join(target, 'directory/new'), 'new');
      return { view: view(), inode: lstatSync(join(target, 'changed')).ino };
    });
    const found = await roundTrip(objects, upper, at('again'));
    expect(found.get('upper/removed')).toMatchObject({ type: 'character', device: [0, 0] });
    expect(found.get('upper/directory')).toMatchObject({
      xattrs: expect.arrayContaining([['trusted.overlay.opaque', 'eQ==']]) as unknown[],
    });
    await mounted({ lower, upper: at('again'), work: at('work again'), target }, () => {
      expect(view()).toStrictEqual(changed.view);
      expect(view()).toStrictEqual(['changed', 'directory', 'directory/new', 'kept']);
      expect(readFileSync(join(target, 'changed'), 'utf8')).toBe('differently');
      // A file that was copied up is known by the number of the lower one, as long as its origin is.
      expect(lstatSync(join(target, 'changed')).ino).toBe(changed.inode);
    });
  });

  test('lies over other directories when it comes from another machine', async () => {
    const { at, objects } = makePlace();
    const layers = { lower: at('lower'), upper: at('upper'), target: at('mount'), handles: true };
    writeFileSync(join(layers.lower, 'changed'), 'here');
    await mounted({ ...layers, work: at('work') }, () => {
      writeFileSync(join(layers.target, 'changed'), 'differently');
    });
    const { tree } = await captureTree([{ name: 'upper', directory: layers.upper }], objects);
    const there = { ...layers, lower: at('other lower'), upper: at('other upper'), work: at('other work') };
    await materialiseTree(objects, tree, { upper: there.upper });
    await expect(mounted(there, () => undefined)).rejects.toThrow(/ESTALE/);
    rmSync(there.upper, { recursive: true });
    await materialiseTree(objects, tree, { upper: at('other upper') }, { foreign: true });
    await mounted(there, () => {
      expect(readFileSync(join(there.target, 'changed'), 'utf8')).toBe('differently');
    });
  });

  test('leaves out what is mounted on a directory', async () => {
    const { at, objects } = makePlace();
    const upper = at('upper');
    mkdirSync(join(upper, 'mount'));
    kernel.mountFilesystem('tmpfs', 'none', join(upper, 'mount'), 0, 'size=64k');
    try {
      writeFileSync(join(upper, 'mount/foreign'), 'x');
      const { tree } = await captureTree([{ name: 'upper', directory: upper }], objects);
      const { entries } = await readTree(objects, tree);
      expect(entries.map(({ path }) => path)).toStrictEqual(['upper', 'upper/mount']);
    } finally {
      kernel.umount(join(upper, 'mount'));
    }
  });

  test('is made whole or not at all on a full disk', async () => {
    const { at, objects } = makePlace();
    const [upper, disk] = [at('upper'), at('disk')];
    for (const index of Array(20).keys())
      writeFileSync(join(upper, `file ${index}`), Buffer.alloc(100_000, index));
    const { tree } = await captureTree([{ name: 'upper', directory: upper }], objects);
    kernel.mountFilesystem('tmpfs', 'none', disk, 0, 'size=1m');
    try {
      await expect(materialiseTree(objects, tree, { upper: disk })).rejects.toMatchObject({
        code: 'NO_SPACE',
      });
      expect(readdirSync(disk)).toStrictEqual([]);
      // The same when the store is what is full: only whole objects are there.
      const small = new ObjectStore(join(disk, 'objects'));
      await expect(captureTree([{ name: 'upper', directory: upper }], small)).rejects.toMatchObject({
        code: 'NO_SPACE',
      });
      const whole = await small.list();
      expect(whole.every((digest) => small.size(digest) === 100_000)).toBe(true);
      await small.sweep(new Set());
      expect(
        readdirSync(small.directory, { recursive: true, encoding: 'utf8' }).filter((name) => name.length > 2),
      ).toStrictEqual([]);
    } finally {
      kernel.umount(disk);
      rmdirSync(disk);
    }
    expect(existsSync(disk)).toBe(false);
  });
});

describe('capturing', () => {
  test('3,000 unchanged files or 20 MB of changed ones take no time to speak of', async () => {
    const { at, objects } = makePlace();
    const upper = at('upper');
    for (const index of Array(3000).keys()) {
      const directory = join(upper, `d${index % 100}`);
      if (index < 100) mkdirSync(directory);
      writeFileSync(join(directory, `f${index}`), `${index} `.repeat(index % 700));
    }
    await setTimeout(40);
    const roots = [{ name: 'upper', directory: upper }];
    const { index } = await captureTree(roots, objects);
    const timed = async (change: (round: number) => void): Promise<{ ms: number; stall: number }> => {
      const rounds: number[] = [];
      const delay = monitorEventLoopDelay({ resolution: 1 });
      for (const round of Array(5).keys()) {
        change(round);
        delay.enable();
        const start = performance.now();
        await captureTree(roots, objects, { previous: index });
        rounds.push(performance.now() - start);
        delay.disable();
      }
      return { ms: rounds.toSorted((one, other) => one - other)[2] ?? Infinity, stall: delay.max / 1e6 };
    };
    const unchanged = await timed(() => undefined);
    const changed = await timed((round) => {
      for (const part of Array(10).keys())
        writeFileSync(join(upper, `large ${part}`), Buffer.alloc(2 << 20, `${round} ${part}`));
    });
    // Twice the promise and more, for a machine that has other things to do.
    expect(unchanged.ms).toBeLessThan(150);
    // Nothing else in the process waits long meanwhile.
    expect(unchanged.stall).toBeLessThan(50);
    expect(changed.ms).toBeLessThan(400);
  });
});
