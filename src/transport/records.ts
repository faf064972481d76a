/**
 * Records, of which everything that travels consists: a tag of 4 letters, the payload's size (8 bytes, little-endian), its SHA-256
 * (32 bytes), the payload. A reader takes a payload only with that digest.
 *
 *     STMT  the statement         SIGN  its signature, may be missing      MANI  the snapshot's manifest
 *     PACK  where a registry has the objects (oci/packs.ts)
 *     OBJT  an object             DONE  the end, without a payload
 */
import { createHash } from 'node:crypto';
import type { ByteReader, Bytes } from './bytes.ts';
import type { BundleObject, BundleSink, BundleSource, TransferOptions } from './bundle.ts';
import { damaged } from './refusal.ts';
import { sha256 } from './statement.ts';

export type Tag = 'STMT' | 'SIGN' | 'MANI' | 'PACK' | 'OBJT' | 'DONE';

interface Header {
  readonly tag: string;
  readonly size: number;
  readonly digest: string;
}

const HEADER = 44;

const headerOf = (tag: Tag, size: number, digest: string): Buffer => {
  const header = Buffer.alloc(HEADER);
  header.write(tag, 'latin1');
  header.writeBigUInt64LE(BigInt(size), 4);
  header.write(digest, 12, 'hex');
  return header;
};

export const record = (tag: Tag, payload: Buffer): Buffer =>
  Buffer.concat([headerOf(tag, payload.length, sha256(payload)), payload]);

export const DONE = record('DONE', Buffer.alloc(0));

export const readHeader = async (reader: ByteReader): Promise<Header> => {
  const bytes = await reader.exactly(HEADER);
  const size = bytes.readBigUInt64LE(4);
  if (size > Number.MAX_SAFE_INTEGER) throw damaged('a record has no possible size');
  const tag = bytes.toString('latin1', 0, 4);
  return { tag, size: Number(size), digest: bytes.toString('hex', 12) };
};

/** The payload of a record that must be `tag` and have at most `limit` bytes. */
export const readPayload = async (
  reader: ByteReader,
  { tag, size, digest }: Header,
  wanted: Tag,
  limit: number,
): Promise<Buffer> => {
  if (tag !== wanted) throw damaged(`the record ${wanted} is not where it belongs`);
  if (size > limit) throw damaged(`the record ${wanted} is too large`);
  const payload = await reader.exactly(size);
  if (sha256(payload) !== digest) throw damaged(`the record ${wanted} was changed`);
  return payload;
};

/** Passes an object's bytes on; throws instead of ending when they are not as many as, or not those that, it is known by. */
export async function* checked(
  { digest, size }: Pick<BundleObject, 'digest' | 'size'>,
  source: Bytes,
  onBytes: (count: number) => void = () => undefined,
): AsyncGenerator<Uint8Array> {
  const hash = createHash('sha256');
  let length = 0;
  for await (const chunk of source) {
    hash.update(chunk);
    length += chunk.length;
    if (length > size) throw damaged(`the object ${digest} is larger than it should be`);
    onBytes(chunk.length);
    yield chunk;
  }
  if (length < size) throw damaged(`the object ${digest} is smaller than it should be`);
  if (hash.digest('hex') !== digest) throw damaged(`the object ${digest} was changed`);
}

/** Counts the bytes of a transfer, tells of them, and ends it when that is asked for. */
export class Meter {
  readonly #options: TransferOptions;
  readonly #total: number;
  #done = 0;

  constructor(objects: readonly BundleObject[], options: TransferOptions) {
    this.#options = options;
    this.#total = objects.reduce((sum, { size }) => sum + size, 0);
  }

  get done(): number {
    return this.#done;
  }

  /** Takes back what was counted since `done` was that: it's to be done again. */
  rewind(done: number): void {
    this.#done = done;
  }

  add(object: BundleObject, count: number): void {
    this.#options.signal?.throwIfAborted();
    this.#done += count;
    this.#options.onProgress?.({ done: this.#done, total: this.#total, object: object.digest });
  }
}

/** Records of `objects`; throws a refusal when the source does not have what it says it has. */
export async function* objectRecords(
  source: BundleSource,
  objects: readonly BundleObject[],
  meter?: Meter,
): AsyncGenerator<Uint8Array> {
  for (const object of objects) {
    yield headerOf('OBJT', object.size, object.digest);
    yield* checked(object, source.open(object.digest), (count) => meter?.add(object, count));
  }
  yield DONE;
}

/** Hands one stream to the sink. What went wrong with the stream comes before what the sink makes of that. */
const put = async (sink: BundleSink, object: BundleObject, stream: Bytes): Promise<void> => {
  let failure: unknown;
  let ended = false;
  const watched = async function* (): AsyncGenerator<Uint8Array> {
    try {
      yield* stream;
      ended = true;
    } catch (error) {
      failure = error;
      throw error;
    }
  };
  try {
    await sink.put(object, watched());
  } catch (error) {
    throw failure ?? error;
  }
  if (!ended) throw new Error(`the sink kept ${object.digest} without reading it to its end`);
};

const skip = async (stream: Bytes): Promise<void> => {
  for await (const piece of stream) void piece;
};

/**
 * Reads objects up to the end record. Those that are in `wanted` are taken out of it: put into the sink, or skipped when the sink
 * has them. Others are skipped.
 */
export const receiveObjects = async (
  reader: ByteReader,
  wanted: Map<string, BundleObject>,
  sink: BundleSink,
  meter: Meter,
): Promise<void> => {
  for (;;) {
    const header = await readHeader(reader);
    if (header.tag === 'DONE') return void (await readPayload(reader, header, 'DONE', 0));
    if (header.tag !== 'OBJT') throw damaged('a record is not where it belongs');
    const object = wanted.get(header.digest);
    const bytes = reader.pieces(header.size);
    if (object !== undefined && object.size !== header.size)
      throw damaged(`the object ${header.digest} has another size than stated`);
    if (object === undefined) await skip(bytes);
    else if (await sink.has(object.digest)) {
      await skip(bytes);
      meter.add(object, object.size);
    } else
      await put(
        sink,
        object,
        checked(object, bytes, (count) => meter.add(object, count)),
      );
    wanted.delete(header.digest);
  }
};
