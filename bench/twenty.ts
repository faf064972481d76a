/**
 * Twenty sleeping applications that are asked at the same instant, beside wakes of a single one in the same turns: what is looked at is
 * the last answer of the twenty.
 */
import { sleep, kept, wakeByPacket } from './bench.ts';
import type { Bench, Part } from './bench.ts';
import { compared, figure } from './figures.ts';
import type { Figure } from './figures.ts';
import { QUESTION, startServer } from './node-server.ts';
import type { Server } from './node-server.ts';
import { ask } from './request.ts';
import { median, quantile } from './statistics.ts';

const TWENTY = 20;
const MEGABYTES = 0;
const SINGLES = 4;
const LIMIT = 20;

const asleep = async (bench: Bench, servers: readonly Server[]): Promise<void> => {
  for (const { app } of servers) await sleep(bench, app);
  for (const { app } of servers) await kept(bench, app);
};

/** The median of some wakes of one, while all others sleep. */
const single = async (bench: Bench, { app, to }: Server): Promise<number> => {
  const times: number[] = [];
  for (let wake = 0; wake < SINGLES; wake++) {
    const slept = await sleep(bench, app);
    await kept(bench, app);
    times.push((await wakeByPacket(bench, slept, to, QUESTION)).ms);
  }
  return median(times);
};

const measure = async (bench: Bench): Promise<Figure[]> => {
  const servers: Server[] = [];
  for (let index = 0; index < TWENTY; index++)
    servers.push(await startServer(bench, `asked-${index}`, MEGABYTES));
  const [first] = servers;
  if (!first) return [];
  await asleep(bench, servers.slice(1));
  const [alone, half, last]: [number[], number[], number[]] = [[], [], []];
  for (let turn = 0; turn < bench.samples; turn++) {
    alone.push(await single(bench, first));
    await asleep(bench, [first]);
    const times = await Promise.all(servers.map(({ to }) => ask(to, QUESTION)));
    half.push(median(times));
    last.push(quantile(times, 0.99));
    await asleep(bench, servers.slice(1));
  }
  for (const { app } of servers) await app.remove();
  const unit = 'ms';
  const beside = { name: 'a single wake, first packet to whole response', unit, values: alone };
  const name = `${TWENTY} asked at once`;
  return [
    compared({ name: `${name}, p99 of their first responses`, unit, values: last }, beside, LIMIT),
    compared({ name: `${name}, median of their first responses`, unit, values: half }, beside),
    figure(beside),
  ];
};

export const twenty: Part = {
  name: 'twenty',
  title: `${TWENTY} sleeping applications asked at the same instant`,
  measure,
};
