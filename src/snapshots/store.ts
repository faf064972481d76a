/**
 * The store of snapshots. One is written as a draft and gets its name by a rename: it exists whole or not at all, and its contents are never
 * changed afterwards. It lives twice. *Provisional* it lies where the engine wrote it, in memory where there is room, and a seal vouches for
 * its files; so the processes need not wait for a disk. *Durable* it lies in the data directory, checksummed and flushed, its memory
 * perhaps folded into a layer. Before a restore it is verified.
 */
import { createHash } from 'node:crypto';
import {
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmdirSync,
  statSync,
  statfsSync,
  writeFileSync,
} from 'node:fs';
import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { AppShotError, fsyncPath } from '../common/index.ts';
import type { SnapshotRecord } from '../registry/index.ts';
import { checksum } from './checksum.ts';
import { corrupt, orNoSpace } from './failures.ts';
import { Layers } from './layers.ts';
import type { Layout } from './layout.ts';
import { draftIn, imagesIn, isDraft, manifestIn } from './layout.ts';
import { Manifest, SNAPSHOT_FORMAT } from './manifest.ts';
import type { FileEntry, LayerEntry, ManifestFacts } from './manifest.ts';
import { readSeal, setSeal, unsealed, within } from './seal.ts';
import type { Seal, Sealable } from './seal.ts';
import { isPages } from './settle-job.ts';
import { runSettling } from './settle.ts';

const LARGEST_MANIFEST = 32 << 20;
const MANIFEST = 'manifest.json';
/** How much more than a dump is thought to need must be free where it goes. */
const MARGIN = 1.1;

/** Where a snapshot is known from: what the registry remembers. */
export type Known = Pick<SnapshotRecord, 'id' | 'manifest' | 'digest'>;

/** A snapshot that has just been written, as the registry is to remember it. */
export interface Written {
  readonly manifest: Manifest;
  /** Path of the manifest, and its SHA-256. */
  readonly path: string;
  readonly digest: string;
  /** Of all files of its own; layers that it shares with others do not count. */
  readonly bytes: number;
}

export interface StoreOptions {
  /** A directory in memory where dumps go while there is room. */
  readonly stage: string;
  /** Path of the engine's message descriptors. */
  readonly descriptors: string;
}

/** A layer's name in seals and messages. */
const layerIn = (digest: string): string => `layers/${digest}`;

const freeBytes = (path: string): number => {
  const { bavail, bsize } = statfsSync(path);
  return bavail * bsize;
};

/** Bytes that the kernel thinks can be had without swapping. */
const availableMemory = (): number => {
  const line = /^MemAvailable:\s+(\d+) kB$/m.exec(readFileSync('/proc/meminfo', 'utf8'));
  return Number(line?.[1] ?? 0) * 1024;
};

export class SnapshotStore {
  readonly layers: Layers;
  readonly #layout: Layout;
  readonly #options: StoreOptions;
  /** Manifests that were read and found good, with their seals, so that a wake need not read them again. */
  readonly #verified = new Map<string, { digest: string; manifest: Manifest; seal: Seal }>();
  /** What the kernel said of layers when they were known to be right. */
  readonly #layerSeals = new Map<string, string>();
  /** The directories of snapshots that are being written. */
  readonly #drafts = new Map<string, string>();

  constructor(layout: Layout, options: StoreOptions) {
    this.#layout = layout;
    this.layers = new Layers(layout);
    this.#options = options;
    for (const path of [layout.snapshots, layout.layers, layout.staging, options.stage])
      mkdirSync(path, { recursive: true, mode: 0o700 });
  }

  /**
   * Makes a place for a dump of about `bytes`; returns where its images go. Fails with `NO_SPACE` when the disk could not take it
   * afterwards.
   */
  begin(id: string, bytes: number): string {
    const { stage } = this.#options;
    const needed = bytes * MARGIN;
    // Memory is everybody's: somebody may have tidied it up.
    mkdirSync(stage, { recursive: true, mode: 0o700 });
    this.#expectRoom(needed);
    const roomy = Math.min(freeBytes(stage), availableMemory() / 2) > needed;
    const draft = draftIn(roomy ? stage : this.#layout.staging, id);
    this.#drafts.set(id, draft);
    mkdirSync(imagesIn(draft), { recursive: true, mode: 0o700 });
    return imagesIn(draft);
  }

  #expectRoom(bytes: number): void {
    const path = this.#layout.directory;
    if (freeBytes(path) < bytes) throw new AppShotError('NO_SPACE', { path, step: 'saving the application' });
  }

