/** Trees of files as bytes, what is refused of them, and their comparison. */
import { buffer } from 'node:stream/consumers';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BadTree, byPath, decodeTree, encodeTree } from '../../src/snapshots/tree/encode.ts';
import { diffTrees } from '../../src/snapshots/tree/index.ts';
import type { Entry, Tree } from '../../src/snapshots/tree/index.ts';
import { bytesOf, isSpelling, textOf } from '../../src/snapshots/tree/names.ts';
import { COMMON, directory, file, symlink, treeOf } from '../support/tree-entries.ts';

const DIGEST = 'ab'.repeat(32);
const encode = async (tree: Tree): Promise<Buffer> => buffer(encodeTree(tree));

describe('names', () => {
  it('spells any bytes in one way', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 20 }), (name) => {
        const text = textOf(Buffer.from(name));
        return isSpelling(text) && bytesOf(text).equals(name);
      }),
      { numRuns: 1000 },
    );
  });

  it('refuses a second spelling', () => {
    expect(isSpelling('\udcc3\udca9')).toBe(false);
    expect(isSpelling('a\udcff\u00e9')).toBe(false);
    expect(isSpelling('\ud800')).toBe(false);
    expect(isSpelling('é😀\n')).toBe(true);
  });
});

const name = fc
  .oneof(
    fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 }),
    fc.uint8Array({ minLength: 1, maxLength: 8 }).map((bytes) => textOf(Buffer.from(bytes))),
  )
  .filter((text) => !/[/\0]/.test(text) && text !== '.' && text !== '..');

const paths = fc.uniqueArray(fc.array(name, { minLength: 1, maxLength: 3 }), {
  maxLength: 20,
  selector: (names) => names.join('/'),
});

const kindOf = (path: string, index: number): Entry => {
  const kinds: Entry[] = [
    file(path, path.length > 3 ? 'text' : ''),
    symlink(path, '../../etc'),
    { path, type: 'fifo', ...COMMON, xattrs: [['user.a', 'AA==']] },
    { path, type: 'character', ...COMMON, device: [0, 0] },
    { path, type: 'file', ...COMMON, size: 5_000_000, parts: [[4096, 8192, DIGEST]] },
  ];
  return kinds[index % kinds.length] ?? directory(path);
};

const trees = paths.map((found) => {
  const all = found.map((names) => ['upper', ...names].join('/'));
  const parents = new Set(
    all.flatMap((path) => path.split('/').map((_, index, names) => names.slice(0, index).join('/'))),
  );
  parents.delete('');
  parents.add('upper');
  const files = all.filter((path) => !parents.has(path));
  const entries = [...[...parents].map(directory), ...files.map(kindOf)];
  return { roots: ['upper'], entries: entries.toSorted((one, other) => byPath(one.path, other.path)) };
});

