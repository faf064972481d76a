/**
 * Ready environments, made in the background so that nobody waits for one: `size` of them, or as many as somebody has said will be
 * taken soon. Several come into being side by side, in batches: a batch needs one process that makes them.
 *
 * Each is in the registry from the moment it exists, so that a restarted daemon takes hold of those in use and removes the rest.
 */
import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync } from 'node:fs';
import type { Logger } from '../common/index.ts';
import type { Registry } from '../registry/index.ts';
import { Environment, SKELETON_NAME, startTimeOf } from './environment.ts';
import type { Workshop } from './environment.ts';

/** How many attempts in a row may fail before the pool waits to be asked again. */
const PATIENCE = 3;
/** One batch is made by other processes while this one connects those of another. */
const BATCHES = 2;
const BATCH_SIZE = 8;
/** In ms: starting a process holds up the daemon for some. */
const A_MOMENT = 20;
/** The most that are ready ahead of those who take them: each needs about a megabyte. */
const MOST_AHEAD = 128;

/** Somebody's word that he will take so many more. */
interface Expectation {
  left: number;
}

export class Pool {
  readonly #shop: Workshop;
  readonly #registry: Registry;
  readonly #log: Logger;
  readonly #size: number;
  readonly #ready: Environment[] = [];
  readonly #waiting: PromiseWithResolvers<Environment>[] = [];
  readonly #expectations = new Set<Expectation>();
  readonly #makers = new Set<Promise<void>>();
  /** How many are being made. */
  #making = 0;
  #soon: NodeJS.Timeout | undefined;
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
  async take(): Promise<Environment> {
    for (const one of this.#expectations)
      if (one.left > 0) {
        one.left -= 1;
        break;
      }
    return this.#ready.shift() ?? (await this.#wait());
  }

  /**
   * Says that `count` will be taken soon: they are made ahead, 128 at most at a time, and as long as they are being taken none is made
   * for later. Whoever said it disposes of what is returned when he takes no more: what is left over then is ended.
   */
  expect(count: number): Disposable {
    const expectation: Expectation = { left: count };
    this.#expectations.add(expectation);
    void this.refill();
    return {
      [Symbol.dispose]: () => {
        this.#expectations.delete(expectation);
        this.#trim();
        this.refillSoon();
      },
    };
  }

  #wait(): Promise<Environment> {
    const waiting = Promise.withResolvers<Environment>();
    this.#waiting.push(waiting);
    void this.refill();
    return waiting.promise;
  }

  /** Starts making what is missing; resolves when the pool is full, or nothing more can be made. Never rejects. */
  async refill(): Promise<void> {
    while (this.#makers.size < BATCHES && this.#missing() > 0 && !this.#closed) {
      const maker = this.#fill();
      this.#makers.add(maker);
      void maker.then(() => this.#makers.delete(maker));
    }
    await Promise.all(this.#makers);
  }

  /** As `refill`, a moment after the last call: what is being answered just now comes first. */
  refillSoon(): void {
    clearTimeout(this.#soon);
    this.#soon = setTimeout(() => void this.refill(), A_MOMENT).unref();
  }

  async #fill(): Promise<void> {
    for (let failures = 0; failures < PATIENCE && !this.#closed && this.#missing() > 0;)
      try {
        await this.#makeBatch();
        failures = 0;
      } catch (error) {
        failures += 1;
        this.#log.error({ error }, 'an environment could not be made');
        if (failures === PATIENCE) for (const waiting of this.#waiting.splice(0)) waiting.reject(error);
      }
  }

  /** How many should be ready. */
  #wanted(): number {
    const expected = [...this.#expectations].reduce((sum, { left }) => sum + left, 0);
    return expected > 0 ? Math.min(expected, MOST_AHEAD) : this.#size;
  }

  #missing(): number {
    return this.#wanted() + this.#waiting.length - this.#ready.length - this.#making;
  }

  /** Two batches share what little is missing, so that the first is there sooner. */
  async #makeBatch(): Promise<void> {
    const count = Math.min(BATCH_SIZE, Math.ceil(this.#missing() / BATCHES));
    const ids = Array.from({ length: count }, () => randomBytes(4).toString('hex'));
    this.#making += count;
    try {
      const made = await Environment.createAll(this.#shop, ids);
      await this.#register(made);
      made.forEach((environment) => this.#hand(environment));
    } finally {
      this.#making -= count;
    }
  }

  async #register(made: readonly Environment[]): Promise<void> {
    try {
      for (const { id, pid, startTime } of made) await this.#registry.addEnvironment({ id, pid, startTime });
    } catch (error) {
      await Promise.allSettled(made.map((environment) => this.discard(environment)));
      throw error;
    }
  }

  #hand(environment: Environment): void {
    const waiting = this.#waiting.shift();
    if (waiting) waiting.resolve(environment);
    else this.#ready.push(environment);
  }

  /** Ends what nobody will take. */
  #trim(): void {
    for (const environment of this.#ready.splice(this.#wanted()))
      void this.discard(environment).catch((error: unknown) =>
        this.#log.error({ error, environment: environment.id }, 'an environment could not be ended'),
      );
  }

  /** Ends an environment that an application no longer needs. */
  async discard(environment: Environment): Promise<void> {
    await environment.destroy();
    await this.#registry
      .removeEnvironment(environment.id)
      // It has gone all the same; the next daemon finds a row without one.
      .catch((err: unknown) => this.#log.error({ err, environment: environment.id }, 'registry'));
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
      // A frozen one would not answer.
      this.#shop.cgroups.thaw(record.id);
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
    return readdirSync(this.#shop.directory).filter((name) => name !== SKELETON_NAME);
  }

  /** Ends the environments that nobody uses; those in use go on. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#soon);
    await Promise.all(this.#makers);
    await Promise.all(this.#ready.splice(0).map((environment) => this.discard(environment)));
  }
}
