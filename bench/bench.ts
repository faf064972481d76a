/** What every part of the benchmark works with: one lab with a daemon, and how many samples to take. */
import { Client } from '../src/api/client.ts';
import type { SleepResult, WakeResult } from '../src/api/index.ts';
import type { Application } from '../test/support/application.ts';
import { eventually } from '../test/support/eventually.ts';
import type { Lab } from '../test/support/lab.ts';
import type { Figure } from './figures.ts';

export interface Bench {
  readonly lab: Lab;
  readonly client: Client;
  readonly samples: number;
}

/** A part of the benchmark, which `--only` names. */
export interface Part {
  readonly name: string;
  readonly title: string;
  measure(bench: Bench): Promise<Figure[]>;
}

/** Puts it to sleep over the daemon's socket: no command is started. */
export const sleep = (bench: Bench, app: Application): Promise<SleepResult> => bench.client.sleep(app.aid);

/** How the wake from that sleep went; the daemon notes it after the packet was let through. */
export const wakeFrom = (bench: Bench, slept: SleepResult): Promise<WakeResult> =>
  eventually(async () => {
    const { state, lastWake } = await bench.client.inspect(slept.aid);
    if (state !== 'running' || lastWake === null || lastWake.snapshot !== slept.snapshot)
      throw new Error(`${slept.name} is ${state}, not woken by the packet`);
    return lastWake;
  });
