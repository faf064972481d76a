/** What a data directory holds, and what of it the snapshots of its applications need: the rest would be left over. */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { Client } from '../../src/api/client.ts';
import type { HistoryEntry } from '../../src/api/index.ts';
import { ObjectStore, treeObjects } from '../../src/snapshots/index.ts';
import type { Manifest } from '../../src/snapshots/index.ts';
import { stagesOf } from './belongings.ts';
import { eventually } from './eventually.ts';
import type { Lab } from './lab.ts';

const namesIn = (path: string): string[] => (existsSync(path) ? readdirSync(path).toSorted() : []);
const isDraft = (name: string): boolean => name.endsWith('.draft');

/** Every snapshot of every application, once all are durable. */
const durableSnapshots = (client: Client): Promise<HistoryEntry[]> =>
  eventually(
    async () => {
      const apps = await client.apps({ all: true });
      const entries = (await Promise.all(apps.map(({ aid }) => client.history(aid)))).flat();
      expect(entries.filter(({ durable }) => !durable)).toEqual([]);
      return entries;
    },
    40_000,
    50,
  );

/** Layers and objects that a snapshot needs, by their digests. */
const needsOf = async (directory: string, id: string): Promise<{ layers: string[]; objects: string[] }> => {
  const path = join(directory, 'snapshots', id, 'manifest.json');
  const { memory, tree } = JSON.parse(readFileSync(path, 'utf8')) as Manifest;
  const objects = new ObjectStore(join(directory, 'objects'));
  return {
    layers: memory.layers.map(({ digest }) => digest),
    objects: tree === null ? [] : await treeObjects(objects, tree, id),
  };
};

const union = (lists: readonly string[][]): string[] => [...new Set(lists.flat())].toSorted();

/**
 * The data directory has what the registry names, and no half of anything; and after sweeping not an object or a layer that no snapshot
 * needs. No application may run: what runs may need a layer of its past.
 */
export const expectNothingOrphaned = async (lab: Lab, client: Client): Promise<void> => {
  const entries = await durableSnapshots(client);
  const templates = await Promise.all((await client.templates()).map(({ id }) => client.inspectTemplate(id)));
  const ids = [...entries, ...templates].map(({ snapshot }) => snapshot).toSorted();
  const at = (...names: string[]): string => join(lab.dataDirectory, ...names);
  // What was staged goes a moment after the registry knows where the snapshot is.
  await eventually(() => expect(stagesOf(lab).flatMap(namesIn)).toEqual([]));
  expect(namesIn(at('snapshots'))).toEqual(ids);
  expect(namesIn(at('staging'))).toEqual([]);
  expect(namesIn(at('apps'))).toEqual((await client.apps({ all: true })).map(({ aid }) => aid).toSorted());
  expect(namesIn(at('templates'))).toEqual(templates.map(({ id }) => id).toSorted());
  expect([...namesIn(at('layers')), ...namesIn(at('objects'))].filter(isDraft)).toEqual([]);
  await client.gc();
  const needs = await Promise.all(ids.map((id) => needsOf(lab.dataDirectory, id)));
  expect(namesIn(at('layers'))).toEqual(union(needs.map(({ layers }) => layers)));
  const objects = new ObjectStore(at('objects'));
  expect(await objects.list()).toEqual(union(needs.map((one) => one.objects)));
  expect(await client.gc()).toEqual({ snapshots: 0, objects: 0, layers: 0, bytes: 0 });
};