describe('a tree as bytes', () => {
  it('comes back as it was', async () => {
    await fc.assert(
      fc.asyncProperty(trees, async (tree) => {
        expect(await decodeTree(await encode(tree))).toStrictEqual(tree);
      }),
      { numRuns: 200 },
    );
  });

  it('is refused, and nothing worse, after any alteration', async () => {
    const bytes = fc.uint8Array({ minLength: 1, maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(trees, fc.nat(), bytes, fc.nat(3), async (tree, seed, patch, cut) => {
        const whole = await encode(tree);
        const at = seed % whole.length;
        const altered = Buffer.concat([whole.subarray(0, at), patch, whole.subarray(at + cut)]);
        await decodeTree(altered).then(
          ({ entries }) => expect(entries.every(({ path }) => !path.split('/').includes('..'))).toBe(true),
          (error: unknown) => expect(error).toBeInstanceOf(BadTree),
        );
      }),
      { numRuns: 300 },
    );
  });

  const link = (path: string, to: string): Entry => ({ path, type: 'link', to });
  const odd = (change: object): Tree => treeOf({ ...file('upper/a', 'x'), ...change });
  const HOSTILE: [string, Tree][] = [
    ['an absolute path', treeOf(file('/etc/passwd', ''))],
    ['a way up', treeOf(file('upper/../x', ''))],
    ['a dot', treeOf(file('upper/./x', ''))],
    ['an empty name', treeOf(file('upper//x', ''))],
    ['a NUL', treeOf(file('upper/a\0b', ''))],
    ['a second spelling', treeOf(file('upper/\udcc3\udca9', ''))],
    ['a name that is too long', treeOf(file(`upper/${'x'.repeat(256)}`, ''))],
    ['too deep a path', treeOf(file(`upper${'/x'.repeat(600)}`, ''))],
    ['no directory', treeOf(file('upper/a/b', ''))],
    ['a symbolic link as a directory', treeOf(symlink('upper/a', '/etc'), file('upper/a/passwd', ''))],
    ['a file as a directory', treeOf(file('upper/a', ''), file('upper/a/b', ''))],
    ['one path twice', treeOf(symlink('upper/a', '/etc'), directory('upper/a'))],
    ['a wrong order', treeOf(file('upper/b', ''), file('upper/a', ''))],
    ['another root', treeOf(directory('wild'))],
    ['a link to nothing', treeOf(link('upper/a', 'upper/b'))],
    ['a link to a directory', treeOf(directory('upper/a'), link('upper/b', 'upper/a'))],
    ['a link to a link', treeOf(file('upper/a', ''), link('upper/b', 'upper/a'), link('upper/c', 'upper/b'))],
    ['a wrong size', odd({ size: 7 })],
    ['a negative size', odd({ size: -1 })],
    ['data and parts', odd({ parts: [] })],
    ['neither data nor parts', odd({ data: undefined })],
    [
      'parts that overlap',
      odd({
        data: undefined,
        size: 10,
        parts: [
          [0, 5, DIGEST],
          [4, 2, DIGEST],
        ],
      }),
    ],
    ['parts behind the end', odd({ data: undefined, size: 10, parts: [[8, 5, DIGEST]] })],
    ['a digest that is a path', odd({ data: undefined, size: 1, parts: [[0, 1, '../../../etc/passwd']] })],
    ['an unknown type', odd({ type: 'door' })],
    ['an unknown field', odd({ colour: 'red' })],
    ['a mode with a type in it', odd({ mode: 0o100644 })],
    ['an attribute of the system', odd({ xattrs: [['system.nfs4_acl', '']] })],
    ['a target that is empty', treeOf(symlink('upper/a', ''))],
    ['nested roots', { roots: ['a', 'a/b'], entries: [directory('a'), directory('a/b')] }],
    ['a root that is missing', { roots: ['shm', 'upper'], entries: [directory('upper')] }],
    ['a root that is a symbolic link', { roots: ['upper'], entries: [symlink('upper', '/')] }],
    ['a root that leads away', { roots: ['../upper'], entries: [directory('../upper')] }],
  ];

  it.each(HOSTILE)('is refused with %s', async (_, tree) => {
    await expect(decodeTree(await encode(tree))).rejects.toBeInstanceOf(BadTree);
  });

  it.each(['', '{}', 'null\n', '[]', '\n\n', '{"format":"appshot-tree","version":2,"roots":[]}'])(
    'is refused as %j',
    async (text) => {
      await expect(decodeTree(Buffer.from(text))).rejects.toBeInstanceOf(BadTree);
    },
  );
});

describe('comparing', () => {
  it('names what was added, removed and changed', async () => {
    const before = treeOf(
      file('upper/a', 'one'),
      directory('upper/d'),
      { path: 'upper/e', type: 'link', to: 'upper/a' },
      symlink('upper/gone', 'x'),
      file('upper/same', 'same'),
    );
    const after = treeOf(
      file('upper/a', 'three'),
      { ...directory('upper/d'), mtime: '5' } as Entry,
      { ...file('upper/e', 'one'), mode: 0o600, uid: 7, xattrs: [['user.x', '']] } as Entry,
      { path: 'upper/new', type: 'character', ...COMMON, device: [0, 0] },
      { ...file('upper/same', 'same'), mtime: '0' } as Entry,
    );
    const one = { type: 'file', size: 3 };
    await expect(diffTrees(before, after)).resolves.toStrictEqual([
      {
        path: 'upper/a',
        change: 'changed',
        what: ['content'],
        before: one,
        after: { type: 'file', size: 5 },
      },
      { path: 'upper/e', change: 'changed', what: ['mode', 'owner', 'attributes'], before: one, after: one },
      { path: 'upper/gone', change: 'removed', what: [], before: { type: 'symlink', size: 0 } },
      { path: 'upper/new', change: 'added', what: [], after: { type: 'whiteout', size: 0 } },
      {
        path: 'upper/same',
        change: 'changed',
        what: ['time'],
        before: { type: 'file', size: 4 },
        after: { type: 'file', size: 4 },
      },
    ]);
    await expect(diffTrees(before, before)).resolves.toStrictEqual([]);
  });
});
