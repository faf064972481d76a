/**
 * All applications of a daemon, and the only way to change one.
 *
 * Every operation holds the lock of its application from before the first registry row until after the last, so that there is one
 * change at a time and no state in between is ever seen by another. Two exceptions look past the lock, and only set a flag:
 * a wake that finds a sleep under way makes it turn back, and wakes that meet become one.
 */
import type {
  AppView,
  ChainSpec,
  MemoryChoice,
  SleepResult,
  SnapshotResult,
  State,
  WakeResult,
} from '../api/index.ts';
import { AppShotError, toAppShotError } from '../common/index.ts';
import type { Environment } from '../environments/index.ts';
import { checkSpecification } from '../harness/index.ts';
import type { ApplicationRecord } from '../registry/index.ts';
import type { House, Work } from './context.ts';
import * as operations from './operations.ts';
import { readRulesOf } from './cloning/evaluate.ts';
import { depart } from './farewell.ts';
import { identityOf } from './identity.ts';
import { boundLogs } from './logs.ts';
import { Reluctance } from './reluctance.ts';
import { ignoredBy, reachableOf } from './sleepers.ts';
import { viewOf } from './views.ts';
import { registerPublished } from './published.ts';

/** How a wake is to be done, where there is a choice. */
export interface WakeWishes {
  readonly memory?: MemoryChoice | undefined;
  readonly force?: boolean | undefined;
}

export class Applications {
  readonly #house: House;
  /** The environments of running applications. */
  readonly #environments = new Map<string, Environment>();
  readonly #sleeps = new Map<string, Work>();
  readonly #wakes = new Map<string, Promise<WakeResult>>();
  readonly #byAddress = new Map<string, string>();
  readonly #reluctance = new Reluctance();
  /** Those that packets asked for while they fell asleep. */
  readonly #missed = new Set<string>();
  /** Who says when a sleeper that is asked for may wake. */
  #admission: ((aid: string) => void) | undefined;

  constructor(house: House) {
    this.#house = house;
  }

  /** Fails with `APP_NOT_FOUND`. */
  async find(nameOrAid: string): Promise<ApplicationRecord> {
    const record = await this.#house.registry.find(nameOrAid);
    if (record) return record;
    throw new AppShotError('APP_NOT_FOUND', { name: nameOrAid });
  }

  list(): Promise<ApplicationRecord[]> {
    return this.#house.registry.list();
  }

  environment(aid: string): Environment | undefined {
    return this.#environments.get(aid);
  }

  /** From now on, sleepers that packets ask for wake when `wakeAsked` is called for them, which the listener brings about. */
  admitBy(admission: (aid: string) => void): void {
    this.#admission = admission;
  }

  /** Takes an application that runs (found after a restart, or just started) under observation. */
  watch(record: ApplicationRecord, environment: Environment): void {
    const { aid } = record;
    this.#environments.set(aid, environment);
    this.#byAddress.set(record.address, aid);
    environment.on({
      chainEnded: (status) => this.#ended(aid, environment, status),
      closed: () => this.#ended(aid, environment, undefined),
    });
  }

  /** Bounds the logs of everything that runs. */
  async boundLogs(): Promise<void> {
    for (const aid of this.#environments.keys())
      await this.#house.lock.run(aid, 'logs', async () => {
        if (this.#environments.has(aid)) await boundLogs(this.#house.layout.application(aid).log);
      });
  }

  /** Waits for what is under way, then lets go of everything that runs, without changing it: the daemon ends. */
  async release(): Promise<void> {
    await this.#house.lock.idle();
    for (const environment of this.#environments.values()) environment.release();
    this.#environments.clear();
  }

  /** Makes a sleeper known to the network, so that it wakes when it is asked for. */
  expect(record: ApplicationRecord): void {
    this.#byAddress.set(record.address, record.aid);
    const reachable = reachableOf(record);
    this.#house.networks.ignore(record.address, ignoredBy(record));
    if (reachable) this.#house.networks.close(record.address, reachable);
  }

  /** Registers and starts a chain; nothing is left of it when that fails. */
  async run(spec: ChainSpec): Promise<AppView> {
    const { registry, networks } = this.#house;
    const hostname = spec.hostname ?? spec.name;
    readRulesOf(spec);
    checkSpecification(spec, identityOf({ aid: '', name: spec.name, hostname, address: '', data: {} }));
    const network = networks.cidrOf(spec.network);
    const record = await registerPublished(this.#house, { name: spec.name, spec }, () =>
      registry.registerApplication({
        aid: spec.aid,
        name: spec.name,
        hostname,
        spec,
        network,
        requested: spec.address,
      }),
    );
    const started = this.#house.lock.run(record.aid, 'run', async () => {
      const { record: running, environment } = await operations.run(
        await operations.begin(this.#house, record, 'running'),
      );
      this.watch(running, environment);
      return viewOf(running);
    });
    return started.finally(() => this.#house.pool.refillSoon());
  }

  /**
   * With `firm`, packets do not turn it back: others need its memory. Fails with `WRONG_STATE`, `BLOCKED`, `TURNED_BACK`, `SLEEP_FAILED`,
   * `NO_SPACE`; then the application runs on.
   */
  async sleep(nameOrAid: string, { firm = false }: { firm?: boolean } = {}): Promise<SleepResult> {
    const { aid } = await this.find(nameOrAid);
    return this.#house.lock.run(aid, 'sleep', async () => {
      const record = await this.#thaw(aid);
      const environment = this.#environments.get(aid);
      const begun = await operations.begin(this.#house, record, 'asleep', { environment, firm });
      this.#sleeps.set(aid, begun.work);
      try {
        const result = await operations.sleep(begun);
        this.#environments.delete(aid);
        return result;
      } finally {
        this.#sleeps.delete(aid);
        if (this.#missed.delete(aid) && !this.#environments.has(aid)) this.#ask(aid);
      }
    });
  }

  /** Stops its processes where they are; the next packet lets them go on. Fails with `WRONG_STATE`. */
  async freeze(nameOrAid: string): Promise<AppView> {
    const { aid } = await this.find(nameOrAid);
    return this.#house.lock.run(aid, 'freeze', async () => {
      const record = await this.find(aid);
      if (record.state === 'frozen') return viewOf(record);
      const environment = this.#environments.get(aid);
      const begun = await operations.begin(this.#house, record, 'frozen', { environment });
      return viewOf(await operations.freeze(begun));
    });
  }

