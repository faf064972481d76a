/**
 * Keeps snapshots: makes those durable that were just taken, one after another and in the background, and removes those whose time has
 * come, with what nothing else needs of them.
 */
import type { GcReport } from '../api/index.ts';
import { toAppShotError } from '../common/index.ts';
import type { KeyedLock, Logger } from '../common/index.ts';
import type { ApplicationRecord, Registry, SnapshotRecord } from '../registry/index.ts';
import { chooseVictims, treeObjects } from '../snapshots/index.ts';
import type { ObjectStore, RetentionPolicy, SnapshotStore } from '../snapshots/index.ts';
import type { MemoryAbilities } from './memory.ts';
import { layersOf } from './provision.ts';

/** With less memory than this a first layer is not worth it, in bytes. */
const LEAST_FIRST = 256 << 10;
/** A delta is folded into a new layer when each wake would copy more than this (3 ms), and than that part of the layer. In bytes. */
const LEAST_DELTA = 4 << 20;
const DELTA_PART = 128;
/** How long after a failure it is tried again, in ms. */
const AGAIN = 15_000;
/** How long after the last removal what nothing needs any more is looked for, in ms. */
const SWEEP_AFTER = 60_000;

export interface KeeperOptions {
  readonly registry: Registry;
  readonly store: SnapshotStore;
  readonly objects: ObjectStore;
  readonly lock: KeyedLock;
  readonly log: Logger;
  readonly memory: MemoryAbilities;
  readonly retention: Omit<RetentionPolicy, 'now'>;
  /** Called when a snapshot has become durable. */
  readonly emit: (record: ApplicationRecord, snapshot: SnapshotRecord) => void;
}

export class Keeper {
  readonly #house: KeeperOptions;
  /** Those that are not durable yet, with who waits for them. */
  readonly #pending = new Map<string, PromiseWithResolvers<void>>();
  #queue: Promise<unknown> = Promise.resolve();
  #discarded: Promise<unknown> = Promise.resolve();
  #retry: NodeJS.Timeout | undefined;
  #sweep: NodeJS.Timeout | undefined;
  #closed = false;
  readonly #captures = new Set<Promise<unknown>>();
  #sweeping: Promise<unknown> = Promise.resolve();

  constructor(options: KeeperOptions) {
    this.#house = options;
  }

