/**
 * A day of traffic for real web sites: many of them on a machine whose applications may have memory for a few. The daemon is started for it
 * twice: the first one opens the sites, tells how much memory one takes, and puts them to sleep.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { Client } from '../../src/api/client.ts';
import { eventually } from './eventually.ts';
import { Journal } from './journal.ts';
import type { Lab } from './lab.ts';
import { MemoryWatch } from './memory-watch.ts';
import { spread } from './simulation/summary.ts';
import type { TraceEvent } from './simulation/trace.ts';
import { GATEWAY, atItsAddress, closeSite, openSite, throughGateway } from './websites.ts';
import type { Door, Website } from './websites.ts';

/** Sites that are being opened at a time. */
const AT_ONCE = 2;
const KEPT_WITHIN_MS = 120_000;
/** Visits after which a site has in memory what it usually has. */
const VISITS = 10;
const POLICY = { idle: 10, policy: { priority: 50, freeze: 3, ignore: [] } };

const settled = (client: Client, { aid, name }: Website): Promise<void> =>
  eventually(
    async () => {
      const history = await client.history(aid);
      if (!history.every(({ durable }) => durable)) throw new Error(`${name} is not kept yet`);
    },
    KEPT_WITHIN_MS,
    100,
  );

/** Bytes that it has in memory. */
const memoryOf = async (client: Client, { aid }: Website): Promise<number> =>
  (await client.top()).find((row) => row.aid === aid)?.memory ?? 0;

interface Opened {
  readonly site: Website;
  readonly bytes: number;
}

const openOne = async (lab: Lab, client: Client, index: number): Promise<Opened> => {
  const language = index % 4 === 3 ? 'python' : 'node';
  const site = await openSite(lab, client, { name: `site-${index}`, language }, POLICY);
  for (let visit = 0; visit < VISITS; visit += 1) await site.visit(atItsAddress(lab));
  const bytes = await memoryOf(client, site);
  await closeSite(client, site);
  return { site, bytes };
};

/** The sites of a street: every fourth is a Python program's, the others are Node's. They sleep, and all that they were is kept. */
const openStreet = async (lab: Lab, client: Client, count: number): Promise<Opened[]> => {
  const opened: Opened[] = [];
  const open = async (first: number): Promise<void> => {
    for (let index = first; index < count; index += AT_ONCE)
      opened[index] = await openOne(lab, client, index);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, (_, first) => open(first)));
  for (const { site } of opened) await settled(client, site);
  return opened;
};

export interface Street {
  readonly sites: readonly Website[];
  /** Bytes that one takes before it ever slept, on average, and that all together may have. */
  readonly one: number;
  readonly limit: number;
}

/** So many sites, asleep, under a daemon that gives them memory for so many. */
export const prepareStreet = async (lab: Lab, count: number, room: number): Promise<Street> => {
  const client = new Client(lab.runDirectory);
  const first = await lab.daemon({ args: GATEWAY.args });
  const opened = await openStreet(lab, client, count);
  const one = opened.reduce((sum, { bytes }) => sum + bytes, 0) / count;
  await first.stop();
  const limit = Math.round(one * room);
  await lab.daemon({ args: ['--memory', String(limit), ...GATEWAY.args] });
  const door = throughGateway(lab);
  // The gateway listens a moment after the daemon is ready.
  await eventually(() => opened[0]?.site.visit(door));
  return { sites: opened.map(({ site }) => site), one, limit };
};

export interface Visited {
  readonly site: Website;
  /** When it was asked; milliseconds since 1970. */
  readonly began: number;
  readonly ms: number;
  readonly failure?: string;
}

const visitOne = async (site: Website, door: Door): Promise<Visited> => {
  const [began, from] = [Date.now(), performance.now()];
  try {
    return { site, began, ms: await site.visit(door) };
  } catch (error) {
    return { site, began, ms: performance.now() - from, failure: (error as Error).message };
  }
};

/** Each request at its time, whatever became of those before; settles when the last is answered. */
const replay = async (
  events: readonly TraceEvent[],
  sites: readonly Website[],
  door: Door,
): Promise<Visited[]> => {
  const began = performance.now();
  const visits: Promise<Visited>[] = [];
  for (const { ms, site: index, kind } of events) {
    const site = sites[index];
    if (kind !== 'request' || !site) continue;
    const ahead = ms - (performance.now() - began);
    if (ahead > 0) await pause(ahead);
    visits.push(visitOne(site, door));
  }
  return await Promise.all(visits);
};

/** What was seen of a day. */
export interface LiveDay {
  readonly visits: readonly Visited[];
  readonly failures: readonly string[];
  /** Visits that were served, and whose answer nobody got. */
  readonly lost: number;
  /** Milliseconds from a request for a sleeper until that ran. */
  readonly waits: readonly number[];
  readonly wakes: number;
  /** Decisions by kind and code. */
  readonly decisions: ReadonlyMap<string, number>;
  /** Bytes. */
  readonly mostMemory: number;
}

/** How long requests waited for a wake of their site: those that were asked before it ran, and answered after. */
const waitsOf = (visits: readonly Visited[], { wakings }: Journal): number[] => {
  const ofSite = Map.groupBy(wakings, ({ aid }) => aid);
  return visits.flatMap(({ site, began, ms }) => {
    const woken = ofSite.get(site.aid)?.find(({ at }) => at >= began && at <= began + ms);
    return woken ? [woken.at - began] : [];
  });
};

export const liveDay = async (
  lab: Lab,
  { sites }: Street,
  events: readonly TraceEvent[],
): Promise<LiveDay> => {
  await using journal = await Journal.open(new Client(lab.runDirectory));
  using memory = new MemoryWatch(lab);
  const visits = await replay(events, sites, throughGateway(lab));
  const decisions = Map.groupBy(journal.decisions, ({ kind, code }) => `${kind} ${code}`);
  return {
    visits,
    failures: visits.flatMap(({ failure }) => failure ?? []),
    lost: sites.reduce((sum, site) => sum + site.lost, 0),
    waits: waitsOf(visits, journal),
    wakes: journal.wakings.length,
    decisions: new Map(Array.from(decisions, ([code, all]) => [code, all.length])),
    mostMemory: memory.most,
  };
};

const MB = 1e6;

const times = (samples: readonly number[]): string => {
  const { median, p99, max } = spread(samples);
  return `${median.toFixed(0)} / ${p99.toFixed(0)} / ${max.toFixed(0)} ms`;
};

/** The day as a table of names and what they were. */
export const dayTable = (day: LiveDay, { sites, one, limit }: Street): [string, string][] => [
  [
    'sites, memory of one, limit for all',
    `${sites.length}, ${(one / MB).toFixed(1)} MB, ${(limit / MB).toFixed(0)} MB`,
  ],
  ['requests, failures, lost', `${day.visits.length}, ${day.failures.length}, ${day.lost}`],
  ['response (median / p99 / longest)', times(day.visits.map(({ ms }) => ms))],
  ['wakes', String(day.wakes)],
  ['requests that waited for a wake', String(day.waits.length)],
  ['wait for a wake (median / p99 / longest)', times(day.waits)],
  ['most memory', `${(day.mostMemory / MB).toFixed(0)} MB`],
  ...[...day.decisions]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([code, count]): [string, string] => [code, String(count)]),
];