  /** Under its lock: the record, of an application that is not frozen any more. */
  async #thaw(aid: string): Promise<ApplicationRecord> {
    const record = await this.find(aid);
    if (record.state !== 'frozen') return record;
    const environment = this.#environments.get(aid);
    return operations.thaw(await operations.begin(this.#house, record, 'running', { environment }));
  }

  /** The record, of an application that is not frozen any more. Fails with `APP_NOT_FOUND`. */
  async rouse(nameOrAid: string): Promise<ApplicationRecord> {
    const found = await this.find(nameOrAid);
    if (found.state === 'frozen') await this.wake(found.aid);
    return found.state === 'frozen' ? this.find(found.aid) : found;
  }

  /**
   * Saves a running application, which goes on. `ttlMs` is how long the snapshot is kept. Fails with `WRONG_STATE`, `BLOCKED`,
   * `SNAPSHOT_FAILED`, `NO_SPACE`.
   */
  async snapshot(
    nameOrAid: string,
    { pin = false, ttlMs }: { pin?: boolean; ttlMs?: number } = {},
  ): Promise<SnapshotResult> {
    const { aid } = await this.find(nameOrAid);
    const expiresAt = ttlMs === undefined ? null : new Date(Date.now() + ttlMs).toISOString();
    return this.#house.lock.run(aid, 'snapshot', async () => {
      const record = await this.#thaw(aid);
      if (record.state !== 'running')
        throw new AppShotError('WRONG_STATE', {
          name: record.name,
          state: record.state,
          verb: 'be saved while it goes on',
          advice: 'wake it first; one that sleeps has its snapshot',
        });
      const wishes = { environment: this.#environments.get(aid), retention: { pinned: pin, expiresAt } };
      return operations.snapshot(await operations.begin(this.#house, record, 'running', wishes));
    });
  }

  /** Fails with `WRONG_STATE`, `WAKE_FAILED`, `SNAPSHOT_CORRUPT`, `FINGERPRINT_MISMATCH`, `MEMORY_MODE`; then the application sleeps on. */
  async wake(nameOrAid: string, wishes: WakeWishes = {}): Promise<WakeResult> {
    const { aid } = await this.find(nameOrAid);
    return this.#wakeOnce(aid, wishes);
  }

  #wakeOnce(aid: string, wishes: WakeWishes = {}): Promise<WakeResult> {
    const falling = this.#sleeps.get(aid);
    if (falling) falling.wanted = true;
    const under = this.#wakes.get(aid);
    if (under) return under;
    const waking = this.#house.lock
      .run(aid, 'wake', () => this.#wake(aid, wishes))
      .finally(() => this.#wakes.delete(aid));
    this.#wakes.set(aid, waking);
    return waking;
  }

  async #wake(aid: string, { memory, force = false }: WakeWishes): Promise<WakeResult> {
    const begun = performance.now();
    const record = await this.#thaw(aid);
    // A sleep that turned back has left it running: what the caller wants is true.
    if (record.state === 'running')
      return { ...viewOf(record), snapshot: record.snapshot, ms: performance.now() - begun, timings: [] };
    try {
      const { result, environment } = await operations.wake(
        await operations.begin(this.#house, record, 'running', {
          ...(memory && { memory }),
          closeConnections: record.data['closeConnections'] === record.snapshot,
          // What was forced once would be refused when a packet wakes it.
          force: force || record.data['forced'] === record.snapshot,
        }),
      );
      this.watch(await this.find(aid), environment);
      this.#reluctance.forget(aid);
      return result;
    } catch (error) {
      this.#reluctance.grow(aid);
      throw error;
    } finally {
      this.#house.pool.refillSoon();
    }
  }

  /** A packet asks for an address. After a failed wake the next ones are ignored for a while, each time longer. */
  wanted(address: string): void {
    const aid = this.#byAddress.get(address);
    if (aid === undefined || this.#wakes.has(aid) || this.#reluctance.refuses(aid)) return;
    const falling = this.#sleeps.get(aid);
    if (falling) {
      falling.wanted ||= !falling.firm;
      this.#missed.add(aid);
    } else if (this.#environments.has(aid)) void this.wakeAsked(aid);
    else this.#ask(aid);
  }

  #ask(aid: string): void {
    if (this.#admission) this.#admission(aid);
    else void this.wakeAsked(aid);
  }

  /** Wakes whom packets ask for; tells whether it runs. What fails is told in the log. */
  async wakeAsked(aid: string): Promise<boolean> {
    try {
      await this.#wakeOnce(aid);
      return true;
    } catch (err) {
      this.#house.log.warn({ err, aid }, 'waking by a packet failed');
      return false;
    }
  }

  /** SIGTERM, and after `graceMs` the end. Fails with `WRONG_STATE`. */
  async stop(nameOrAid: string, graceMs: number): Promise<AppView> {
    const { aid } = await this.find(nameOrAid);
    return this.#house.lock.run(aid, 'stop', async () => {
      const record = await this.#thaw(aid);
      const environment = this.#environments.get(aid);
      const wishes = { environment, graceMs };
      const begun = await operations.begin(this.#house, record, 'stopped', wishes);
      this.#environments.delete(aid);
      return viewOf(await operations.stop(begun));
    });
  }

  /** Removes an application and all that is kept of it. Without `force` only a stopped or failed one. */
  async remove(nameOrAid: string, force: boolean): Promise<void> {
    const found = await this.find(nameOrAid);
    const awake: State[] = ['running', 'frozen'];
    if (force && awake.includes(found.state)) await this.stop(found.aid, 0);
    const removed = await this.#house.lock.run(found.aid, 'rm', async () => {
      const record = await this.find(found.aid);
      // A packet has woken it meanwhile.
      if (force && awake.includes(record.state)) return false;
      const removable = ['stopped', 'failed', ...(force ? ['asleep'] : [])];
      if (!removable.includes(record.state)) {
        const advice = 'stop it first, or use `appshot rm --force`, which loses what it holds';
        throw new AppShotError('WRONG_STATE', {
          name: record.name,
          state: record.state,
          verb: 'be removed',
          advice,
        });
      }
      await this.#forget(record);
      return true;
    });
    if (!removed) await this.remove(found.aid, force);
  }

