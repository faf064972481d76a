/**
 * Ready environments, made in the background so that nobody waits for one: at most `size` of them, one made at a time.
 *
 * Each is in the registry from the moment it exists, so that a restarted daemon takes hold of those in use and removes the rest.
 */
import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync } from 'node:fs';
import type { Logger } from '../common/index.ts';
import type { Registry } from '../registry/index.ts';
import { Environment, startTimeOf } from './environment.ts';
import type { Workshop } from './environment.ts';

/** How many attempts in a row may fail before the pool waits to be asked again. */
const PATIENCE = 3;

export class Pool {
  readonly #shop: Workshop;
  readonly #registry: Registry;
  readonly #log: Logger;
  readonly #size: number;
  readonly #ready: Environment[] = [];
  readonly #waiting: PromiseWithResolvers<Environment>[] = [];
  #filling: Promise<void> | undefined;
  #closed = false;

  constructor(shop: Workshop, registry: Registry, log: Logger, size: number) {
    this.#shop = shop;
    this.#registry = registry;
    this.#log = log;
    this.#size = size;
    mkdirSync(shop.directory, { recursive: true, mode: 0o700 });
  }

  get ready(): number {
    return this.#ready.length;
  }

  /** An environment for an application: at once when one is ready. Fails with `ENVIRONMENT_FAILED`. Call `refill` later. */
  async take(aid: string): Promise<Environment> {
    const environment = this.#ready.shift() ?? (await this.#wait());
    void this.#registry
      .updateEnvironment(environment.id, { aid })
      .catch((error: unknown) => this.#log.error({ error, environment: environment.id }, 'registry'));
    return environment;
  }

  #wait(): Promise<Environment> {
    const waiting = Promise.withResolvers<Environment>();
    this.#waiting.push(waiting);
    void this.refill();
    return waiting.promise;
  }

  /** Starts making what is missing; resolves when the pool is full, or nothing more can be made. Never rejects. */
  refill(): Promise<void> {
    this.#filling ??= this.#fill().finally(() => (this.#filling = undefined));
    return this.#filling;
  }

  async #fill(): Promise<void> {
    for (let failures = 0; failures < PATIENCE && !this.#closed && this.#missing() > 0;)
      try {
        this.#hand(await this.#make());
        failures = 0;
      } catch (error) {
        failures += 1;
        this.#log.error({ error }, 'an environment could not be made');
        if (failures === PATIENCE) for (const waiting of this.#waiting.splice(0)) waiting.reject(error);
      }
  }

  #missing(): number {
    return this.#size + this.#waiting.length - this.#ready.length;
  }

  async #make(): Promise<Environment> {
    const id = randomBytes(4).toString('hex');
    const environment = await Environment.create(this.#shop, id);
    const { pid, startTime } = environment;
    try {
      await this.#registry.addEnvironment({ id, pid, startTime, aid: null, data: {} });
    } catch (error) {
      await environment.destroy();
      throw error;
    }
    return environment;
  }

  #hand(environment: Environment): void {
    const waiting = this.#waiting.shift();
    if (waiting) waiting.resolve(environment);
    else this.#ready.push(environment);
  }

  /** Ends an environment that an application no longer needs. */
  async discard(environment: Environment): Promise<void> {
    await environment.destroy();
    await this.#registry.removeEnvironment(environment.id);
  }

  /**
   * After a restart: takes hold of the environments that `wanted` names and removes all others, whether the registry, the
   * cgroups, or only the directory knows of them.
   */
  async recover(wanted: ReadonlySet<string>): Promise<Map<string, Environment>> {
    const found = new Map<string, Environment>();
    const recorded = await this.#registry.listEnvironments();
    for (const record of recorded.filter(({ id }) => wanted.has(id))) {
      if (startTimeOf(record.pid) !== record.startTime) continue;
      const environment = await Environment.open(this.#shop, record).catch(() => undefined);
      if (environment) found.set(record.id, environment);
    }
    const known = [...recorded.map(({ id }) => id), ...this.#shop.cgroups.list(), ...this.#directories()];
    for (const id of new Set(known))
      if (!found.has(id)) {
        await Environment.clean(this.#shop, id);
        await this.#registry.removeEnvironment(id);
      }
    return found;
  }

  #directories(): string[] {
    return readdirSync(this.#shop.directory);
  }

  /** Ends the environments that nobody uses; those in use go on. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#filling;
    await Promise.all(this.#ready.splice(0).map((environment) => this.discard(environment)));
  }
}
