/**
 * A rush on one web site: wrk asks it through the gateway in rounds that follow one another, and in between is seen how many instances
 * serve it.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { Client } from '../../src/api/client.ts';
import type { Lab } from './lab.ts';
import { GATEWAY, hostOf, openSite, throughGateway } from './websites.ts';
import type { Website } from './websites.ts';

/** Of each instance: two of them do twice as much as one, also on a machine with two cores. */
const CORES = 0.2;
/** Milliseconds of processor time that a request takes. */
const WORK_MS = 4;
const CONNECTIONS = 8;
const SITE = 'shop';
const TEMPLATE = 'shop-warm';
const PATH = `/work?ms=${WORK_MS}`;
const QUIET = { visits: 12, apart: 300 } as const;

/** A few visitors, one after another: so it is known how long a response usually takes. */
const quietHour = async (lab: Lab, site: Website): Promise<void> => {
  for (let visit = 0; visit < QUIET.visits; visit += 1) {
    await site.visit(throughGateway(lab), PATH);
    await pause(QUIET.apart);
  }
};

/** The site, with as many instances as it needs up to `max`; they are made from a template of its own. */
export const openShop = async (lab: Lab, max: number): Promise<void> => {
  const client = new Client(lab.runDirectory);
  const instances = { min: 1, max, template: TEMPLATE };
  const site = await openSite(
    lab,
    client,
    { name: SITE, megabytes: 1 },
    {
      limits: { cpus: CORES },
      policy: { priority: 50, ignore: [], instances },
    },
  );
  await client.createTemplate({ name: TEMPLATE, from: site.aid });
  await quietHour(lab, site);
};

/** What wrk says of a round. Times are milliseconds. */
export interface RushRound {
  /** Instances that were in memory when it began and ended. */
  readonly instances: readonly [number, number];
  readonly rate: number;
  readonly median: number;
  readonly p99: number;
  /** Answers that were not 2xx, and connections that failed, broke, or had no answer for 10 s. */
  readonly errors: number;
}

const UNITS: Readonly<Record<string, number>> = { us: 0.001, ms: 1, s: 1000, m: 60_000 };

const timeIn = (text: string, quantile: number): number => {
  const [, value, unit = ''] = new RegExp(`^\\s+${quantile}%\\s+([\\d.]+)(\\w+)`, 'm').exec(text) ?? [];
  return Number(value) * (UNITS[unit] ?? NaN);
};

/** Throws Error for what is no report of `wrk --latency`. */
const readWrk = (text: string): Omit<RushRound, 'instances'> => {
  const sockets = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(text) ?? [];
  const others = /Non-2xx or 3xx responses: (\d+)/.exec(text)?.[1] ?? 0;
  const errors = [...sockets.slice(1), others].reduce((sum: number, one) => sum + Number(one), 0);
  const rate = Number(/Requests\/sec:\s+([\d.]+)/.exec(text)?.[1]);
  const [median, p99] = [timeIn(text, 50), timeIn(text, 99)];
  if (![rate, median, p99].every(Number.isFinite)) throw new Error(`wrk said ${text}`);
  return { rate, median, p99, errors };
};

/** Instances that are in memory. */
export const instancesAwake = async (lab: Lab): Promise<number> => {
  const apps = await new Client(lab.runDirectory).apps({ all: true });
  return apps.filter(({ state }) => ['running', 'frozen', 'freezing', 'thawing'].includes(state)).length;
};

/** All that exist, asleep or awake. */
export const instancesMade = async (lab: Lab): Promise<number> =>
  (await new Client(lab.runDirectory).apps({ all: true })).length;

/** One round: as many requests as it answers on a few connections, for so many seconds. */
export const rush = async (lab: Lab, seconds: number): Promise<RushRound> => {
  const before = await instancesAwake(lab);
  const { stdout } = await lab.exec('wrk', [
    ...['--latency', '--timeout', '10s', '--threads', '1', '--connections', String(CONNECTIONS)],
    ...['--duration', `${seconds}s`, '--header', `Host: ${hostOf(SITE)}`],
    `http://${GATEWAY.address}:${GATEWAY.port}${PATH}`,
  ]);
  return { instances: [before, await instancesAwake(lab)], ...readWrk(stdout) };
};
