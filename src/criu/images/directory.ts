/** The image files of one dump. */
import { readdir } from 'node:fs/promises';
import { imageKind } from './kinds.ts';

/** The names of the files in a directory that `decodeImage` decodes, in order. Throws as `readdir` does. */
export const listImages = async (directory: string): Promise<string[]> =>
  (await readdir(directory)).filter((name) => imageKind(name) !== undefined).toSorted();
