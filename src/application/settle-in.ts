/** A snapshot begins another life as a new application, asleep: a fork of one here, or what came from elsewhere. */
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { ChainSpec } from '../api/index.ts';
import { newId } from '../common/index.ts';
import { decodeImage, encodeImage, moveAddress } from '../criu/index.ts';
import { makeApplicationFiles } from '../environments/index.ts';
import { logFile } from '../harness/index.ts';
import type { ApplicationRecord, SnapshotRecord } from '../registry/index.ts';
import type { Manifest, Reachable } from '../snapshots/index.ts';
import type { House } from './context.ts';
import { restoreFiles } from './files.ts';
import { generationOf } from './identity.ts';
import { tellNames } from './naming.ts';
import { registerPublished } from './published.ts';
import { specApart } from './roster.ts';

/** What begins. */
export interface Origin {
  readonly manifest: Manifest;
  /** Where its images can be read, by their names. */
  readonly image: (name: string) => string;
  readonly kind: 'fork' | 'import' | 'clone';
  readonly parent: string | null;
  readonly name: string;
  readonly hostname: string;
  /** The one that it had when left out. */
  readonly network?: string | undefined;
  /** It comes from another machine. */
  readonly foreign: boolean;
  /** Differences of the machine were let pass. */
  readonly force: boolean;
  /** Changes what its images say of files and sockets; without it, sockets that are bound to its address follow it. */
  readonly edit?: (images: string, record: ApplicationRecord) => Uint8Array | undefined;
}

/** The address that it had, now another: where it listens, as its connections are of the past. */
export const reachableAt = ({ listening }: Reachable, from: string, to: string): Reachable => ({
  listening: listening.map((one) => (one.address === from ? { ...one, address: to } : one)),
  connections: [],
});

const specOf = ({ manifest, kind, name, hostname, network }: Origin): ChainSpec => {
  const { aid: _aid, address: _address, ...spec } = manifest.application.spec;
  // What comes from elsewhere is what it was there.
  const place = network === undefined ? {} : { network };
  return { ...(kind === 'import' ? spec : specApart(spec)), ...place, name, hostname };
};

/** Its directories: the files of the snapshot, its own name, logs that begin anew. */
const makeFiles = async (
  house: House,
  record: ApplicationRecord,
  { manifest, foreign }: Origin,
): Promise<void> => {
  const paths = house.layout.application(record.aid);
  const shown = manifest.application.shown.filter((path) => existsSync(path));
  for (const path of [paths.directory, paths.log, paths.engineLog]) mkdirSync(path, { recursive: true });
  if (manifest.tree !== null)
    await restoreFiles(house, record.aid, { tree: manifest.tree, snapshot: manifest.id, foreign });
  makeApplicationFiles(paths, house.hidden, shown);
  tellNames(house, record);
  for (const { name } of record.spec.processes)
    for (const stream of ['stdout', 'stderr'] as const)
      writeFileSync(logFile(paths.log, name, stream), '', { flag: 'a' });
};

const FILES = 'files.img';

/** Its sockets follow the address. */
const moveSockets = ({ schema }: House, images: string, from: string, to: string): Uint8Array | undefined => {
  const files = decodeImage(schema, FILES, readFileSync(join(images, FILES)));
  return moveAddress(files, from, to) > 0 ? encodeImage(schema, files) : undefined;
};

const writeSnapshot = async (
  house: House,
  record: ApplicationRecord,
  origin: Origin,
): Promise<SnapshotRecord> => {
  const { manifest, image, kind, parent, name, hostname } = origin;
  const { application } = manifest;
  const id = newId();
  const reachable = reachableAt(manifest.reachable, application.address, record.address);
  const { path, digest, bytes } = await house.store.create(id, async (images) => {
    for (const { name: file } of manifest.files)
      copyFileSync(image(file), join(images, file.slice('images/'.length)));
    const edited = origin.edit
      ? origin.edit(images, record)
      : moveSockets(house, images, application.address, record.address);
    if (edited) writeFileSync(join(images, FILES), edited);
    return {
      ...manifest,
      aid: record.aid,
      kind,
      parent,
      application: {
        ...application,
        name,
        hostname,
        address: record.address,
        spec: record.spec,
        generation: generationOf(record),
      },
      reachable,
    };
  });
  const snapshot: SnapshotRecord = {
    id,
    aid: record.aid,
    takenAt: manifest.takenAt,
    kind,
    bytes,
    parent,
    manifest: path,
    digest,
    durable: true,
    pinned: false,
    expiresAt: null,
    tree: manifest.tree,
  };
  await house.registry.addSnapshot(snapshot);
  return snapshot;
};

export interface Settled {
  readonly record: ApplicationRecord;
  readonly snapshot: SnapshotRecord;
}

/** A registered application begins its life. Nothing is left of it when it fails. Fails with `SNAPSHOT_CORRUPT`, `NO_SPACE`. */
export const settleRegistered = async (
  house: House,
  registered: ApplicationRecord,
  origin: Origin,
): Promise<Settled> => {
  const { registry, layout, store } = house;
  const { manifest, name } = origin;
  let snapshot: SnapshotRecord | undefined;
  try {
    await makeFiles(house, registered, origin);
    snapshot = await writeSnapshot(house, registered, origin);
    const reachable = reachableAt(manifest.reachable, manifest.application.address, registered.address);
    const record = await registry.transition(registered.aid, { states: ['registered'] }, 'asleep', {
      snapshot: snapshot.id,
      data: {
        rootPid: manifest.processes.root,
        shown: manifest.application.shown.filter((path) => existsSync(path)),
        reachable,
        // A template's have been closed already.
        ...(origin.kind !== 'clone' && { closeConnections: snapshot.id }),
        ...(origin.force && { forced: snapshot.id }),
      },
    });
    if (!record) throw new Error(`${name} changed hands while it began`);
    house.emit('asleep', record, { reason: `${origin.kind} of ${manifest.id}` });
    return { record, snapshot };
  } catch (error) {
    await registry.remove(registered.aid);
    house.roster.apply('removed', registered);
    if (snapshot) await store.remove(snapshot.id);
    await rm(layout.application(registered.aid).directory, { recursive: true, force: true });
    throw error;
  }
};

/** Nothing is left of it when it fails. Fails with `NAME_TAKEN`, `SNAPSHOT_CORRUPT`, `NO_SPACE`. */
export const settleIn = async (house: House, origin: Origin): Promise<Settled> => {
  const { manifest, name, hostname } = origin;
  const spec = specOf(origin);
  const network = house.networks.cidrOf(spec.network);
  const registered = await registerPublished(house, { name, spec }, () =>
    house.registry.registerApplication({
      name,
      hostname,
      spec,
      network,
      change: { data: { generation: manifest.application.generation + 1 } },
    }),
  );
  return settleRegistered(house, registered, origin);
};
