/** A template that came from elsewhere (mission B9). */
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { newId } from '../../common/index.ts';
import type { TemplateRecord } from '../../registry/index.ts';
import { corrupt } from '../../snapshots/index.ts';
import type { Manifest } from '../../snapshots/index.ts';
import { missingPath } from '../../templates/index.ts';
import type { House } from '../context.ts';
import { makeTemplateFiles, removeTemplateFiles } from './create.ts';
import { templateIn } from './facts.ts';
import { makeShared } from './shared.ts';

/** Its layers and the contents of its files have arrived. Nothing is left of it when this fails. Fails with `TEMPLATE_TAKEN`, `NO_SPACE`. */
export const receiveTemplate = async (
  house: House,
  manifest: Manifest,
  image: (name: string) => string,
  wanted: { readonly name?: string | undefined; readonly network?: string | undefined },
): Promise<TemplateRecord> => {
  const { facts } = templateIn(manifest) ?? {};
  if (!facts || manifest.tree === null) throw new Error(`${manifest.id} is no template`);
  const [id, snapshot] = [newId(), newId()];
  const name = wanted.name ?? facts.name;
  const { application } = manifest;
  const spec =
    wanted.network === undefined ? application.spec : { ...application.spec, network: wanted.network };
  try {
    const files = { tree: manifest.tree, snapshot: manifest.id, foreign: true };
    const entries = await makeTemplateFiles(house, id, files);
    const missing = missingPath(facts.overrides, entries, manifest.application.shown);
    if (missing !== undefined)
      throw corrupt(manifest.id, 'manifest.json', `template.overrides: its files have no ${missing}`);
    await makeShared(house, id, manifest);
    const { path, digest, bytes } = await house.store.create(snapshot, async (images) => {
      for (const { name: file } of manifest.files)
        copyFileSync(image(file), join(images, file.slice('images/'.length)));
      return {
        ...manifest,
        aid: id,
        parent: null,
        application: { ...application, spec },
        template: { ...facts, name },
      };
    });
    const template = { id, name, createdAt: new Date().toISOString(), snapshot, instances: 0, data: {} };
    const { takenAt, tree } = manifest;
    const known = { id: snapshot, aid: id, takenAt, kind: 'template' as const, bytes, parent: null };
    await house.registry.addTemplate(template, {
      ...known,
      manifest: path,
      digest,
      tree,
      durable: true,
      pinned: true,
      expiresAt: null,
    });
    return template;
  } catch (error) {
    await removeTemplateFiles(house, id, snapshot);
    throw error;
  }
};
