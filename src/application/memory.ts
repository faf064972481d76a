/** How the memory of an application comes back: the fastest way that is correct for it, or the one that was asked for. */
import { join } from 'node:path';
import type { MemoryChoice, WokenMemory } from '../api/index.ts';
import { AppShotError } from '../common/index.ts';
import { fillMemory } from '../environments/index.ts';
import type { Environment } from '../environments/index.ts';
import type { SnapshotRecord } from '../registry/index.ts';
import { layerName, layerPath, makeAnonymous } from '../snapshots/index.ts';
import type { Manifest } from '../snapshots/index.ts';
import { scratchFor } from './closing.ts';
import type { House, Work } from './context.ts';
import { systemPid } from './processes.ts';

/** What this machine can do. */
export interface MemoryAbilities {
  /** Memory can be mapped from layers: calls that would see through them are answered for it (docs/memory.md). */
  readonly guard: boolean;
  /** Why not, where it is something else than the kernel. */
  readonly obstacle?: string | undefined;
  /** The kernel lets root serve pages of others. */
  readonly lazy: boolean;
}

/** Chooses, and says why. Pure. Fails with `MEMORY_MODE` when what was asked for cannot be had. */
export const chooseMemory = (
  choice: MemoryChoice,
  layered: boolean,
  { guard, lazy, obstacle = 'this kernel has no guard for layers' }: MemoryAbilities,
): WokenMemory => {
  const refuse = (reason: string): never => {
    throw new AppShotError('MEMORY_MODE', { mode: choice, reason });
  };
  if (choice === 'copy') return { mode: 'copy', reason: 'it was asked for' };
  if (!layered)
    return { mode: 'copy', reason: 'its memory is not in a layer yet, or there is too little of it' };
  if (choice === 'layer') return guard ? { mode: 'layer', reason: 'it was asked for' } : refuse(obstacle);
  if (choice === 'lazy')
    return lazy ? { mode: 'lazy', reason: 'it was asked for' } : refuse('there is no /dev/userfaultfd');
  if (guard) return { mode: 'layer', reason: 'its memory is in a layer, and the kernel guards it' };
  if (lazy) return { mode: 'lazy', reason: `${obstacle}, but there is userfaultfd` };
  return { mode: 'copy', reason: `${obstacle}, and there is no userfaultfd` };
};

/** Whether somebody who asks for this mode must wait for the layer. */
const needsLayer = (choice: MemoryChoice): boolean => choice === 'layer' || choice === 'lazy';

const verified = async (house: House, id: string): Promise<[SnapshotRecord, Manifest]> => {
  const known = await house.registry.getSnapshot(id);
  if (!known) throw new AppShotError('SNAPSHOT_NOT_FOUND', { snapshot: id });
  return [known, await house.store.verify(known)];
};

/** Verifies the snapshot to wake, and prepares its images for the way its memory comes back. */
export const prepareMemory = async (work: Work, snapshot: string): Promise<void> => {
  const { house, record } = work;
  const choice = work.memory ?? record.spec.memory ?? 'auto';
  let [known, manifest] = await verified(house, snapshot);
  if (needsLayer(choice) && manifest.memory.layers.length === 0 && !known.durable) {
    await house.keeper.settled(snapshot);
    [known, manifest] = await verified(house, snapshot);
  }
  const layered = manifest.memory.layers.length > 0;
  work.woken = chooseMemory(choice, layered, house.memory);
  work.manifest = manifest;
  work.images = house.store.images(known);
  work.layers = work.woken.mode === 'layer' ? manifest.memory.layers : [];
  if (!layered || work.woken.mode === 'layer') return;
  const scratch = scratchFor(work, snapshot);
  work.fillings = makeAnonymous(house.schema, work.images, scratch);
  work.images = scratch;
};

/** The files that the processes map, and where they find them. */
export const memoryMounts = ({ house, layers = [] }: Work): { source: string; target: string }[] =>
  layers.map((layer) => ({ source: house.store.layers.path(layer), target: layerPath(layer.digest) }));

/** Locked while memory comes back. */
export const fillerLock = (house: House, aid: string): string =>
  join(house.layout.application(aid).engineLog, 'filler');

/** Puts the contents of layers into anonymous memory, now or as it is touched: the processes must not run before. */
export const fillRestored = async (work: Work, environment: Environment): Promise<void> => {
  const { house, record, fillings, woken, manifest } = work;
  if (!fillings || !manifest || !woken || woken.mode === 'layer') return;
  const names = manifest.memory.layers.map(({ digest }) => layerName(digest));
  const processes = fillings.map(({ pid, fillings: regions, present }) => ({
    systemPid: systemPid(house, environment, pid),
    regions: regions.map(({ layer, ...region }) => ({ ...region, layer: names.indexOf(layer) })),
    present,
  }));
  const { done } = await fillMemory(house.engine.init, {
    mode: woken.mode,
    processes: processes.filter(({ regions }) => regions.length > 0),
    layers: manifest.memory.layers.map((layer) => house.store.layers.path(layer)),
    lock: fillerLock(house, record.aid),
    firstProcess: environment.pid,
  });
  environment.filled = done;
};
