/**
 * Who there is, kept in mind: the name server, published ports, the web gateway and the scheduler ask for it at each question, and a registry
 * is no place to ask a thousand times a second. It hears of every change as events do, from the same call.
 */
import { DEFAULT_NETWORK } from '../api/index.ts';
import type { ChainSpec, State } from '../api/index.ts';
import { endsWithin } from '../common/index.ts';
import type { ApplicationRecord } from '../registry/index.ts';

/** States in which an application has an address, but is none of those that serve. */
const GONE: ReadonlySet<string> = new Set<State>(['stopping', 'stopped', 'failed']);
/** Events after which nothing is left of an application. */
const ENDS = new Set(['removed', 'run-failed']);

/** Told of an application as it was before. */
const LATE = new Set(['kept', 'decision', 'decision-failed']);

/** How long anybody waits for the slowest listener. */
const PATIENCE_MS = 1000;

/** The service that an application is an instance of. */
export const serviceOf = ({ name, spec }: Pick<ApplicationRecord, 'name' | 'spec'>): string =>
  spec.service ?? name;
export const networkOf = ({ spec }: Pick<ApplicationRecord, 'spec'>): string =>
  spec.network ?? DEFAULT_NETWORK;

/** The specification of one that begins from another and has nothing to do with it: what is published is the service's. */
export const specApart = ({ service: _1, publish: _2, sites: _3, ...spec }: ChainSpec): ChainSpec => spec;

/** The specification of one that begins from another and serves beside it, where either says so. */
export const specBeside = (spec: ChainSpec, service = spec.service): ChainSpec =>
  service === undefined ? specApart(spec) : { ...spec, service };

export class Roster {
  readonly #records = new Map<string, ApplicationRecord>();
  readonly #listeners = new Set<() => void | Promise<void>>();
  /** AIDs of those that get no new requests. */
  readonly #draining = new Set<string>();
  /** Whether listeners are about to be told, and when they have been. */
  #soon = false;
  #telling: Promise<unknown> | undefined;

  constructor(records: readonly ApplicationRecord[]) {
    for (const record of records) this.#records.set(record.aid, record);
  }

  /** An event has told of an application. */
  apply(type: string, record: ApplicationRecord): void {
    if (LATE.has(type)) return;
    const known = this.#records.get(record.aid);
    if (known && known.epoch > record.epoch) return;
    if (ENDS.has(type)) this.#forget(record.aid);
    else this.#records.set(record.aid, record);
    // Whoever wakes it next, by whatever way, wants it to serve.
    if (record.state === 'asleep') this.#draining.delete(record.aid);
    this.#tellSoon();
  }

  #forget(aid: string): void {
    this.#records.delete(aid);
    this.#draining.delete(aid);
  }

  isDrained(aid: string): boolean {
    return this.#draining.has(aid);
  }

  /** Keeps new requests from an instance, or no longer. */
  drain(aid: string, drained = true): void {
    if (this.#draining.has(aid) === drained || !this.#records.has(aid)) return;
    if (drained) this.#draining.add(aid);
    else this.#draining.delete(aid);
    this.#tellSoon();
  }

  /** Once for all changes of this turn of the event loop. */
  #tellSoon(): void {
    if (this.#soon) return;
    this.#soon = true;
    this.#telling = new Promise((resolve) => {
      setImmediate(() => {
        this.#soon = false;
        resolve(Promise.all([...this.#listeners].map(async (listener) => listener())));
      });
    });
  }

  /** Resolves when those who bring requests to applications go by all changes so far; after a second at the latest. */
  async told(): Promise<void> {
    if (this.#telling) await endsWithin(this.#telling, PATIENCE_MS);
  }

  /** Called after changes, once for several; what it returns settles when it goes by them, and never rejects. */
  onChange(listener: () => void | Promise<void>): void {
    this.#listeners.add(listener);
  }

  get(aid: string): ApplicationRecord | undefined {
    return this.#records.get(aid);
  }

  get all(): readonly ApplicationRecord[] {
    return [...this.#records.values()];
  }

  /** Those that serve, or would when they are asked. */
  get instances(): readonly ApplicationRecord[] {
    return this.all.filter(({ state }) => !GONE.has(state));
  }

  /** Those that new requests may go to: not those that are drained, as long as their service has others. */
  get serving(): readonly ApplicationRecord[] {
    const { instances } = this;
    if (this.#draining.size === 0) return instances;
    const open = new Set(instances.filter(({ aid }) => !this.#draining.has(aid)).map(serviceOf));
    return instances.filter((one) => !this.#draining.has(one.aid) || !open.has(serviceOf(one)));
  }
}
