/** Snapshots that leave for a file or a registry, and come from there as new applications. */
import type { KeyObject } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type {
  ExportRequest,
  ImportRequest,
  ImportResult,
  PullRequest,
  PushRequest,
  TransferResult,
} from '../api/index.ts';
import { AppShotError } from '../common/index.ts';
import type { SnapshotRecord } from '../registry/index.ts';
import { Manifest, packLayer, treeObjects } from '../snapshots/index.ts';
import {
  exportBundle,
  importBundle,
  parseReference,
  pullBundle,
  pushBundle,
  readCredentials,
  readPassphrase,
  readSecret,
  readSigningKey,
  readVerifyingKey,
} from '../transport/index.ts';
import type { BundleObject, BundleSink, BundleSource, Secret } from '../transport/index.ts';
import type { Applications } from './applications.ts';
import type { House } from './context.ts';
import { templateIn } from './cloning/facts.ts';
import { receiveTemplate } from './cloning/receive.ts';
import type { Templates } from './cloning/templates.ts';
import { checkFingerprint } from './fingerprint.ts';
import { snapshotOrLatest } from './resolve.ts';
import { settleIn } from './settle-in.ts';
import { viewOf } from './views.ts';

interface Keys {
  readonly key?: string | undefined;
  readonly passphraseFile?: string | undefined;
}

const secretOf = async ({ key, passphraseFile }: Keys): Promise<Secret | undefined> => {
  if (key !== undefined) return readSecret(key);
  return passphraseFile === undefined ? undefined : readPassphrase(passphraseFile);
};

/** A snapshot as what travels: its images and files, and its layers packed. */
const sourceOf = async (house: House, known: SnapshotRecord): Promise<BundleSource> => {
  const manifest = await house.store.verify(known);
  const places = new Map<string, BundleObject & { open: () => AsyncIterable<Buffer> }>();
  for (const { name, size, sha256 } of manifest.files)
    if (sha256 !== null)
      places.set(sha256, {
        digest: sha256,
        size,
        kind: 'file',
        open: () => createReadStream(house.store.file(known, name)),
      });
  for (const digest of known.tree === null ? [] : await treeObjects(house.objects, known.tree, known.id)) {
    await house.objects.verify(digest, { snapshot: known.id });
    places.set(digest, {
      digest,
      size: house.objects.size(digest) ?? 0,
      kind: 'file',
      open: () => house.objects.read(digest),
    });
  }
  for (const { digest, packed } of manifest.memory.layers)
    places.set(digest, {
      digest,
      size: packed,
      kind: 'layer',
      open: () => packLayer(house.store.layers.path({ digest })),
    });
  return {
    manifest: await readFile(house.store.file(known, 'manifest.json')),
    objects: [...places.values()].map(({ digest, size, kind }) => ({ digest, size, kind })),
    open: (digest) => {
      const found = places.get(digest);
      if (!found) throw new Error(`${digest} is not of the snapshot ${known.id}`);
      return found.open();
    },
  };
};

/** Those that the daemon's user, which is root, has for a registry. */
const credentialsFor = (ref: string): ReturnType<typeof readCredentials> =>
  readCredentials(parseReference(ref).host);

const parseManifest = (text: Buffer): Manifest => {
  try {
    return Manifest.parse(JSON.parse(text.toString('utf8')));
  } catch (cause) {
    const reason = 'its manifest is not one that this version reads';
    throw new AppShotError('BUNDLE_CORRUPT', { where: 'that arrived', reason }, { cause });
  }
};

/** What came, as the API shows it, before how it came. */
type Arrived = Unmeasured<ImportResult>;
type Unmeasured<T> = T extends unknown ? Omit<T, 'bytes' | 'transferred' | 'ms'> : never;

interface Arrival {
  readonly name?: string | undefined;
  readonly network?: string | undefined;
  readonly force: boolean;
}

export class Transfers {
  readonly #house: House;
  readonly #applications: Applications;
  readonly #templates: Templates;

  constructor(house: House, applications: Applications, templates: Templates) {
    this.#house = house;
    this.#applications = applications;
    this.#templates = templates;
  }

  /** What is to leave: durable, so that it has checksums. */
  async #leaving(nameOrAid: string, prefix: string | undefined): Promise<SnapshotRecord> {
    const record = await this.#applications.find(nameOrAid);
    const { id } = await snapshotOrLatest(this.#house, record, prefix);
    await this.#house.keeper.settled(id);
    return snapshotOrLatest(this.#house, record, id);
  }

  async #template(nameOrId: string): Promise<SnapshotRecord> {
    const { registry } = this.#house;
    const template = await registry.findTemplate(nameOrId);
    const known = template && (await registry.getSnapshot(template.snapshot));
    if (!known) throw new AppShotError('TEMPLATE_NOT_FOUND', { name: nameOrId });
    return known;
  }

  async exportTo(
    nameOrAid: string,
    prefix: string | undefined,
    request: Omit<ExportRequest, 'snapshot'>,
  ): Promise<TransferResult> {
    return this.#export(await this.#leaving(nameOrAid, prefix), request);
  }

  async exportTemplate(nameOrId: string, request: Omit<ExportRequest, 'snapshot'>): Promise<TransferResult> {
    return this.#export(await this.#template(nameOrId), request);
  }

  async #export(known: SnapshotRecord, request: Omit<ExportRequest, 'snapshot'>): Promise<TransferResult> {
    const begun = performance.now();
    const source = await sourceOf(this.#house, known);
    const sign = request.sign === undefined ? undefined : await readSigningKey(request.sign);
    const { bytes } = await exportBundle(source, request.file, { sign, secret: await secretOf(request) });
    const whole = source.objects.reduce((sum, { size }) => sum + size, 0);
    return { snapshot: known.id, bytes: whole, transferred: bytes, ms: performance.now() - begun };
  }

