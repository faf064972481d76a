/**
 * Whether what an application holds makes a difference: Node servers of several sizes in one run, asleep with their memory in layers.
 * They take turns. A turn of each: it has answered one request since its last wake, sleeps, is kept, and is woken by a packet.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { MemoryChoice } from '../src/api/index.ts';
import { kept, sleep, wakeByPacket } from './bench.ts';
import type { Bench, Part } from './bench.ts';
import { compared, figure } from './figures.ts';
import type { Figure, Samples } from './figures.ts';
import { QUESTION, startServer } from './node-server.ts';
import type { Server } from './node-server.ts';
import { privateMemory } from './processes.ts';
import { ask } from './request.ts';

const SIZES = [50, 400, 1500];
const FORCED: readonly MemoryChoice[] = ['layer', 'lazy', 'copy'];
const FORCED_SAMPLES = 5;
/** How long a woken application is left alone before its memory is measured, in ms. */
const IDLE_MS = 1000;
const MB = 1e6;

/** What is promised, or aimed at where it says so. */
const LIMITS = {
  /** Aim, in ms. */
  wake: 8,
  /** The largest beside the smallest. */
  growth: 1.3,
  /** Milliseconds for which a sleep after the first freezes. */
  frozen: 15,
  /** Bytes written beside private dirty memory. */
  written: 1.2,
  /** Private memory of a woken application, in MB. */
  privateMb: 5,
} as const;

/** All turns of one size. */
interface Turns {
  readonly megabytes: number;
  readonly server: Server;
  readonly wake: number[];
  readonly frozen: number[];
  readonly written: number[];
  readonly dirty: number[];
  readonly idle: number[];
  readonly idleFiles: number[];
  readonly forced: Map<MemoryChoice, { wake: number[]; response: number[] }>;
}

const begin = async (bench: Bench, megabytes: number): Promise<Turns> => {
  const server = await startServer(bench, `sized-${megabytes}`, megabytes);
  // The first sleep saves everything; first-sleep.ts measures it.
  const slept = await sleep(bench, server.app);
  await kept(bench, server.app);
  await wakeByPacket(bench, slept, server.to, QUESTION);
  const forced = new Map(FORCED.map((mode) => [mode, { wake: [], response: [] }]));
  return {
    ...{ megabytes, server, forced },
    ...{ wake: [], frozen: [], written: [], dirty: [], idle: [], idleFiles: [] },
  };
};

const takeTurn = async (bench: Bench, turns: Turns): Promise<void> => {
  const { app, to } = turns.server;
  turns.dirty.push((await privateMemory(bench, app)).dirty / MB);
  const slept = await sleep(bench, app);
  turns.frozen.push(slept.frozenMs);
  turns.written.push(slept.bytes / MB);
  await kept(bench, app);
  turns.wake.push((await wakeByPacket(bench, slept, to, QUESTION)).ms);
};

/** By command, with the memory coming back in one way; to the last byte of the first answer. */
const wakeForced = async (bench: Bench, turns: Turns, mode: MemoryChoice): Promise<void> => {
  const { app, to } = turns.server;
  await sleep(bench, app);
  await kept(bench, app);
  const began = performance.now();
  await bench.client.wake(app.aid, { memory: mode });
  const ms = performance.now() - began;
  const figures = turns.forced.get(mode);
  figures?.wake.push(ms);
  figures?.response.push(ms + (await ask(to, QUESTION)));
};

/** Woken by command, and not asked anything. */
const measureIdle = async (bench: Bench, turns: Turns): Promise<void> => {
  const { app } = turns.server;
  await sleep(bench, app);
  await kept(bench, app);
  await bench.client.wake(app.aid);
  await pause(IDLE_MS);
  const { dirty, clean } = await privateMemory(bench, app);
  turns.idle.push(dirty / MB);
  turns.idleFiles.push(clean / MB);
};

const WAKE = 'wake, layer, first packet to whole response';

const figuresOf = (turns: Turns): Figure[] => {
  const samples = (name: string, values: readonly number[], unit = 'ms'): Samples => ({
    name: `${name}, ${turns.megabytes} MB`,
    unit,
    values,
  });
  const dirty = samples('private dirty memory before a sleep', turns.dirty, 'MB');
  const idle = samples('private memory when woken and idle', turns.idle, 'MB');
  return [
    figure(samples(WAKE, turns.wake), LIMITS.wake),
    ...[...turns.forced].flatMap(([mode, { wake, response }]) => [
      figure(samples(`wake by command, ${mode}`, wake)),
      figure(samples(`wake by command, ${mode}, and whole response`, response)),
    ]),
    figure(samples('second sleep, frozen', turns.frozen), LIMITS.frozen),
    compared(samples('second sleep, written', turns.written, 'MB'), dirty, LIMITS.written),
    figure(dirty),
    figure(idle, turns.megabytes === 400 ? LIMITS.privateMb : undefined),
    figure(samples('pages of files that nobody else maps, woken and idle', turns.idleFiles, 'MB')),
  ];
};

/** The wake of each size beside that of the smallest. */
const growth = (all: readonly Turns[]): Figure[] => {
  const samples = ({ megabytes, wake }: Turns): Samples => ({
    name: `${WAKE}, ${megabytes} MB`,
    unit: 'ms',
    values: wake,
  });
  const [smallest, ...others] = all;
  if (!smallest) return [];
  return others.map((one) => compared(samples(one), samples(smallest), LIMITS.growth));
};

const measure = async (bench: Bench): Promise<Figure[]> => {
  const all: Turns[] = [];
  for (const megabytes of SIZES) all.push(await begin(bench, megabytes));
  for (let sample = 0; sample < bench.samples; sample++)
    for (const turns of all) await takeTurn(bench, turns);
  for (let sample = 0; sample < Math.min(FORCED_SAMPLES, bench.samples); sample++)
    for (const turns of all) {
      for (const mode of FORCED) await wakeForced(bench, turns, mode);
      await measureIdle(bench, turns);
    }
  for (const { server } of all) await server.app.remove();
  return [...growth(all), ...all.flatMap(figuresOf)];
};

export const sizes: Part = {
  name: 'sizes',
  title: `Node servers that hold ${SIZES.join(', ')} MB, with their memory in layers`,
  measure,
};
