/**
 * Packs: the blobs that objects travel in. A pack is records of objects (records.ts), compressed, and encrypted with a random key of
 * its own when that is asked for. A large object has a pack to itself, so that a registry which has it is not sent it again; small ones
 * share packs, because a manifest has room for some 20,000 blobs and each costs three requests.
 *
 * Where each object is, and the keys, are in the record PACK of the config blob, which is encrypted as a whole. So the digests of plain
 * contents are not shown to the registry, no key ever seals two streams, and who pushes again with the same secret finds the packs
 * that are there already and names them again.
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { ByteReader } from '../bytes.ts';
import type { Bytes } from '../bytes.ts';
import type { BundleObject, BundleSource } from '../bundle.ts';
import { compress, decompress } from '../compression.ts';
import { objectRecords } from '../records.ts';
import type { Meter } from '../records.ts';
import { damaged } from '../refusal.ts';
import { seal, unseal } from '../sealing.ts';
import type { Blob } from './repository.ts';

/** Objects from this size on have a pack of their own. */
const LARGE = 1 << 20;
const PACK_BYTES = 4 << 20;
export const PACKS_LIMIT = 96 << 20;
const CONTEXT = Buffer.from('appshot pack 1');

const digest = z.string().regex(/^[0-9a-f]{64}$/);
const size = z.int().min(0);
const packSchema = z.object({
  digest,
  size,
  /** In hexadecimal; null when it is not encrypted. */
  key: digest.nullable(),
  objects: z.array(z.object({ digest, size })),
});
const packsSchema = z.array(packSchema);

export type Pack = z.infer<typeof packSchema>;

export const writePacks = (packs: readonly Pack[]): Buffer => Buffer.from(JSON.stringify(packs));

export const readPacks = (record: Buffer): Pack[] => {
  try {
    return packsSchema.parse(JSON.parse(record.toString('utf8')));
  } catch (error) {
    throw damaged('its list of packs cannot be read', error);
  }
};

/** Which objects go together, in the order of their digests: the same objects make the same packs. */
export const group = (objects: readonly BundleObject[]): BundleObject[][] => {
  const groups: BundleObject[][] = [];
  let open: BundleObject[] = [];
  let bytes = 0;
  for (const object of objects.toSorted((one, other) => (one.digest < other.digest ? -1 : 1))) {
    if (object.size >= LARGE) groups.push([object]);
    else {
      if (open.length === 0 || bytes + object.size > PACK_BYTES) {
        open = [];
        bytes = 0;
        groups.push(open);
      }
      open.push(object);
      bytes += object.size;
    }
  }
  return groups;
};

/** The packs of an earlier push that are worth naming again: at least half of what is in them is wanted and not in another. */
export const reusable = (
  earlier: readonly Pack[],
  objects: readonly BundleObject[],
  encrypted: boolean,
): Pack[] => {
  const wanted = new Set(objects.map((object) => object.digest));
  return earlier.filter((pack) => {
    const useful = pack.objects.filter((object) => wanted.has(object.digest));
    const bytes = (of: Pack['objects']): number => of.reduce((sum, object) => sum + object.size, 0);
    if ((pack.key !== null) !== encrypted || useful.length === 0) return false;
    if (bytes(useful) * 2 < bytes(pack.objects)) return false;
    for (const object of useful) wanted.delete(object.digest);
    return true;
  });
};

/** The bytes of a pack; the same each time. */
export const packBytes = (
  source: BundleSource,
  objects: readonly BundleObject[],
  key: Buffer | undefined,
  meter?: Meter,
): Bytes => {
  const small = compress(objectRecords(source, objects, meter));
  return key === undefined ? small : seal(key, CONTEXT, small);
};

export const openPack = (bytes: Bytes, key: string | null): ByteReader =>
  new ByteReader(decompress(key === null ? bytes : unseal(Buffer.from(key, 'hex'), CONTEXT, bytes)));

export const measure = async (bytes: Bytes, signal?: AbortSignal): Promise<Blob> => {
  const hash = createHash('sha256');
  let length = 0;
  for await (const chunk of bytes) {
    signal?.throwIfAborted();
    hash.update(chunk);
    length += chunk.length;
  }
  return { digest: hash.digest('hex'), size: length };
};
