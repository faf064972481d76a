/**
 * The store of snapshots. One is written as a draft, sealed (checksums, manifest, everything flushed), and becomes a snapshot by
 * one rename: it exists whole or not at all, and is never changed afterwards. Before a restore it is verified.
 */
import { createHash } from 'node:crypto';
import { lstatSync, readFileSync, readdirSync } from 'node:fs';
import { mkdir, open, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AppShotError, fsyncDir } from '../common/index.ts';
import { checksum } from './checksum.ts';
import type { Layout } from './layout.ts';
import { imagesIn, manifestIn } from './layout.ts';
import { Manifest } from './manifest.ts';
import type { FileEntry, ManifestFacts } from './manifest.ts';
import { setSeal, unsealed } from './seal.ts';

const LARGEST_MANIFEST = 32 << 20;
const MANIFEST = 'manifest.json';

/** A complete snapshot, as the registry remembers it. */
export interface Sealed {
  readonly manifest: Manifest;
  /** SHA-256 of the manifest file. */
  readonly digest: string;
  /** Of all files. */
  readonly bytes: number;
}

const corrupt = (snapshot: string, file: string, reason: string, cause?: unknown): AppShotError =>
  new AppShotError('SNAPSHOT_CORRUPT', { snapshot, file, reason }, { cause });

const flush = async (path: string): Promise<void> => {
  await using file = await open(path, 'r');
  await file.sync();
};

const describeFile = async (directory: string, name: string): Promise<FileEntry> => {
  const path = join(directory, name);
  const [sha256] = await Promise.all([checksum(path), flush(path)]);
  return { name, size: (await stat(path)).size, sha256 };
};

export class SnapshotStore {
  readonly #layout: Layout;
  /** Manifests that were read and found good, so that a wake need not read them again. */
  readonly #verified = new Map<string, { digest: string; manifest: Manifest }>();

  constructor(layout: Layout) {
    this.#layout = layout;
  }

  /** Where the images of a snapshot that is being written are. */
  draftImages(id: string): string {
    return imagesIn(this.#layout.draft(id));
  }

  /** Makes the directory of a new snapshot; returns where its images go. */
  async begin(id: string): Promise<string> {
    const images = this.draftImages(id);
    await mkdir(images, { recursive: true, mode: 0o700 });
    return images;
  }

  /** Completes a draft. Once this resolves the snapshot survives a power cut. */
  async seal(id: string, facts: ManifestFacts): Promise<Sealed> {
    const draft = this.#layout.draft(id);
    const names = (await readdir(imagesIn(draft))).toSorted().map((name) => `images/${name}`);
    const files = await Promise.all(names.map((name) => describeFile(draft, name)));
    const manifest: Manifest = { format: 1, id, takenAt: new Date().toISOString(), ...facts, files };
    const text = JSON.stringify(manifest, undefined, 1);
    await writeFile(manifestIn(draft), text, { mode: 0o600 });
    await setSeal(draft, [MANIFEST, ...names]);
    await Promise.all([flush(manifestIn(draft)), fsyncDir(imagesIn(draft)), fsyncDir(draft)]);
    await rename(draft, this.#layout.snapshot(id));
    await fsyncDir(this.#layout.snapshots);
    const digest = sha256(text);
    this.#verified.set(id, { digest, manifest });
    return { manifest, digest, bytes: sum(files) };
  }

  /**
   * Checks a snapshot against its manifest, and the manifest against `digest`. Files that the seal vouches for are not read, and what
   * little is then left is done at once: a wake must not queue behind other work on files.
   * Fails with `SNAPSHOT_CORRUPT`, naming the file.
   */
  async verify(id: string, digest: string): Promise<Manifest> {
    const directory = this.#layout.snapshot(id);
    const known = this.#verified.get(id);
    const manifest = known?.digest === digest ? known.manifest : this.#readManifest(id, digest);
    const names = manifest.files.map(({ name }) => name);
    const doubtful = new Set(unsealed(directory, [MANIFEST, ...names]));
    if (doubtful.has(MANIFEST)) this.#readManifest(id, digest);
    for (const file of manifest.files.filter(({ name }) => doubtful.has(name)))
      await this.#verifyFile(id, file);
    this.#refuseStrangers(id, new Set(names));
    // The seal only saves the next reading: a full disk must not keep what is intact from waking.
    if (doubtful.size > 0) await setSeal(directory, [MANIFEST, ...names]).catch(() => undefined);
    this.#verified.set(id, { digest, manifest });
    return manifest;
  }

  #readManifest(id: string, digest: string): Manifest {
    const path = manifestIn(this.#layout.snapshot(id));
    const size = lstatSync(path, { throwIfNoEntry: false })?.size;
    if (size === undefined) throw corrupt(id, 'manifest.json', 'it is missing');
    if (size > LARGEST_MANIFEST) throw corrupt(id, 'manifest.json', 'it is too large');
    const text = readFileSync(path, 'utf8');
    if (sha256(text) !== digest) throw corrupt(id, 'manifest.json', 'its checksum does not match');
    const parsed = Manifest.safeParse(JSON.parse(text));
    if (parsed.success) return parsed.data;
    throw corrupt(id, 'manifest.json', parsed.error.issues[0]?.message ?? 'it is not valid');
  }

  async #verifyFile(id: string, { name, size, sha256: expected }: FileEntry): Promise<void> {
    const path = join(this.#layout.snapshot(id), name);
    const found = lstatSync(path, { throwIfNoEntry: false });
    if (!found?.isFile()) throw corrupt(id, name, 'it is missing');
    if (found.size !== size) throw corrupt(id, name, `it has ${found.size} bytes instead of ${size}`);
    if ((await checksum(path)) !== expected) throw corrupt(id, name, 'its checksum does not match');
  }

  /** The engine would read an image that nobody wrote. */
  #refuseStrangers(id: string, known: ReadonlySet<string>): void {
    for (const name of readdirSync(imagesIn(this.#layout.snapshot(id))))
      if (!known.has(`images/${name}`))
        throw corrupt(id, `images/${name}`, 'it does not belong to the snapshot');
  }

  /** Where a snapshot's images are. */
  images(id: string): string {
    return imagesIn(this.#layout.snapshot(id));
  }

  /** Removes a snapshot, or the draft of one. A power cut in between leaves a draft, which `sweep` removes. */
  async remove(id: string): Promise<void> {
    this.#verified.delete(id);
    await rename(this.#layout.snapshot(id), this.#layout.draft(id)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
    });
    await rm(this.#layout.draft(id), { recursive: true, force: true });
  }

  /** Removes what no record names: drafts, and snapshots that were sealed but never committed. */
  async sweep(known: ReadonlySet<string>): Promise<void> {
    await mkdir(this.#layout.snapshots, { recursive: true, mode: 0o700 });
    for (const name of await readdir(this.#layout.snapshots))
      if (!known.has(name)) await rm(join(this.#layout.snapshots, name), { recursive: true, force: true });
  }
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const sum = (files: readonly FileEntry[]): number => files.reduce((total, { size }) => total + size, 0);
