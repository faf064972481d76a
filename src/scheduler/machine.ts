/**
 * What the machine has: memory, processors, and how long somebody has waited for them.
 *
 * Sources: proc_meminfo(5); accounting/psi.rst of the kernel for `/proc/pressure`, which kernels without PSI do not have, or refuse to read.
 */
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import type { Machine, Pressure } from './policy/index.ts';

/** What is left free: a part of all memory, and not more than a few programs take to start. */
const RESERVE = { share: 1 / 16, most: 512 << 20 } as const;

/** A line of `/proc/meminfo`, in bytes. Pure. */
export const meminfo = (text: string, name: string): number =>
  Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(text)?.[1] ?? 0) * 1024;

/** The average of the last ten seconds in a line of `/proc/pressure`, in percent. Pure. */
export const stalled = (text: string, line: 'some' | 'full'): number =>
  Number(new RegExp(`^${line} avg10=([\\d.]+)`, 'm').exec(text)?.[1] ?? 0);

const pressureNow = (): Pressure | null => {
  try {
    const memory = readFileSync('/proc/pressure/memory', 'utf8');
    const cpu = readFileSync('/proc/pressure/cpu', 'utf8');
    return {
      memorySome: stalled(memory, 'some'),
      memoryFull: stalled(memory, 'full'),
      cpuSome: stalled(cpu, 'some'),
    };
  } catch {
    return null;
  }
};

/** Pressure is an average of ten seconds, which the kernel brings up to date every two. */
const PRESSURE_MS = 1000;

export class MachineSensor {
  readonly #limit: number | undefined;
  readonly #cores = availableParallelism();
  #pressure: Pressure | null = null;
  #pressureAt = -Infinity;

  /** `limit` is what all applications may have together, in bytes; all that the machine has when left out. */
  constructor(limit?: number) {
    this.#limit = limit;
  }

  /** `used` is what the applications have now, in bytes; `now` is on a clock that never jumps, in ms. */
  read(now: number, used: number): Machine {
    const text = readFileSync('/proc/meminfo', 'utf8');
    const total = meminfo(text, 'MemTotal');
    const available = meminfo(text, 'MemAvailable');
    const limit = Math.min(this.#limit ?? total, total);
    if (now - this.#pressureAt >= PRESSURE_MS) {
      this.#pressure = pressureNow();
      this.#pressureAt = now;
    }
    return {
      memoryBytes: limit,
      availableBytes: this.#limit === undefined ? available : Math.min(available, limit - used),
      reserveBytes: Math.min(RESERVE.most, limit * RESERVE.share),
      cores: this.#cores,
      pressure: this.#pressure,
    };
  }
}
