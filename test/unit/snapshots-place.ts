/** A store of snapshots on a real disk, with snapshots in it whose images are nobody's. */
import { createHash } from 'node:crypto';
import { rmSync, statSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import { Layout, SnapshotStore } from '../../src/snapshots/index.ts';
import type { Known, LayerEntry, ManifestFacts, Written } from '../../src/snapshots/index.ts';
import { LayerWriter } from '../../src/snapshots/memory/layer.ts';
import { eventually } from '../support/eventually.ts';

export const ID = '01JSNAP';
export const FACTS: ManifestFacts = {
  aid: '01JAPP',
  kind: 'sleep',
  parent: null,
  engine: { version: '4.2' },
  application: {
    name: 'web',
    hostname: 'web',
    address: '10.10.0.2',
    generation: 0,
    spec: {
      name: 'web',
      processes: [{ name: 'main', command: ['sleep', '1'], environment: {} }],
      volumes: [],
      limits: {},
      capabilities: { add: [], drop: [] },
    },
    shown: ['/tmp/shown'],
  },
  clocks: { monotonic: '123456789012345', boottime: '223456789012345' },
  processes: { root: 1000, last: 1042, orphans: false },
  reachable: {
    listening: [{ protocol: 'tcp', address: '0.0.0.0', port: 80 }],
    connections: [{ localPort: 80, remote: '10.10.0.1', remotePort: 50_000 }],
  },
  fingerprint: {
    machine: {
      architecture: 'x86_64',
      cpu: { vendor: 'GenuineIntel', family: '6', model: '85', features: ['avx', 'sse2'] },
      signalFrame: 0,
      pageSize: 4096,
      kernel: '6.12',
      engine: '4.2',
      format: 2,
    },
    files: [],
  },
};
export const FILES = { 'inventory.img': 'the inventory', 'pages-1.img': 'x'.repeat(5000), 'empty.img': '' };

/** When all files were written last, in seconds: whoever alters one can set it again, but not its ctime. */
export const WRITTEN = 1_750_000_000;

export const sha256 = (text: string | Uint8Array): string => createHash('sha256').update(text).digest('hex');

export interface Place {
  readonly layout: Layout;
  readonly stage: string;
  readonly store: SnapshotStore;
  /** The store of the next daemon, which remembers nothing. */
  next(): SnapshotStore;
}

export const makePlace = async (): Promise<Place> => {
  const directory = await mkdtemp(join(tmpdir(), 'appshot-snapshots-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  const [layout, stage] = [new Layout(join(directory, 'data')), join(directory, 'stage')];
  const next = (): SnapshotStore => new SnapshotStore(layout, { stage, descriptors: '/nowhere' });
  return { layout, stage, store: next(), next };
};

/** Writes images where the store says. */
export const writeImages = async (images: string): Promise<void> => {
  for (const [name, text] of Object.entries(FILES)) {
    await writeFile(join(images, name), text);
    await utimes(join(images, name), WRITTEN, WRITTEN);
  }
};

/** What the registry would remember. */
export const knownOf = ({ manifest, path, digest }: Written): Known => ({
  id: manifest.id,
  manifest: path,
  digest,
});

export const provision = async (
  { store }: Pick<Place, 'store'>,
  id = ID,
  layers: readonly LayerEntry[] = [],
): Promise<Written> => {
  await writeImages(store.begin(id, 1000));
  return store.provision(id, FACTS, layers);
};

/** A layer of three pages, the middle one a hole. */
export const makeLayer = (layout: Layout, text = 'memory'): LayerEntry => {
  const path = join(layout.layers, '.made.draft');
  const writer = new LayerWriter(path, 3 * 4096);
  const bytes = Buffer.alloc(3 * 4096);
  bytes.write(text);
  bytes.write(text, 2 * 4096);
  writer.write(0, bytes);
  const layer = writer.end();
  writeFileSync(layout.layer(layer.digest), bytes, { mode: 0o400 });
  rmSync(path);
  return layer;
};

/** A snapshot in the store: provisional or durable, with a layer. */
export interface Kept extends Place {
  readonly layer: LayerEntry;
  readonly written: Written;
  readonly known: Known;
  /** Path of a file of the snapshot. */
  at(name: string): string;
}

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

const keptAs = async (place: Place, layer: LayerEntry, written: Written): Promise<Kept> => {
  const known = knownOf(written);
  const directory = dirname(place.store.images(known));
  const at = (name: string): string => join(directory, name);
  await clockMoves(at('seal.json'));
  return { ...place, layer, written, known, at };
};

export const makeProvisional = async (): Promise<Kept> => {
  const place = await makePlace();
  const layer = makeLayer(place.layout);
  return keptAs(place, layer, await provision(place, ID, [layer]));
};

export const makeDurable = async (): Promise<Kept> => {
  const place = await makePlace();
  const layer = makeLayer(place.layout);
  const written = await place.store.create(ID, async (images) => {
    await writeImages(images);
    const memory = { layers: [layer], copied: 5000 };
    return { format: 2, takenAt: '2026-01-02T03:04:05.678Z', ...FACTS, memory, tree: null };
  });
  return keptAs(place, layer, written);
};
