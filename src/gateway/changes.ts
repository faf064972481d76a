/**
 * The commands of HAProxy's runtime socket that make one set of pools into another of the same shape. What is added comes first and what
 * is taken away last, so that there is no moment without anybody to ask.
 */
import type { Backend } from './plan.ts';
import type { Pool } from './pools.ts';
import { weightOf } from './pools.ts';

/** What runs in HAProxy: its pools, and the pool of each key of the map. */
export interface Content {
  readonly pools: readonly Pool[];
  readonly places: ReadonlyMap<string, string>;
}

/** The file of the map, and its name on the runtime socket. */
export const MAP = 'sites.map';

export const slotName = (index: number): string => `s${index}`;

interface Order {
  readonly give: readonly string[];
  readonly take: readonly string[];
}

const sameEnd = (one: Backend | undefined, other: Backend): boolean =>
  one?.address === other.address && one.port === other.port;

const slotChange = (before: Pool, after: Pool, index: number): Order => {
  const server = `${after.name}/${slotName(index)}`;
  const [old, now] = [before.slots[index], after.slots[index]];
  if (now === undefined) return { give: [], take: old ? [`set server ${server} state maint`] : [] };
  const give: string[] = [];
  const take: string[] = [];
  if (!sameEnd(old, now)) give.push(`set server ${server} addr ${now.address} port ${now.port}`);
  const [oldWeight, weight] = [old && weightOf(before, index), weightOf(after, index)];
  if (oldWeight !== weight)
    (weight > 0 || old === undefined ? give : take).push(`set server ${server} weight ${weight}`);
  // Takes the idle connections from one that gets no more requests: to close them when it sleeps would wake it.
  if (old !== undefined && oldWeight !== weight && weight === 0)
    take.push(`set server ${server} state maint`, `set server ${server} state ready`);
  if (before.concurrency !== after.concurrency || old === undefined)
    give.push(`set maxconn server ${server} ${after.concurrency}`);
  if (old === undefined) give.push(`set server ${server} state ready`);
  return { give, take };
};

const mapChanges = (before: Content['places'], after: Content['places']): string[] => [
  ...[...after].flatMap(([key, pool]) => {
    const old = before.get(key);
    return old === pool ? [] : [`${old === undefined ? 'add' : 'set'} map ${MAP} ${key} ${pool}`];
  }),
  ...[...before.keys()].filter((key) => !after.has(key)).map((key) => `del map ${MAP} ${key}`),
];

/** Both have the same pools and slots, with other content. */
export const changes = (before: Content, after: Content): string[] => {
  const orders = after.pools.flatMap((pool, position) => {
    const old = before.pools[position];
    return old === undefined || old === pool
      ? []
      : pool.slots.map((_, index) => slotChange(old, pool, index));
  });
  return [
    ...orders.flatMap(({ give }) => give),
    ...mapChanges(before.places, after.places),
    ...orders.flatMap(({ take }) => take),
  ];
};
