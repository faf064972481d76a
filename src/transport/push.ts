/**
 * Sends a snapshot to an image registry: packs first, then the config blob, then the manifest, which alone makes it exist. Packs that the
 * registry has are not sent: those that the tag (or `base`) names already, and, when nothing is encrypted, those of the same digest.
 */
import type { KeyObject } from 'node:crypto';
import { randomBytes } from 'node:crypto';
import { AppShotError } from '../common/index.ts';
import type { BundleObject, BundleSource, TransferOptions } from './bundle.ts';
import { writeHead } from './head.ts';
import { fetchConfig, writeConfig, writeManifest } from './oci/artifact.ts';
import { group, measure, packBytes, reusable } from './oci/packs.ts';
import type { Pack } from './oci/packs.ts';
import { parseReference } from './oci/reference.ts';
import { Repository } from './oci/repository.ts';
import type { AccessOptions, Blob } from './oci/repository.ts';
import { Meter } from './records.ts';
import { Refusal, naming } from './refusal.ts';
import type { Secret } from './secret.ts';
import { sha256 } from './statement.ts';

export interface PushOptions extends TransferOptions, AccessOptions {
  readonly sign?: KeyObject | undefined;
  readonly secret?: Secret | undefined;
  /** Another tag of the same repository whose packs may be named again. */
  readonly base?: string | undefined;
}

export interface Pushed {
  /** Of the manifest: `sha256:…`. With it the snapshot can be pulled whatever the tag names later. */
  readonly digest: string;
  /** Bytes of blobs that were sent. */
  readonly sent: number;
  /** Bytes of packs that the registry had. */
  readonly reused: number;
}

/** Packs of the snapshot that a tag names now; none when it names something else, or what another key encrypted. */
const packsOf = async (repository: Repository, tag: string, secret?: Secret): Promise<readonly Pack[]> => {
  const manifest = await repository.fetchManifest(tag);
  if (manifest === undefined) return [];
  try {
    return (await fetchConfig(repository, manifest, secret)).packs;
  } catch (error) {
    if (error instanceof Refusal) return [];
    throw error;
  }
};

class Push {
  readonly #source: BundleSource;
  readonly #repository: Repository;
  readonly #options: PushOptions;
  readonly #meter: Meter;
  #sent = 0;
  #reused = 0;

  constructor(source: BundleSource, repository: Repository, options: PushOptions) {
    this.#source = source;
    this.#repository = repository;
    this.#options = options;
    this.#meter = new Meter(source.objects, options);
  }

  async run(tag: string): Promise<Pushed> {
    const { secret, sign } = this.#options;
    const packs = await this.#there(tag);
    const covered = new Set(packs.flatMap((pack) => pack.objects.map(({ digest }) => digest)));
    const objects = this.#source.objects;
    for (const object of objects) if (covered.has(object.digest)) this.#meter.add(object, object.size);
    for (const together of group(objects.filter(({ digest }) => !covered.has(digest))))
      packs.push(await this.#pack(together));
    const config = await writeConfig(writeHead(this.#source, sign), packs, secret);
    const blob = { digest: sha256(config), size: config.length };
    if (!(await this.#repository.hasBlob(blob.digest))) await this.#send(blob, () => [config]);
    const manifest = writeManifest(blob, packs);
    await this.#repository.sendManifest(tag, manifest);
    return { digest: `sha256:${sha256(manifest)}`, sent: this.#sent, reused: this.#reused };
  }

  /** Packs of earlier pushes that serve and are still there. */
  async #there(tag: string): Promise<Pack[]> {
    const { secret, base } = this.#options;
    const earlier = [...(await packsOf(this.#repository, tag, secret))];
    if (base !== undefined) earlier.push(...(await packsOf(this.#repository, base, secret)));
    const packs: Pack[] = [];
    for (const pack of reusable(earlier, this.#source.objects, secret !== undefined)) {
      if (!(await this.#repository.hasBlob(pack.digest))) continue;
      packs.push(pack);
      this.#reused += pack.size;
    }
    return packs;
  }

  /** A registry wants the digest first; so the pack is made twice rather than kept anywhere. */
  async #pack(objects: readonly BundleObject[]): Promise<Pack> {
    const key = this.#options.secret === undefined ? undefined : randomBytes(32);
    const blob = await measure(packBytes(this.#source, objects, key), this.#options.signal);
    if (key === undefined && (await this.#repository.hasBlob(blob.digest))) {
      this.#reused += blob.size;
      for (const object of objects) this.#meter.add(object, object.size);
    } else {
      const start = this.#meter.done;
      await this.#send(blob, () => {
        this.#meter.rewind(start);
        return packBytes(this.#source, objects, key, this.#meter);
      });
    }
    const names = objects.map(({ digest, size }) => ({ digest, size }));
    return { ...blob, key: key?.toString('hex') ?? null, objects: names };
  }

  async #send(blob: Blob, open: () => AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<void> {
    await this.#repository.sendBlob(blob, async function* () {
      yield* open();
    });
    this.#sent += blob.size;
  }
}

/**
 * Pushes a snapshot to `HOST[:PORT]/NAME[:TAG]`. Throws BAD_REFERENCE, REMOTE_UNREACHABLE, REMOTE_REFUSED, REMOTE_NOT_FOUND, REMOTE_FAILED,
 * BUNDLE_CORRUPT when the source does not have the bytes that it states, or the signal's reason; the tag is then as it was.
 */
export const pushBundle = async (
  source: BundleSource,
  reference: string,
  options: PushOptions = {},
): Promise<Pushed> => {
  const parsed = parseReference(reference);
  if (parsed.tag === null || parsed.digest !== null)
    throw new AppShotError('BAD_REFERENCE', { ref: reference, reason: 'a push needs a tag, not a digest' });
  const push = new Push(source, new Repository(parsed, options), options);
  return naming('that is to be pushed', () => push.run(parsed.tag as string));
};
