/**
 * The gateway: what was planned, what HAProxy has of it, and the way from one to the other.
 *
 * Invariants, under one lock: `#content` is what the worker that serves has, and `haproxy.cfg` with `sites.map` say the same, so that whoever
 * reloads or restarts HAProxy gets it again. What fails leaves the old plan serving. A HAProxy that ends is started again at once, and
 * when that does not help, ever more rarely.
 */
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AppShotError, KeyedLock, toAppShotError, writeAtomically } from '../common/index.ts';
import type { Logger } from '../common/index.ts';
import { certificatesState } from './certificates.ts';
import { MAP, changes } from './changes.ts';
import type { Content } from './changes.ts';
import { EMPTY, WORKER_SOCKET, configText, frameText, mapText } from './config.ts';
import type { Frame } from './config.ts';
import { CONFIG, Master } from './master.ts';
import { checkListen, digest } from './plan.ts';
import type { Digest, GatewayPlan } from './plan.ts';
import { layOut, place } from './pools.ts';
import type { Pool } from './pools.ts';
import { command } from './runtime.ts';
import { measure, statisticsOf } from './stats.ts';
import type { ServiceStatistics } from './stats.ts';

export interface GatewayOptions {
  /** Its own, made when it is not there: configuration, sockets, record. At most 90 bytes, since sockets are in it. */
  readonly directory: string;
  /** HAProxy 2.6 or newer. */
  readonly program: string;
  readonly log: Logger;
  /** Called when HAProxy ended without being asked, and when it could not be started again. */
  readonly failed?: (error: AppShotError) => void;
}

interface Running {
  readonly frame: Frame;
  /** Tells whether a reload is needed: the text of the frame, and the state of the certificates. */
  readonly key: string;
  readonly content: Content;
}

/** Debian's package makes a user of this name. */
const USER = 'haproxy';
const CLOSE_GRACE_MS = 5000;
const FIRST_DELAY_MS = 100;
const LONGEST_DELAY_MS = 10_000;
/** One that lived this long is started again without delay. */
const STEADY_MS = 10_000;
const LOCK = 'gateway';

const userOf = async (): Promise<string | undefined> => {
  const users = await readFile('/etc/passwd', 'utf8').catch(() => '');
  return users.startsWith(`${USER}:`) || users.includes(`\n${USER}:`) ? USER : undefined;
};

/** The pool of each key of the map. */
const contentOf = (pools: readonly Pool[], { places }: Digest): Content => {
  const names = new Map(pools.map(({ service, name }) => [service, name]));
  return { pools, places: new Map([...places].map(([key, service]) => [key, names.get(service) ?? ''])) };
};

export class Gateway {
  readonly #options: GatewayOptions;
  readonly #lock = new KeyedLock();
  /** Sets the pools of this life apart from those of workers that an earlier daemon left. */
  readonly #life = Date.now().toString(36);
  #named = 0;
  #master: Master | undefined;
  #running: Running | undefined;
  #plan: GatewayPlan | undefined;
  #startedAt = 0;
  #delay = 0;
  #restart: NodeJS.Timeout | undefined;

  constructor(options: GatewayOptions) {
    this.#options = options;
  }

