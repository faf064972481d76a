/** Clocks as nanoseconds since an arbitrary start. CLOCK_MONOTONIC stops while the machine is suspended, CLOCK_BOOTTIME does not. */
import { bind } from './sys.ts';

const CLOCK_BOOTTIME = 7;
const timespec = Buffer.alloc(16);
const clockGettime = bind('clock_gettime', ['int', 'void *']);

/** CLOCK_MONOTONIC in nanoseconds. */
export const monotonicNow = (): bigint => process.hrtime.bigint();

/** CLOCK_BOOTTIME in nanoseconds. */
export const boottimeNow = (): bigint => {
  clockGettime(CLOCK_BOOTTIME, timespec);
  return timespec.readBigInt64LE(0) * 1_000_000_000n + timespec.readBigInt64LE(8);
};
