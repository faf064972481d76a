/** What rules single out among the files of a template (figure 9): blank, copied, or one for all clones. */
import { readFileSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { decodeImage, encodeImage, forgetSizes } from '../../criu/index.ts';
import type { Schema } from '../../criu/index.ts';
import { copyShared, giveFiles, makeApplicationFiles, makeRoot } from '../../environments/index.ts';
import type { GivenPath } from '../../environments/index.ts';
import type { ApplicationRecord } from '../../registry/index.ts';
import { Layout, blankTree } from '../../snapshots/index.ts';
import type { Manifest } from '../../snapshots/index.ts';
import { layerOf } from '../../templates/index.ts';
import type { Overrides, TemplateFacts } from '../../templates/index.ts';
import type { House } from '../context.ts';
import { withFilesBeneath } from '../identity.ts';
import { shownOf } from '../provision.ts';
import { templateIn } from './facts.ts';

const FILES = 'files.img';

type Ruled = Pick<TemplateFacts, 'overrides'>;

/** What all clones have together, in the order of its numbers. */
export const sharedPaths = ({ overrides }: { overrides: Overrides }): string[] =>
  overrides.paths.filter((one) => one.class === 'shared').map(({ path }) => path);

/** Others may have written to such files when what has them open wakes, so their sizes then tell nothing. */
export const forgetCommon = (schema: Schema, images: string, isCommon: (path: string) => boolean): void => {
  const place = join(images, FILES);
  const files = decodeImage(schema, FILES, readFileSync(place));
  if (forgetSizes(files, isCommon) > 0) writeFileSync(place, encodeImage(schema, files));
};

/** What a clone has in its own layers from the first. Fails with `NO_SPACE`. */
export const giveRuled = async (
  house: House,
  record: ApplicationRecord,
  { overrides }: Ruled,
): Promise<void> => {
  const shown = shownOf(record.data);
  const paths = overrides.paths.flatMap(({ path, kind, class: chosen }): GivenPath[] =>
    chosen === 'shared' ? [] : [{ ...layerOf(path, shown), kind, blank: chosen === 'virtualize' }],
  );
  if (paths.length === 0) return;
  await withFilesBeneath(house, record, async (beneath) => {
    if (beneath) await giveFiles(house.layout.application(record.aid), beneath, paths);
  });
};

/** The tree of a snapshot that needs the template no more: what is to be copied is its own anyway. */
export const blankedTree = async (
  house: House,
  { tree, application: { shown } }: Manifest,
  { overrides }: Ruled,
): Promise<string | null> => {
  if (tree === null || !overrides.paths.some((one) => one.class === 'virtualize')) return tree;
  const names = (isBlank: boolean): string[] =>
    overrides.paths
      .filter((one) => (one.class === 'virtualize') === isBlank)
      .map(({ path }) => layerOf(path, shown))
      .map(({ root, below }) => `${root}/${below}`);
  const digest = await blankTree(house.objects, tree, { blank: names(true), keeps: names(false) });
  await house.objects.flush([digest]);
  return digest;
};

/**
 * Makes the one copy of what the clones of a template have together, as they would see it below their own layers: what of it is the
 * machine's is copied too. Fails with `NO_SPACE`.
 */
export const makeShared = async (house: House, id: string, manifest: Manifest): Promise<void> => {
  const { facts } = templateIn(manifest) ?? {};
  const paths = facts ? sharedPaths(facts) : [];
  if (paths.length === 0) return;
  const { directory, image, place, shared } = house.layout.template(id);
  const files = new Layout(directory).application('draft');
  const { shown } = manifest.application;
  try {
    using made = house.images.use(image, place, (beneath) => {
      makeApplicationFiles(files, house.hidden, shown, beneath);
      const nothing = { volumes: [], memory: [] };
      return makeRoot({ engine: house.engineDirectory, files, beneath, shown, ...nothing });
    });
    await copyShared(made, paths, shared);
  } finally {
    await rm(new Layout(directory).applications, { recursive: true, force: true });
  }
};
