/** Identities on the network: the bridge, the sentinel that hears who is asked for, and what may wake a sleeper. */
export { macOf } from './bridge.ts';
export type { KnownAddress, Reachability } from './filter.ts';
export { Network } from './network.ts';
