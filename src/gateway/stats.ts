/** HAProxy's measurements, for each service and backend. Its averages are over the last 1024 requests, and stay when none come. */
import type { Pool } from './pools.ts';
import { slotName } from './changes.ts';

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
}

export interface ServiceStatistics extends Traffic {
  readonly service: string;
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
export const SHOW_STAT = 'show stat -1 6 -1 no-maint';

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

const trafficOf = (key: string, workers: readonly Rows[]): Traffic => {
  const rows = workers.map((worker) => worker.get(key));
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

/** The first of the workers serves; the others only end what they began. */
export const statisticsOf = (pools: readonly Pool[], workers: readonly Rows[]): ServiceStatistics[] =>
  pools.flatMap(({ name, service, slots }) => {
    if (service === undefined) return [];
    const backends = slots.flatMap((slot, index) =>
      slot ? [{ name: slot.name, ...trafficOf(`${name}/${slotName(index)}`, workers) }] : [],
    );
    return [{ service, ...trafficOf(`${name}/BACKEND`, workers), backends }];
  });
