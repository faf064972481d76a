/**
 * Making a template (figure 8). The snapshot that it is made from is copied once, and what must not be in every clone is taken out of
 * the copy: connections with others, memory that asks to be wiped when it is duplicated. What must differ in each clone is looked
 * for once, and recorded. So a clone needs hardly more than a wake.
 */
import { existsSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { RulesSource, TemplateRequest } from '../../api/index.ts';
import { AppShotError, newId } from '../../common/index.ts';
import { closeConnections, decodeImage, encodeImage, leavePipeSizes, moveAddress } from '../../criu/index.ts';
import { hideInLayer, makeLayerImage } from '../../environments/index.ts';
import { identityVariables, readOwnRules } from '../../harness/index.ts';
import type { ApplicationRecord, SnapshotRecord, TemplateRecord } from '../../registry/index.ts';
import { layerName, materialiseTree, readTree, refold } from '../../snapshots/index.ts';
import type { Entry, LayerEntry, Manifest } from '../../snapshots/index.ts';
import {
  TEMPLATE_FORMAT,
  classifyTemplate,
  expandOverrides,
  findPersonality,
  needsFiles,
  prepareImages,
} from '../../templates/index.ts';
import type { Places, RuleSet, TemplateFacts } from '../../templates/index.ts';
import type { Applications } from '../applications.ts';
import type { House } from '../context.ts';
import { generationOf, identityOf, isCommon, originOf, placesOf } from '../identity.ts';
import { resolveSnapshot, snapshotOrLatest } from '../resolve.ts';
import { environmentOf, evaluateRules, readRules } from './evaluate.ts';
import { forgetCommon, makeShared, sharedPaths } from './shared.ts';

const FILES = 'files.img';
/** Bytes of memory beside its layers with which a template may do: each clone copies them. */
const LEAST_BESIDE = 256 << 10;
const PAGES_FILE = /^pages-\d+\.img$/;

/** What a template is made from. */
interface Source {
  readonly record: ApplicationRecord;
  readonly snapshot: SnapshotRecord;
  readonly manifest: Manifest;
  readonly rules: RuleSet;
  readonly sources: readonly RulesSource[];
}

const sourceSnapshot = async (
  house: House,
  applications: Applications,
  record: ApplicationRecord,
  prefix: string | undefined,
): Promise<SnapshotRecord> => {
  if (prefix !== undefined || record.state !== 'running') return snapshotOrLatest(house, record, prefix);
  const { snapshot } = await applications.snapshot(record.aid);
  return resolveSnapshot(house, snapshot, record.aid);
};

/** The rules with which it was started, those that its programs left, and those that are given now. */
const sourcesOf = (
  house: House,
  record: ApplicationRecord,
  given: RulesSource | undefined,
): RulesSource[] => {
  const own = readOwnRules(house.layout.application(record.aid).upper);
  return [...(record.spec.rules ?? []), ...(own.text.trim() === '' ? [] : [own]), ...(given ? [given] : [])];
};

const copied = (images: string): number =>
  readdirSync(images)
    .filter((name) => PAGES_FILE.test(name))
    .reduce((sum, name) => sum + statSync(join(images, name)).size, 0);

/** Whether memory that clones would copy belongs into a layer. */
const shouldFold = (
  { memory }: House,
  { memory: { layers, copied: bytes }, application }: Manifest,
): boolean =>
  application.spec.memory !== 'copy' &&
  (memory.guard || memory.lazy) &&
  bytes - layers.reduce((sum, { beside }) => sum + beside, 0) > LEAST_BESIDE;

/** The variables that clones will see with other values, with those that they have now. */
const variablesOf = (record: ApplicationRecord, rules: RuleSet): Record<string, string> => {
  const identity = identityOf(record);
  // What is set by rules that came after the start has the value that it was started with.
  const known: Record<string, string> = { ...environmentOf(record.spec), ...identity.variables };
  const set = Object.fromEntries(rules.variables.map(({ name }) => [name, known[name] ?? '']));
  return { ...identityVariables(identity), ...set };
};

/** Connections with others stay behind. Returns whether a socket is bound to the application's own address. */
const prepareSockets = ({ schema }: House, images: string, address: string): boolean => {
  const path = join(images, FILES);
  const files = decodeImage(schema, FILES, readFileSync(path));
  closeConnections(files);
  writeFileSync(path, encodeImage(schema, files));
  return moveAddress(files, address, address) > 0;
};

const preparePipes = ({ schema }: House, images: string): void => {
  for (const name of ['pipes-data.img', 'fifo-data.img']) {
    const path = join(images, name);
    if (!existsSync(path)) continue;
    const data = decodeImage(schema, name, readFileSync(path));
    if (leavePipeSizes(data) > 0) writeFileSync(path, encodeImage(schema, data));
  }
};

const placesFor = ({ record, rules, manifest }: Source): Places => {
  const known = placesOf(record);
  return known ?? evaluateRules(rules, identityOf(record), manifest.application.spec).places;
};

const describe = async (
  house: House,
  source: Source,
  {
    name,
    images,
    layers,
    entries,
  }: { name: string; images: string; layers: readonly LayerEntry[]; entries: readonly Entry[] },
): Promise<TemplateFacts> => {
  const { record, manifest, rules, sources } = source;
  const bound = prepareSockets(house, images, manifest.application.address);
  preparePipes(house, images);
  const memory = await findPersonality({
    images,
    descriptors: house.engine.descriptors,
    layers: Object.fromEntries(
      layers.map((layer) => [layerName(layer.digest), house.store.layers.path(layer)]),
    ),
    variables: variablesOf(record, rules),
    hostname: manifest.application.hostname,
  });
  prepareImages(house.schema, images, memory);
  const places = placesFor(source);
  const ruled = expandOverrides({
    entries: needsFiles(rules) ? entries : [],
    shown: manifest.application.shown,
    volumes: manifest.application.spec.volumes,
    rules,
    places,
  });
  const { schema } = house;
  const { resources, refusals } = classifyTemplate({ schema, images, manifest, rules, places, ruled });
  if (refusals.length > 0)
    throw new AppShotError('TEMPLATE_REFUSED', { name: record.name, reasons: refusals.join('; ') });
  const overrides = {
    memory: ruled.memory,
    paths: ruled.paths.map(({ path, kind, class: chosen }) => ({ path, kind, class: chosen })),
  };
  const { spec } = manifest.application;
  const shared = sharedPaths({ overrides });
  // The source goes on with its volumes.
  if (shared.length + spec.volumes.length > 0)
    forgetCommon(schema, images, (path) => isCommon({ data: { shared }, spec }, path));
  const from = { aid: record.aid, name: record.name, template: originOf(record)?.name ?? null };
  return {
    format: TEMPLATE_FORMAT,
    name,
    from,
    generation: generationOf(record),
    rules: [...sources],
    links: record.spec.links ?? [],
    places,
    overrides,
    bound,
    resources: [...resources],
    memory,
  };
};

const writeSnapshot = async (
  house: House,
  source: Source,
  { id, name, snapshot, entries }: { id: string; name: string; snapshot: string; entries: readonly Entry[] },
): Promise<SnapshotRecord> => {
  const { manifest } = source;
  const { path, digest, bytes } = await house.store.create(snapshot, async (images) => {
    const layer = await refold({
      layout: house.layout,
      descriptors: house.engine.descriptors,
      images: house.store.images(source.snapshot),
      target: images,
      id: snapshot,
      fold: shouldFold(house, manifest),
    });
    const layers = layer ? [layer] : manifest.memory.layers;
    return {
      ...manifest,
      aid: id,
      kind: 'template' as const,
      parent: source.snapshot.id,
      memory: { layers, copied: copied(images) },
      reachable: { ...manifest.reachable, connections: [] },
      template: await describe(house, source, { name, images, layers, entries }),
    };
  });
  return {
    ...source.snapshot,
    id: snapshot,
    aid: id,
    kind: 'template',
    bytes,
    parent: source.snapshot.id,
    manifest: path,
    digest,
    durable: true,
    pinned: true,
    expiresAt: null,
  };
};

const BLOCK = 4096;

const contentsOf = (entries: readonly Entry[]): { bytes: number; files: number } => ({
  bytes: entries.reduce((sum, entry) => sum + (entry.type === 'file' ? dataOf(entry) : 0), 0),
  files: entries.length,
});

/** Each of its runs of data begins and ends within a block. */
const dataOf = ({ parts = [] }: Extract<Entry, { type: 'file' }>): number =>
  parts.reduce((sum, [, length]) => sum + length + 2 * BLOCK, BLOCK);

/** Makes the files that all clones will have below their own; returns the entries of their tree. */
export const makeTemplateFiles = async (
  house: House,
  id: string,
  { tree, snapshot, foreign }: { tree: string; snapshot: string; foreign: boolean },
): Promise<readonly Entry[]> => {
  const { directory, image } = house.layout.template(id);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const { roots, entries } = await readTree(house.objects, tree, snapshot);
  await makeLayerImage(image, contentsOf(entries), async (root) => {
    const targets = Object.fromEntries(roots.map((name) => [name, join(root, name)]));
    for (const target of Object.values(targets)) await mkdir(target, { recursive: true });
    await materialiseTree(house.objects, tree, targets, { snapshot, foreign });
    hideInLayer(join(root, 'upper'), house.hidden);
  });
  return entries;
};

/** Nothing is left of a template that could not be made. */
export const removeTemplateFiles = async (house: House, id: string, snapshot: string): Promise<void> => {
  const { directory, image, place } = house.layout.template(id);
  house.images.release(image, place);
  await house.store.remove(snapshot);
  await rm(directory, { recursive: true, force: true });
};

/**
 * Makes a template of an application: of what it is now, when it runs, else of its latest snapshot, unless one is named. Fails with
 * `TEMPLATE_TAKEN`, `TEMPLATE_REFUSED`, `BAD_RULES`, and as `snapshot` does; the application goes on in any case.
 */
export const createTemplate = async (
  house: House,
  applications: Applications,
  { name, from, snapshot: prefix, rules: given }: TemplateRequest,
): Promise<TemplateRecord> => {
  if (await house.registry.findTemplate(name)) throw new AppShotError('TEMPLATE_TAKEN', { name });
  const record = await applications.rouse(from);
  const sources = sourcesOf(house, record, given);
  const rules = readRules(sources, record.spec.links ?? []);
  const taken = await sourceSnapshot(house, applications, record, prefix);
  await house.keeper.settled(taken.id);
  // What it is made from must not be removed meanwhile.
  return house.keeper.exclusively(async () => {
    const snapshot = await resolveSnapshot(house, taken.id, record.aid);
    if (snapshot.tree === null) throw new AppShotError('SNAPSHOT_WITHOUT_FILES', { snapshot: snapshot.id });
    const manifest = await house.store.verify(snapshot);
    const [id, own] = [newId(), newId()];
    try {
      const files = { tree: snapshot.tree, snapshot: snapshot.id, foreign: false };
      const entries = await makeTemplateFiles(house, id, files);
      const source = { record, snapshot, manifest, rules, sources };
      const written = await writeSnapshot(house, source, { id, name, snapshot: own, entries });
      await makeShared(house, id, house.store.read(written));
      const template = {
        id,
        name,
        createdAt: new Date().toISOString(),
        snapshot: own,
        instances: 0,
        data: {},
      };
      await house.registry.addTemplate(template, written);
      house.emit('template', record, { data: { template: name, snapshot: own } });
      return template;
    } catch (error) {
      await removeTemplateFiles(house, id, own);
      throw error;
    }
  });
};
