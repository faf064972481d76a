/** What is changed in the images of a template, once, before they are sealed. */
import { closeSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { addMapping, decodeImage, encodeImage, processSpace, readPagemap } from '../../criu/index.ts';
import type { Image, Schema } from '../../criu/index.ts';
import { placeRuns, runsWithin } from '../../snapshots/index.ts';
import type { SavedRun } from '../../snapshots/index.ts';
import type { Personality } from './types.ts';

/** Memory whose contents no clone gets: its program asked for zeros after a fork, and a clone is no less. */
export interface Wiped {
  readonly pid: number;
  readonly start: number;
  readonly bytes: number;
}

const clear = (path: string, runs: readonly SavedRun[]): number => {
  const file = openSync(path, 'r+');
  try {
    return runs.reduce((sum, { start, end, at }) => {
      const zeros = Buffer.alloc(end - start);
      for (let done = 0; done < zeros.length;)
        done += writeSync(file, zeros, done, zeros.length - done, at + done);
      return sum + zeros.length;
    }, 0);
  } finally {
    closeSync(file);
  }
};

const wipe = (images: string, pid: number, mm: Image): Wiped[] => {
  const wiped = processSpace(mm).mappings.filter((mapping) => mapping.wiped);
  if (wiped.length === 0) return [];
  const name = `pagemap-${pid}.img`;
  const { pagesId, runs } = readPagemap(name, readFileSync(join(images, name)));
  const placed = placeRuns(runs);
  return wiped.map(({ start, end }) => {
    const saved = [...runsWithin(placed, start, end)];
    return { pid, start, bytes: clear(join(images, `pages-${pagesId}.img`), saved) };
  });
};

/**
 * Gives the processes their spare memory, and empties what they want empty after a fork. Changes the files of `images` in place, which
 * must be nobody else's, and once: what has its spare memory is refused. Synchronous: about a millisecond for each process. Throws `ImageError`, or the file system's error.
 */
export const prepareImages = (schema: Schema, images: string, { processes }: Personality): Wiped[] =>
  processes.flatMap(({ pid, spare }) => {
    const path = join(images, `mm-${pid}.img`);
    const mm = decodeImage(schema, `mm-${pid}.img`, readFileSync(path));
    if (spare?.added) {
      addMapping(schema, mm, spare.at, spare.size);
      writeFileSync(path, encodeImage(schema, mm), { mode: 0o600 });
    }
    return wipe(images, pid, mm).filter(({ bytes }) => bytes > 0);
  });
