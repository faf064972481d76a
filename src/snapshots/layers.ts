/** The layers of a data directory, by their digests: immutable, shared between snapshots. */
import { existsSync, lstatSync } from 'node:fs';
import { open, readdir, rename, rm } from 'node:fs/promises';
import { fsyncPath } from '../common/index.ts';
import { corrupt, orNoSpace } from './failures.ts';
import type { Layout } from './layout.ts';
import { draftIn } from './layout.ts';
import type { LayerEntry } from './manifest.ts';
import { LayerError, layerDigest, unpackLayer } from './memory/layer.ts';

/** What the kernel counts a file's size on disk in. */
const BLOCK = 512;
const ARRIVING = 'being received';

export class Layers {
  readonly #layout: Layout;

  constructor(layout: Layout) {
    this.#layout = layout;
  }

  path({ digest }: Pick<LayerEntry, 'digest'>): string {
    return this.#layout.layer(digest);
  }

  has(digest: string): boolean {
    return existsSync(this.#layout.layer(digest));
  }

  /** Keeps a layer that arrives in its packed form. Fails with `SNAPSHOT_CORRUPT`, `NO_SPACE`; then nothing is left of it. */
  async put(digest: string, stream: AsyncIterable<Uint8Array>): Promise<void> {
    const draft = draftIn(this.#layout.layers, digest);
    await rm(draft, { force: true });
    try {
      const found = await unpackLayer(draft, stream);
      if (found.digest !== digest) throw new LayerError('its checksum does not match');
      await using file = await open(draft, 'r');
      await file.sync();
      await rename(draft, this.#layout.layer(digest));
      await fsyncPath(this.#layout.layers);
    } catch (error) {
      await rm(draft, { force: true });
      if (error instanceof LayerError) throw corrupt(ARRIVING, `layers/${digest}`, error.message, error);
      throw orNoSpace(error, this.#layout.directory, 'keeping a snapshot');
    }
  }

  /** Reads a layer through. Fails with `SNAPSHOT_CORRUPT`, naming it and the snapshot that needs it. */
  async verify(snapshot: string, { digest, size }: LayerEntry): Promise<void> {
    const [path, name] = [this.#layout.layer(digest), `layers/${digest}`];
    const found = lstatSync(path, { throwIfNoEntry: false });
    if (!found?.isFile()) throw corrupt(snapshot, name, 'it is missing');
    if (found.size !== size) throw corrupt(snapshot, name, `it has ${found.size} bytes instead of ${size}`);
    if ((await layerDigest(path)) !== digest) throw corrupt(snapshot, name, 'its checksum does not match');
  }

  /** Removes those that are not among `live`, and drafts; returns how many there were and their bytes on disk. */
  async sweep(live: ReadonlySet<string>, dryRun = false): Promise<{ count: number; bytes: number }> {
    const dead = (await readdir(this.#layout.layers)).filter((name) => !live.has(name));
    let bytes = 0;
    for (const name of dead) {
      const path = this.#layout.layer(name);
      bytes += (lstatSync(path, { throwIfNoEntry: false })?.blocks ?? 0) * BLOCK;
      if (!dryRun) await rm(path, { force: true });
    }
    return { count: dead.length, bytes };
  }
}
