/** Identities on the network: bridges, the sentinels that hear who is asked for, and what may wake a sleeper. */
export { macOf } from './bridge.ts';
export type { KnownAddress, Reachability } from './filter.ts';
export { forward } from './border.ts';
export type { Heard } from './heard.ts';
export { preparePort } from './network.ts';
export { PortGuard } from './port-guard.ts';
export { Publisher } from './publish.ts';
export type { Translation } from './publish-flows.ts';
export type { PublishedPort, Side } from './publish-rules.ts';
export { portInUse } from './publish-use.ts';
export { Networks } from './networks.ts';
export type { NetworkPlan } from './networks.ts';
