/** What the past cannot continue: connections with others, which have gone on, are closed when it wakes; those with itself go on. */
import { copyFileSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { closeConnections, decodeImage, encodeImage } from '../criu/index.ts';
import type { Work } from './context.ts';

const FILES = 'files.img';

/** A place in memory for the images of one wake; it goes when that ends. */
export const scratchFor = (work: Work, snapshot: string): string => {
  // Several clones may be made of one snapshot at a time.
  const scratch = work.house.store.scratch(`${snapshot}-${work.record.aid}`);
  work.closers.push(() => rmSync(scratch, { recursive: true, force: true }));
  mkdirSync(scratch, { recursive: true, mode: 0o700 });
  return scratch;
};

/** Prepares the images of a wake. Where it has no connection with itself the engine may as well close all, and nothing is copied. */
export const closeWithOthers = (work: Work, snapshot: string): void => {
  const { house, images = '' } = work;
  const files = decodeImage(house.schema, FILES, readFileSync(join(images, FILES)));
  if (closeConnections(files) === 0) return;
  const scratch = scratchFor(work, snapshot);
  if (images !== scratch)
    for (const name of readdirSync(images))
      if (name !== FILES) copyFileSync(join(images, name), join(scratch, name));
  writeFileSync(join(scratch, FILES), encodeImage(house.schema, files), { mode: 0o600 });
  work.images = scratch;
  work.closeConnections = false;
};
