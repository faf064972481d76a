/** Snapshots on a real disk, and what may happen to them there. */
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, rmSync, statSync, writeFileSync } from 'node:fs';
import {
  appendFile,
  copyFile,
  mkdir,
  mkdtemp,
  readFile,
  readdir,
  rename,
  rm,
  symlink,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { Layout, SnapshotStore } from '../../src/snapshots/index.ts';
import type { Sealed } from '../../src/snapshots/index.ts';
import { Manifest } from '../../src/snapshots/manifest.ts';
import type { ManifestFacts } from '../../src/snapshots/manifest.ts';
import { eventually } from '../support/eventually.ts';

const ID = '01JSNAP';
const FACTS: ManifestFacts = {
  aid: '01JAPP',
  parent: null,
  engine: { version: '4.1.1' },
  memory: { mode: 'copy' },
  clocks: { monotonic: '123456789012345', boottime: '223456789012345' },
  processes: { root: 1000, last: 1042, orphans: false },
  reachable: {
    listening: [{ protocol: 'tcp', address: '0.0.0.0', port: 80 }],
    connections: [{ localPort: 80, remote: '10.10.0.1', remotePort: 50_000 }],
  },
};
const FILES = { 'inventory.img': 'the inventory', 'pages-1.img': 'x'.repeat(5000), 'empty.img': '' };

/** When all files were written last, in seconds: whoever alters one can set it again, but not its ctime. */
const WRITTEN = 1_750_000_000;

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

interface Place {
  readonly layout: Layout;
  readonly store: SnapshotStore;
  readonly sealed: Sealed;
  /** Path of a file of the snapshot. */
  readonly at: (name: string) => string;
}

const makeStore = async (): Promise<{ layout: Layout; store: SnapshotStore }> => {
  const directory = await mkdtemp(join(tmpdir(), 'appshot-snapshots-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  const layout = new Layout(directory);
  const store = new SnapshotStore(layout);
  await store.sweep(new Set());
  return { layout, store };
};

const writeDraft = async (store: SnapshotStore, id: string): Promise<void> => {
  const images = await store.begin(id);
  for (const [name, text] of Object.entries(FILES)) {
    await writeFile(join(images, name), text);
    await utimes(join(images, name), WRITTEN, WRITTEN);
  }
};

/** Waits until what is written from now on gets a later time than this file: older kernels stamp files by the tick. */
const clockMoves = (path: string): Promise<void> =>
  eventually(
    () => {
      writeFileSync(`${path}.probe`, '');
      const [now, then] = [`${path}.probe`, path].map((one) => statSync(one, { bigint: true }).ctimeNs);
      rmSync(`${path}.probe`);
      expect(now).toBeGreaterThan(then ?? 0n);
    },
    1000,
    1,
  );

const makeSnapshot = async (): Promise<Place> => {
  const { layout, store } = await makeStore();
  await writeDraft(store, ID);
  const sealed = await store.seal(ID, FACTS);
  const at = (name: string): string => join(layout.snapshot(ID), name);
  await clockMoves(at('seal.json'));
  return { layout, store, sealed, at };
};

/** The store of the same daemon, which has seen the manifest, and of the next one. */
const readers = ({ store, layout }: Place): readonly SnapshotStore[] => [store, new SnapshotStore(layout)];

const refusesWith = (file: string, reason: string) =>
  expect.objectContaining({
    code: 'SNAPSHOT_CORRUPT',
    message: `the snapshot ${ID} is damaged: ${file}: ${reason}`,
  }) as Error;

describe('a snapshot', () => {
  it('is there under its name once it is sealed, and not before', async () => {
    const { layout, store } = await makeStore();
    await writeDraft(store, ID);
    expect(existsSync(layout.snapshot(ID))).toBe(false);
    const { manifest, digest, bytes } = await store.seal(ID, FACTS);
    expect(await readdir(layout.snapshots)).toEqual([ID]);
    expect(bytes).toBe(5013);
    expect(manifest).toMatchObject({ ...FACTS, format: 1, id: ID });
    expect(Date.parse(manifest.takenAt)).toBeLessThanOrEqual(Date.now());
    expect(digest).toBe(sha256(await readFile(join(layout.snapshot(ID), 'manifest.json'), 'utf8')));
    expect(store.images(ID)).toBe(join(layout.snapshot(ID), 'images'));
    expect(statSync(join(layout.snapshot(ID), 'manifest.json')).mode & 0o077).toBe(0);
    expect(statSync(store.images(ID)).mode & 0o077).toBe(0);
  });

  it('names every file with its size and checksum, in order', async () => {
    const { sealed } = await makeSnapshot();
    expect(sealed.manifest.files).toEqual(
      Object.entries(FILES)
        .toSorted(([one], [other]) => (one < other ? -1 : 1))
        .map(([name, text]) => ({ name: `images/${name}`, size: text.length, sha256: sha256(text) })),
    );
  });

  it('verifies, again and again, by whom it may be', async () => {
    const place = await makeSnapshot();
    for (const store of [...readers(place), ...readers(place)])
      expect(await store.verify(ID, place.sealed.digest)).toEqual(place.sealed.manifest);
  });
});

describe('a damaged snapshot is refused', () => {
  it.each<[string, (place: Place) => Promise<void>, string, string]>([
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
        await writeFile(at('manifest.json'), text.replace('"root": 1000', '"root": 1001'));
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
  ])('with %s', async (_, damage, file, reason) => {
    const place = await makeSnapshot();
    await damage(place);
    for (const store of [...readers(place), ...readers(place)])
      await expect(store.verify(ID, place.sealed.digest)).rejects.toThrow(refusesWith(file, reason));
  });

  it('with the manifest of another record', async () => {
    const place = await makeSnapshot();
    for (const store of readers(place))
      await expect(store.verify(ID, sha256('another'))).rejects.toThrow(
        refusesWith('manifest.json', 'its checksum does not match'),
      );
  });

  it('with a manifest of a later format, whose checksum is right', async () => {
    const place = await makeSnapshot();
    const text = JSON.stringify({ ...place.sealed.manifest, format: 2 });
    await writeFile(place.at('manifest.json'), text);
    for (const store of readers(place))
      await expect(store.verify(ID, sha256(text))).rejects.toMatchObject({ code: 'SNAPSHOT_CORRUPT' });
  });
});

describe('the seal', () => {
  it.each<[string, (place: Place) => Promise<void>]>([
    ['removed', ({ at }) => rm(at('seal.json'))],
    ['broken', ({ at }) => writeFile(at('seal.json'), '{"images/')],
    ['of another kind', ({ at }) => writeFile(at('seal.json'), '{"images/pages-1.img": 7}')],
    ['of other files', ({ at }) => writeFile(at('seal.json'), '{"images/pages-1.img": "1 2 3 4 5"}')],
  ])('is %s: the files are read, intact or not, and sealed again', async (_, breakSeal) => {
    const place = await makeSnapshot();
    for (const store of readers(place)) {
      await breakSeal(place);
      expect(await store.verify(ID, place.sealed.digest)).toEqual(place.sealed.manifest);
      const seal = JSON.parse(await readFile(place.at('seal.json'), 'utf8')) as Record<string, string>;
      expect(Object.keys(seal)).toEqual(
        expect.arrayContaining(place.sealed.manifest.files.map(({ name }) => name)),
      );
    }
    await breakSeal(place);
    await writeFile(place.at('images/inventory.img'), 'THE inventory');
    for (const store of readers(place))
      await expect(store.verify(ID, place.sealed.digest)).rejects.toThrow(
        refusesWith('images/inventory.img', 'its checksum does not match'),
      );
  });

  it('does not vouch for a snapshot copied from a backup, which verifies by being read', async () => {
    const place = await makeSnapshot();
    for (const name of Object.keys(FILES)) {
      await copyFile(place.at(`images/${name}`), place.at('copy'));
      await rename(place.at('copy'), place.at(`images/${name}`));
    }
    for (const store of readers(place))
      expect(await store.verify(ID, place.sealed.digest)).toEqual(place.sealed.manifest);
  });

  it('stays as it is while nothing is touched, and is renewed when something was', async () => {
    const place = await makeSnapshot();
    const before = await readFile(place.at('seal.json'), 'utf8');
    await place.store.verify(ID, place.sealed.digest);
    expect(await readFile(place.at('seal.json'), 'utf8')).toBe(before);
    chmodSync(place.at('images/pages-1.img'), 0o600);
    await place.store.verify(ID, place.sealed.digest);
    expect(await readFile(place.at('seal.json'), 'utf8')).not.toBe(before);
  });

  it('that cannot be written keeps no intact snapshot from waking', async () => {
    const place = await makeSnapshot();
    await rm(place.at('seal.json'));
    await mkdir(place.at('seal.json'));
    for (const store of readers(place))
      expect(await store.verify(ID, place.sealed.digest)).toEqual(place.sealed.manifest);
  });
});

describe('the store', () => {
  it('removes snapshots and drafts whole, and minds none that is not there', async () => {
    const { store, layout } = await makeSnapshot();
    await writeDraft(store, 'DRAFT');
    await store.remove('DRAFT');
    expect(await readdir(layout.snapshots)).toEqual([ID]);
    await store.remove(ID);
    await store.remove(ID);
    expect(await readdir(layout.snapshots)).toEqual([]);
  });

  it('refuses a snapshot that was removed, also by who had verified it', async () => {
    const { store, sealed } = await makeSnapshot();
    await store.verify(ID, sealed.digest);
    await store.remove(ID);
    await expect(store.verify(ID, sealed.digest)).rejects.toThrow(
      refusesWith('manifest.json', 'it is missing'),
    );
  });

  it('sweeps drafts and what no record names, and keeps the rest', async () => {
    const { store, layout, sealed } = await makeSnapshot();
    await writeDraft(store, 'DRAFT');
    await writeDraft(store, 'FORGOTTEN');
    await store.seal('FORGOTTEN', FACTS);
    await writeFile(join(layout.snapshots, 'litter'), '');
    await store.sweep(new Set([ID, 'GONE']));
    expect(await readdir(layout.snapshots)).toEqual([ID]);
    expect(await store.verify(ID, sealed.digest)).toEqual(sealed.manifest);
  });

  it('makes its directory, for root alone', async () => {
    const { layout } = await makeStore();
    expect(statSync(layout.snapshots).mode & 0o777).toBe(0o700);
  });
});

describe('a manifest', () => {
  const manifest = { format: 1, id: ID, takenAt: '2026-01-02T03:04:05.678Z', ...FACTS, files: [] };
  const file = { name: 'images/core-1.img', size: 1, sha256: '0'.repeat(64) };

  it('keeps fields that this version does not know', () => {
    expect(Manifest.parse({ ...manifest, layers: ['L1'] })).toEqual({ ...manifest, layers: ['L1'] });
  });

  it.each([
    ['another format', { format: 2 }],
    ['no format', { format: undefined }],
    ['memory that is kept otherwise', { memory: { mode: 'layers' } }],
    ['a clock that is no number', { clocks: { monotonic: '1e9', boottime: '1' } }],
    ['no process', { processes: { root: 0, last: 1, orphans: false } }],
    ['a file outside', { files: [{ ...file, name: 'images/../../../etc/shadow' }] }],
    ['a file elsewhere', { files: [{ ...file, name: '/etc/shadow' }] }],
    ['a file with less than no bytes', { files: [{ ...file, size: -1 }] }],
    ['half a checksum', { files: [{ ...file, sha256: '0'.repeat(32) }] }],
  ])('is refused with %s', (_, change) => {
    expect(Manifest.safeParse({ ...manifest, files: [file] }).success).toBe(true);
    expect(Manifest.safeParse({ ...manifest, ...change }).success).toBe(false);
  });
});

describe('the layout', () => {
  it('puts everything below the data directory, and nothing twice', () => {
    const layout = new Layout('/data');
    expect(layout.application('A1')).toEqual({
      directory: '/data/apps/A1',
      upper: '/data/apps/A1/upper',
      work: '/data/apps/A1/work',
      shm: '/data/apps/A1/shm',
      shown: '/data/apps/A1/shown',
      log: '/data/apps/A1/log',
      engineLog: '/data/apps/A1/engine',
    });
    expect(layout.registry).toBe('/data/registry.db');
    expect(layout.snapshot('S1')).toBe('/data/snapshots/S1');
    expect(layout.draft('S1')).toBe('/data/snapshots/.S1.draft');
  });
});
