/** The files of a clone: its layer over its template's, kept as one, must look like both. Judged by the kernel's own overlay. Needs root. */
import {
  chmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import * as kernel from '../../src/kernel/index.ts';
import { ObjectStore } from '../../src/snapshots/objects.ts';
import { captureTree, materialiseTree, readTree } from '../../src/snapshots/tree/index.ts';
import type { TreeIndex } from '../../src/snapshots/tree/index.ts';
import { mergeTree } from '../../src/snapshots/tree/merge.ts';

interface Layers {
  readonly lower: readonly string[];
  readonly upper: string;
}

/** Runs with the overlay mounted. */
const mounted = <T>({ lower, upper }: Layers, use: (root: string) => T): T => {
  const [work, target] = [`${upper}.work`, `${upper}.mounted`];
  for (const path of [upper, work, target]) mkdirSync(path, { recursive: true });
  const tree = kernel.overlay({ lower, upper, work, handles: true });
  kernel.moveMount(tree, target);
  kernel.close(tree);
  try {
    return use(target);
  } finally {
    kernel.umount(target);
  }
};

type Change = readonly [
  verb: 'write' | 'make' | 'remove' | 'mode' | 'symlink' | 'link' | 'rename' | 'append',
  path: string,
  other: string,
];

const NAMES = ['a', 'b', 'c'] as const;
const path = fc
  .array(fc.constantFrom(...NAMES), { minLength: 1, maxLength: 3 })
  .map((names) => names.join('/'));
const change: fc.Arbitrary<Change> = fc.tuple(
  fc.constantFrom('write', 'make', 'remove', 'mode', 'symlink', 'link', 'rename', 'append'),
  path,
  path,
);

let written = 0;

const VERBS: Readonly<Record<Change[0], (one: string, other: string) => void>> = {
  write: (one) => writeFileSync(one, `content ${++written}`),
  append: (one) => writeFileSync(one, `more ${++written}`, { flag: 'a' }),
  make: (one) => mkdirSync(one, { recursive: true }),
  remove: (one) => rmSync(one, { recursive: true }),
  mode: (one) => chmodSync(one, lstatSync(one).isDirectory() ? 0o751 : 0o640),
  symlink: (one, other) => symlinkSync(basename(other), one),
  link: (one, other) => linkSync(one, other),
  rename: (one, other) => renameSync(one, other),
};

/** What the file system refuses does not happen. */
const apply = (root: string, changes: readonly Change[]): void => {
  for (const [verb, one, other] of changes)
    try {
      VERBS[verb](join(root, one), join(root, other));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).syscall === undefined) throw error;
    }
};

/** All that can be seen: names, kinds, modes, contents, and which names are one file. */
const view = (root: string): string[] => {
  const inodes = new Map<string, string>();
  const look = (at: string): string[] =>
    readdirSync(join(root, at))
      .toSorted()
      .flatMap((name) => {
        const below = join(at, name);
        const place = join(root, below);
        const stat = lstatSync(place);
        if (stat.isDirectory()) return [`${below}/ ${stat.mode.toString(8)}`, ...look(below)];
        if (stat.isSymbolicLink()) return [`${below} -> ${readlinkSync(place)}`];
        const same = stat.nlink > 1 ? inodes.get(String(stat.ino)) : undefined;
        if (stat.nlink > 1 && same === undefined) inodes.set(String(stat.ino), below);
        return [
          `${below} ${stat.mode.toString(8)} ${readFileSync(place, 'utf8')}${same === undefined ? '' : ` = ${same}`}`,
        ];
      });
  return look('.');
};

