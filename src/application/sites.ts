/**
 * Sites of the web gateway: brings to it what the roster says, and asks it how busy each service is.
 *
 * Changes run together: while one is under way, any number of others become one. What fails is told in the log and tried again, at the
 * next change or after some seconds; until then the gateway serves what it had.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { GatewayPlan, ServiceStatistics } from '../gateway/index.ts';
import type { House } from './context.ts';
import { planSites, serviceOfKey } from './site-plan.ts';

/** How busy a service is, all of its ports together. */
export interface SiteLoad {
  /** Requests that began in the last second. */
  readonly rate: number;
  /** Requests that wait for an instance, which happens only where `policy.instances.concurrency` bounds the requests at once. */
  readonly queue: number;
  /**
   * Milliseconds from when a request was with its instance to the head of the answer, so without the time to connect or to wake: the mean
   * of the answers of the last three seconds, or of the last few thousand of all sites where there were more. Null when there were none.
   */
  readonly responseMs: number | null;
  /**
   * By AID, requests that have begun and whose answer has not ended: those that wait for a wake and downloads too, WebSockets only until they
   * are open.
   */
  readonly open: ReadonlyMap<string, number>;
}

const RETRY_MS = 5000;
/** Whoever asks each second has no use for what comes later. */
const PATIENCE_MS = 1000;
const NOTHING: ReadonlyMap<string, SiteLoad> = new Map();

type Heard = Pick<ServiceStatistics, 'service' | 'requestsPerSecond' | 'queue' | 'recent'> & {
  readonly backends: readonly Pick<ServiceStatistics['backends'][number], 'name' | 'open'>[];
};

const loadOf = (ports: readonly Heard[]): SiteLoad => {
  const sum = (of: (one: Heard) => number): number => ports.reduce((all, one) => all + of(one), 0);
  const answers = sum(({ recent }) => recent.answers);
  const open = new Map<string, number>();
  for (const { name, open: more } of ports.flatMap(({ backends }) => backends))
    open.set(name, (open.get(name) ?? 0) + more);
  return {
    rate: sum(({ requestsPerSecond }) => requestsPerSecond),
    queue: sum(({ queue }) => queue),
    responseMs: answers === 0 ? null : sum(({ recent }) => recent.answers * recent.responseMs) / answers,
    open,
  };
};

/** By the names of services, whose ports the gateway measures apart. Pure. */
export const loadsOf = (measured: readonly Heard[]): ReadonlyMap<string, SiteLoad> => {
  const services = Map.groupBy(measured, ({ service }) => serviceOfKey(service));
  return new Map([...services].map(([name, ports]) => [name, loadOf(ports)]));
};

export class Sites {
  readonly #house: Pick<House, 'gateway' | 'roster' | 'log'>;
  /** Where the gateway listens, and with which certificates. */
  readonly #frame: Omit<GatewayPlan, 'sites'>;
  /** What is served, as text; undefined before anything is, and when that is not known. */
  #served: string | undefined;
  #changed = false;
  #closed = false;
  #work: Promise<void> | undefined;
  #retry: NodeJS.Timeout | undefined;
  #asked: Promise<ReadonlyMap<string, SiteLoad>> | undefined;

  constructor(house: Pick<House, 'gateway' | 'roster' | 'log'>, frame: Omit<GatewayPlan, 'sites'>) {
    this.#house = house;
    this.#frame = frame;
  }

  /** Resolves when all sites are served. Fails with `GATEWAY_FAILED`, `BAD_CERTIFICATE`. */
  async open(): Promise<void> {
    await this.#apply();
  }

  /** The roster has changed. Resolves when the gateway goes by it, or cannot. */
  async change(): Promise<void> {
    if (!this.#house.gateway || this.#closed) return;
    this.#changed = true;
    this.#work ??= this.#changeAll().finally(() => (this.#work = undefined));
    await this.#work;
  }

  async #changeAll(): Promise<void> {
    clearTimeout(this.#retry);
    while (this.#changed && !this.#closed) {
      this.#changed = false;
      try {
        await this.#apply();
      } catch (err) {
        this.#house.log.error({ err }, 'the sites of the web gateway could not be changed');
        this.#retry = setTimeout(() => void this.change(), RETRY_MS).unref();
      }
    }
  }

  async #apply(): Promise<void> {
    const { gateway, roster } = this.#house;
    const plan = { ...this.#frame, sites: planSites(roster.instances, roster.serving) };
    const text = JSON.stringify(plan);
    // Most changes of the roster are of applications without sites.
    if (text === this.#served) return;
    this.#served = undefined;
    await gateway?.apply(plan);
    this.#served = text;
  }

  /**
   * By the names of services, for each that has sites. Empty without a gateway, and when it does not answer within a second, as while it
   * is reloaded.
   */
  async loads(): Promise<ReadonlyMap<string, SiteLoad>> {
    const { gateway } = this.#house;
    if (!gateway) return NOTHING;
    this.#asked ??= gateway
      .statistics()
      .then(loadsOf, () => NOTHING)
      .finally(() => (this.#asked = undefined));
    const waited = new AbortController();
    const late = pause(PATIENCE_MS, NOTHING, { signal: waited.signal, ref: false }).catch(() => NOTHING);
    return Promise.race([this.#asked, late]).finally(() => waited.abort());
  }

  /** No more changes: the gateway goes on without us, or ends where nothing is left to serve. */
  async close({ end }: { end: boolean }): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#retry);
    await this.#work;
    if (end) await this.#house.gateway?.close();
    else await this.#house.gateway?.release();
  }
}
