/**
 * Takes a snapshot from one file. The order is: head (signature, manifest, `accept`), objects, the end with its checksum, commit. What
 * fails before the commit leaves objects that belong to no snapshot, which the store collects.
 */
import { open } from 'node:fs/promises';
import { AppShotError } from '../common/index.ts';
import type { BundleSink, TransferOptions } from './bundle.ts';
import type { Bytes } from './bytes.ts';
import { openContainer } from './container.ts';
import type { Opened } from './container.ts';
import { readHead } from './head.ts';
import type { Head, Judgement } from './head.ts';
import { Meter, receiveObjects } from './records.ts';
import { damaged, naming } from './refusal.ts';
import type { Secret } from './secret.ts';

export interface ReceiveOptions extends TransferOptions, Judgement {
  /** Decrypts; what is not encrypted is then refused. */
  readonly secret?: Secret | undefined;
}

export interface Received {
  /** As it was given to `commit`. */
  readonly manifest: Buffer;
  readonly objects: number;
  /** Bytes of all its objects, those included that the sink had. */
  readonly bytes: number;
  /** Whether a signature is there, be it verified or not. */
  readonly signed: boolean;
  /** Fingerprint of the key that it was verified with. */
  readonly verifiedBy: string | null;
}

export const receivedOf = ({ manifest, statement, signed, verifiedBy }: Head): Received => {
  const bytes = statement.objects.reduce((sum, { size }) => sum + size, 0);
  return { manifest, objects: statement.objects.length, bytes, signed, verifiedBy };
};

const take = async ({ body, finish }: Opened, sink: BundleSink, options: ReceiveOptions): Promise<Head> => {
  const head = await readHead(body, options);
  const { objects } = head.statement;
  const wanted = new Map(objects.map((object) => [object.digest, object]));
  await receiveObjects(body, wanted, sink, new Meter(objects, options));
  if (wanted.size > 0) throw damaged(`${wanted.size} of its objects are missing`);
  await finish();
  return head;
};

const openFile = async (path: string): Promise<Bytes> => {
  try {
    const file = await open(path);
    if (!(await file.stat()).isDirectory()) return file.createReadStream({ highWaterMark: 256 << 10 });
    await file.close();
    throw new Error('it is a directory');
  } catch (error) {
    throw new AppShotError('BUNDLE_FILE', { path, reason: (error as Error).message }, { cause: error });
  }
};

/**
 * Reads a snapshot from a path or a stream into a sink; `name` is what messages call a stream. Throws BUNDLE_FILE, BUNDLE_FOREIGN, BUNDLE_CORRUPT,
 * BUNDLE_KEY, BUNDLE_UNSIGNED or BUNDLE_SIGNATURE, what `accept` and the sink throw, or the file system's own error; the sink has not
 * been asked to commit then.
 */
export const importBundle = async (
  input: string | Bytes,
  sink: BundleSink,
  options: ReceiveOptions = {},
  name = typeof input === 'string' ? input : 'the stream',
): Promise<Received> => {
  const bytes = typeof input === 'string' ? await openFile(input) : input;
  return naming(name, async () => {
    const opened = await openContainer(bytes, options.secret);
    try {
      const head = await take(opened, sink, options);
      await sink.commit(head.manifest);
      return receivedOf(head);
    } finally {
      await opened.close();
    }
  });
};
