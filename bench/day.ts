/**
 * A day of a hundred web sites with memory for ten: the synthetic day of the policy's simulation, or a trace of one's own in
 * `APPSHOT_TRACE` (JSON lines, test/support/simulation/trace.ts), replayed against real programs through the gateway in
 * `APPSHOT_DAY_MINUTES` minutes. Every answer is checked.
 */
import { readFileSync } from 'node:fs';
import { dayTable, liveDay, prepareStreet } from '../test/support/live-day.ts';
import type { LiveDay, Street } from '../test/support/live-day.ts';
import { spread } from '../test/support/simulation/summary.ts';
import { dayOf, readTrace } from '../test/support/simulation/trace.ts';
import type { TraceEvent } from '../test/support/simulation/trace.ts';
import type { Part } from './bench.ts';
import { figure } from './figures.ts';
import type { Figure } from './figures.ts';
import { usedMs } from './processes.ts';
import { table } from './table.ts';

const SITES = 100;
const ROOM = 10;
const MINUTES = Number(process.env['APPSHOT_DAY_MINUTES'] ?? 5);
const CROWD = { site: 40, at: 0.6, ms: 30_000, rate: 40 };

/** Two visits a second, as in docs/scheduler.md. */
const synthetic = (): TraceEvent[] =>
  dayOf({ seed: 1, sites: SITES, minutes: MINUTES, visits: 2, exponent: 1, think: 1500, crowd: CROWD });

const readDay = (): TraceEvent[] => {
  const path = process.env['APPSHOT_TRACE'];
  return path === undefined ? synthetic() : readTrace(readFileSync(path, 'utf8'));
};

const figuresOf = (day: LiveDay, { limit }: Street, cpu: number): Figure[] => {
  const one = (name: string, unit: string, value: number, most?: number): Figure =>
    figure({ name: `a day, ${name}`, unit, values: [value] }, most);
  const responses = day.visits.map(({ ms }) => ms);
  return [
    one('failed requests', '', day.failures.length + day.lost, 0),
    figure({ name: 'a day, responses', unit: 'ms', values: responses }),
    one('longest response', 'ms', spread(responses).max),
    figure({ name: 'a day, waits for a wake', unit: 'ms', values: day.waits }),
    one('longest wait for a wake', 'ms', spread(day.waits).max),
    one('most memory of all sites together', 'MB', day.mostMemory / 1e6, limit / 1e6),
    one('processor time of the daemon', '%', cpu),
  ];
};

export const day: Part = {
  name: 'day',
  title: `A day of ${SITES} web sites with memory for ${ROOM}`,
  daemon: null,
  measure: async ({ lab }) => {
    const events = readDay();
    const sites = Math.max(SITES, ...events.map(({ site }) => site + 1));
    const street = await prepareStreet(lab, sites, ROOM);
    const [began, used] = [performance.now(), usedMs(lab.daemonPid())];
    const seen = await liveDay(lab, street, events);
    const cpu = ((usedMs(lab.daemonPid()) - used) * 100) / (performance.now() - began);
    for (const line of table('ll', dayTable(seen, street))) console.log(`  ${line}`);
    for (const failure of seen.failures.slice(0, 10)) console.log(`  ${failure}`);
    return figuresOf(seen, street, cpu);
  },
};