  /**
   * Starts HAProxy, takes over the one that an earlier daemon left, or changes what runs; resolves when the plan is served. Throws
   * `BAD_SITE`, `BAD_CERTIFICATE` or `GATEWAY_FAILED` (HAProxy is missing, a port is in use, ...); what was served before still is.
   */
  apply(plan: GatewayPlan): Promise<void> {
    return this.#lock.run(LOCK, 'apply', async () => {
      await this.#apply(plan);
      this.#plan = plan;
    });
  }

  /** What HAProxy measured, for each service of the plan. Throws `GATEWAY_FAILED` when it does not run or answer. */
  statistics(): Promise<readonly ServiceStatistics[]> {
    return this.#lock.run(LOCK, 'statistics', async () => {
      const [master, running] = [this.#master, this.#running];
      try {
        if (master === undefined || running === undefined) throw new Error('HAProxy does not run');
        const { workers } = await master.proc();
        const newestFirst = workers.toSorted((one, other) => one.reloads - other.reloads);
        const measured = await Promise.all(
          newestFirst.map(({ pid }) => measure((question) => master.ask(`@!${pid} ${question}`))),
        );
        return statisticsOf(running.content.pools, measured, Date.now());
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        throw new AppShotError('GATEWAY_FAILED', { reason }, { cause: error });
      }
    });
  }

  /** Lets HAProxy go on without us; the next gateway with this directory takes it over. */
  async release(): Promise<void> {
    await this.#lock.run(LOCK, 'release', () => this.#forget());
  }

  /** Ends HAProxy: ports are free at once, open requests have five seconds. */
  async close(): Promise<void> {
    await this.#lock.run(LOCK, 'close', async () => {
      const master = this.#forget() ?? (await Master.find(this.#options.directory));
      await master?.stop(CLOSE_GRACE_MS);
    });
  }

  #forget(): Master | undefined {
    clearTimeout(this.#restart);
    const master = this.#master;
    this.#master = undefined;
    this.#running = undefined;
    this.#plan = undefined;
    return master;
  }

  async #apply(plan: GatewayPlan): Promise<void> {
    const wanted = digest(plan);
    checkListen(plan);
    const frame: Frame = { directory: this.#options.directory, user: await userOf(), plan };
    const certificates = plan.https === undefined ? '' : await certificatesState(plan.certificates ?? '');
    const key = frameText(frame) + certificates;
    const before = this.#running?.key === key ? this.#running.content.pools : undefined;
    const pools = before && place(before, wanted.services);
    const changed = pools && (await this.#change({ frame, key, content: contentOf(pools, wanted) }));
    if (changed !== true) await this.#replace(frame, key, wanted);
  }

  /** By the runtime socket; false when it refuses, and a reload must do. */
  async #change(next: Running): Promise<boolean> {
    const { directory, log } = this.#options;
    if (this.#running === undefined || this.#master?.alive !== true) return false;
    try {
      const commands = changes(this.#running.content, next.content);
      if (commands.length > 0) await this.#write(next);
      await command(join(directory, WORKER_SOCKET), commands);
    } catch (err) {
      log.warn({ err }, 'the gateway could not be changed while it runs, so it is reloaded');
      return false;
    }
    this.#running = next;
    return true;
  }

  /** By a new worker, or a new master where there is none. */
  async #replace(frame: Frame, key: string, wanted: Digest): Promise<void> {
    const before = this.#running?.content.pools ?? [];
    const pools = layOut(before, wanted.services, () => `p${this.#life}-${this.#named++}`);
    const next = { frame, key, content: contentOf(pools, wanted) };
    await this.#write(next);
    try {
      this.#take((await this.#renewed()) ?? (await this.#started()));
    } catch (error) {
      if (this.#running !== undefined) await this.#write(this.#running);
      throw error;
    }
    this.#running = next;
  }

  /** The master that is there, ours or one that was left behind, with a new worker. */
  async #renewed(): Promise<Master | undefined> {
    const ours = this.#master?.alive === true ? this.#master : undefined;
    const master = ours ?? (await Master.find(this.#options.directory));
    await master?.reload();
    return master;
  }

  async #started(): Promise<Master> {
    const { directory, program } = this.#options;
    this.#startedAt = performance.now();
    return await Master.start(directory, program);
  }

  #take(master: Master): void {
    if (this.#master === master) return;
    this.#master = master;
    void master.ended.then(() => this.#ended(master));
  }

  #ended(master: Master): void {
    if (this.#master !== master) return;
    this.#tell(new AppShotError('GATEWAY_FAILED', { reason: `HAProxy (PID ${master.pid}) ended by itself` }));
    if (performance.now() - this.#startedAt > STEADY_MS) this.#delay = 0;
    this.#startAgain();
  }

  /** Each time later than the last, until it has lived for a while. */
  #startAgain(): void {
    const again = async (): Promise<void> => {
      if (this.#plan === undefined || this.#master?.alive === true) return;
      await this.#apply(this.#plan);
    };
    this.#restart = setTimeout(() => {
      this.#lock.run(LOCK, 'restart', again).catch((error: unknown) => {
        this.#tell(toAppShotError(error));
        if (this.#plan !== undefined) this.#startAgain();
      });
    }, this.#delay);
    this.#restart.unref();
    this.#delay = Math.min(Math.max(this.#delay * 2, FIRST_DELAY_MS), LONGEST_DELAY_MS);
  }

  #tell(error: AppShotError): void {
    this.#options.log.warn({ err: error }, 'the gateway failed and is started again');
    this.#options.failed?.(error);
  }

  async #write({ frame, content }: Running): Promise<void> {
    const { directory } = this.#options;
    await mkdir(join(directory, EMPTY), { recursive: true, mode: 0o755 });
    await writeAtomically(join(directory, MAP), mapText(content.places));
    await writeAtomically(join(directory, CONFIG), configText(frame, content.pools));
  }
}
