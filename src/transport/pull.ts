/**
 * Takes a snapshot from an image registry. The order is: manifest, config blob (signature, `accept`), then only the packs that hold an object
 * which the sink lacks, then commit.
 */
import type { BundleObject, BundleSink } from './bundle.ts';
import { receivedOf } from './import.ts';
import type { ReceiveOptions, Received } from './import.ts';
import { fetchConfig, packsFor } from './oci/artifact.ts';
import { openPack } from './oci/packs.ts';
import type { Pack } from './oci/packs.ts';
import { parseReference } from './oci/reference.ts';
import { Repository } from './oci/repository.ts';
import type { AccessOptions } from './oci/repository.ts';
import { Meter, receiveObjects } from './records.ts';
import { damaged, naming } from './refusal.ts';
import { sha256 } from './statement.ts';

export interface PullOptions extends ReceiveOptions, AccessOptions {}

export interface Pulled extends Received {
  /** Of the manifest: `sha256:…`. */
  readonly digest: string;
  /** Bytes of packs that were fetched. */
  readonly fetched: number;
}

const missingIn = async (
  sink: BundleSink,
  objects: readonly BundleObject[],
  meter: Meter,
): Promise<Map<string, BundleObject>> => {
  const missing = new Map<string, BundleObject>();
  for (const object of objects) {
    if (await sink.has(object.digest)) meter.add(object, object.size);
    else missing.set(object.digest, object);
  }
  return missing;
};

/** Fetches one pack. Attempts that broke off leave objects in the sink, and those are not put again. */
const fetchPack = async (
  repository: Repository,
  pack: Pack,
  missing: ReadonlyMap<string, BundleObject>,
  sink: BundleSink,
  meter: Meter,
): Promise<void> => {
  const start = meter.done;
  await repository.fetchBlob(pack, async (bytes) => {
    meter.rewind(start);
    const wanted = new Map(
      pack.objects.flatMap(({ digest }) => {
        const object = missing.get(digest);
        return object === undefined ? [] : [[digest, object] as const];
      }),
    );
    const reader = openPack(bytes, pack.key);
    try {
      await receiveObjects(reader, wanted, sink, meter);
      for await (const piece of reader.rest())
        throw damaged(`${piece.length} bytes follow the end of a pack`);
      if (wanted.size > 0) throw damaged(`the pack ${pack.digest} lacks objects that it should have`);
    } finally {
      await reader.close();
    }
  });
};

/**
 * Pulls a snapshot from `HOST[:PORT]/NAME[:TAG][@DIGEST]` into a sink. Throws BAD_REFERENCE, REMOTE_UNREACHABLE, REMOTE_REFUSED, REMOTE_NOT_FOUND,
 * REMOTE_FAILED, and everything that `importBundle` throws; the sink has not been asked to commit then.
 */
export const pullBundle = async (
  reference: string,
  sink: BundleSink,
  options: PullOptions = {},
): Promise<Pulled> => {
  const parsed = parseReference(reference);
  const repository = new Repository(parsed, options);
  return naming(reference, async () => {
    const manifest = await repository.fetchManifest(parsed.digest ?? (parsed.tag as string));
    if (manifest === undefined) throw repository.notFound();
    const { head, packs } = await fetchConfig(repository, manifest, options.secret, options.verify);
    await options.accept?.(head.manifest);
    const meter = new Meter(head.statement.objects, options);
    const missing = await missingIn(sink, head.statement.objects, meter);
    const needed = packsFor(packs, new Set(missing.keys()));
    for (const pack of needed) await fetchPack(repository, pack, missing, sink, meter);
    await sink.commit(head.manifest);
    const fetched = needed.reduce((sum, { size }) => sum + size, 0);
    return { ...receivedOf(head), digest: `sha256:${sha256(manifest)}`, fetched };
  });
};
