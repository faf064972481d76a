/** What every part of the benchmark works with: one lab with a daemon, and how many samples to take. */
import { Client } from '../src/api/client.ts';
import type { SleepResult, WakeResult } from '../src/api/index.ts';
import type { Application } from '../test/support/application.ts';
import { eventually } from '../test/support/eventually.ts';
import type { Lab } from '../test/support/lab.ts';
import type { Inside } from '../test/support/network-namespace.ts';
import type { Figure } from './figures.ts';
import { ask } from './request.ts';
import type { Question } from './request.ts';

export interface Bench {
  readonly lab: Lab;
  readonly client: Client;
  readonly samples: number;
}

/** A part of the benchmark, which `--only` names. */
export interface Part {
  readonly name: string;
  readonly title: string;
  /** Options of its daemon; `null` when it needs none, or starts it itself. */
  readonly daemon?: readonly string[] | null;
  /** Bytes of a new file system for what its daemon keeps; the machine's own when left out. */
  readonly disk?: number;
  measure(bench: Bench): Promise<Figure[]>;
}

/** Puts it to sleep over the daemon's socket: no command is started. */
export const sleep = (bench: Bench, app: Application): Promise<SleepResult> => bench.client.sleep(app.aid);

const LONGEST_KEEPING_MS = 120_000;

/** Waits until all of its snapshots are durable, and their memory in layers where that pays: what a sleeper is most of its time. */
export const kept = (bench: Bench, app: Pick<Application, 'aid' | 'name'>): Promise<void> =>
  eventually(async () => {
    const snapshots = await bench.client.history(app.aid);
    if (!snapshots.every(({ durable }) => durable)) throw new Error(`${app.name} is not kept yet`);
  }, LONGEST_KEEPING_MS);

export interface PacketWake {
  /** Milliseconds from connect() to the last byte of the answer. */
  readonly ms: number;
  /** The daemon's own account of it. */
  readonly wake: WakeResult;
}

/** Wakes a sleeper by a question to it. Throws when something else woke it before. */
export const wakeByPacket = async (
  bench: Bench,
  slept: SleepResult,
  to: Inside,
  question: Question,
): Promise<PacketWake> => {
  const began = Date.now();
  const ms = await ask(to, question);
  // The daemon notes it after it has let the packet through.
  const wake = await eventually(async () => {
    const { state, lastWake } = await bench.client.inspect(slept.aid);
    if (state === 'running' && lastWake?.snapshot === slept.snapshot) return lastWake;
    throw new Error(`${slept.name} is ${state}, not woken by the packet`);
  });
  if (Date.parse(wake.since) < began) throw new Error(`${slept.name} was awake before the packet`);
  return { ms, wake };
};