/** What the clone sees, and what would be seen of what is kept of it. */
const compare = async (changes: Record<'machine' | 'template' | 'clone', readonly Change[]>) => {
  const place = mkdtempSync(join(tmpdir(), 'appshot-merge-'));
  const at = (name: string): string => join(place, name);
  try {
    mkdirSync(at('machine'));
    apply(at('machine'), changes.machine);
    const objects = new ObjectStore(at('objects'));
    mounted({ lower: [at('machine')], upper: at('template') }, (root) => apply(root, changes.template));
    const template = await captureTree([{ name: 'upper', directory: at('template') }], objects);
    const base = await readTree(objects, template.tree);
    mkdirSync(at('beneath'));
    await materialiseTree(objects, template.tree, { upper: at('beneath') });
    const seen = mounted({ lower: [at('beneath'), at('machine')], upper: at('clone') }, (root) => {
      apply(root, changes.clone);
      return view(root);
    });
    const capture = (previous?: TreeIndex) =>
      captureTree([{ name: 'upper', directory: at('clone') }], objects, { base, previous });
    const kept = await capture();
    expect((await capture(kept.index)).tree).toBe(kept.tree);
    mkdirSync(at('fork'));
    await materialiseTree(objects, kept.tree, { upper: at('fork') });
    const forked = mounted({ lower: [at('machine')], upper: at('fork') }, view);
    // Going back to it puts it over the template again.
    mkdirSync(at('back'));
    await materialiseTree(objects, kept.tree, { upper: at('back') });
    const back = mounted({ lower: [at('beneath'), at('machine')], upper: at('back') }, view);
    return { seen, forked, back };
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
};

describe('the files of a clone', () => {
  test('are kept as what it sees, over the machine alone and over its template', async () => {
    // The overlay itself loses which names of the machine are one file.
    const unlinked = change.filter(([verb]) => verb !== 'link');
    const changes = fc.record({
      machine: fc.array(unlinked, { maxLength: 12 }),
      template: fc.array(change, { maxLength: 12 }),
      clone: fc.array(change, { maxLength: 12 }),
    });
    await fc.assert(
      fc.asyncProperty(changes, async (one) => {
        const { seen, forked, back } = await compare(one);
        expect(forked).toEqual(seen);
        expect(back).toEqual(seen);
      }),
      { numRuns: 300, interruptAfterTimeLimit: 30_000 },
    );
  });

  test('of /dev/shm lie over nothing afterwards: what was removed leaves no trace', () => {
    const common = { mode: 0o644, uid: 0, gid: 0, mtime: '1' } as const;
    const directory = { path: 'shm', type: 'directory', ...common } as const;
    const removed = { path: 'shm/a', type: 'character', device: [0, 0], ...common } satisfies object;
    const file = { path: 'shm/a', type: 'file', size: 0, data: '', ...common } as const;
    const whiteout = { ...removed, type: 'character' as const, device: [0, 0] as [number, number] };
    expect(mergeTree([directory, file], [directory, whiteout], ['shm'])).toEqual([directory]);
    expect(mergeTree([directory, file], [directory, whiteout])).toEqual([directory, whiteout]);
  });

  test('are put together in a few milliseconds when there are many', () => {
    const common = { mode: 0o644, uid: 0, gid: 0, mtime: '1750000000123456789' } as const;
    const entries = Array.from({ length: 30 }, (_, index) => [
      { path: `upper/${String(index).padStart(2, '0')}`, type: 'directory' as const, ...common },
      ...Array.from({ length: 50 }, (_item, file) => ({
        path: `upper/${String(index).padStart(2, '0')}/${String(file).padStart(2, '0')}`,
        type: 'file' as const,
        size: 1,
        data: 'eA==',
        ...common,
      })),
    ]).flat();
    const root = { path: 'upper', type: 'directory' as const, ...common };
    const over = [root, ...entries.slice(0, 1), ...entries.slice(1, 51).filter((_, index) => index % 2)];
    const begun = performance.now();
    for (let count = 0; count < 10; count++) expect(mergeTree([root, ...entries], over)).toHaveLength(1531);
    expect((performance.now() - begun) / 10).toBeLessThan(20);
  });
});
