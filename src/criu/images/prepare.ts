/**
 * What a fresh dump needs before it can be restored inside an application's own user namespace.
 *
 * A dump is taken from outside that namespace (System V shared memory needs it), so its tasks are recorded as living in
 * another user namespace than the engine. Made equal to the engine's own, restoring makes no user namespace.
 */
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AppShotError } from '../../common/index.ts';
import type { Fields, Schema } from '../schema.ts';
import { decodeImage, encodeImage } from './codec.ts';
import type { Image } from './codec.ts';

const unreadable = (cause: unknown): AppShotError => {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new AppShotError('ENGINE_FAILED', { reason: `its images cannot be read: ${why}` }, { cause });
};

const readImage = (schema: Schema, directory: string, name: string): Image => {
  try {
    return decodeImage(schema, name, readFileSync(join(directory, name)));
  } catch (error) {
    throw unreadable(error);
  }
};

/** The user namespace of the engine that made a dump. */
const engineNamespace = ({ name, entries }: Image): number => {
  const ids = entries[0]?.message['rootIds'] as Fields | undefined;
  const own = ids?.['userNsId'];
  // A field that is not there reads as zero, and zero is no namespace's ID.
  if (typeof own !== 'number' || own === 0) throw unreadable(new Error(`${name} names no user namespace`));
  return own;
};

/**
 * Makes the dump in `directory` restorable inside the user namespace that it was taken from. Small files, read and written at once:
 * somebody is frozen meanwhile. Rejects with `ENGINE_FAILED` when an image is not one, and as writing a file does.
 */
export const dropUserNamespace = async (schema: Schema, directory: string): Promise<void> => {
  const own = engineNamespace(readImage(schema, directory, 'inventory.img'));
  for (const name of readdirSync(directory).filter((one) => one.startsWith('ids-'))) {
    const image = readImage(schema, directory, name);
    for (const { message } of image.entries) message['userNsId'] = own;
    writeFileSync(join(directory, name), encodeImage(schema, image));
  }
};
