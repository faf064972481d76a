/**
 * HAProxy's measurements, for each service and backend. Its averages are over the last 1024 requests, and stay when none come; those of the last
 * seconds are made here, from the single answers that it remembers.
 */
import type { Pool } from './pools.ts';
import { slotName } from './changes.ts';
import { ANSWERS, TUNNELS } from './config.ts';

export interface Traffic {
  /** In the last second. */
  readonly requestsPerSecond: number;
  /** Requests under way, WebSockets too; those in workers of before a reload are counted in. */
  readonly sessions: number;
  /** Requests that wait for a backend to be free; only where `concurrency` is bounded. */
  readonly queue: number;
  /** Average milliseconds: in the queue, connecting (a wake too), from the request to the head of the answer, and all. */
  readonly queueMs: number;
  readonly connectMs: number;
  readonly responseMs: number;
  readonly totalMs: number;
  /** Counters since the last reload: requests, connections that failed, answers with 5xx, ours too. */
  readonly requests: number;
  readonly connectErrors: number;
  readonly serverErrors: number;
}

export interface BackendStatistics extends Traffic {
  readonly name: string;
  /** Requests under way, without connections that have become WebSockets. */
  readonly open: number;
}

/** Of the last three seconds, or of the last thousands of all services. */
export interface Recent {
  readonly answers: number;
  /** Average milliseconds from the request to the head of the answer; 0 when there were none. */
  readonly responseMs: number;
}

export interface ServiceStatistics extends Traffic {
  readonly service: string;
  readonly recent: Recent;
  readonly backends: readonly BackendStatistics[];
}

/** The columns of HAProxy's that are read. */
const COLUMNS = [
  ...['rate', 'scur', 'qcur', 'qtime', 'ctime', 'rtime', 'ttime'],
  ...['stot', 'econ', 'hrsp_5xx'],
] as const;
type Column = (typeof COLUMNS)[number];

/** By proxy and server name, with a slash between; the proxy's own is `BACKEND`. The numbers are in the order of the columns. */
export type Rows = ReadonlyMap<string, readonly number[]>;

/** The command, and for which rows: all backends, and the servers that are in use. */
const SHOW_STAT = 'show stat -1 6 -1 no-maint';

/**
 * Reads what `show stat` prints: CSV with a head line. No field that is read here is ever quoted. There are a hundred columns, and with
 * thousands of sites this happens each second: the rest of a line is not looked at.
 */
export const parseStat = (printed: string): Rows => {
  const [head = '', ...lines] = printed.split('\n');
  const names = head.replace(/^# /, '').split(',');
  const places = COLUMNS.map((column) => names.indexOf(column));
  const width = Math.max(...places) + 1;
  const rows = new Map<string, number[]>();
  for (const line of lines) {
    const fields = line.split(',', width);
    if (fields.length === width)
      rows.set(
        `${fields[0]}/${fields[1]}`,
        places.map((place) => Number(fields[place])),
      );
  }
  return rows;
};

/** Of which pool an answer was, when by the wall clock, and the milliseconds that it took. */
type Answer = readonly [pool: string, at: number, ms: number];

/** Reads what `show events` prints of the ring. */
export const parseAnswers = (printed: string): Answer[] =>
  printed.split('\n').flatMap((line): Answer[] => {
    const [, pool, at, ms] = /^(\S+) (\d+) (\d+)$/.exec(line) ?? [];
    return pool === undefined ? [] : [[pool, Number(at), Number(ms)]];
  });

/** Reads what `show table` prints: by pool and server name, how many connections are WebSockets. */
export const parseTunnels = (printed: string): ReadonlyMap<string, number> =>
  new Map(
    [...printed.matchAll(/ key=(\S+) .* conn_cur=(\d+)$/gm)].map(([, key = '', count]) => [
      key,
      Number(count),
    ]),
  );

/** What one worker tells. */
export interface Measured {
  readonly rows: Rows;
  readonly answers: readonly Answer[];
  readonly tunnels: ReadonlyMap<string, number>;
}

/** Asks one worker. WebSockets come first: one that opens meanwhile is a request for a second more, instead of one fewer. */
export const measure = async (ask: (command: string) => Promise<string>): Promise<Measured> => {
  const tunnels = parseTunnels(await ask(`show table ${TUNNELS} data.conn_cur gt 0`));
  const answers = parseAnswers(await ask(`show events ${ANSWERS}`));
  return { tunnels, answers, rows: parseStat(await ask(SHOW_STAT)) };
};

/** How far back an answer is recent. */
const RECENT_MS = 3000;

const NONE: Recent = { answers: 0, responseMs: 0 };

/** By pool, in one pass: there are thousands of both. */
const recentOf = (workers: readonly Measured[], now: number): ReadonlyMap<string, Recent> => {
  const pools = new Map<string, Recent>();
  for (const [pool, at, ms] of workers.flatMap(({ answers }) => answers)) {
    if (at <= now - RECENT_MS) continue;
    const { answers, responseMs } = pools.get(pool) ?? NONE;
    pools.set(pool, {
      answers: answers + 1,
      responseMs: responseMs + (ms - responseMs) / (answers + 1),
    });
  }
  return pools;
};

const tunnelsOf = (key: string, workers: readonly Measured[]): number =>
  workers.reduce((all, { tunnels }) => all + (tunnels.get(key) ?? 0), 0);

const trafficOf = (key: string, workers: readonly Measured[]): Traffic => {
  const rows = workers.map((worker) => worker.rows.get(key));
  const valueIn = (row: readonly number[] | undefined, column: Column): number =>
    row?.[COLUMNS.indexOf(column)] ?? 0;
  const value = (column: Column): number => valueIn(rows[0], column);
  const everywhere = (column: Column): number => rows.reduce((sum, row) => sum + valueIn(row, column), 0);
  return {
    requestsPerSecond: everywhere('rate'),
    sessions: everywhere('scur'),
    queue: everywhere('qcur'),
    queueMs: value('qtime'),
    connectMs: value('ctime'),
    responseMs: value('rtime'),
    totalMs: value('ttime'),
    requests: value('stot'),
    connectErrors: value('econ'),
    serverErrors: value('hrsp_5xx'),
  };
};

/** The first of the workers serves; the others only end what they began. `now` is of the wall clock, in ms. */
export const statisticsOf = (
  pools: readonly Pool[],
  workers: readonly Measured[],
  now: number,
): ServiceStatistics[] => {
  const recent = recentOf(workers, now);
  return pools.flatMap(({ name, service, slots }) => {
    if (service === undefined) return [];
    const backends = slots.flatMap((slot, index) => {
      const key = `${name}/${slotName(index)}`;
      const traffic = trafficOf(key, workers);
      const open = Math.max(0, traffic.sessions - tunnelsOf(key, workers));
      return slot ? [{ name: slot.name, open, ...traffic }] : [];
    });
    const total = trafficOf(`${name}/BACKEND`, workers);
    return [{ service, recent: recent.get(name) ?? NONE, ...total, backends }];
  });
};
