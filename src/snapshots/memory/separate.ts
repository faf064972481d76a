/**
 * Gives each process of a fresh dump its own entries for the layers that it maps. The engine dumps one entry for a file, and, when it
 * restores, takes a child's mapping for its parent's where address and entry are the same, from wherever in the file each of them is.
 */
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { decodeImage, encodeImage } from '../../criu/index.ts';
import type { Fields, Image, Schema } from '../../criu/index.ts';
import { layerFiles, mappingsOf } from './memory.ts';

const MEMORY = /^mm-\d+\.img$/;

/** A copy of the entry of a layer, by another ID. Returns that ID. */
const addEntry = (schema: Schema, files: Image, id: number): number => {
  const known = files.entries.find(({ message }) => Number(message['id']) === id);
  if (!known) throw new Error(`${files.name} has no entry ${id}`);
  const next = 1 + Math.max(...files.entries.map(({ message }) => Number(message['id'])));
  const reg = { ...(known.message['reg'] as Fields), id: next };
  files.entries.push({
    message: schema.make('file_entry', { type: known.message['type'], id: next, reg }),
  });
  return next;
};

/** Does nothing when at most one process maps layers. Synchronous: about a millisecond for each process, which is frozen. */
export const separateLayers = (schema: Schema, images: string): void => {
  const names = readdirSync(images).filter((name) => MEMORY.test(name));
  if (names.length < 2) return;
  const read = (name: string): Image => decodeImage(schema, name, readFileSync(join(images, name)));
  const write = (image: Image): void => writeFileSync(join(images, image.name), encodeImage(schema, image));
  const files = read('files.img');
  const layers = layerFiles(files);
  if (layers.size === 0) return;
  const known = files.entries.length;
  const taken = new Set<number>();
  for (const memory of names.map(read)) {
    const own = new Map<number, number>();
    for (const { entry, layer } of mappingsOf(memory, layers)) {
      if (!layer) continue;
      const id = Number(entry['shmid']);
      if (!own.has(id)) own.set(id, taken.has(id) ? addEntry(schema, files, id) : id);
      entry['shmid'] = BigInt(own.get(id) ?? id);
    }
    for (const id of own.keys()) taken.add(id);
    if ([...own].some(([before, after]) => before !== after)) write(memory);
  }
  if (files.entries.length > known) write(files);
};
