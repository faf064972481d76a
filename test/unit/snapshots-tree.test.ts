/** Trees of files captured and made again, as far as that needs no privileges. */
import {
  appendFileSync,
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { setTimeout } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import { ObjectStore } from '../../src/snapshots/objects.ts';
import { encodeTree } from '../../src/snapshots/tree/encode.ts';
import {
  FileChanged,
  captureTree,
  diffTrees,
  materialiseTree,
  readTree,
  treeObjects,
  verifyTree,
} from '../../src/snapshots/tree/index.ts';
import type { Entry, TreeIndex } from '../../src/snapshots/tree/index.ts';
import { COMMON, directory, treeOf } from '../support/tree-entries.ts';

interface Place {
  readonly objects: ObjectStore;
  /** A new, empty directory. */
  readonly make: (name: string) => string;
  readonly target: string;
  readonly upper: string;
}

const makePlace = async (): Promise<Place> => {
  const base = await mkdtemp(join(tmpdir(), 'appshot-tree-'));
  onTestFinished(() => rm(base, { recursive: true, force: true }));
  const make = (name: string): string => {
    mkdirSync(join(base, name));
    return join(base, name);
  };
  return {
    objects: new ObjectStore(join(base, 'objects')),
    make,
    target: make('target'),
    upper: make('upper'),
  };
};

/** Captured files are remembered once their last change is long enough ago to be told from the next. */
const untilRemembered = (): Promise<void> => setTimeout(40);

/** Files of every kind that needs no privileges. */
const fill = (root: string): void => {
  const at = (path: string | Buffer): Buffer => Buffer.concat([Buffer.from(`${root}/`), Buffer.from(path)]);
  mkdirSync(at('dir/empty'), { recursive: true });
  writeFileSync(at('dir/small'), 'small');
  writeFileSync(at('dir/medium'), 'm'.repeat(20_000));
  writeFileSync(at('dir/large'), Buffer.alloc(3_000_001, 'large'));
  writeFileSync(at('zero'), '');
  writeFileSync(at('Grüße 😀\n\\"'), 'a name');
  writeFileSync(at(Buffer.from([0x66, 0xff, 0x80])), 'bytes');
  mkdirSync(at(Buffer.from([0xe9])));
  writeFileSync(at(Buffer.concat([Buffer.from([0xe9]), Buffer.from('/é')])), 'both', { mode: 0o600 });
  linkSync(at(Buffer.concat([Buffer.from([0xe9]), Buffer.from('/é')])), at('ä link'));
  symlinkSync('/nowhere/at all', at('dangling'));
  linkSync(at('dangling'), at('dangling too'));
  linkSync(at('dir/large'), at('dir/linked'));
  writeFileSync(at('sparse'), 'start');
  truncateSync(at('sparse'), 40 << 20);
  appendFileSync(at('sparse'), 'end');
  truncateSync(at('sparse'), 50 << 20);
  chmodSync(at('dir/small'), 0o4711);
  chmodSync(at('dir/empty'), 0o1000);
  utimesSync(at('dir'), -1.5, -1.5);
};

describe('capturing and making again', () => {
  it('gives the same tree', async () => {
    const { objects, upper, target, make } = await makePlace();
    fill(upper);
    const roots = [
      { name: 'upper', directory: upper },
      { name: 'shown/0/upper', directory: make('shown') },
    ];
    const { tree, files } = await captureTree(roots, objects);
    expect(files).toBe(12);
    const again = make('again');
    await materialiseTree(objects, tree, { upper: target, 'shown/0/upper': again });
    const second = await captureTree(
      [
        { name: 'upper', directory: target },
        { name: 'shown/0/upper', directory: again },
      ],
      objects,
    );
    expect(
      await diffTrees(await readTree(objects, tree), await readTree(objects, second.tree)),
    ).toStrictEqual([]);
    expect(second.tree).toBe(tree);
    const sparse = statSync(join(target, 'sparse'));
    expect(sparse.size).toBe(50 << 20);
    expect(sparse.blocks * 512).toBeLessThan(1 << 20);
    expect(readFileSync(join(target, 'sparse')).subarray((40 << 20) - 1, (40 << 20) + 4)).toStrictEqual(
      Buffer.from('\0end\0'),
    );
    expect(statSync(join(target, 'dir/linked')).ino).toBe(statSync(join(target, 'dir/large')).ino);
    expect(statSync(join(target, 'dir/small')).mode & 0o7777).toBe(0o4711);
    expect(readdirSync(again)).toStrictEqual([]);
  });

  it('reads only what changed', async () => {
    const { objects, upper } = await makePlace();
    fill(upper);
    await untilRemembered();
    const roots = [{ name: 'upper', directory: upper }];
    const first = await captureTree(roots, objects);
    const previous = JSON.parse(JSON.stringify(first.index)) as TreeIndex;
    // What is not read again cannot be missed: the file looks the same, and the store has its content.
    const second = await captureTree(roots, objects, { previous });
    expect(second.tree).toBe(first.tree);
    expect(second.bytes).toBeLessThan(first.bytes / 100);
    renameSync(join(upper, 'dir'), join(upper, 'moved'));
    appendFileSync(join(upper, 'moved/medium'), '!');
    const third = await captureTree(roots, objects, { previous: second.index });
    expect(third.bytes).toBeGreaterThan(20_000);
    expect(third.bytes).toBeLessThan(40_000);
    // Objects that were removed meanwhile are kept anew.
    await objects.sweep(new Set([first.tree]));
    const fourth = await captureTree(roots, objects, { previous: third.index });
    expect(fourth.tree).toBe(third.tree);
    await verifyTree(objects, fourth.tree);
  });

  it('does not remember what was written just now, or what is mapped', async () => {
    const { objects, upper } = await makePlace();
    writeFileSync(join(upper, 'mapped'), 'x');
    await untilRemembered();
    writeFileSync(join(upper, 'fresh'), 'x');
    const roots = [{ name: 'upper', directory: upper }];
    const { index } = await captureTree(roots, objects, { mapped: (path) => path === 'upper/mapped' });
    expect(Object.values(index.inodes).filter(({ type }) => type === 'file')).toStrictEqual([]);
  });

  it('leaves out what it is told to', async () => {
    const { objects, upper } = await makePlace();
    fill(upper);
    const { tree } = await captureTree([{ name: 'upper', directory: upper }], objects, {
      exclude: (path) => path === 'upper/dir',
    });
    const { entries } = await readTree(objects, tree);
    expect(entries.some(({ path }) => path.startsWith('upper/dir'))).toBe(false);
    expect(entries.some(({ path }) => path === 'upper/sparse')).toBe(true);
  });

  it('refuses a file that does not stop changing', async () => {
    const { objects, upper } = await makePlace();
    const path = join(upper, 'log');
    writeFileSync(path, Buffer.alloc(1 << 20));
    const busy = new (class extends ObjectStore {
      override async put(source: AsyncIterable<Uint8Array>) {
        appendFileSync(path, 'x');
        return super.put(source);
      }
    })(objects.directory);
    await expect(captureTree([{ name: 'upper', directory: upper }], busy)).rejects.toBeInstanceOf(
      FileChanged,
    );
  });
});

describe('making files from a tree', () => {
  it('writes nothing when an object is missing or altered', async () => {
    const { objects, upper, target } = await makePlace();
    fill(upper);
    const { tree } = await captureTree([{ name: 'upper', directory: upper }], objects);
    const all = await treeObjects(objects, tree);
    expect(all[0]).toBe(tree);
    expect(new Set(all)).toStrictEqual(new Set(await objects.list()));
    for (const digest of all) {
      const content = await buffer(objects.read(digest));
      const damage = async (harm: () => void | Promise<void>): Promise<void> => {
        await harm();
        const making = materialiseTree(objects, tree, { upper: target }, { snapshot: '01JSNAP' });
        await expect(making).rejects.toMatchObject({
          code: 'SNAPSHOT_CORRUPT',
          details: { snapshot: '01JSNAP', reason: expect.stringContaining(digest) as string },
        });
        expect(readdirSync(target)).toStrictEqual([]);
        await objects.remove(digest);
        objects.putBytes(content);
      };
      await damage(() => objects.remove(digest));
      await damage(() => {
        chmodSync(objects.path(digest), 0o600);
        writeFileSync(
          objects.path(digest),
          Buffer.concat([Buffer.of((content[0] ?? 0) ^ 1), content.subarray(1)]),
        );
      });
    }
    await materialiseTree(objects, tree, { upper: target });
    expect(existsSync(join(target, 'dir/large'))).toBe(true);
  });

  it('wants its targets, empty', async () => {
    const { objects, upper, target } = await makePlace();
    writeFileSync(join(upper, 'a'), 'a');
    const { tree } = await captureTree([{ name: 'upper', directory: upper }], objects);
    await expect(materialiseTree(objects, tree, {})).rejects.toThrow(RangeError);
    await expect(materialiseTree(objects, tree, { upper })).rejects.toThrow('is not empty');
    const constructor = await objects.put(
      encodeTree({ roots: ['constructor'], entries: [directory('constructor')] }),
    );
    await expect(materialiseTree(objects, constructor.digest, { upper: target })).rejects.toThrow(RangeError);
    expect(lstatSync(join(upper, 'a')).size).toBe(1);
  });

  it.each<[string, Entry]>([
    ['a disk', { path: 'upper/a', type: 'block', ...COMMON, device: [8, 0] }],
    ['memory', { path: 'upper/a', type: 'character', ...COMMON, device: [1, 1] }],
    [
      'a redirected directory',
      { ...directory('upper/a'), xattrs: [['trusted.overlay.redirect', 'L2V0Yw==']] } as Entry,
    ],
  ])('refuses %s', async (_, entry) => {
    const { objects, target } = await makePlace();
    const { digest } = await objects.put(encodeTree(treeOf(entry)));
    await expect(materialiseTree(objects, digest, { upper: target })).rejects.toMatchObject({
      code: 'SNAPSHOT_CORRUPT',
      details: { file: 'upper/a' },
    });
    expect(readdirSync(target)).toStrictEqual([]);
  });

  it('refuses what is no tree', async () => {
    const { objects, target } = await makePlace();
    const { digest } = objects.putBytes(Buffer.from('no tree'));
    await expect(materialiseTree(objects, digest, { upper: target })).rejects.toMatchObject({
      code: 'SNAPSHOT_CORRUPT',
    });
    rmSync(target, { recursive: true });
  });
});
