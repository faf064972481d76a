/**
 * Traffic as a list of events, and a synthetic day of it. A trace is JSON lines, in the order of time:
 *
 *     {"ms":1520,"site":17,"kind":"request"}
 *
 * `ms` counts from the beginning, `site` is a number from 0, the most popular; `kind` is `request` (somebody wants an answer), `probe` (a
 * health checker, from an address that is ignored) or `scan` (a packet to a port where nobody listens).
 */
import { randomOf } from '../random.ts';

const KINDS = ['request', 'probe', 'scan'] as const;

export interface TraceEvent {
  readonly ms: number;
  readonly site: number;
  readonly kind: (typeof KINDS)[number];
}

export interface Day {
  readonly seed: number;
  readonly sites: number;
  /** How long the day lasts. */
  readonly minutes: number;
  /** Visits in a second, on average; a visit is several requests. */
  readonly visits: number;
  /** Of Zipf's law: site k is visited in proportion to 1 / (k + 1) ** exponent. */
  readonly exponent: number;
  /** Milliseconds between the requests of a visit, the median. */
  readonly think: number;
  /** Everybody goes to one site: from when (part of the day) on, for how many milliseconds, at how many requests a second. */
  readonly crowd?: { readonly site: number; readonly at: number; readonly ms: number; readonly rate: number };
  /** Milliseconds between two probes of each site; none when left out. */
  readonly probes?: number;
  /** Packets to every port of every address: when, and how many in five seconds. */
  readonly storm?: { readonly at: number; readonly packets: number };
}

const HALF_DAY = Math.PI;
const LONGEST_VISIT = 40;

/** Numbers from a seed: uniform from 0 to 1, exponential with mean 1, and normal. */
const numbers = (seed: number) => {
  const random = randomOf(seed);
  const uniform = (): number => (random.integer(2 ** 32) + 0.5) / 2 ** 32;
  const normal = (): number => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
  return { uniform, normal, exponential: () => -Math.log(uniform()), integer: random.integer };
};
type Numbers = ReturnType<typeof numbers>;

/** Sites by Zipf's law. */
const popularity = (sites: number, exponent: number): ((uniform: number) => number) => {
  const sums: number[] = [];
  let sum = 0;
  for (let site = 0; site < sites; site += 1) sums.push((sum += 1 / (site + 1) ** exponent));
  return (uniform) =>
    Math.max(
      0,
      sums.findIndex((upTo) => upTo >= uniform * sum),
    );
};

/** From a tenth of the average at night to nearly twice as much at noon. */
const daylight = (part: number): number => 1 - 0.9 * Math.cos(2 * HALF_DAY * part);

const visitsOf = (day: Day, { uniform, normal, exponential }: Numbers): TraceEvent[] => {
  const events: TraceEvent[] = [];
  const site = popularity(day.sites, day.exponent);
  const end = day.minutes * 60_000;
  let at = 0;
  for (;;) {
    // Arrivals at the busiest hour's rate, of which those of quieter hours are left out.
    at += (exponential() * 1000) / (day.visits * 1.9);
    if (at >= end) return events;
    if (uniform() * 1.9 > daylight(at / end)) continue;
    const where = site(uniform());
    // Heavy-tailed: most visits are one to three requests, a few are dozens.
    const requests = Math.min(LONGEST_VISIT, Math.floor(uniform() ** (-1 / 1.3)));
    let ms = at;
    for (let request = 0; request < requests && ms < end; request += 1) {
      events.push({ ms: Math.round(ms), site: where, kind: 'request' });
      ms += day.think * Math.exp(normal());
    }
  }
};

const crowdOf = ({ crowd, minutes }: Day, { exponential }: Numbers): TraceEvent[] => {
  const events: TraceEvent[] = [];
  if (!crowd) return events;
  const begin = crowd.at * minutes * 60_000;
  for (let at = begin; at < begin + crowd.ms; at += (exponential() * 1000) / crowd.rate)
    events.push({ ms: Math.round(at), site: crowd.site, kind: 'request' });
  return events;
};

const probesOf = ({ probes, sites, minutes }: Day, { integer }: Numbers): TraceEvent[] => {
  const events: TraceEvent[] = [];
  if (probes === undefined) return events;
  for (let site = 0; site < sites; site += 1)
    for (let ms = integer(probes); ms < minutes * 60_000; ms += probes)
      events.push({ ms, site, kind: 'probe' });
  return events;
};

const stormOf = ({ storm, sites, minutes }: Day, { integer }: Numbers): TraceEvent[] => {
  const begin = (storm?.at ?? 0) * minutes * 60_000;
  return Array.from({ length: storm?.packets ?? 0 }, () => ({
    ms: Math.round(begin + integer(5000)),
    site: integer(sites),
    kind: 'scan' as const,
  }));
};

/** The day's events in the order of time: the same for the same seed. */
export const dayOf = (day: Day): TraceEvent[] => {
  const random = numbers(day.seed);
  return [
    ...visitsOf(day, random),
    ...crowdOf(day, random),
    ...probesOf(day, random),
    ...stormOf(day, random),
  ].toSorted((a, b) => a.ms - b.ms);
};

export const writeTrace = (events: readonly TraceEvent[]): string =>
  events.map(({ ms, site, kind }) => `${JSON.stringify({ ms, site, kind })}\n`).join('');

/** Throws Error for a line that is no event, and for one that is out of order. */
export const readTrace = (text: string): TraceEvent[] => {
  let last = 0;
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line, at) => {
      const { ms, site, kind } = JSON.parse(line) as TraceEvent;
      const isEvent = Number.isFinite(ms) && Number.isInteger(site) && site >= 0 && KINDS.includes(kind);
      if (!isEvent || ms < last) throw new Error(`line ${at + 1} of the trace is no event in order`);
      last = ms;
      return { ms, site, kind };
    });
};
