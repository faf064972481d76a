/**
 * The web gateway: many sites on two ports, told apart by host name. It manages one HAProxy.
 *
 * A `GatewayPlan` is digested into pools and slots, rendered into a configuration, and brought to HAProxy: by its runtime socket where that
 * is enough, else by a reload, in which the new worker takes over the listening sockets of the old one. Nothing here knows applications:
 * a backend is an address and a port, and one that is asleep answers late.
 */
export { Gateway } from './gateway.ts';
export { HAPROXY } from './master.ts';
export type { GatewayOptions } from './gateway.ts';
export { siteFault } from './plan.ts';
export type { Backend, GatewayPlan, Listen, Site } from './plan.ts';
export type { BackendStatistics, ServiceStatistics, Traffic } from './stats.ts';
