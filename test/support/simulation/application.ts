/** A simulated application, in the words of the policy's view, and what it takes to wake it and to put it to sleep. */
import type { Application, Standing } from '../../../src/scheduler/policy/index.ts';

export const MB = 1024 ** 2;

export interface Program {
  readonly name: string;
  readonly service?: string;
  readonly megabytes: number;
  readonly priority?: number;
  /** Milliseconds; null for never. */
  readonly sleepAfter?: number | null;
  readonly freezeAfter?: number | null;
  /** Milliseconds of processor time that a request takes. */
  readonly requestMs?: number;
  /** It computes all the time, asked or not. */
  readonly computes?: boolean;
  readonly made?: boolean;
}

export interface Request {
  readonly at: number;
}

/** As measured on two cores: 16 to 25 ms for a wake; 90 ms and more for a sleep, by size. */
export const WAKE = { fixed: 8, cpu: 10 } as const;
export const sleepCost = (megabytes: number): { fixed: number; cpu: number } => ({
  fixed: 50,
  cpu: 80 + megabytes / 4,
});
/** What is in memory right after a wake, and how long it takes until everything is. */
const TOUCHED_AT_ONCE = 0.3;
const TOUCHED_AFTER_MS = 2000;

type Changing<T> = { -readonly [key in keyof T]: T[key] };

export class SimulatedApplication implements Changing<Application> {
  readonly aid: string;
  readonly name: string;
  readonly service: string;
  readonly priority: number;
  readonly sleepAfter: number | null;
  readonly freezeAfter: number | null;
  readonly expectedBytes: number;
  readonly cpuLimit = 1;
  readonly made: boolean;
  readonly requestMs: number;
  readonly megabytes: number;
  readonly computes: boolean;
  state: Standing = 'asleep';
  since = 0;
  memoryBytes = 0;
  cpu = 0;
  requestsOpen = 0;
  activeAt = 0;
  askedAt = -60_000;
  wakeTook: number | null = null;
  sleepTook: number | null = null;
  blockedUntil = 0;
  /** When its processes came to be; what it holds grows from then. */
  awakeAt = 0;
  /** When its processes were stopped to be saved. */
  stoppedAt = 0;
  isDraining = false;
  /** Why it is being put to sleep; a request turns only an idle one back. */
  sleepCode = '';
  transitions = 0;

  constructor(aid: string, program: Program) {
    this.aid = aid;
    this.name = program.name;
    this.service = program.service ?? program.name;
    this.priority = program.priority ?? 50;
    this.sleepAfter = program.sleepAfter === undefined ? 10_000 : program.sleepAfter;
    this.freezeAfter = program.freezeAfter ?? null;
    this.megabytes = program.megabytes;
    this.expectedBytes = program.megabytes * MB;
    this.requestMs = program.requestMs ?? 4;
    this.computes = program.computes ?? false;
    this.made = program.made ?? false;
  }

  #grewUntil(now: number): number {
    return this.state === 'sleeping' ? this.stoppedAt : now;
  }

  holds(now: number): number {
    if (this.state === 'asleep' || this.state === 'other') return 0;
    const part =
      TOUCHED_AT_ONCE + (1 - TOUCHED_AT_ONCE) * ((this.#grewUntil(now) - this.awakeAt) / TOUCHED_AFTER_MS);
    return this.expectedBytes * Math.min(1, part);
  }
}