  /** Where the images of a snapshot that is being written are. */
  draftImages(id: string): string {
    return imagesIn(this.#drafts.get(id) ?? this.#layout.draft(id));
  }

  /** A place in memory for images that are made for one wake. */
  scratch(id: string): string {
    return join(this.#options.stage, `.${id}.wake`);
  }

  /** Completes a dump as a provisional snapshot. Synchronous: the processes are frozen meanwhile. */
  provision(id: string, facts: ManifestFacts, layers: readonly LayerEntry[]): Written {
    const draft = this.#drafts.get(id) ?? this.#layout.draft(id);
    const files = readdirSync(imagesIn(draft))
      .toSorted()
      .map((name) => ({
        name: `images/${name}`,
        size: statSync(join(imagesIn(draft), name)).size,
        sha256: null,
      }));
    // What it would take was a guess before; a dump that cannot become durable is none.
    this.#expectRoom(sum(files));
    const memory = { layers: [...layers], copied: copiedBytes(files) };
    const takenAt = new Date().toISOString();
    const manifest: Manifest = { format: SNAPSHOT_FORMAT, id, takenAt, ...facts, memory, tree: null, files };
    const text = JSON.stringify(manifest);
    writeFileSync(manifestIn(draft), text, { mode: 0o600 });
    const seal = setSeal(draft, this.#sealables(draft, manifest), this.#sealsOfLayers(facts.parent, layers));
    const directory = join(dirname(draft), id);
    renameSync(draft, directory);
    this.#drafts.delete(id);
    const digest = sha256(text);
    this.#verified.set(id, { digest, manifest, seal });
    return { manifest, path: manifestIn(directory), digest, bytes: sum(files) };
  }

  /**
   * Makes a provisional snapshot durable, with its memory folded into a layer if wanted. Resolves to what the registry must know before
   * `discardStaged` may be called. It can be repeated after any failure.
   */
  async settle(known: Known, tree: string | null, fold: boolean): Promise<Written> {
    const { id } = known;
    const provisional = await this.verify(known);
    const draft = this.#layout.draft(id);
    const layerDraft = draftIn(this.#layout.layers, id);
    const clean = (): Promise<void[]> =>
      Promise.all([draft, layerDraft].map((path) => rm(path, { recursive: true, force: true })));
    await clean();
    await mkdir(imagesIn(draft), { recursive: true, mode: 0o700 });
    try {
      const { files, layer } = await runSettling({
        images: this.images(known),
        target: imagesIn(draft),
        names: provisional.files.map(({ name }) => basename(name)),
        layers: this.#layout.layers,
        draft: layerDraft,
        descriptors: this.#options.descriptors,
        fold,
      });
      const layers = layer ? [layer] : provisional.memory.layers;
      const manifest = { ...provisional, memory: { layers, copied: copiedBytes(files) }, tree, files };
      return { ...(await this.#publish(draft, manifest)), bytes: sum(files) + (layer?.bytes ?? 0) };
    } catch (error) {
      await clean();
      throw orNoSpace(error, this.#layout.directory, 'keeping a snapshot');
    }
  }

  /** Writes the manifest of a draft in the data directory, flushes, and gives it its name. */
  async #publish(draft: string, manifest: Manifest): Promise<Written> {
    const { id } = manifest;
    const text = JSON.stringify(manifest, undefined, 1);
    await writeFile(manifestIn(draft), text, { mode: 0o600 });
    const seal = this.#seal(draft, manifest);
    await Promise.all([fsyncPath(manifestIn(draft)), fsyncPath(imagesIn(draft)), fsyncPath(draft)]);
    const directory = this.#layout.snapshot(id);
    // An earlier attempt, of which the registry never heard.
    await rm(directory, { recursive: true, force: true });
    await rename(draft, directory);
    await fsyncPath(this.#layout.snapshots);
    const digest = sha256(text);
    this.#verified.set(id, { digest, manifest, seal });
    return { manifest, path: `snapshots/${id}/${MANIFEST}`, digest, bytes: sum(manifest.files) };
  }

  /**
   * A new durable snapshot from files that are already checksummed by the caller: `fill` writes the images into the directory it is
   * given, and returns their manifest.
   */
  async create(
    id: string,
    fill: (images: string) => Promise<Omit<Manifest, 'id' | 'files'>>,
  ): Promise<Written> {
    const draft = this.#layout.draft(id);
    await mkdir(imagesIn(draft), { recursive: true, mode: 0o700 });
    try {
      const facts = await fill(imagesIn(draft));
      const names = (await readdir(imagesIn(draft))).toSorted();
      const files = await Promise.all(
        names.map(async (name) => {
          const path = join(imagesIn(draft), name);
          const [digest] = await Promise.all([checksum(path), fsyncPath(path)]);
          return { name: `images/${name}`, size: statSync(path).size, sha256: digest };
        }),
      );
      return await this.#publish(draft, { ...facts, id, files } as Manifest);
    } catch (error) {
      await rm(draft, { recursive: true, force: true });
      throw orNoSpace(error, this.#layout.directory, 'keeping a snapshot');
    }
  }

  #directory({ manifest }: Pick<Known, 'manifest'>): string {
    return dirname(resolve(this.#layout.directory, manifest));
  }

  /** Where a snapshot's images are. */
  images(known: Pick<Known, 'manifest'>): string {
    return imagesIn(this.#directory(known));
  }

  /** One file of a snapshot, by its name in the manifest. */
  file(known: Pick<Known, 'manifest'>, name: string): string {
    return join(this.#directory(known), name);
  }

  #sealables(directory: string, { files, memory }: Manifest): Sealable[] {
    return [
      ...within(directory, [MANIFEST, ...files.map(({ name }) => name)]),
      ...memory.layers.map(({ digest }) => ({ name: layerIn(digest), path: this.#layout.layer(digest) })),
    ];
  }

  #seal(directory: string, manifest: Manifest): Seal {
    const seal = setSeal(directory, this.#sealables(directory, manifest));
    this.#remember(manifest, seal);
    return seal;
  }

  #remember({ memory }: Manifest, seal: Seal): void {
    for (const { digest } of memory.layers) this.#layerSeals.set(digest, seal[layerIn(digest)] ?? '');
  }

  /** Layers that processes have mapped are not read again for a new seal: the one under which they woke must still hold. */
  #sealsOfLayers(parent: string | null, layers: readonly LayerEntry[]): Seal {
    const seal = parent === null ? {} : readSeal(this.#layout.snapshot(parent));
    return Object.fromEntries(
      layers.map(({ digest }) => [
        layerIn(digest),
        this.#layerSeals.get(digest) ?? seal[layerIn(digest)] ?? '',
      ]),
    );
  }

  /**
   * Checks a snapshot against its manifest, and the manifest against its digest. Files that the seal vouches for are not read, and what
   * little is then left is done at once: a wake must not queue behind other work on files.
   * Fails with `SNAPSHOT_CORRUPT`, naming the file.
   */
  async verify(known: Known): Promise<Manifest> {
    const { id, digest } = known;
    const directory = this.#directory(known);
    const cached = this.#verified.get(id);
    const manifest = this.read(known);
    let seal = cached?.digest === digest ? cached.seal : readSeal(directory);
    const doubtful = unsealed(seal, this.#sealables(directory, manifest));
    if (doubtful.has(MANIFEST)) this.#readManifest(known);
    for (const file of manifest.files.filter(({ name }) => doubtful.has(name)))
      await this.#verifyFile(id, directory, file);
    for (const layer of manifest.memory.layers.filter((one) => doubtful.has(layerIn(one.digest))))
      await this.layers.verify(id, layer);
    this.#refuseStrangers(id, directory, manifest);
    // The seal only saves the next reading: a full disk must not keep what is intact from waking.
    if (doubtful.size > 0)
      try {
        seal = this.#seal(directory, manifest);
      } catch {
        // The next one reads again.
      }
    this.#remember(manifest, seal);
    this.#verified.set(id, { digest, manifest, seal });
    return manifest;
  }

  /** Its manifest, without a look at its files. Fails with `SNAPSHOT_CORRUPT`. */
  read(known: Known): Manifest {
    const cached = this.#verified.get(known.id);
    return cached?.digest === known.digest ? cached.manifest : this.#readManifest(known);
  }

  /** What is kept in mind of it goes: it is not the one that will be woken. */
  forget(id: string): void {
    this.#verified.delete(id);
  }

  #readManifest(known: Known): Manifest {
    const { id } = known;
    const path = manifestIn(this.#directory(known));
    const size = lstatSync(path, { throwIfNoEntry: false })?.size;
    if (size === undefined) throw corrupt(id, MANIFEST, 'it is missing');
    if (size > LARGEST_MANIFEST) throw corrupt(id, MANIFEST, 'it is too large');
    const text = readFileSync(path, 'utf8');
    if (sha256(text) !== known.digest) throw corrupt(id, MANIFEST, 'its checksum does not match');
    const parsed = Manifest.safeParse(JSON.parse(text));
    if (parsed.success) return parsed.data;
    throw corrupt(id, MANIFEST, parsed.error.issues[0]?.message ?? 'it is not valid');
  }

  async #verifyFile(
    id: string,
    directory: string,
    { name, size, sha256: expected }: FileEntry,
  ): Promise<void> {
    const path = join(directory, name);
    const found = lstatSync(path, { throwIfNoEntry: false });
    if (!found?.isFile()) throw corrupt(id, name, 'it is missing');
    if (found.size !== size) throw corrupt(id, name, `it has ${found.size} bytes instead of ${size}`);
    if (expected === null) throw corrupt(id, name, 'it was changed before it had a checksum');
    if ((await checksum(path)) !== expected) throw corrupt(id, name, 'its checksum does not match');
  }

  /** The engine would read an image that nobody wrote. */
  #refuseStrangers(id: string, directory: string, { files }: Manifest): void {
    const known = new Set(files.map(({ name }) => name));
    for (const name of readdirSync(imagesIn(directory)))
      if (!known.has(`images/${name}`))
        throw corrupt(id, `images/${name}`, 'it does not belong to the snapshot');
  }

  /** Removes what a dump left in memory, once the registry knows where the durable snapshot is; or a draft. */
  async discardStaged(id: string): Promise<void> {
    this.#drafts.delete(id);
    for (const directory of [this.#options.stage, this.#layout.staging])
      for (const path of [join(directory, id), draftIn(directory, id)])
        await rm(path, { recursive: true, force: true });
  }

  /** Removes a snapshot, wherever it is, or the draft of one; not what it shares. A power cut in between leaves a draft, which `sweep` removes. */
  async remove(id: string): Promise<void> {
    this.#verified.delete(id);
    await this.discardStaged(id);
    await rename(this.#layout.snapshot(id), this.#layout.draft(id)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
    });
    await rm(this.#layout.draft(id), { recursive: true, force: true });
  }

  /** Removes what no record names: drafts, also of layers, and snapshots that were written but never committed. */
  async sweep(known: readonly Known[]): Promise<void> {
    const kept = new Set(known.map((one) => this.#directory(one)));
    for (const parent of [this.#layout.snapshots, this.#layout.staging, this.#options.stage])
      for (const name of await readdir(parent))
        if (!kept.has(join(parent, name))) await rm(join(parent, name), { recursive: true, force: true });
    for (const name of await readdir(this.#layout.layers))
      if (isDraft(name)) await rm(join(this.#layout.layers, name), { force: true });
  }

  /** The place in memory goes, unless something in it is not durable yet. */
  close(): void {
    try {
      rmdirSync(this.#options.stage);
    } catch {
      // The next daemon finds it.
    }
  }
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const sum = (files: readonly { size: number }[]): number =>
  files.reduce((total, { size }) => total + size, 0);
const copiedBytes = (files: readonly { name: string; size: number }[]): number =>
  sum(files.filter(({ name }) => isPages(basename(name))));
