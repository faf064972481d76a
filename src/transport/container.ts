/**
 * The outermost form, of a file and of a registry's config blob alike:
 *
 *     "ASBUNDLE"  version (u32le)  length of header (u32le)  header (JSON)  body  SHA-256 of all before
 *
 * The body is compressed and then, when the header has an envelope, encrypted. The digest at the end proves that every byte is
 * there and as it was; it does not prove who wrote them: that is what the signature and the encryption do.
 */
import { createHash } from 'node:crypto';
import type { Hash } from 'node:crypto';
import { z } from 'zod';
import { ByteReader, Drainable } from './bytes.ts';
import type { Bytes } from './bytes.ts';
import { compress, decompress } from './compression.ts';
import { Refusal, damaged } from './refusal.ts';
import { seal, unseal } from './sealing.ts';
import { envelopeSchema, newKey, openEnvelope } from './secret.ts';
import type { Secret } from './secret.ts';

const MAGIC = Buffer.from('ASBUNDLE');
const VERSION = 1;
const HEADER_LIMIT = 4096;
const DIGEST = 32;

const headerSchema = z.object({ compression: z.literal('zstd'), envelope: envelopeSchema.nullable() });
type Header = z.infer<typeof headerSchema>;

const preambleOf = (header: Header): Buffer => {
  const text = Buffer.from(JSON.stringify(header));
  const numbers = Buffer.alloc(8);
  numbers.writeUInt32LE(VERSION);
  numbers.writeUInt32LE(text.length, 4);
  return Buffer.concat([MAGIC, numbers, text]);
};

const contextOf = (preamble: Buffer): Buffer => createHash('sha256').update(preamble).digest();

/** The container of `body`, encrypted when there is a secret. */
export async function* writeContainer(body: Bytes, secret?: Secret): AsyncGenerator<Buffer> {
  const sealed = secret === undefined ? undefined : await newKey(secret);
  const preamble = preambleOf({ compression: 'zstd', envelope: sealed?.envelope ?? null });
  const hash = createHash('sha256').update(preamble);
  yield preamble;
  const small = compress(body);
  for await (const chunk of sealed === undefined ? small : seal(sealed.key, contextOf(preamble), small)) {
    hash.update(chunk);
    yield chunk;
  }
  yield hash.digest();
}

const readPreamble = async (reader: ByteReader): Promise<{ preamble: Buffer; header: Header }> => {
  const start = await reader.exactly(MAGIC.length + 8).catch((error: unknown) => {
    if (!(error instanceof Refusal)) throw error;
    throw new Refusal('BUNDLE_FOREIGN', 'it is too short to be one');
  });
  if (!start.subarray(0, MAGIC.length).equals(MAGIC))
    throw new Refusal('BUNDLE_FOREIGN', 'it does not begin as one');
  const version = start.readUInt32LE(8);
  if (version !== VERSION) throw new Refusal('BUNDLE_FOREIGN', `its format is ${version}, not ${VERSION}`);
  const length = start.readUInt32LE(12);
  if (length > HEADER_LIMIT) throw damaged('its header is too large');
  const text = await reader.exactly(length);
  try {
    const header = headerSchema.parse(JSON.parse(text.toString('utf8')));
    return { preamble: Buffer.concat([start, text]), header };
  } catch (error) {
    throw damaged('its header cannot be read', error);
  }
};

/** A key that is given says that the owner's encryption is expected: what is not encrypted may be anyone's. */
const keyFor = async ({ envelope }: Header, secret?: Secret): Promise<Buffer | undefined> => {
  if (envelope === null && secret === undefined) return undefined;
  if (envelope === null) throw new Refusal('BUNDLE_KEY', 'it is not encrypted, although a key was given');
  if (secret === undefined) throw new Refusal('BUNDLE_KEY', 'it is encrypted, and no key was given');
  return openEnvelope(secret, envelope);
};

const readStart = async (
  reader: ByteReader,
  secret?: Secret,
): Promise<{ preamble: Buffer; key: Buffer | undefined }> => {
  const { preamble, header } = await readPreamble(reader);
  return { preamble, key: await keyFor(header, secret) };
};

/** Passes on all but the digest at the end, and ends only when that is right. */
async function* withoutDigest(source: Bytes, hash: Hash): AsyncGenerator<Buffer> {
  let held = Buffer.alloc(0);
  for await (const chunk of source) {
    const all = held.length === 0 ? Buffer.from(chunk) : Buffer.concat([held, chunk]);
    const body = all.subarray(0, Math.max(0, all.length - DIGEST));
    held = all.subarray(body.length);
    hash.update(body);
    if (body.length > 0) yield body;
  }
  if (held.length < DIGEST) throw damaged('it ends too early');
  if (!hash.digest().equals(held)) throw damaged('its checksum is wrong: it was changed or cut off');
}

export interface Opened {
  readonly body: ByteReader;
  /** Refuses when something follows, or the whole was not proved. Nothing is to be believed for good before. */
  readonly finish: () => Promise<void>;
  readonly close: () => Promise<void>;
}

/** Opens a container. Refuses what is not one, and a secret that is missing, wrong or not needed. */
export const openContainer = async (input: Bytes, secret?: Secret): Promise<Opened> => {
  const outside = new ByteReader(input);
  const { preamble, key } = await readStart(outside, secret).catch(async (error: unknown) => {
    await outside.close();
    throw error;
  });
  const plain = new Drainable(withoutDigest(outside.rest(), createHash('sha256').update(preamble)));
  const small = key === undefined ? plain : unseal(key, contextOf(preamble), plain);
  const body = new ByteReader(decompress(small));
  const finish = async (): Promise<void> => {
    for await (const piece of body.rest()) throw damaged(`${piece.length} bytes follow its end`);
    await plain.drain();
  };
  const close = async (): Promise<void> => {
    await body.close();
    await outside.close();
  };
  return { body, finish, close };
};
