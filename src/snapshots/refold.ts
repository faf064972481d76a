/** The images of a snapshot once more, for another one, with its memory in a layer. */
import { readdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import type { LayerEntry } from './manifest.ts';
import type { Layout } from './layout.ts';
import { draftIn } from './layout.ts';
import { runSettling } from './settle.ts';

/** What is copied: images, and how. */
export interface Refolding {
  readonly layout: Layout;
  /** Path of the engine's message descriptors. */
  readonly descriptors: string;
  /** Where the images are and where they go, a directory that is there and empty. */
  readonly images: string;
  readonly target: string;
  /** Names the layer while it is written: of the new snapshot. */
  readonly id: string;
  /** Whether memory is moved into a layer of its own, or is left where it is. */
  readonly fold: boolean;
}

/** Resolves to the new layer, or undefined when none was made. Rejects with the file system's error, and leaves no half layer. */
export const refold = async ({
  layout,
  descriptors,
  images,
  target,
  id,
  fold,
}: Refolding): Promise<LayerEntry | undefined> => {
  const draft = draftIn(layout.layers, id);
  try {
    const job = {
      images,
      target,
      names: readdirSync(images),
      layers: layout.layers,
      draft,
      descriptors,
      fold,
    };
    return (await runSettling(job)).layer;
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
};
