/** What may happen to a snapshot on its disk, and that it is noticed before anything is restored. */
import { chmodSync } from 'node:fs';
import {
  appendFile,
  copyFile,
  mkdir,
  readFile,
  rename,
  rm,
  symlink,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import type { SnapshotStore } from '../../src/snapshots/index.ts';
import { FILES, ID, WRITTEN, makeDurable, makeProvisional, provision, sha256 } from './snapshots-place.ts';
import type { Kept } from './snapshots-place.ts';

/** The store of the same daemon, which has seen the manifest, and of the next one. */
const readers = ({ store, next }: Kept): readonly SnapshotStore[] => [store, next()];

const refusesWith = (file: string, reason: string) =>
  expect.objectContaining({
    code: 'SNAPSHOT_CORRUPT',
    message: `the snapshot ${ID} is damaged: ${file}: ${reason}`,
  }) as Error;

type Damage = (place: Kept) => Promise<void>;

const DAMAGES: readonly [what: string, damage: Damage, file: string, reason: string][] = [
  [
    'a byte altered',
    ({ at }) => writeFile(at('images/pages-1.img'), `y${'x'.repeat(4999)}`),
    'images/pages-1.img',
    'its checksum does not match',
  ],
  [
    'a byte altered and the time of it hidden',
    async ({ at }) => {
      await writeFile(at('images/pages-1.img'), `${'x'.repeat(4999)}y`);
      await utimes(at('images/pages-1.img'), WRITTEN, WRITTEN);
    },
    'images/pages-1.img',
    'its checksum does not match',
  ],
  [
    'a file replaced by another of its size',
    async ({ at }) => {
      await writeFile(at('other'), 'another here!');
      await rename(at('other'), at('images/inventory.img'));
    },
    'images/inventory.img',
    'its checksum does not match',
  ],
  [
    'a file cut off',
    ({ at }) => truncate(at('images/pages-1.img'), 4096),
    'images/pages-1.img',
    'it has 4096 bytes instead of 5000',
  ],
  [
    'a file grown',
    ({ at }) => appendFile(at('images/empty.img'), '!'),
    'images/empty.img',
    'it has 1 bytes instead of 0',
  ],
  ['a file missing', ({ at }) => rm(at('images/empty.img')), 'images/empty.img', 'it is missing'],
  [
    'a link in place of a file',
    async ({ at }) => {
      await rename(at('images/pages-1.img'), at('elsewhere'));
      await symlink(at('elsewhere'), at('images/pages-1.img'));
    },
    'images/pages-1.img',
    'it is missing',
  ],
  [
    'a file too many',
    ({ at }) => writeFile(at('images/core-1.img'), 'not written by the engine'),
    'images/core-1.img',
    'it does not belong to the snapshot',
  ],
  ['no manifest', ({ at }) => rm(at('manifest.json')), 'manifest.json', 'it is missing'],
  [
    'another manifest',
    async ({ at }) => {
      const text = await readFile(at('manifest.json'), 'utf8');
      await writeFile(at('manifest.json'), text.replace(/"root": ?1000/, '"root":1001'));
    },
    'manifest.json',
    'its checksum does not match',
  ],
  [
    'an enormous manifest',
    ({ at }) => truncate(at('manifest.json'), (32 << 20) + 1),
    'manifest.json',
    'it is too large',
  ],
];

/** Alters a file that only root may write. */
const overwrite = async (path: string, position: number, text: string): Promise<void> => {
  const bytes = await readFile(path);
  bytes.write(text, position);
  await writeFile(path, bytes);
};

/** The layer's name is its digest. */
const LAYER_DAMAGES: readonly [what: string, damage: (path: string) => Promise<void>, reason: string][] = [
  ['an altered layer', (path) => overwrite(path, 8192, 'M'), 'its checksum does not match'],
  ['a layer altered in a hole', (path) => overwrite(path, 5000, 'M'), 'its checksum does not match'],
  ['a layer cut off', (path) => truncate(path, 8192), 'it has 8192 bytes instead of 12288'],
  ['no layer', (path) => rm(path), 'it is missing'],
];

describe.each([
  ['durable', makeDurable],
  ['provisional', makeProvisional],
])('a %s snapshot is refused', (kind, make) => {
  it.each(DAMAGES)('with %s', async (_, damage, file, reason) => {
    const place = await make();
    await damage(place);
    const unsummed =
      kind === 'provisional' && file !== 'manifest.json' && reason === 'its checksum does not match';
    const expected = refusesWith(file, unsummed ? 'it was changed before it had a checksum' : reason);
    for (const store of [...readers(place), ...readers(place)])
      await expect(store.verify(place.known)).rejects.toThrow(expected);
  });

  it.each(LAYER_DAMAGES)('with %s', async (_, damage, reason) => {
    const place = await make();
    await damage(place.layout.layer(place.layer.digest));
    const expected = refusesWith(`layers/${place.layer.digest}`, reason);
    for (const store of [...readers(place), ...readers(place)])
      await expect(store.verify(place.known)).rejects.toThrow(expected);
  });

  it('with the manifest of another record', async () => {
    const place = await make();
    for (const store of readers(place))
      await expect(store.verify({ ...place.known, digest: sha256('another') })).rejects.toThrow(
        refusesWith('manifest.json', 'its checksum does not match'),
      );
  });

  it('with a manifest of a later format, whose checksum is right', async () => {
    const place = await make();
    const text = JSON.stringify({ ...place.written.manifest, format: 3 });
    await writeFile(place.at('manifest.json'), text);
    for (const store of readers(place))
      await expect(store.verify({ ...place.known, digest: sha256(text) })).rejects.toMatchObject({
        code: 'SNAPSHOT_CORRUPT',
      });
  });
});

it('a layer that is altered while it is mapped does not get into the next snapshot', async () => {
  const place = await makeDurable();
  await place.store.verify(place.known);
  await overwrite(place.layout.layer(place.layer.digest), 8192, 'M');
  const { manifest, path, digest } = await provision(place, 'NEXT', [place.layer]);
  const known = { id: manifest.id, manifest: path, digest };
  for (const store of readers(place))
    await expect(store.verify(known)).rejects.toMatchObject({
      code: 'SNAPSHOT_CORRUPT',
      details: { file: `layers/${place.layer.digest}` },
    });
});

describe('the seal', () => {
  it.each<[string, Damage]>([
    ['removed', ({ at }) => rm(at('seal.json'))],
    ['broken', ({ at }) => writeFile(at('seal.json'), '{"images/')],
    ['of another kind', ({ at }) => writeFile(at('seal.json'), '{"images/pages-1.img": 7}')],
    ['of other files', ({ at }) => writeFile(at('seal.json'), '{"images/pages-1.img": "1 2 3 4 5"}')],
  ])('is %s: the files are read, intact or not, and sealed again', async (_, breakSeal) => {
    const place = await makeDurable();
    await breakSeal(place);
    expect(await place.next().verify(place.known)).toEqual(place.written.manifest);
    const seal = JSON.parse(await readFile(place.at('seal.json'), 'utf8')) as Record<string, string>;
    expect(Object.keys(seal)).toEqual(
      expect.arrayContaining([
        ...place.written.manifest.files.map(({ name }) => name),
        `layers/${place.layer.digest}`,
      ]),
    );
    await breakSeal(place);
    await writeFile(place.at('images/inventory.img'), 'THE inventory');
    for (const store of readers(place))
      await expect(store.verify(place.known)).rejects.toThrow(
        refusesWith('images/inventory.img', 'its checksum does not match'),
      );
  });

  it('does not vouch for a snapshot copied from a backup, which verifies by being read', async () => {
    const place = await makeDurable();
    for (const name of Object.keys(FILES)) {
      await copyFile(place.at(`images/${name}`), place.at('copy'));
      await rename(place.at('copy'), place.at(`images/${name}`));
    }
    for (const store of readers(place))
      expect(await store.verify(place.known)).toEqual(place.written.manifest);
  });

  it('stays as it is while nothing is touched, and is renewed when something was', async () => {
    const place = await makeDurable();
    const before = await readFile(place.at('seal.json'), 'utf8');
    await place.store.verify(place.known);
    expect(await readFile(place.at('seal.json'), 'utf8')).toBe(before);
    chmodSync(place.at('images/pages-1.img'), 0o640);
    await place.store.verify(place.known);
    expect(await readFile(place.at('seal.json'), 'utf8')).not.toBe(before);
  });

  it('that cannot be written keeps no intact snapshot from waking', async () => {
    const place = await makeDurable();
    await rm(place.at('seal.json'));
    await mkdir(place.at('seal.json'));
    for (const store of readers(place))
      expect(await store.verify(place.known)).toEqual(place.written.manifest);
  });
});
