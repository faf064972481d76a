/**
 * A snapshot in an image registry: an OCI image manifest whose config blob is a container (container.ts) of the snapshot's head and its list of
 * packs, and whose layers are the packs, named so that the registry keeps them.
 */
import { buffer } from 'node:stream/consumers';
import { z } from 'zod';
import type { Bytes } from '../bytes.ts';
import { openContainer, writeContainer } from '../container.ts';
import { readHead } from '../head.ts';
import type { Head, Judgement } from '../head.ts';
import { DONE, readHeader, readPayload, record } from '../records.ts';
import { Refusal, damaged } from '../refusal.ts';
import type { Secret } from '../secret.ts';
import { PACKS_LIMIT, readPacks, writePacks } from './packs.ts';
import type { Pack } from './packs.ts';
import { OCI_MANIFEST, OCI_MANIFEST_LIMIT } from './repository.ts';
import type { Blob, Repository } from './repository.ts';

const ARTIFACT = 'application/vnd.appshot.snapshot.v1';
const CONFIG = 'application/vnd.appshot.snapshot.config.v1';
const PACK = 'application/vnd.appshot.snapshot.pack.v1';

const descriptorSchema = z.object({
  mediaType: z.string(),
  digest: z.string().regex(/^sha256:[0-9a-f]{64}$/),
  size: z.int().min(0),
});
const manifestSchema = z.object({ schemaVersion: z.literal(2), config: descriptorSchema });

const descriptor = (mediaType: string, { digest, size }: Blob): z.infer<typeof descriptorSchema> => ({
  mediaType,
  digest: `sha256:${digest}`,
  size,
});

/** Throws a RangeError for more packs than a manifest has room for. */
export const writeManifest = (config: Blob, packs: readonly Pack[]): Buffer => {
  const text = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: OCI_MANIFEST,
      artifactType: ARTIFACT,
      config: descriptor(CONFIG, config),
      layers: packs.map((pack) => descriptor(PACK, pack)),
    }),
  );
  if (text.length > OCI_MANIFEST_LIMIT)
    throw new RangeError(`${packs.length} packs are too many for one manifest`);
  return text;
};

/** The config blob. Refuses a manifest of something else. */
const readManifest = (text: Buffer): Blob => {
  let manifest: unknown;
  try {
    manifest = JSON.parse(text.toString('utf8'));
  } catch (error) {
    throw new Refusal('BUNDLE_FOREIGN', 'its manifest is not JSON', error);
  }
  const { success, data } = manifestSchema.safeParse(manifest);
  if (!success || data.config.mediaType !== CONFIG)
    throw new Refusal('BUNDLE_FOREIGN', 'it is an image or artifact of another kind');
  return { digest: data.config.digest.slice('sha256:'.length), size: data.config.size };
};

export const writeConfig = async (head: Buffer, packs: readonly Pack[], secret?: Secret): Promise<Buffer> => {
  const body = async function* (): AsyncGenerator<Buffer> {
    yield head;
    yield record('PACK', writePacks(packs));
    yield DONE;
  };
  return buffer(writeContainer(body(), secret));
};

export interface Config {
  readonly head: Head;
  readonly packs: readonly Pack[];
}

const readConfig = async (bytes: Bytes, secret?: Secret, verify?: Judgement['verify']): Promise<Config> => {
  const { body, finish, close } = await openContainer(bytes, secret);
  try {
    const head = await readHead(body, { verify });
    const packs = readPacks(await readPayload(body, await readHeader(body), 'PACK', PACKS_LIMIT));
    await readPayload(body, await readHeader(body), 'DONE', 0);
    await finish();
    return { head, packs };
  } finally {
    await close();
  }
};

/** What a manifest stands for: its config blob, fetched, opened and verified. */
export const fetchConfig = (
  repository: Repository,
  manifest: Buffer,
  secret?: Secret,
  verify?: Judgement['verify'],
): Promise<Config> =>
  repository.fetchBlob(readManifest(manifest), (bytes) => readConfig(bytes, secret, verify));

/** The pack of each object. Refuses a list that lacks one. */
export const packsFor = (packs: readonly Pack[], missing: ReadonlySet<string>): Pack[] => {
  const left = new Set(missing);
  const chosen = packs.filter((pack) => {
    const useful = pack.objects.filter((object) => left.delete(object.digest));
    return useful.length > 0;
  });
  if (left.size > 0) throw damaged(`${left.size} of its objects are in no pack`);
  return chosen;
};
