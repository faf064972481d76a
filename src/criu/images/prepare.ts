/**
 * What a fresh dump needs before it can be restored inside an application's own user namespace.
 *
 * A dump is taken from outside that namespace (System V shared memory needs it), so its tasks are recorded as living in
 * another user namespace than the engine. Made equal to the engine's own, restoring makes no user namespace.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AppShotError } from '../../common/index.ts';
import type { Fields, Schema } from '../schema.ts';
import { decodeImage, encodeImage } from './codec.ts';
import type { Image } from './codec.ts';
import { listImages } from './directory.ts';

const unreadable = (cause: unknown): AppShotError => {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new AppShotError('ENGINE_FAILED', { reason: `its images cannot be read: ${why}` }, { cause });
};

const readImage = async (schema: Schema, directory: string, name: string): Promise<Image> => {
  try {
    return decodeImage(schema, name, await readFile(join(directory, name)));
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
 * Makes the dump in `directory` restorable inside the user namespace that it was taken from. Throws `ENGINE_FAILED` when an
 * image is not one, and as `writeFile` does.
 */
export const dropUserNamespace = async (schema: Schema, directory: string): Promise<void> => {
  const own = engineNamespace(await readImage(schema, directory, 'inventory.img'));
  const names = (await listImages(directory)).filter((name) => name.startsWith('ids-'));
  for (const name of names) {
    const image = await readImage(schema, directory, name);
    for (const { message } of image.entries) message['userNsId'] = own;
    await writeFile(join(directory, name), encodeImage(schema, image));
  }
};
