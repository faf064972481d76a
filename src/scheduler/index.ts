/** The scheduler: when an application is put to sleep by itself. Pure policy, fed by sensors. */
export { idleSeconds } from './idle.ts';
export { Scheduler } from './scheduler.ts';
