/** The policy of the application scheduler: what runs, what is frozen, what sleeps, and how many of each service there are. */
export { decide } from './decide.ts';
export type { Outcome } from './decide.ts';
export { CODES } from './decision.ts';
export type { Code, Decision, Figures, Kind } from './decision.ts';
export { NOTHING } from './memory.ts';
export type { Memory } from './memory.ts';
export { TUNING } from './tuning.ts';
export type { Tuning } from './tuning.ts';
export type { Application, Load, Machine, Pressure, Service, Standing, View, Wait } from './view.ts';
