/**
 * Where services are in HAProxy's configuration: each in a **pool** (a `backend` section), each of its backends in a **slot** (a `server`
 * line). There are more of both than are needed, so that a service or a backend that comes takes a spare one, which the runtime socket can
 * fill; a reload is needed only when none is left.
 *
 * A pool that a service has left is not used again: its averages are that service's. The next reload drops it. Its name never comes again,
 * so that workers of before a reload can be asked about it. A slot may be used again.
 */
import type { Backend, Service } from './plan.ts';

export interface Pool {
  readonly name: string;
  /** Undefined before a service takes it, and after. */
  readonly service: string | undefined;
  readonly left: boolean;
  readonly slots: readonly (Backend | undefined)[];
  readonly concurrency: number;
}

const SPARE_POOLS = 8;
const LEAST_SLOTS = 4;

/** Slots with room to grow: a service may double without a reload. */
const roomy = (backends: readonly Backend[]): (Backend | undefined)[] => [
  ...backends,
  ...Array.from({ length: Math.max(LEAST_SLOTS - backends.length, backends.length) }, () => undefined),
];

const spare = (name: string): Pool => ({
  name,
  service: undefined,
  left: false,
  slots: roomy([]),
  concurrency: 0,
});

/** Backends stay in their slots by name, and new ones take the free slots; undefined when those do not suffice. */
const fill = (
  slots: Pool['slots'],
  backends: readonly Backend[],
): readonly (Backend | undefined)[] | undefined => {
  const known = new Set(slots.flatMap((slot) => slot?.name ?? []));
  const wanted = new Map(backends.map((backend) => [backend.name, backend]));
  const fresh = backends.filter(({ name }) => !known.has(name));
  const filled = slots.map((slot) => (slot && wanted.get(slot.name)) ?? fresh.shift());
  return fresh.length === 0 ? filled : undefined;
};

/** The same pools with other content, or undefined when a reload must make more room. */
export const place = (
  pools: readonly Pool[],
  services: ReadonlyMap<string, Service>,
): readonly Pool[] | undefined => {
  const known = new Set(pools.flatMap(({ service }) => service ?? []));
  const fresh = [...services.keys()].filter((service) => !known.has(service));
  const placed = pools.map((pool): Pool | undefined => {
    if (pool.left) return pool;
    const service = pool.service ?? fresh.shift();
    if (service === undefined) return pool;
    const found = services.get(service);
    if (found === undefined)
      return { ...pool, service: undefined, left: true, slots: pool.slots.map(() => undefined) };
    const slots = fill(pool.slots, found.backends);
    return slots && { ...pool, service, slots, concurrency: found.concurrency };
  });
  const all = placed.filter((pool) => pool !== undefined);
  return fresh.length === 0 && all.length === placed.length ? all : undefined;
};

/** Pools with room for the services and for more. Services keep the names of their pools; `nextName` gives new ones. */
export const layOut = (
  before: readonly Pool[],
  services: ReadonlyMap<string, Service>,
  nextName: () => string,
): readonly Pool[] => {
  const names = new Map(before.map(({ service, name }) => [service, name]));
  const used = [...services].map(([service, { backends, concurrency }]): Pool => ({
    name: names.get(service) ?? nextName(),
    service,
    left: false,
    slots: roomy(backends),
    concurrency,
  }));
  const spares = Math.max(SPARE_POOLS, Math.ceil(used.length / 4));
  return [...used, ...Array.from({ length: spares }, () => spare(nextName()))];
};

const FULL_WEIGHT = 100;

/** Servers of weight 0 get no request: sleepers, while there is somebody awake; else all but the first of them. */
export const weightOf = ({ slots }: Pool, index: number): number => {
  const awake = slots.some((slot) => slot?.awake === true);
  const chosen = awake ? slots[index]?.awake === true : slots.findIndex((slot) => slot) === index;
  return chosen ? FULL_WEIGHT : 0;
};
