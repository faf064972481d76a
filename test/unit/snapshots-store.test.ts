/** Snapshots on a real disk: how one comes to be, becomes durable, and goes. */
import { existsSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';
import { Layout, packLayer } from '../../src/snapshots/index.ts';
import type { Known } from '../../src/snapshots/index.ts';
import {
  FACTS,
  FILES,
  ID,
  knownOf,
  makeDurable,
  makeLayer,
  makePlace,
  makeProvisional,
} from './snapshots-place.ts';
import { provision, sha256, writeImages } from './snapshots-place.ts';
import type { Kept } from './snapshots-place.ts';

const NAMES = Object.keys(FILES).toSorted();
/** More than any disk or memory has. */
const ENORMOUS = 2 ** 60;

/** Everything in the store's directories but its layers. */
const everything = ({ layout, stage }: Pick<Kept, 'layout' | 'stage'>): string[] =>
  [layout.snapshots, layout.staging, stage].flatMap((path) => readdirSync(path));

describe('a dump', () => {
  it('goes to memory, for root alone', async () => {
    const { store, stage } = await makePlace();
    const images = store.begin(ID, 1000);
    expect(images).toBe(join(stage, `.${ID}.draft`, 'images'));
    expect(store.draftImages(ID)).toBe(images);
    expect(statSync(images).mode & 0o777).toBe(0o700);
  });

  it('that no disk could take is refused, and leaves nothing', async () => {
    const place = await makePlace();
    expect(() => place.store.begin(ID, ENORMOUS)).toThrow(
      expect.objectContaining({
        code: 'NO_SPACE',
        details: { path: place.layout.directory, step: 'saving the application' },
      }),
    );
    expect(everything(place)).toEqual([]);
  });

  it('that was given up goes whole', async () => {
    const place = await makePlace();
    await writeImages(place.store.begin(ID, 1000));
    await place.store.remove(ID);
    await writeImages(place.store.begin('02', 1000));
    await place.store.discardStaged('02');
    expect(everything(place)).toEqual([]);
  });
});

describe('a provisional snapshot', () => {
  it('is there under its name once it is complete, and not before', async () => {
    const place = await makePlace();
    await writeImages(place.store.begin(ID, 1000));
    expect(existsSync(join(place.stage, ID))).toBe(false);
    const { manifest, path, digest, bytes } = place.store.provision(ID, FACTS, []);
    expect(everything(place)).toEqual([ID]);
    expect(path).toBe(join(place.stage, ID, 'manifest.json'));
    expect(bytes).toBe(5013);
    expect(digest).toBe(sha256(readFileSync(path)));
    expect(manifest).toMatchObject({
      ...FACTS,
      format: 2,
      id: ID,
      tree: null,
      memory: { layers: [], copied: 5000 },
    });
    expect(Date.parse(manifest.takenAt)).toBeLessThanOrEqual(Date.now());
    expect(statSync(path).mode & 0o077).toBe(0);
  });

  it('names every file with its size, and has no checksums yet', async () => {
    const { written } = await makeProvisional();
    const files = NAMES.map((name) => ({
      name: `images/${name}`,
      size: FILES[name as keyof typeof FILES].length,
      sha256: null,
    }));
    expect(written.manifest.files).toEqual(files);
  });

  it('verifies, also by the next daemon', async () => {
    const { store, next, known, written, layer } = await makeProvisional();
    for (const one of [store, next(), next()]) expect(await one.verify(known)).toEqual(written.manifest);
    expect(written.manifest.memory.layers).toEqual([layer]);
  });
});

describe('a durable snapshot', () => {
  it('has every file with its checksum, and the tree of files', async () => {
    const place = await makeProvisional();
    const tree = sha256('a tree');
    const { manifest, path, digest, bytes } = await place.store.settle(place.known, tree, false);
    expect(path).toBe(`snapshots/${ID}/manifest.json`);
    expect(bytes).toBe(5013);
    expect(digest).toBe(sha256(readFileSync(join(place.layout.snapshot(ID), 'manifest.json'))));
    const files = NAMES.map((name) => {
      const text = FILES[name as keyof typeof FILES];
      return { name: `images/${name}`, size: text.length, sha256: sha256(text) };
    });
    expect(manifest).toEqual({ ...place.written.manifest, tree, files });
  });

  it('leaves the provisional one, for whom reads it still, until that is discarded', async () => {
    const place = await makeProvisional();
    const durable = knownOf(await place.store.settle(place.known, null, false));
    await expect(place.store.verify(place.known)).resolves.toMatchObject({ id: ID });
    await place.store.discardStaged(ID);
    await place.store.discardStaged(ID);
    expect(everything(place)).toEqual([ID]);
    for (const store of [place.store, place.next()])
      await expect(store.verify(durable)).resolves.toMatchObject({ id: ID });
    await expect(place.next().verify(place.known)).rejects.toMatchObject({ code: 'SNAPSHOT_CORRUPT' });
  });

  it('can be made again, whatever an attempt before has left', async () => {
    const place = await makeProvisional();
    await mkdir(join(place.layout.draft(ID), 'images'), { recursive: true });
    await writeFile(join(place.layout.draft(ID), 'images', 'core-1.img'), 'half of it');
    const first = await place.store.settle(place.known, null, false);
    await writeFile(join(place.layout.snapshot(ID), 'litter'), '');
    const again = await place.next().settle(place.known, null, false);
    expect(again.manifest).toEqual(first.manifest);
    expect(readdirSync(place.layout.snapshot(ID)).toSorted()).toEqual([
      'images',
      'manifest.json',
      'seal.json',
    ]);
    expect(readdirSync(place.layout.layers)).toEqual([place.layer.digest]);
  });

  it('is not made of one that was damaged meanwhile', async () => {
    const place = await makeProvisional();
    writeFileSync(place.at('images/pages-1.img'), 'y'.repeat(5000));
    await expect(place.store.settle(place.known, null, false)).rejects.toMatchObject({
      code: 'SNAPSHOT_CORRUPT',
    });
    expect(readdirSync(place.layout.snapshots)).toEqual([]);
  });

  const arrive = (place: Pick<Kept, 'store'>) =>
    place.store.create(ID, async (images) => {
      await writeImages(images);
      const memory = { layers: [], copied: 5000 };
      return { format: 2, takenAt: '2026-01-02T03:04:05.678Z', ...FACTS, memory, tree: null };
    });

  it('can come from elsewhere', async () => {
    const place = await makePlace();
    const written = await arrive(place);
    expect(written.manifest.files.map(({ sha256: sum }) => sum)).toEqual(
      NAMES.map((name) => sha256(FILES[name as keyof typeof FILES])),
    );
    for (const store of [place.store, place.next()])
      expect(await store.verify(knownOf(written))).toEqual(written.manifest);
    expect(everything(place)).toEqual([ID]);
  });

  it('that does not arrive whole leaves nothing', async () => {
    const place = await makePlace();
    const failing = place.store.create(ID, async (images) => {
      await writeImages(images);
      throw new Error('cut off');
    });
    await expect(failing).rejects.toThrow('cut off');
    expect(everything(place)).toEqual([]);
  });
});

describe('removing', () => {
  it('takes a snapshot wherever it is, and minds none that is not there', async () => {
    for (const made of [await makeProvisional(), await makeDurable()]) {
      await made.store.remove(ID);
      await made.store.remove(ID);
      expect(everything(made)).toEqual([]);
      await expect(made.store.verify(made.known)).rejects.toMatchObject({
        details: { file: 'manifest.json', reason: 'it is missing' },
      });
      expect(readdirSync(made.layout.layers)).toEqual([made.layer.digest]);
    }
  });

  it('sweeps drafts and what no record names, and keeps the rest', async () => {
    const place = await makeDurable();
    const provisional: Known = knownOf(await provision(place, 'PROVISIONAL'));
    await provision(place, 'FORGOTTEN');
    await writeImages(place.store.begin('DRAFT', 1000));
    await mkdir(place.layout.draft('OTHER'));
    await mkdir(place.layout.snapshot('UNKNOWN'));
    await mkdir(join(place.layout.staging, '.LARGE.draft'));
    await mkdir(place.store.scratch(ID));
    await writeFile(join(place.layout.snapshots, 'litter'), '');
    await writeFile(join(place.layout.layers, '.half.draft'), 'half a layer');
    const store = place.next();
    await store.sweep([
      place.known,
      provisional,
      { ...place.known, id: 'GONE', manifest: 'snapshots/GONE/manifest.json' },
    ]);
    expect(everything(place)).toEqual([ID, 'PROVISIONAL']);
    expect(readdirSync(place.layout.layers)).toEqual([place.layer.digest]);
    for (const known of [place.known, provisional]) await expect(store.verify(known)).resolves.toBeDefined();
  });

  it('lets the place in memory go once nothing is in it', async () => {
    const { store, stage, known } = await makeProvisional();
    store.close();
    expect(existsSync(stage)).toBe(true);
    await store.settle(known, null, false);
    await store.discardStaged(ID);
    store.close();
    expect(existsSync(stage)).toBe(false);
    store.close();
  });
});

describe('layers', () => {
  const packed = async (text?: string): Promise<{ digest: string; bytes: Buffer }> => {
    const { layout } = await makePlace();
    const { digest } = makeLayer(layout, text);
    return { digest, bytes: await buffer(packLayer(layout.layer(digest))) };
  };
  const pieces = async function* (bytes: Buffer): AsyncGenerator<Buffer> {
    for (let at = 0; at < bytes.length; at += 1000) yield bytes.subarray(at, at + 1000);
  };

  it('arrive, and are there with their contents, for root to read', async () => {
    const { store, layout } = await makePlace();
    const { digest, bytes } = await packed();
    expect(store.layers.has(digest)).toBe(false);
    await store.layers.put(digest, pieces(bytes));
    await store.layers.put(digest, pieces(bytes));
    expect(store.layers.has(digest)).toBe(true);
    expect(store.layers.path({ digest })).toBe(layout.layer(digest));
    expect(statSync(layout.layer(digest)).mode & 0o777).toBe(0o400);
    expect(await buffer(packLayer(layout.layer(digest)))).toEqual(bytes);
  });

  it('of other contents, or cut off, are refused, and nothing is left of them', async () => {
    const { store, layout } = await makePlace();
    const { digest, bytes } = await packed();
    const { bytes: others } = await packed('others');
    for (const one of [others, bytes.subarray(0, -1), bytes.subarray(0, 20), Buffer.alloc(0)])
      await expect(store.layers.put(digest, pieces(one))).rejects.toMatchObject({
        code: 'SNAPSHOT_CORRUPT',
        details: { file: `layers/${digest}` },
      });
    expect(readdirSync(layout.layers)).toEqual([]);
  });

  it('that nothing needs go, with drafts; a dry run only counts them', async () => {
    const { store, layout } = await makePlace();
    const [live, dead] = [makeLayer(layout), makeLayer(layout, 'dead')];
    await writeFile(join(layout.layers, '.half.draft'), 'half a layer');
    const expected = { count: 2, bytes: expect.any(Number) as number };
    expect(await store.layers.sweep(new Set([live.digest]), true)).toEqual(expected);
    expect(readdirSync(layout.layers)).toHaveLength(3);
    const { bytes } = await store.layers.sweep(new Set([live.digest]));
    expect(bytes).toBeGreaterThan(4096);
    expect(store.layers.has(dead.digest)).toBe(false);
    expect(readdirSync(layout.layers)).toEqual([live.digest]);
  });
});

it('makes its directories, for root alone', async () => {
  const { layout, stage } = await makePlace();
  for (const path of [layout.snapshots, layout.layers, layout.staging, stage])
    expect(statSync(path).mode & 0o777).toBe(0o700);
});

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
    index: '/data/apps/A1/files.json',
    touched: '/data/apps/A1/touched.json',
    shmWork: '/data/apps/A1/shm-work',
  });
  expect(layout.registry).toBe('/data/registry.db');
  expect([layout.layers, layout.objects, layout.staging]).toEqual([
    '/data/layers',
    '/data/objects',
    '/data/staging',
  ]);
  expect(layout.layer('L1')).toBe('/data/layers/L1');
  expect(layout.snapshot('S1')).toBe('/data/snapshots/S1');
  expect(layout.draft('S1')).toBe('/data/snapshots/.S1.draft');
});
