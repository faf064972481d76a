/**
 * The first sleep of an application, when all of its memory must be saved, beside plain CRIU's dump to memory of the same program;
 * what a packet meets that comes right afterwards, while nothing is in a layer yet; and the making of the layer.
 */
import { kept, sleep, wakeByPacket } from './bench.ts';
import type { Bench, Part } from './bench.ts';
import { compared, figure } from './figures.ts';
import type { Figure, Samples } from './figures.ts';
import { PORT, QUESTION, nodeServer, startServer } from './node-server.ts';
import { startPlain } from './plain-criu.ts';
import { usedMs } from './processes.ts';

/** What is promised of the time frozen, beside plain CRIU's dump. */
const FROZEN_LIMIT = 1.2;

interface Run {
  readonly frozen: number[];
  readonly dump: number[];
  readonly wake: number[];
  readonly folded: number[];
  readonly used: number[];
}

/** Each turn has an application of its own: only the first sleep is like this. */
const takeTurn = async (bench: Bench, megabytes: number, sample: number, run: Run): Promise<void> => {
  const { app, to } = await startServer(bench, `first-${megabytes}-${sample}`, megabytes);
  const slept = await sleep(bench, app);
  const [ended, used] = [performance.now(), usedMs(bench.lab.daemonPid())];
  run.frozen.push(slept.frozenMs);
  run.wake.push((await wakeByPacket(bench, slept, to, QUESTION)).ms);
  await kept(bench, app);
  run.folded.push(performance.now() - ended);
  run.used.push(usedMs(bench.lab.daemonPid()) - used);
  await app.remove();
};

const measure = async (bench: Bench, megabytes: number): Promise<Figure[]> => {
  const plain = await startPlain(bench.lab, `first-${megabytes}`, nodeServer(megabytes), PORT, QUESTION);
  const run: Run = { frozen: [], dump: [], wake: [], folded: [], used: [] };
  for (let sample = 0; sample < bench.samples; sample++) {
    await takeTurn(bench, megabytes, sample, run);
    run.dump.push(await plain.dump());
    await plain.restore();
  }
  await plain.close();
  const samples = (name: string, values: readonly number[]): Samples => ({
    name: `${name}, ${megabytes} MB`,
    unit: 'ms',
    values,
  });
  const dump = samples('plain CRIU, dump to memory', run.dump);
  return [
    compared(samples('first sleep, frozen', run.frozen), dump, FROZEN_LIMIT),
    figure(dump),
    figure(samples('wake right after it, first packet to whole response', run.wake)),
    figure(samples('until it is durable and in a layer, a wake meanwhile', run.folded)),
    figure(samples('processor time of the daemon for that', run.used)),
  ];
};

export const firstSleepOf = (megabytes: number): Part => ({
  name: `first-${megabytes}`,
  title: `A Node server that holds ${megabytes} MB: its first sleep`,
  measure: (bench) => measure(bench, megabytes),
});