  async push(
    nameOrAid: string,
    prefix: string | undefined,
    request: Omit<PushRequest, 'snapshot'>,
  ): Promise<TransferResult> {
    return this.#push(await this.#leaving(nameOrAid, prefix), request);
  }

  async pushTemplate(nameOrId: string, request: Omit<PushRequest, 'snapshot'>): Promise<TransferResult> {
    return this.#push(await this.#template(nameOrId), request);
  }

  async #push(known: SnapshotRecord, request: Omit<PushRequest, 'snapshot'>): Promise<TransferResult> {
    const begun = performance.now();
    const source = await sourceOf(this.#house, known);
    const sign = request.sign === undefined ? undefined : await readSigningKey(request.sign);
    const { ref, plainHttp } = request;
    const { sent } = await pushBundle(source, ref, {
      sign,
      secret: await secretOf(request),
      credentials: await credentialsFor(ref),
      plainHttp,
    });
    const whole = source.objects.reduce((sum, { size }) => sum + size, 0);
    return { snapshot: known.id, bytes: whole, transferred: sent, ms: performance.now() - begun };
  }

  /** Keeps what arrives; nothing is an application before all of it is there. */
  async #receive(
    request: Arrival & Keys & { verify?: string | undefined },
    receive: (
      sink: BundleSink,
      options: {
        secret: Secret | undefined;
        verify: KeyObject | undefined;
        accept: (manifest: Buffer) => Promise<void>;
      },
    ) => Promise<{ bytes: number; transferred: number }>,
  ): Promise<ImportResult> {
    const begun = performance.now();
    const house = this.#house;
    let made: Arrived | undefined;
    const sink: BundleSink = {
      has: async (digest) => house.objects.has(digest) || house.store.layers.has(digest),
      put: async ({ digest, size, kind }, stream) => {
        if (kind === 'layer') await house.store.layers.put(digest, stream);
        else await house.objects.putStream(digest, size, stream);
      },
      commit: async (text) => {
        made = await this.#settle(parseManifest(text), request);
      },
    };
    const accept = async (text: Buffer): Promise<void> => {
      const manifest = parseManifest(text);
      await this.#expectName(manifest, request.name);
      this.#expectNetwork(manifest, request.network);
      await checkFingerprint(house, manifest.application, manifest, request.force);
    };
    const verify = request.verify === undefined ? undefined : await readVerifyingKey(request.verify);
    const secret = await secretOf(request);
    const amounts = await house.keeper.capturing(() => receive(sink, { secret, verify, accept }));
    if (!made) throw new Error('nothing was committed');
    return { ...made, ...amounts, ms: performance.now() - begun };
  }

  /** Fails with `NAME_TAKEN` and `TEMPLATE_TAKEN`. */
  async #expectName(manifest: Manifest, wanted: string | undefined): Promise<void> {
    const { registry } = this.#house;
    if (manifest.kind === 'template') {
      const name = wanted ?? templateIn(manifest)?.facts.name ?? '';
      if (await registry.findTemplate(name)) throw new AppShotError('TEMPLATE_TAKEN', { name });
      return;
    }
    const name = wanted ?? manifest.application.name;
    if (await registry.find(name)) throw new AppShotError('NAME_TAKEN', { name });
  }

  /** A template may come without the network that its clones will be in. Fails with `NETWORK_NOT_FOUND`. */
  #expectNetwork({ kind, application }: Manifest, wanted: string | undefined): void {
    const { networks } = this.#house;
    if (wanted !== undefined || kind !== 'template') networks.cidrOf(wanted ?? application.spec.network);
  }

  async #settle(manifest: Manifest, { name, network, force }: Arrival): Promise<Arrived> {
    const house = this.#house;
    const own = manifest.application;
    const digests = new Map(manifest.files.map((file) => [file.name, file.sha256 ?? '']));
    const image = (file: string): string => house.objects.path(digests.get(file) ?? '');
    if (manifest.tree !== null)
      await house.objects.flush(await treeObjects(house.objects, manifest.tree, manifest.id));
    if (manifest.kind === 'template') {
      const template = await receiveTemplate(house, manifest, image, { name, network });
      return { ...(await this.#templates.viewOf(template)), snapshot: template.snapshot };
    }
    const made = await settleIn(house, {
      manifest,
      image,
      kind: 'import',
      parent: null,
      name: name ?? own.name,
      hostname: name === undefined ? own.hostname : name,
      network,
      foreign: true,
      force,
    });
    this.#applications.expect(made.record);
    return { ...viewOf(made.record), snapshot: made.snapshot.id };
  }

  /** A new application, asleep, from an exported file. Fails with `BUNDLE_...`, `FINGERPRINT_MISMATCH`, `NAME_TAKEN`, `NETWORK_NOT_FOUND`. */
  importFrom(request: ImportRequest): Promise<ImportResult> {
    return this.#receive(request, async (sink, options) => {
      const { bytes } = await importBundle(request.file, sink, options);
      return { bytes, transferred: bytes };
    });
  }

  /** The same from a registry of images. */
  pull(request: PullRequest): Promise<ImportResult> {
    return this.#receive(request, async (sink, options) => {
      const { plainHttp } = request;
      const { bytes, fetched } = await pullBundle(request.ref, sink, {
        ...options,
        credentials: await credentialsFor(request.ref),
        plainHttp,
      });
      return { bytes, transferred: fetched };
    });
  }
}
