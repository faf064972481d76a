/**
 * Idleness, from samples of what an application received and computed. Pure: the caller brings the clock.
 *
 * An application is idle while it receives no packets and uses no CPU to speak of: a share that timers and garbage
 * collectors of a waiting program stay below.
 */
import { TUNING } from './policy/index.ts';

export interface Sample {
  /** Milliseconds on a clock that never jumps. */
  readonly at: number;
  /** Packets from outside so far. */
  readonly packets: number;
  /** CPU time so far, in microseconds. */
  readonly cpuMicroseconds: number;
}

export interface Observation {
  readonly sample: Sample;
  /** When it was last active, on the samples' clock. */
  readonly activeAt: number;
  /** When it last received packets. */
  readonly askedAt: number;
  /** Cores used between the last two samples; null after the first. */
  readonly cpu: number | null;
}

/** What is known after a sample; without an observation before, it counts as active until now. */
export const observe = (before: Observation | undefined, sample: Sample): Observation => {
  // Counters that went back are those of another environment: it slept and woke between the samples.
  if (!before || sample.cpuMicroseconds < before.sample.cpuMicroseconds)
    return { sample, activeAt: sample.at, askedAt: sample.at, cpu: null };
  const elapsed = sample.at - before.sample.at;
  if (elapsed <= 0) return before;
  const cpu = (sample.cpuMicroseconds - before.sample.cpuMicroseconds) / 1000 / elapsed;
  const askedAt = sample.packets === before.sample.packets ? before.askedAt : sample.at;
  const activeAt = cpu > TUNING.busyCores ? sample.at : Math.max(before.activeAt, askedAt);
  return { sample, activeAt, askedAt, cpu };
};

/** How often to sample, in milliseconds, for the shortest idle time that matters, in seconds. */
export const sampleInterval = (shortest: number): number =>
  Math.min(1000, Math.max(50, (shortest * 1000) / 5));
