/**
 * What a fresh dump needs before it can be restored inside an application's own user namespace.
 *
 * A dump is taken from outside that namespace (System V shared memory needs it), so its tasks are recorded as living in
 * another user namespace than the engine. Made equal to the engine's own, restoring makes no user namespace.
 */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AppShotError } from '../../common/index.ts';
import type { Fields, Schema } from '../schema.ts';
import { readImage, writeImage } from './frames.ts';

const corrupt = (file: string, cause: unknown): AppShotError =>
  new AppShotError(
    'ENGINE_FAILED',
    { reason: `its image ${file} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}` },
    { cause },
  );

/** Decodes each message of a small image, lets `change` alter it, and writes the file again when `change` is given. */
const editImage = async (
  schema: Schema,
  path: string,
  message: string,
  change?: (fields: Fields) => void,
): Promise<Fields[]> => {
  try {
    const image = readImage(await readFile(path));
    const decoded = image.messages.map((bytes) => schema.decode(message, bytes));
    if (!change) return decoded;
    decoded.forEach(change);
    await writeFile(
      path,
      writeImage({ ...image, messages: decoded.map((fields) => schema.reencode(message, fields)) }),
    );
    return decoded;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOSPC') throw error;
    throw corrupt(path, error);
  }
};

/** Makes the dump in `directory` restorable inside the user namespace that it was taken from. */
export const dropUserNamespace = async (schema: Schema, directory: string): Promise<void> => {
  const [inventory] = await editImage(schema, join(directory, 'inventory.img'), 'inventory_entry');
  const own = (inventory?.['rootIds'] as Fields | undefined)?.['userNsId'];
  // A field that is not there reads as zero, and zero is no namespace's ID.
  if (!own) throw corrupt('inventory.img', new Error('it names no user namespace'));
  const names = (await readdir(directory)).filter((name) => name.startsWith('ids-'));
  for (const name of names)
    await editImage(schema, join(directory, name), 'task_kobj_ids_entry', (fields) => {
      fields['userNsId'] = own;
    });
};
