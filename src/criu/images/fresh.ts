/** What a fresh dump must lose before it can be restored: what its tasks had from AppShot alone. */
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Schema } from '../schema.ts';
import { decodeImage, encodeImage } from './codec.ts';
import type { Image } from './codec.ts';
import { dropFilter } from './edits.ts';

/**
 * Takes the guard's filter, with exactly these bytes, out of the dump in `directory`: restored without its listener it would refuse
 * what it should only look at. Throws `ImageError`, or the file system's error.
 */
export const dropGuard = async (schema: Schema, directory: string, filter: Uint8Array): Promise<void> => {
  const names = readdirSync(directory);
  if (!names.includes('seccomp.img')) return;
  const read = (name: string): Image => decodeImage(schema, name, readFileSync(join(directory, name)));
  const seccomp = read('seccomp.img');
  const cores = names.filter((name) => /^core-\d+\.img$/.test(name)).map(read);
  if (dropFilter(seccomp, cores, filter) === 0) return;
  for (const image of [seccomp, ...cores])
    writeFileSync(join(directory, image.name), encodeImage(schema, image));
};