  /**
   * Removes what has only just begun, with its processes; nothing happens when it is gone already. What runs is known from here and not
   * from the registry, which may have had no room to say so.
   */
  async discard(aid: string): Promise<void> {
    await this.#house.lock.run(aid, 'rm', async () => {
      const record = await this.#house.registry.find(aid);
      const environment = this.#environments.get(aid);
      this.#environments.delete(aid);
      if (record && environment) await depart({ house: this.#house, record, environment });
      if (environment) await this.#house.pool.discard(environment);
      if (record) await this.#forget(record);
    });
  }

  async #forget(record: ApplicationRecord): Promise<void> {
    const { networks, registry, store, keeper, emit } = this.#house;
    networks.forget(record.address);
    this.#byAddress.delete(record.address);
    this.#reluctance.forget(record.aid);
    const snapshots = await registry.listSnapshots(record.aid);
    await registry.remove(record.aid);
    // What is not durable may be being written just now.
    for (const { id, durable } of snapshots) await (durable ? store.remove(id) : keeper.remove(id));
    keeper.sweepSoon();
    await operations.removeFiles(this.#house, record);
    emit('removed', record);
  }

  /** The chain has ended by itself, or its whole environment has (`status` undefined: killed from outside). */
  #ended(aid: string, environment: Environment, status: number | undefined): void {
    this.#house.lock
      .run(aid, 'stop', () => this.#putAway(aid, environment, status))
      .catch((thrown: unknown) => {
        this.#house.log.error(
          { err: toAppShotError(thrown), aid },
          'putting away an ended application failed',
        );
      });
  }

  async #putAway(aid: string, environment: Environment, status: number | undefined): Promise<void> {
    // A sleep, a wake or a stop that ended it on purpose has come first.
    if (this.#environments.get(aid) !== environment) return;
    this.#environments.delete(aid);
    const record = await this.find(aid);
    const message = status === undefined ? 'its environment was killed' : `it ended with status ${status}`;
    const failure =
      status === 0 ? null : { step: 'running', code: 'ENDED', message, at: new Date().toISOString() };
    const begun = await operations.begin(this.#house, record, 'stopped', { environment });
    const putAway = { ...begun, plan: operations.PUT_AWAY };
    await operations.stop(putAway, failure ? 'failed' : 'stopped', failure);
  }
}
