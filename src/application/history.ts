/** An application's past: its snapshots, going back to one, beginning anew from one. */
import type { DiffReport, ForkResult, GcReport, HistoryEntry, RewindResult } from '../api/index.ts';
import { AppShotError } from '../common/index.ts';
import type { ApplicationRecord, SnapshotRecord } from '../registry/index.ts';
import type { Applications } from './applications.ts';
import type { House } from './context.ts';
import { diffSnapshots } from './diff.ts';
import type { Manifest } from '../snapshots/index.ts';
import { whyNoSecond } from '../templates/index.ts';
import { resolveSnapshot, snapshotOrLatest } from './resolve.ts';
import { connectionsOf, rewindResting } from './rewind.ts';
import { settleIn } from './settle-in.ts';
import { viewOf } from './views.ts';

export class History {
  readonly #house: House;
  readonly #applications: Applications;

  constructor(house: House, applications: Applications) {
    this.#house = house;
    this.#applications = applications;
  }

  #entry(snapshot: SnapshotRecord, current: string | null): HistoryEntry {
    const { memory } = this.#house.store.read(snapshot);
    return {
      snapshot: snapshot.id,
      takenAt: snapshot.takenAt,
      bytes: snapshot.bytes,
      parent: snapshot.parent,
      pinned: snapshot.pinned,
      expiresAt: snapshot.expiresAt,
      kind: snapshot.kind,
      memory: {
        layered: memory.layers.reduce((sum, { bytes }) => sum + bytes, 0),
        copied: memory.copied,
      },
      durable: snapshot.durable,
      current: snapshot.id === current,
    };
  }

  /** Oldest first. Fails with `APP_NOT_FOUND`. */
  async list(nameOrAid: string): Promise<HistoryEntry[]> {
    const record = await this.#applications.find(nameOrAid);
    const snapshots = await this.#house.registry.listSnapshots(record.aid);
    return snapshots.map((snapshot) => this.#entry(snapshot, record.snapshot));
  }

  /** What changed from one snapshot to another, the latest unless named. */
  async diff(nameOrAid: string, from: string, to?: string): Promise<DiffReport> {
    const record = await this.#applications.find(nameOrAid);
    const [before, after] = await Promise.all([
      resolveSnapshot(this.#house, from, record.aid),
      snapshotOrLatest(this.#house, record, to),
    ]);
    return { aid: record.aid, name: record.name, ...(await diffSnapshots(this.#house, before, after)) };
  }

  /**
   * Back to a snapshot. A running application is put to sleep first, so that what it is now stays in its history, and woken from the
   * past.
   */
  async rewind(nameOrAid: string, prefix: string): Promise<RewindResult> {
    const begun = performance.now();
    const { aid, name } = await this.#applications.rouse(nameOrAid);
    const snapshot = await resolveSnapshot(this.#house, prefix, aid);
    await this.#house.keeper.settled(snapshot.id);
    const running = (await this.#applications.find(aid)).state === 'running';
    if (running) await this.#applications.sleep(aid);
    const closed = await this.#house.lock.run(aid, 'rewind', async () => {
      const record = await this.#applications.find(aid);
      const known = await resolveSnapshot(this.#house, snapshot.id, aid);
      // It has not lived on from there, so its connections can go on.
      if (record.state === 'asleep' && record.snapshot === known.id) return [];
      this.#applications.expect(await rewindResting(this.#house, record, known));
      return connectionsOf(this.#house, known);
    });
    if (running) await this.#applications.wake(aid);
    const { state } = await this.#applications.find(aid);
    return { aid, name, state, snapshot: snapshot.id, closed, ms: performance.now() - begun };
  }

  async #sourceOf(record: ApplicationRecord, prefix: string | undefined): Promise<SnapshotRecord> {
    if (prefix === undefined && record.state === 'running') {
      const { snapshot } = await this.#applications.snapshot(record.aid);
      return resolveSnapshot(this.#house, snapshot);
    }
    return snapshotOrLatest(this.#house, record, prefix);
  }

  /** While the source has, or would have when it wakes, what only one application can have, the engine would wait for it for ever. */
  #refuseSecond({ name, state }: ApplicationRecord, source: SnapshotRecord, { application }: Manifest): void {
    if (state === 'stopped' || state === 'failed') return;
    const { schema, store } = this.#house;
    const reasons = whyNoSecond(schema, store.images(source), application.spec.volumes);
    if (reasons.length > 0) throw new AppShotError('FORK_REFUSED', { name, reasons: reasons.join('; ') });
  }

  /**
   * A new application from a snapshot, or from what runs now; it runs. Fails with `NAME_TAKEN`, `NO_SNAPSHOT`, `FORK_REFUSED`, and as a
   * wake does.
   */
  async fork(
    nameOrAid: string,
    prefix: string | undefined,
    { name, hostname = name }: { name: string; hostname?: string | undefined },
  ): Promise<ForkResult> {
    const begun = performance.now();
    const house = this.#house;
    if (await house.registry.find(name)) throw new AppShotError('NAME_TAKEN', { name });
    const origin = await this.#applications.rouse(nameOrAid);
    const source = await this.#sourceOf(origin, prefix);
    await house.keeper.settled(source.id);
    // What it begins from must not be removed meanwhile.
    const { known, record, snapshot } = await house.keeper.exclusively(async () => {
      const found = await resolveSnapshot(house, source.id);
      if (found.tree === null) throw new AppShotError('SNAPSHOT_WITHOUT_FILES', { snapshot: found.id });
      const manifest = await house.store.verify(found);
      this.#refuseSecond(origin, found, manifest);
      const made = await settleIn(house, {
        manifest,
        image: (file) => house.store.file(found, file),
        kind: 'fork',
        parent: found.id,
        name,
        hostname,
        foreign: false,
        force: false,
      });
      return { known: found, ...made };
    });
    this.#applications.expect(record);
    await this.#applications.wake(record.aid);
    const running = await this.#applications.find(record.aid);
    const closed = connectionsOf(house, known);
    return { ...viewOf(running), snapshot: snapshot.id, closed, ms: performance.now() - begun };
  }

  /** Keeps a snapshot whatever the rules say, or does so no more. */
  async pin(prefix: string, pinned: boolean): Promise<HistoryEntry> {
    const { id, aid } = await resolveSnapshot(this.#house, prefix);
    const changed = await this.#house.registry.updateSnapshot(id, {
      pinned,
      ...(pinned && { expiresAt: null }),
    });
    const record = await this.#applications.find(aid);
    if (!changed) throw new AppShotError('SNAPSHOT_NOT_FOUND', { snapshot: prefix });
    return this.#entry(changed, record.snapshot);
  }

  /** Fails with `SNAPSHOT_IN_USE` for one that is pinned, or that its application would wake from. */
  async remove(prefix: string): Promise<void> {
    const { id, aid, pinned } = await resolveSnapshot(this.#house, prefix);
    await this.#house.lock.run(aid, 'discard', async () => {
      const record = await this.#applications.find(aid);
      const inUse = (reason: string, advice: string): never => {
        throw new AppShotError('SNAPSHOT_IN_USE', { snapshot: id, reason, advice });
      };
      if (pinned) inUse('it is pinned', 'unpin it first');
      if (record.snapshot === id && record.state !== 'running' && record.state !== 'stopped')
        inUse(`${record.name} would wake from it`, 'rewind to another, or remove the application');
      await this.#house.keeper.remove(id);
    });
  }

  gc(options: { dryRun: boolean }): Promise<GcReport> {
    return this.#house.keeper.gc(options);
  }
}