  /** One thing at a time: what is being written must not be swept away. */
  #serially<T>(action: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(action);
    this.#queue = result.catch(() => undefined);
    return result;
  }

  /** Makes a snapshot durable, soon. */
  settle(id: string): void {
    if (this.#pending.has(id) || this.#closed) return;
    const waiting = Promise.withResolvers<void>();
    waiting.promise.catch(() => undefined);
    this.#pending.set(id, waiting);
    void this.#serially(() => this.#attempt(id));
  }

  /** Resolves when a snapshot is durable; rejects with the reason when that fails now. */
  async settled(id: string): Promise<void> {
    const found = await this.#house.registry.getSnapshot(id);
    if (!found || found.durable) return;
    this.settle(id);
    await this.#pending.get(id)?.promise;
  }

  async #attempt(id: string): Promise<void> {
    const waiting = this.#pending.get(id);
    this.#pending.delete(id);
    if (this.#closed) return;
    try {
      await this.#settle(id);
      waiting?.resolve();
    } catch (err) {
      waiting?.reject(toAppShotError(err));
      await this.#explain(id, err);
    }
    await this.#retire();
  }

  /** A failure is told, and what may pass is tried again; but for a snapshot that was removed meanwhile, with its files. */
  async #explain(id: string, err: unknown): Promise<void> {
    const { registry, log } = this.#house;
    if ((await registry.getSnapshot(id).catch(() => null)) === undefined) return;
    log.error({ err, snapshot: id }, 'a snapshot could not be made durable yet');
    if (toAppShotError(err).code !== 'SNAPSHOT_CORRUPT') this.#tryAgain(id);
  }

  #tryAgain(id: string): void {
    this.#retry = setTimeout(() => this.settle(id), AGAIN).unref();
  }

  async #settle(id: string): Promise<void> {
    const { registry, store, objects, lock, log } = this.#house;
    const snapshot = await registry.getSnapshot(id);
    const record = snapshot && (await registry.find(snapshot.aid));
    if (!snapshot || !record || snapshot.durable) return;
    if (snapshot.tree !== null) await objects.flush(await treeObjects(objects, snapshot.tree, id));
    const { manifest, path, digest, bytes } = await store.settle(
      snapshot,
      snapshot.tree,
      await this.#pays(snapshot, record),
    );
    const durable = { manifest: path, digest, bytes, durable: true };
    const known = await registry.updateSnapshot(id, durable);
    // A wake that began with the provisional one still reads it, or waits for this very snapshot: nobody waits for it here.
    const discarded = lock
      .run(snapshot.aid, 'keeping a snapshot', () => store.discardStaged(id))
      .catch((err: unknown) => log.error({ err, snapshot: id }, 'a dump was left behind'));
    this.#discarded = Promise.all([this.#discarded, discarded]);
    if (!known) await store.remove(id);
    const parent = snapshot.parent === null ? undefined : await registry.getSnapshot(snapshot.parent);
    // A template will be wanted again.
    if (parent && parent.kind !== 'template') store.forget(parent.id);
    if (known) this.#house.emit(record, { ...snapshot, ...durable, takenAt: manifest.takenAt });
  }

  /** Whether the memory of a snapshot should become a layer. */
  async #pays(snapshot: SnapshotRecord, { spec }: ApplicationRecord): Promise<boolean> {
    const { guard, lazy } = this.#house.memory;
    if (spec.memory === 'copy' || !(guard || lazy)) return false;
    const { layers, copied } = (await this.#house.store.verify(snapshot)).memory;
    const layered = layers.reduce((sum, { bytes }) => sum + bytes, 0);
    const beside = layers.reduce((sum, layer) => sum + layer.beside, 0);
    return (
      copied - beside > (layers.length === 0 ? LEAST_FIRST : Math.max(LEAST_DELTA, layered / DELTA_PART))
    );
  }

  /** Takes up what a daemon before this one left. */
  async resume(): Promise<void> {
    for (const { id, durable } of await this.#house.registry.listSnapshots()) if (!durable) this.settle(id);
  }

  /** The snapshots whose time has come. */
  async #victims(): Promise<SnapshotRecord[]> {
    const { registry, retention } = this.#house;
    const [snapshots, records] = await Promise.all([registry.listSnapshots(), registry.list()]);
    const current = new Set(records.flatMap((record) => record.snapshot ?? []));
    const now = Date.now();
    const chosen = chooseVictims(
      snapshots
        .filter(({ durable }) => durable)
        .map((snapshot) => ({
          ...snapshot,
          takenAt: Date.parse(snapshot.takenAt),
          latest: current.has(snapshot.id),
          automatic: snapshot.kind === 'sleep',
        })),
      { ...retention, now },
    );
    const expired = snapshots.filter(
      ({ id, pinned, expiresAt, durable }) =>
        durable && !pinned && !current.has(id) && expiresAt !== null && Date.parse(expiresAt) <= now,
    );
    const ids = new Set([...chosen, ...expired.map(({ id }) => id)]);
    return snapshots.filter(({ id }) => ids.has(id));
  }

  async #retire(): Promise<void> {
    try {
      const victims = await this.#victims();
      for (const { id } of victims) await this.#remove(id);
      if (victims.length > 0) this.sweepSoon();
    } catch (err) {
      this.#house.log.error({ err }, 'removing old snapshots failed');
    }
  }

  /** What nothing needs any more is removed a while after the last time that this is called. */
  sweepSoon(): void {
    if (this.#closed) return;
    clearTimeout(this.#sweep);
    this.#sweep = setTimeout(() => {
      this.gc({ dryRun: false }).catch((err: unknown) => this.#house.log.error({ err }, 'sweeping failed'));
    }, SWEEP_AFTER).unref();
  }

  async #remove(id: string): Promise<void> {
    await this.#house.registry.removeSnapshot(id);
    await this.#house.store.remove(id);
  }

  /** Removes a snapshot; what it shared goes with the next sweep. */
  remove(id: string): Promise<void> {
    return this.#serially(() => this.#remove(id));
  }

  /** Runs what writes objects or layers that no snapshot names yet, with nobody sweeping meanwhile. */
  exclusively<T>(action: () => Promise<T>): Promise<T> {
    return this.#serially(action);
  }

  /** Removes snapshots whose time has come, and layers and contents of files that nothing needs. */
  async gc({ dryRun }: { dryRun: boolean }): Promise<GcReport> {
    clearTimeout(this.#sweep);
    for (;;) {
      // Nobody waits in the queue for what may take as long as a transfer does.
      while (this.#captures.size > 0) await Promise.allSettled(this.#captures);
      const report = await this.#serially(async () => {
        if (this.#captures.size > 0) return undefined;
        const collected = this.#collect(dryRun);
        this.#sweeping = collected.catch(() => undefined);
        return collected;
      });
      if (report) return report;
    }
  }

  /** No capture is under way, and none begins meanwhile. */
  async #collect(dryRun: boolean): Promise<GcReport> {
    const { registry, store, objects } = this.#house;
    const victims = await this.#victims();
    if (!dryRun) for (const { id } of victims) await this.#remove(id);
    const gone = new Set(victims.map(({ id }) => id));
    const left = (await registry.listSnapshots()).filter(({ id }) => !gone.has(id));
    const layers = await store.layers.sweep(await this.#liveLayers(left), dryRun);
    const swept = await objects.sweep(await this.#liveObjects(left), { dryRun });
    return {
      snapshots: victims.length,
      objects: swept.count,
      layers: layers.count,
      bytes: layers.bytes + swept.bytes + victims.reduce((sum, { bytes }) => sum + bytes, 0),
    };
  }

  /** Runs what writes objects or layers and tells the registry of them in the end: none of it is swept away before. */
  async capturing<T>(action: () => Promise<T>): Promise<T> {
    await this.#sweeping;
    const captured = action();
    this.#captures.add(captured);
    try {
      return await captured;
    } finally {
      this.#captures.delete(captured);
    }
  }

  async #liveLayers(snapshots: readonly SnapshotRecord[]): Promise<Set<string>> {
    const { registry, store } = this.#house;
    const live = new Set(
      (await registry.list()).flatMap(({ data }) => layersOf(data).map(({ digest }) => digest)),
    );
    for (const snapshot of snapshots)
      for (const { digest } of store.read(snapshot).memory.layers) live.add(digest);
    return live;
  }

  async #liveObjects(snapshots: readonly SnapshotRecord[]): Promise<Set<string>> {
    const trees = new Set(snapshots.flatMap(({ tree }) => tree ?? []));
    const live = new Set<string>();
    for (const tree of trees)
      for (const digest of await treeObjects(this.#house.objects, tree)) live.add(digest);
    return live;
  }

  /** What is under way is finished; nothing more begins. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#retry);
    clearTimeout(this.#sweep);
    await this.#queue;
    await this.#discarded;
  }
}
