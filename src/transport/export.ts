/** A snapshot as one file: written beside its place, flushed and renamed, so that a file of that name is always whole. */
import type { KeyObject } from 'node:crypto';
import { open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { AppShotError, fsyncPath, isOutOfSpace, newId } from '../common/index.ts';
import type { BundleSource, TransferOptions } from './bundle.ts';
import type { Bytes } from './bytes.ts';
import { writeContainer } from './container.ts';
import { writeHead } from './head.ts';
import { Meter, objectRecords } from './records.ts';
import { naming } from './refusal.ts';
import type { Secret } from './secret.ts';

export interface ExportOptions extends TransferOptions {
  /** Signs with this Ed25519 private key. */
  readonly sign?: KeyObject | undefined;
  /** Encrypts. */
  readonly secret?: Secret | undefined;
}

export interface Exported {
  /** Of the file. */
  readonly bytes: number;
  readonly objects: number;
}

async function* records(source: BundleSource, options: ExportOptions): AsyncGenerator<Uint8Array> {
  yield writeHead(source, options.sign);
  const objects = source.objects.toSorted((one, other) => (one.digest < other.digest ? -1 : 1));
  yield* objectRecords(source, objects, new Meter(objects, options));
}

const toFile = async (path: string, content: Bytes): Promise<void> => {
  const draft = join(dirname(path), `.${basename(path)}.${newId()}.tmp`);
  try {
    const file = await open(draft, 'wx', 0o600).catch((error: unknown) => {
      throw new AppShotError('BUNDLE_FILE', { path, reason: (error as Error).message }, { cause: error });
    });
    await pipeline(content, file.createWriteStream({ flush: true }));
    await rename(draft, path);
    await fsyncPath(dirname(path));
  } catch (error) {
    await rm(draft, { force: true });
    if (!isOutOfSpace(error)) throw error;
    const step = `writing ${basename(path)}`;
    throw new AppShotError('NO_SPACE', { path: dirname(path), step }, { cause: error });
  }
};

/**
 * Writes a snapshot to a path (mode 0600, replaced if it is there) or into a stream, which is ended. Throws BUNDLE_CORRUPT when
 * the source does not have the bytes that it states, BUNDLE_FILE when the file cannot be made, NO_SPACE, the signal's reason, or the file system's own error; no file is left
 * then, and a stream is destroyed.
 */
export const exportBundle = async (
  source: BundleSource,
  target: string | Writable,
  options: ExportOptions = {},
): Promise<Exported> => {
  let bytes = 0;
  const counted = async function* (): AsyncGenerator<Buffer> {
    for await (const chunk of writeContainer(records(source, options), options.secret)) {
      bytes += chunk.length;
      yield chunk;
    }
  };
  await naming('that is to be exported', async () =>
    typeof target === 'string' ? toFile(target, counted()) : pipeline(counted(), target),
  );
  return { bytes, objects: source.objects.length };
};
