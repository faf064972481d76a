/**
 * The scheduler: what runs, what is frozen in memory, what sleeps, and how many instances a service has. `policy/` decides, and is pure; the rest
 * sees and acts.
 */
export { Arrivals } from './arrivals.ts';
export { Scheduler } from './scheduler.ts';
