/** Memory that is not simply read and written: discarded pages, which the guard answers for, and mappings that are shared. */
import { launch } from '../test/support/application.ts';
import { eventually } from '../test/support/eventually.ts';
import { get } from '../test/support/http-client.ts';
import type { Inside } from '../test/support/network-namespace.ts';
import { beside } from './bare-bridge.ts';
import { kept, sleep, wakeByPacket } from './bench.ts';
import type { Bench, Part } from './bench.ts';
import { compared, figure } from './figures.ts';
import type { Figure, Samples } from './figures.ts';
import type { Server } from './node-server.ts';
import { ask, httpGet } from './request.ts';

const PORT = 8084;
const QUESTION = httpGet('/');
const PRIVATE_MB = 64;
const SHARED_MB = 100;
/** Calls of one sample. */
const PAGES = 50;

const start = async (
  bench: Bench,
  name: string,
  megabytes: [own: number, shared: number],
): Promise<Server> => {
  const command = ['/usr/bin/python3', beside('mappings.py'), String(PORT), ...megabytes.map(String)];
  const app = await launch(bench.lab, name, { command });
  const to = bench.lab.namespace.inside(app.address, PORT);
  await eventually(() => ask(to, QUESTION));
  return { app, to };
};

/** Microseconds that a call takes which discards one page. */
const discard = async (to: Inside, from: number): Promise<number> => {
  const { status, body } = await get(to, `/discard?from=${from}&pages=${PAGES}`);
  if (status !== 200) throw new Error(`discarding failed: ${status}`);
  return (JSON.parse(body) as { microseconds: number }).microseconds;
};

/** Sleeps and is woken with its memory mapped from a layer. */
const cycle = async (bench: Bench, { app, to }: Server): Promise<void> => {
  const slept = await sleep(bench, app);
  await kept(bench, app);
  const { wake } = await wakeByPacket(bench, slept, to, QUESTION);
  if (wake.memory?.mode !== 'layer') throw new Error(`its memory came back by ${wake.memory?.mode}`);
};

const measureGuard = async (bench: Bench): Promise<Figure[]> => {
  const server = await start(bench, 'discarding', [PRIVATE_MB, 0]);
  const samples = (name: string): Samples & { values: number[] } => ({
    name: `discarding a page, ${name}`,
    unit: 'µs',
    values: [],
  });
  const [free, layer, anonymous] = [
    samples('never slept'),
    samples('in a layer'),
    samples('in anonymous memory of a woken application'),
  ];
  // Every sample has pages of its own, with one behind them that stays.
  const own = (sample: number): number => sample * (PAGES + 1);
  for (let sample = 0; sample < bench.samples; sample++)
    free.values.push(await discard(server.to, own(sample)));
  await cycle(bench, server);
  for (let sample = 0; sample < bench.samples; sample++) {
    const from = own(bench.samples + sample);
    layer.values.push(await discard(server.to, from));
    anonymous.values.push(await discard(server.to, from));
  }
  await server.app.remove();
  return [figure(free), compared(layer, free), compared(anonymous, free)];
};

const measureShared = async (bench: Bench): Promise<Figure[]> => {
  const server = await start(bench, 'sharing', [0, SHARED_MB]);
  const values: number[] = [];
  for (let sample = 0; sample < bench.samples; sample++) {
    const slept = await sleep(bench, server.app);
    await kept(bench, server.app);
    values.push((await wakeByPacket(bench, slept, server.to, QUESTION)).ms);
  }
  await server.app.remove();
  const name = `wake, first packet to whole response, ${SHARED_MB} MB of shared memory, which is copied`;
  return [figure({ name, unit: 'ms', values })];
};

export const guard: Part = {
  name: 'guard',
  title: 'Discarding memory under the guard',
  measure: measureGuard,
};

export const shared: Part = {
  name: 'shared',
  title: 'A Python server with shared memory',
  measure: measureShared,
};
